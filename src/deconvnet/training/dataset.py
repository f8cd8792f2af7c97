"""What a training run learns from: photos or digits, split, decoded once, cut and tinted anew each epoch."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from deconvnet.data import (
    Mnist,
    Photos,
    UnreadablePhoto,
    as_photos,
    load_mnist,
    none_readable,
    open_photos,
    split,
    split_by_folders,
)
from deconvnet.errors import DataError, OptionError
from deconvnet.networks.preprocessing import Preprocessing, shortest_side
from deconvnet.training.recipes import Augmentation

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


class Dataset(ABC):
    """Training data as the loop sees it; indices count all photos, training and held-out.

    Attributes
    ----------
    photos : Photos
    classes : tuple of str
    labels : ndarray of int64
        Each photo's class.
    train, held_out : ndarray of int64
        Which photos are learned from, and which are not; without those that turned out unreadable.
    skipped : list of UnreadablePhoto
        Photos that turned out unreadable, each once.
    fingerprint : str
    """

    photos: Photos
    classes: tuple[str, ...]
    labels: Indices
    train: Indices
    held_out: Indices
    skipped: list[UnreadablePhoto]
    fingerprint: str

    def names(self, indices: Indices) -> list[str]:
        """Names of photos."""
        return [self.photos.names[i] for i in indices]

    @abstractmethod
    def decode(self, side: int, progress: Callable[[int, int], None], enlarge: bool = True) -> None:
        """Read all training photos, shortest side ``side`` pixels; smaller ones stay so unless ``enlarge``."""

    @abstractmethod
    def batch(
        self, indices: Indices, size: int, augmentation: Augmentation, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """Training crops, float32 (N, size, size, 3) in 0 to 255 (tinted ones may leave it a little)."""

    def read(
        self, indices: Indices, view: Callable[[Pixels], T], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[int, T]]:
        """What ``view`` makes of photos, one by one, with their indices; made in threads ahead.

        A photo is uint8 (H, W, 3) or (H, W). Unreadable ones go to ``skipped``, and leave ``held_out``.
        """
        reading = self.photos.batches(
            view, 1, indices=indices, fill=False, ahead=4, at_least_one=False, progress=progress
        )
        for batch in reading:
            for index, photo in batch.unreadable.items():
                self._skip(photo)
                self.held_out = self.held_out[self.held_out != index]
            yield from zip(batch.indices, batch.views, strict=True)

    def views(self, indices: Indices, preprocessing: Preprocessing) -> list[Pixels]:
        """Photos as the network sees them outside training."""
        return [view for _, view in self.read(indices, preprocessing.view)]

    def _skip(self, photo: UnreadablePhoto) -> None:
        if all(photo.name != other.name for other in self.skipped):  # each is counted once
            self.skipped.append(photo)


@dataclass
class PhotoDataset(Dataset):
    """A folder or archive of photos in classes, split class by class or as its folders say.

    Photos in ``train/CLASS/`` and ``val/CLASS/`` (or ``validation``, ``valid``, ``test``) are split already: those
    folders are the split, not two classes, and neither share nor seed is used.

    Parameters
    ----------
    photos : Photos
        Photos with classes.
    held_out_share : float
        Share of each class that is held out.
    seed : int
        Decides the split.

    Raises
    ------
    DataError
        If the photos have no classes, or only one.
    """

    photos: Photos
    held_out_share: float
    seed: int
    skipped: list[UnreadablePhoto] = field(default_factory=list)

    def __post_init__(self) -> None:
        given = split_by_folders(self.photos)
        if given is not None:
            self.photos = given[0]
        if len(self.photos.classes) < 2:
            raise DataError(
                f"{self.photos.root} holds {len(self.photos.classes)} class(es): training needs one folder of photos "
                "for each of at least two classes (CLASS/photo.jpg)."
            )
        if given is not None:
            _, self.train, self.held_out = given
        else:
            labelled = np.flatnonzero(self.photos.labels >= 0)
            train, held_out = split(self.photos.labels[labelled], self.held_out_share, self.seed)
            self.train, self.held_out = labelled[train], labelled[held_out]
        self.labels, self.classes, self.fingerprint = self.photos.labels, self.photos.classes, self.photos.fingerprint
        self._pixels: dict[int, Pixels] = {}

    def decode(self, side: int, progress: Callable[[int, int], None], enlarge: bool = True) -> None:
        def resized(photo: Pixels) -> Pixels:
            fits = not enlarge and min(photo.shape[:2]) <= side
            return photo if fits else shortest_side(Image.fromarray(photo), side)

        chosen = self.train
        reading = self.photos.batches(
            resized, 50, indices=chosen, fill=False, ahead=8, at_least_one=False, progress=progress
        )
        for batch in reading:
            self._pixels.update(zip(batch.indices, batch.views, strict=True))
        for photo in reading.unreadable:
            self._skip(photo)
        self.train = np.array([i for i in chosen if int(i) in self._pixels], dtype=np.int64)
        if not len(self.train):
            raise none_readable(self.photos.root, len(chosen), reading.unreadable, "training photos")

    @cached_property
    def _colours(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Square roots of the eigenvalues, and eigenvectors (columns), of the training pixels' covariance."""
        sample = np.concatenate([self._pixels[int(i)].reshape(-1, 3)[::97] for i in self.train])
        values, vectors = np.linalg.eigh(np.cov(sample.T.astype(np.float64)))
        return np.sqrt(np.maximum(values, 0)), vectors

    def batch(
        self, indices: Indices, size: int, augmentation: Augmentation, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        a = augmentation
        crops = np.stack([_crop(self._pixels[int(i)], size, a, rng) for i in indices]).astype(np.float32)
        if a.brightness:
            crops *= rng.uniform(1 - a.brightness, 1 + a.brightness, (len(crops), 1, 1, 1)).astype(np.float32)
        if a.tint:
            crops *= rng.uniform(1 - a.tint, 1 + a.tint, (len(crops), 1, 1, 3)).astype(np.float32)
        if a.pca:  # Krizhevsky et al., Sec. 4.1
            deviations, vectors = self._colours
            shifts = (rng.normal(0, a.pca, (len(crops), 3)) * deviations) @ vectors.T
            crops += shifts[:, None, None, :].astype(np.float32)
        return crops


@dataclass
class DigitDataset(Dataset):
    """MNIST with its own test set as the held-out one."""

    digits: Mnist
    skipped: list[UnreadablePhoto] = field(default_factory=list)

    def __post_init__(self) -> None:
        d = self.digits
        self._images = np.concatenate([d.train_images, d.test_images])
        self.labels = np.concatenate([d.train_labels, d.test_labels]).astype(np.int64)
        self.train = np.arange(len(d.train_images))
        self.held_out = np.arange(len(d.train_images), len(self._images))
        self.classes = tuple(str(i) for i in range(10))
        self.photos = as_photos(list(self._images), names=[f"mnist/{i}" for i in range(len(self._images))])
        content = hashlib.sha256(self._images.tobytes() + self.labels.tobytes()).hexdigest()[:16]
        self.fingerprint = f"mnist {len(d.train_images)} + {len(d.test_images)} {content}"

    def decode(self, side: int, progress: Callable[[int, int], None], enlarge: bool = True) -> None:
        progress(len(self.train), len(self.train))

    def batch(
        self, indices: Indices, size: int, augmentation: Augmentation, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        edge = (size - self._images.shape[1]) // 2
        grey = np.pad(self._images[indices], ((0, 0), (edge, edge), (edge, edge))).astype(np.float32)
        return np.broadcast_to(grey[..., None], (*grey.shape, 3))


def _crop(photo: Pixels, size: int, a: Augmentation, rng: np.random.Generator) -> Pixels:
    """One training crop, uint8 (size, size, 3)."""
    height, width = photo.shape[:2]
    if a.crop == "resized":
        for _ in range(5):
            area, aspect = height * width * rng.uniform(a.area, 1.0), math.exp(rng.uniform(-_ASPECT, _ASPECT))
            high, wide = math.sqrt(area / aspect), math.sqrt(area * aspect)
            if high <= height and wide <= width:
                break
        else:
            high = wide = float(min(height, width))
        top, left = rng.uniform(0, height - high), rng.uniform(0, width - wide)
        box = (left, top, left + wide, top + high)
        crop = np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.BILINEAR, box=box))
    else:
        if a.crop == "random":
            top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        else:  # of the central square: its centre, or for "ten" one of its corners and centre
            side = min(height, width)
            far, middle = side - size, (side - size) // 2
            places = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
            top, left = places[int(rng.integers(5))] if a.crop == "ten" else places[4]
            top, left = top + (height - side) // 2, left + (width - side) // 2
        crop = photo[top : top + size, left : left + size]
    mirrored = (a.flip or a.crop == "ten") and rng.random() < 0.5
    return crop[:, ::-1] if mirrored else crop


