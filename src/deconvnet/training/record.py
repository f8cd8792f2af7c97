"""The record of a training: recipe, split, one entry an epoch, and which snapshots were kept. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

from deconvnet.runs.codec import NAME
from deconvnet.runs.directory import Run
from deconvnet.runs.record import Record

KIND = "train"


def holds_record(run: Run) -> bool:
    """Whether a training that was begun has a record, of this schema or of schema 1."""
    return run.has(NAME) or run.has("split")


class EpochMetrics(TypedDict):
    """What was measured after an epoch, counted from 1: loss, errors as shares (0 to 1) of which the rest is right.

    ``autocorrelation`` is that of each convolution's filters, ``seconds`` the epoch's wall time.
    """

    epoch: int
    size: NotRequired[int]
    learning_rate: NotRequired[float | None]
    train_loss: NotRequired[float | None]
    train_top1: NotRequired[float | None]
    val_loss: NotRequired[float | None]
    val_top1: NotRequired[float | None]
    val_top5: NotRequired[float | None]
    val_per_class: NotRequired[float | None]
    autocorrelation: NotRequired[dict[str, float | None]]
    images_per_second: NotRequired[float]
    seconds: NotRequired[float]


@dataclass(frozen=True)
class UnreadPhoto:
    """A photo that could not be read, and why.

    Attributes
    ----------
    name, why : str
    """

    name: str
    why: str


@dataclass(frozen=True, eq=False)
class TrainingRecord(Record):
    """Everything of a training but weights and checkpoint, rewritten after every epoch.

    The weights lie beside it: ``snapshots/epoch-0010.safetensors`` in half precision, ``network.safetensors`` once
    finished (a file that ``deconvnet.load`` takes), and ``checkpoint.pt``, which is torch's own and which a finished
    run does not need.

    Attributes
    ----------
    recipe : dict
        As ``deconvnet.training.Recipe`` has it.
    split_seed : int
        Decided which photos were held out.
    classes : tuple of str
    held_out : tuple of str
        Names of the held-out photos.
    metrics : tuple of EpochMetrics
        One entry an epoch, from the first.
    snapshots : tuple of str
        Weights that were kept: files of the run, without their ending.
    skipped : tuple of UnreadPhoto
    """

    kind: ClassVar[str] = KIND

    recipe: dict[str, Any]
    split_seed: int
    classes: tuple[str, ...]
    held_out: tuple[str, ...]
    metrics: tuple[EpochMetrics, ...]
    snapshots: tuple[str, ...]
    skipped: tuple[UnreadPhoto, ...] = ()

    def check(self) -> None:
        """Refuse epochs out of order."""
        epochs = [entry["epoch"] for entry in self.metrics]
        if epochs != list(range(1, len(epochs) + 1)):
            raise ValueError("metrics does not count its epochs from 1 on")

    @property
    def title(self) -> str:
        """Network and recipe, in words."""
        return f"{self.recipe.get('network', 'network')}, recipe {self.recipe.get('name', 'unknown')}"

    def table(self) -> str:
        """An epoch a line."""
        heads = {"train_loss": "loss", "train_top1": "top-1", "val_loss": "held-out loss", "val_top1": "held-out top-1"}
        lines = [
            f"{self.title}: {len(self.classes)} classes, {len(self.held_out)} photos held out",
            f"{'epoch':>5}" + "".join(f"{head:>16}" for head in heads.values()),
        ]
        for entry in self.metrics:
            values = [entry.get(key) for key in heads]
            cells = "".join(f"{'-' if v is None else f'{v:.4f}':>16}" for v in values)
            lines.append(f"{entry['epoch']:5}{cells}")
        return "\n".join(lines)
