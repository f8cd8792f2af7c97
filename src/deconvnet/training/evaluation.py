"""Accuracy on held-out photos: top-1, top-5, mean over classes, confusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deconvnet.errors import DataError
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import Preprocessing
from deconvnet.training.dataset import Dataset


@dataclass(frozen=True)
class Accuracy:
    """What share of photos a network names rightly.

    Attributes
    ----------
    count : int
        Number of photos.
    top1, top5 : float
        Shares, 0 to 1, of photos whose class is the first, or among the first five.
    per_class : float
        Mean over classes of the share within the class (the papers' measure on Caltech-101).
    loss : float
        Mean cross entropy, in nats.
    by_class : ndarray of float64, (classes,)
        Share within each class; NaN where there is no photo of it.
    confusion : ndarray of int64, (classes, classes)
        Number of photos of each class (row) that were named as each class (column).
    """

    count: int
    top1: float
    top5: float
    per_class: float
    loss: float
    by_class: npt.NDArray[np.float64]
    confusion: npt.NDArray[np.int64]


@torch.inference_mode()
def evaluate(
    module: nn.Module,
    preprocessing: Preprocessing,
    views: Sequence[npt.NDArray[np.uint8]],
    labels: npt.NDArray[np.int64],
    batch_size: int = 64,
) -> Accuracy:
    """Classify photos, centre crop only.

    Parameters
    ----------
    module : nn.Module
        Brought into evaluation mode for the time of the call.
    preprocessing : Preprocessing
    views : N arrays of uint8, (size, size, 3)
        What :meth:`Preprocessing.view` returns.
    labels : ndarray of int64, (N,)
    batch_size : int
        Photos a pass.

    Raises
    ------
    DataError
        If there are no photos.
    """
    if not len(views):
        raise DataError("there are no photos to evaluate on.")
    was_training = module.training
    module.eval()
    try:
        scores = [
            module(preprocessing.tensor(views[i : i + batch_size]).contiguous(memory_format=torch.channels_last)).cpu()
            for i in range(0, len(views), batch_size)
        ]
    finally:
        module.train(was_training)
    return accuracy(torch.cat(scores).numpy(), labels)


@torch.inference_mode()
def scores(
    network: Network,
    dataset: Dataset,
    indices: npt.NDArray[np.int64],
    ten_crops: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Class scores of photos.

    Parameters
    ----------
    network : Network
    dataset : Dataset
        Where the photos lie.
    indices : ndarray of int64
        Which photos.
    ten_crops : bool
        Give the logarithm of the probabilities averaged over the paper's ten crops, not the centre crop's scores.
    progress : callable(done, total), optional
        In photos.

    Returns
    -------
    scores : ndarray of float32, (N, classes)
    indices : ndarray of int64, (N,)
        The photos that could be read.
    """
    rows: list[npt.NDArray[np.float32]] = []
    kept: list[int] = []
    p = network.preprocessing

    def seen(photo: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        return p.ten_crops(photo) if ten_crops else [p.view(photo)]

    for index, views in dataset.read(indices, seen, progress):
        inputs = p.tensor(views).contiguous(memory_format=torch.channels_last)
        found = network.module(inputs)
        # logsumexp: the logarithm of a mean of probabilities, also of those too small for float32
        rows.append((found.log_softmax(1).logsumexp(0) - math.log(len(views)) if ten_crops else found[0]).numpy())
        kept.append(index)
    return np.stack(rows) if rows else np.zeros((0, len(network.classes)), np.float32), np.array(kept, np.int64)


def accuracy(scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Accuracy:
    """Accuracy of class scores (N, classes) before softmax (or logarithms of probabilities) against labels (N,).

    Equal scores count in the order of the classes.

    Raises
    ------
    DataError
        If there are no photos.
    """
    if not len(labels):
        raise DataError("there are no photos to evaluate on.")
    classes = scores.shape[1]
    order = np.argsort(-scores, axis=1, kind="stable")
    right = order == labels[:, None]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, order[:, 0]), 1)
    totals = confusion.sum(1)
    with np.errstate(invalid="ignore"):
        by_class = np.diag(confusion) / totals
    shifted = scores.astype(np.float64) - scores.max(1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]
    return Accuracy(
        len(labels),
        float(right[:, 0].mean()),
        float(right[:, :5].any(1).mean()),
        float(np.nanmean(by_class)),
        float(loss.mean()),
        by_class,
        confusion,
    )
