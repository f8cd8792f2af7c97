"""What a training run reports while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deconvnet.progress import ProgressReport


@dataclass(frozen=True, kw_only=True)
class TrainingStep(ProgressReport):
    """How far an epoch is: batches done, and batches in all.

    Attributes
    ----------
    epoch, epochs : int
        The epoch, from 1, and how many there are.
    loss, top1 : float
        Mean loss and share of right answers over the epoch's photos so far.
    images_per_second : float
        Photos a second in this epoch.
    seconds_left : float
        Estimate for the rest of the training.
    """

    epoch: int
    epochs: int
    loss: float
    top1: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class EpochReport(ProgressReport):
    """How many epochs are done.

    Attributes
    ----------
    metrics : mapping
        The line that the record holds for the latest epoch.
    """

    metrics: Mapping[str, Any]
