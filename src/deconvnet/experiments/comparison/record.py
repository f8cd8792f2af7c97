"""The records of comparing networks, and of averaging them, with their tables as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record

COMPARE = "compare"


class HeldOutAccuracy(TypedDict):
    """What the weights' card says of held-out photos: shares, 0 to 1, None where it says nothing; and of which."""

    top1: float
    top5: float | None
    per_class: float | None
    count: int | None
    data: str
    split: str


class FirstLayer(TypedDict):
    """The first layer in a few numbers: see `deconvnet.filter_statistics.record.FilterHealth`."""

    layer: str
    kernel: int
    stride: int
    filters: int
    bands: list[float] | None
    faint: int
    twins: int
    noisy: int | None
    largest_rms: float
    dead: int | None
    folded: float | None


@dataclass(frozen=True)
class ComparisonRow:
    """One network beside others.

    Attributes
    ----------
    name, title : str
    trained : bool
        Whether it has trained weights; what depends on them is None otherwise.
    input_shape : (int, int, int)
        Channels, height, width.
    classes : int
        Class scores.
    parameters, convolution_parameters : int
        All trainable weights and biases, and those of convolutions.
    published_parameters : int or None
        Of a built-in network as its paper has it: 224 px and 1000 classes (LeNet-5: 32 px and 10).
    multiply_adds : int
        Multiplications of convolutions and linear layers for one input.
    activations : int
        Numbers that all layers together put out for one input; ``activation_bytes`` at four bytes each.
    receptive_field, receptive_stride : int or None
        Of the last convolution, in pixels; None where it is not known.
    milliseconds : float
        For one input, median over the rounds.
    fastest, slowest : float
        Quarter and three-quarter marks of the rounds, in milliseconds.
    accuracy : mapping or None
        ``top1``, ``top5``, ``per_class`` (0 to 1, None where the card has none), ``count``, ``data``, ``split``.
    first : mapping
        Of the first layer: ``layer``, ``kernel``, ``stride``, ``filters``, ``bands`` (None below 5 x 5), ``faint``,
        ``twins``, ``noisy``, ``largest_rms``; and with photos ``dead`` and ``folded`` (None without a stride).
    """

    name: str
    title: str
    trained: bool
    input_shape: tuple[int, int, int]
    classes: int
    parameters: int
    convolution_parameters: int
    published_parameters: int | None
    multiply_adds: int
    activations: int
    receptive_field: int | None
    receptive_stride: int | None
    milliseconds: float
    fastest: float
    slowest: float
    accuracy: HeldOutAccuracy | None
    first: FirstLayer

    @property
    def activation_bytes(self) -> int:
        return 4 * self.activations


@dataclass(frozen=True, eq=False)
class ComparisonRecord(Record):
    """Networks beside each other.

    Attributes
    ----------
    rows : tuple of ComparisonRow
        One a network.
    filters : tuple of ndarray of float32, (O, C, h, w)
        First-layer filters of each.
    threads, rounds, batch : int
        With how many threads of torch, how often and with how many inputs at once the times were taken.
    data : str
        Photos on which dead maps and aliasing were measured; empty without.
    """

    kind: ClassVar[str] = COMPARE

    rows: Annotated[tuple[ComparisonRow, ...], "K"]
    filters: Annotated[tuple[Annotated[npt.NDArray[np.float32], "_ _ _ _"], ...], "K"]
    threads: int
    rounds: int
    batch: int
    data: str

    def check(self) -> None:
        """Refuse a comparison of nothing."""
        if not self.rows:
            raise ValueError("it holds no network")

    def table(self) -> str:
        """The rows as text, a column a network."""
        return comparison_table(self.rows, self.threads)


def comparison_table(rows: Sequence[ComparisonRow], threads: int) -> str:
    """Networks as columns of text, one line a quantity."""
    lines: list[tuple[str, list[str]]] = [
        ("", [row.name for row in rows]),
        ("input", ["x".join(map(str, row.input_shape)) for row in rows]),
        ("classes", [f"{row.classes}" for row in rows]),
        ("parameters", [f"{row.parameters:,}" for row in rows]),
        ("  of convolutions", [f"{row.convolution_parameters:,}" for row in rows]),
        ("  as published", [f"{row.published_parameters:,}" if row.published_parameters else "-" for row in rows]),
        ("multiply-adds", [f"{row.multiply_adds / 1e6:,.1f} M" for row in rows]),
        ("activations", [f"{row.activation_bytes / 2**20:.2f} MiB" for row in rows]),
        ("last conv sees", [_pixels(row) for row in rows]),
        (f"time, {threads} thread{'s' if threads > 1 else ''}", [f"{row.milliseconds:.2f} ms" for row in rows]),
        ("  quartiles", [f"{row.fastest:.2f}-{row.slowest:.2f}" for row in rows]),
        *((f"accuracy, {word}", [_share(row.accuracy, key) for row in rows]) for key, word in _ACCURACIES),
        ("first layer", [_first(row) for row in rows]),
        ("  low/middle/high", [_bands(row) for row in rows]),
        ("  faint filters", [_count(row, "faint") for row in rows]),
        ("  duplicate pairs", [_count(row, "twins") for row in rows]),
        ("  like white noise", [_count(row, "noisy") for row in rows]),
        ("  dead maps", [_count(row, "dead") for row in rows]),
        ("  energy folded", [_share(row.first, "folded") for row in rows]),
    ]
    heads = max(len(head) for head, _ in lines)
    widths = [max(len(cells[i]) for _, cells in lines) for i in range(len(rows))]
    return "\n".join(
        f"{head:{heads}}  " + "  ".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))
        for head, cells in lines
    )


_ACCURACIES = (("top1", "top-1"), ("top5", "top-5"), ("per_class", "mean over classes"))


def _pixels(row: ComparisonRow) -> str:
    return f"{row.receptive_field} px every {row.receptive_stride}" if row.receptive_field else "not known"


def _share(values: Any, key: str) -> str:
    value = None if values is None else values.get(key)
    return "-" if value is None else f"{value:.1%}"


def _first(row: ComparisonRow) -> str:
    first = row.first
    return f"{first['filters']} of {first['kernel']}x{first['kernel']}/{first['stride']}"


def _bands(row: ComparisonRow) -> str:
    bands = row.first.get("bands")
    return "/".join(f"{100 * share:.0f}" for share in bands) + " %" if bands else "-"


def _count(row: ComparisonRow, key: str) -> str:
    value = row.first.get(key)
    return "-" if value is None else f"{value}"
