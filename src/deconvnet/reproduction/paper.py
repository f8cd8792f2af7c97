"""What a reproduction has at hand, and what a part of it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deconvnet.data import Photos
from deconvnet.errors import DataError
from deconvnet.networks import Network, load
from deconvnet.progress import Progress
from deconvnet.reproduction.scales import Scale
from deconvnet.training import PhotoDataset
from deconvnet.training.loop import NETWORK

SHARE, SEED = 0.2, 0  # held out, and the split's seed: those of the weights in the package
ZFNET, ALEXNET = "zfnet", "alexnet-dense"
CONTROL_COSINE = 0.9
PASS_SECONDS = 9e-3  # seconds of one core: ZFNet's forward pass of a photo of 128 px (docs/diagnosis.md)
STEP_PASSES = 2.5  # forward and backward pass and update, in forward passes

Indices = npt.NDArray[np.int64]


class Exhibit(NamedTuple):
    """A photo, and its number among the data's."""

    number: int
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PaperInputs:
    """What is asked for, and what the parts share.

    Attributes
    ----------
    scale : Scale
    photos : Photos
        In class folders, classes that are to be left out left out.
    out : Path
        Folder of the run.
    parts_file : path or None
        Marked parts of photos, for correspondence; those that come with deconvnet unless given.
    target : Photos or None
        Transfer to these, from the network of the main photos; unless given, from every second class to the others.
    device : str
        For training.
    tell : Progress
    """

    scale: Scale
    photos: Photos
    out: Path
    parts_file: Path | None = None
    target: Photos | None = None
    device: str = "cpu"
    tell: Progress = field(default=lambda report: None)

    def network(self, name: str) -> Network:
        """ZFNet or AlexNet: trained in a part of this run, or with the weights in the package."""
        return load(name if self.scale.recipe is None else self.weights(name))

    def weights(self, name: str) -> str:
        """Where its weights lie, as :func:`deconvnet.load` takes it."""
        return "shipped" if self.scale.recipe is None else str(self.out / f"train-{name}" / NETWORK)

    @cached_property
    def dataset(self) -> PhotoDataset:
        """The photos split as for the main networks."""
        share = SHARE if self.scale.recipe is None else self.scale.recipe.held_out
        return PhotoDataset(self.photos, share, SEED)

    @cached_property
    def order(self) -> Indices:
        """The held-out photos in random order."""
        return np.random.default_rng(SEED).permutation(self.dataset.held_out)

    def held_out(self, count: int) -> list[Exhibit]:
        """So many held-out photos that can be read, drawn at random."""
        return [Exhibit(index, photo) for index, photo in islice(self.dataset.read(self.order, np.asarray), count)]

    @cached_property
    def halves(self) -> tuple[Photos, Photos]:
        """Every second class, and the others."""
        names = self.photos.classes
        if len(names) < 4:
            raise DataError(f"{len(names)} classes cannot be halved into two to learn from and two to transfer to.")
        first, second = set(names[::2]), set(names[1::2])
        return self.photos.exclude(second), self.photos.exclude(first)

    @cached_property
    def transferred_to(self) -> Photos:
        """Photos of the classes that the transferred network does not know and that have enough photos."""
        scale = self.scale
        photos = self.halves[1] if self.target is None else self.target
        photos = photos.subset(photos.labels >= 0)
        counts = np.bincount(photos.labels, minlength=len(photos.classes))
        small = [name for name, count in zip(photos.classes, counts, strict=True) if count <= max(scale.per_class)]
        return some_classes(photos.exclude(small), scale.transfer_classes)

    @property
    def evolving(self) -> str:
        """The training that Figure 4 follows."""
        return "train-half" if self.scale.recipe is None else f"train-{ZFNET}"


@dataclass(frozen=True)
class PaperPart:
    """One part of the run.

    Attributes
    ----------
    name : str
        Its folder.
    title : str
        What it does, and for which figure or table.
    needs : tuple of str
        Parts that must be done before.
    passes : callable(PaperInputs) -> float
        Its cost: about so many forward passes of a photo of 128 px.
    do : callable(PaperInputs, path) -> float or None
        Does it; how many seconds of that were bare forward passes, where that is counted.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    passes: Callable[[PaperInputs], float]
    do: Callable[[PaperInputs, Path], float | None]


@dataclass(frozen=True)
class PartPlan:
    """A part before it is done.

    Attributes
    ----------
    part : PaperPart
    minutes : float
        Estimated, of one core of the machine on which the estimate's constants were measured.
    done : bool
    """

    part: PaperPart
    minutes: float
    done: bool


def some_classes(photos: Photos, classes: int | None, per_class: int | None = None) -> Photos:
    """Photos of so many classes, evenly taken in alphabetical order, and of each the first so many; None: all."""
    names = photos.classes
    if classes is not None and classes < len(names):
        kept = {names[i] for i in np.linspace(0, len(names) - 1, classes).round().astype(int)}
        photos = photos.exclude([name for name in names if name not in kept])
    if per_class is None:
        return photos
    chosen = [np.flatnonzero(photos.labels == label)[:per_class] for label in range(len(photos.classes))]
    return photos.subset(np.sort(np.concatenate(chosen)))