_ASPECT = math.log(4 / 3)


def epoch_order(dataset: Dataset, balance: tuple[int, int] | None, rng: np.random.Generator) -> Indices:
    """The photos of one epoch in random order.

    Parameters
    ----------
    dataset : Dataset
    balance : (int, int) or None
        At least and at most so many photos of each class: small classes repeat photos, of large ones a random part is
        shown. ``None``: every training photo once.
    rng : numpy Generator

    Returns
    -------
    ndarray of int64
    """
    if balance is None:
        return rng.permutation(dataset.train)
    least, most = balance
    chosen: list[Indices] = []
    for label in np.unique(dataset.labels[dataset.train]):
        own = rng.permutation(dataset.train[dataset.labels[dataset.train] == label])
        chosen.append(np.resize(own, int(np.clip(len(own), least, most))))
    return rng.permutation(np.concatenate(chosen))


def channel_mean(views: Sequence[Pixels]) -> npt.NDArray[np.float32]:
    """Mean of each channel, (3, 1, 1)."""
    return np.mean([v.reshape(-1, 3).mean(0) for v in views], axis=0).astype(np.float32).reshape(3, 1, 1)


def pixel_mean(views: Sequence[Pixels]) -> npt.NDArray[np.float32]:
    """The paper's per-pixel mean, (3, H, W) (Sec. 3)."""
    total = np.zeros(views[0].shape, np.float64)
    for view in views:
        total += view
    return (total / len(views)).astype(np.float32).transpose(2, 0, 1)


def open_dataset(
    network: str, held_out: float, seed: int, data: Path, exclude: list[str]
) -> tuple[Dataset, dict[str, str]]:
    """What to train on or evaluate with, and what the card says of it."""
    from deconvnet.networks import entry

    if entry(network).channels == 1:
        if exclude:
            raise OptionError("MNIST has no class folders to leave out: drop --exclude.")
        return DigitDataset(load_mnist(data)), {"data": "MNIST"}
    photos = open_photos(data)
    if exclude:
        photos = photos.exclude(exclude)
    return PhotoDataset(photos, held_out, seed), {"data": data.resolve().name}
