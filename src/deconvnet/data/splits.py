"""Splits of photos into a training and a held-out set: at random, class by class, or as their folders say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deconvnet.data.photos import Photos
from deconvnet.errors import DataError, OptionError

_HELD_OUT_FOLDERS = {"val", "validation", "valid", "test"}


def split(labels: ArrayLike, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split photos at random into a training and a held-out set, class by class.

    Each class gives `share` of its photos, rounded, to the held-out set. A class with at least two photos has at
    least one on both sides; a class with a single one keeps it for training. A class is split the same way whichever
    other classes are there, as long as its label is the same.

    Parameters
    ----------
    labels : int array of shape (n,)
        Classes; photos without a class (-1) are treated as one more class.
    share : float
        Share of held-out photos, between 0 and 1.
    seed : int
        Equal seeds give equal splits; 0 or more.

    Returns
    -------
    train_indices, held_out_indices : int64 arrays
        Sorted; together each index from 0 to n - 1 once.

    Raises
    ------
    OptionError
        If `share` or `seed` is out of its range.
    """
    if not 0 < share < 1:
        raise OptionError(f"the held-out share must lie between 0 and 1, not {share}.")
    if seed < 0:
        raise OptionError(f"the split's seed must be 0 or more, not {seed}.")
    labels = np.asarray(labels, dtype=np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            continue
        count = min(max(math.floor(share * len(members) + 0.5), 1), len(members) - 1)
        generator = np.random.Generator(np.random.PCG64([seed, int(label) + 1]))
        # sorting random numbers, not Generator.permutation, whose algorithm numpy may change
        order = np.argsort(generator.random(len(members)), kind="stable")
        held_out[members[order[:count]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def split_by_folders(photos: Photos) -> tuple[Photos, NDArray[np.int64], NDArray[np.int64]] | None:
    """The split of photos that lie in ``train/CLASS/`` and one of ``val/CLASS/``, ``validation``, ``valid``, ``test``.

    Returns
    -------
    photos : Photos
        The same photos by their classes, not by the folders of the split.
    train_indices, held_out_indices : int64 arrays
        Sorted.

    ``None`` where the photos do not lie so.

    Raises
    ------
    DataError
        If a class has held-out photos and none to train on.
    """
    if len(photos.classes) != 2 or "train" not in photos.classes or not _HELD_OUT_FOLDERS & set(photos.classes):
        return None
    parts = [name.split("/") for name in photos.names]
    if any(len(part) < 3 for part in parts):
        return None
    classes = tuple(sorted({part[1] for part in parts}))
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[part[1]] for part in parts], dtype=np.int64)
    is_train = np.array([part[0] == "train" for part in parts])
    for label in sorted(set(labels[~is_train].tolist()) - set(labels[is_train].tolist())):
        raise DataError(f"{photos.root} has no training photo of class {classes[label]!r}: add some, or remove it.")
    return replace(photos, classes=classes, labels=labels), np.flatnonzero(is_train), np.flatnonzero(~is_train)
