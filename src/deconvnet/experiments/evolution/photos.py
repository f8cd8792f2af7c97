"""The photos that a network was trained on, found again from its training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deconvnet.data import Photos, as_photos, load_mnist, open_photos
from deconvnet.errors import DataError, RunError
from deconvnet.runs import Run
from deconvnet.training import DigitDataset
from deconvnet.training.record import TrainingRecord


@dataclass(frozen=True, eq=False)
class TrainingPhotos:
    """Photos to learn from, without the held-out ones.

    Attributes
    ----------
    photos : Photos
    address : str
        Where they lie.
    """

    photos: Photos
    address: str


def training_photos(run: Run, data: Path | str | None = None) -> TrainingPhotos:
    """The training photos of a run of ``deconvnet train``, refused if they are not those any more.

    Parameters
    ----------
    run : Run
        Of kind ``"train"``.
    data : path, optional
        Where the photos lie now; unless given, where they lay when the run began.

    Raises
    ------
    RunError
        If the photos are gone or are others, or the run does not say where they lay.
    """
    source = str(data) if data is not None else run.place("photos")
    if source is None:
        raise RunError(f"{run.path} does not say where its photos lie: say it with --data.")
    known = str(run.inputs.get("data", ""))
    if known.startswith("mnist "):
        return TrainingPhotos(_digits(run, source, known), source)
    try:
        photos = open_photos(source)
    except DataError as error:
        raise RunError(
            f"the photos of {run.path} are gone from {source}: say where they lie now with --data."
        ) from error
    split = TrainingRecord.read(run)
    classes, held_out = set(split.classes), set(split.held_out)
    others = [name for name in photos.classes if name not in classes]
    if classes <= set(photos.classes) and others:
        photos = photos.exclude(others)
    if photos.fingerprint != known:
        raise RunError(f"the photos in {source} are not those that {run.path} was trained on: name these with --data.")
    kept = [i for i, name in enumerate(photos.names) if photos.labels[i] >= 0 and name not in held_out]
    return TrainingPhotos(photos.subset(np.array(kept, np.int64)), source)


def _digits(run: Run, source: str, known: str) -> Photos:
    try:
        digits = load_mnist(source)
    except DataError as error:
        raise RunError(f"MNIST is gone from {source}: say where it lies now with --data.") from error
    if DigitDataset(digits).fingerprint != known:
        raise RunError(f"the digits in {source} are not those that {run.path} was trained on: name these with --data.")
    return as_photos(list(digits.train_images))
