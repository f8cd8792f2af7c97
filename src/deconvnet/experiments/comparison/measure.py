"""Networks side by side: size, work, memory, what they see, speed, accuracy, and the health of their first layers.

Command: ``deconvnet compare lenet5 alexnet-dense zfnet``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.data import Photos, PhotosLike, as_photos
from deconvnet.errors import OptionError
from deconvnet.experiments.comparison.figure import comparison_figure, timing_note
from deconvnet.experiments.comparison.record import (
    COMPARE,
    ComparisonRecord,
    ComparisonRow,
    FirstLayer,
    HeldOutAccuracy,
)
from deconvnet.filter_statistics.activity import activity
from deconvnet.filter_statistics.aliasing import aliasing
from deconvnet.filter_statistics.filters import filter_health, weights_of
from deconvnet.filter_statistics.places import places, record_leaves
from deconvnet.filter_statistics.record import FilterHealth
from deconvnet.networks import Network, entry
from deconvnet.networks.layers import convolutions, layer_rows
from deconvnet.progress import Progress, counter, report
from deconvnet.runs.results import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(ComparisonRecord, RunResult):
    """What was found, with its figure; a notebook shows that."""

    kind: ClassVar[str] = COMPARE

    def __repr__(self) -> str:
        return f"Comparison({', '.join(row.name for row in self.rows)})"

    def plot(self) -> Figure:
        """Bars of what they cost and how well they do, and their first layers."""
        return comparison_figure(self.rows, self.filters, self.threads, timing_note(self))

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        names = [row.name for row in self.rows]
        return {"networks": names, "rounds": self.rounds, "batch": self.batch}, {"data": self.data}


def compare(
    networks: Sequence[Network],
    photos: PhotosLike | None = None,
    *,
    sample: int = 100,
    seed: int = 0,
    rounds: int = 15,
    batch: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Count, time and look at networks.

    Parameters
    ----------
    networks : sequence of Network
    photos : photos, optional
        For dead maps and aliasing of the first layer.
    sample, seed : int
        So many photos, and the seed of the draw.
    rounds : int
        Times are taken in turns, one network after the other, so often; a round before does not count.
    batch : int
        Inputs at once.
    progress : Progress, optional

    Raises
    ------
    OptionError
        If there is no network or a number is out of range.
    ModelError
        If a network has no convolution.
    DataError
        If no photo can be read.
    """
    if not networks:
        raise OptionError("there is no network to compare: name at least one.")
    for option, value in (("sample", sample), ("rounds", rounds), ("batch", batch)):
        if value < 1:
            raise OptionError(f"{option} must be at least 1, not {value}.")
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    photos = None if photos is None else as_photos(photos)
    firsts = [next(filter_health(network)) for network in networks]
    pictures = _photos(photos, sample, seed, progress) if photos is not None else []
    seconds = interleaved_seconds(networks, rounds=rounds, batch=batch, progress=progress)
    rows = []
    for network, first, times in zip(networks, firsts, seconds, strict=True):
        rows.append(_row(network, first, pictures, [1000 * t / batch for t in times]))
    data = f"{photos.root.name}: {len(pictures)} photos, drawn with seed {seed}" if photos is not None else ""
    filters = tuple(weights_of(network, first.layer) for network, first in zip(networks, firsts, strict=True))
    return Comparison(tuple(rows), filters, torch.get_num_threads(), rounds, batch, data)


def interleaved_seconds(
    networks: Sequence[Network],
    *,
    rounds: int,
    batch: int = 1,
    progress: Progress | None = None,
) -> list[list[float]]:
    """Wall seconds of forward passes, taken in turns so that other work on the machine meets all networks alike.

    Parameters
    ----------
    networks : sequence of Network
        Run on noise, in channels-last layout.
    rounds, batch : int

    Returns
    -------
    list of lists of float
        For each network, one value a round; the first, warming pass is left out.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn((batch, *network.input_shape), generator=generator).contiguous(memory_format=torch.channels_last)
        for network in networks
    ]
    seconds: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for number in range(rounds + 1):
            for taken, network, x in zip(seconds, networks, inputs, strict=True):
                start = time.perf_counter()
                network.module(x)
                if number:
                    taken.append(time.perf_counter() - start)
            if number:
                report(progress, number, rounds, "timing")
    return seconds


def activation_numbers(network: Network) -> int:
    """How many numbers all layers put out for one input: leaf modules, each call, in-place ones and views left out.

    What training keeps for the backward pass is about this; inference can do with the two largest neighbours.
    """
    total = 0

    def record(_name: str, _call: int, _part: nn.Module, input: Tensor, output: Tensor) -> None:
        nonlocal total
        if output.data_ptr() != input.data_ptr():
            total += output[0].numel()

    with record_leaves(network.module, record):
        network.module(torch.zeros((1, *network.input_shape)))
    return total


def _row(network: Network, first: FilterHealth, photos: Sequence[Any], milliseconds: list[float]) -> ComparisonRow:
    rows = layer_rows(network)
    last = next((row for row in reversed(rows) if row.name == convolutions(network)[-1]), None)
    field, step = (last.receptive_field, last.receptive_stride) if last is not None else (None, None)
    random = "random weights" in network.title or not network.card
    quarters = statistics.quantiles(milliseconds, n=4) if len(milliseconds) > 1 else [milliseconds[0]] * 3
    kernels = [row for row in rows if "Conv" in row.kind]
    return ComparisonRow(
        name=network.name,
        title=network.title,
        trained=not random,
        input_shape=network.input_shape,
        classes=len(network.classes),
        parameters=network.parameters,
        convolution_parameters=sum(row.parameters for row in kernels),
        published_parameters=_published(network),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activations=activation_numbers(network),
        receptive_field=max(field) if isinstance(field, tuple) else field,
        receptive_stride=max(step) if isinstance(step, tuple) else step,
        milliseconds=quarters[1],
        fastest=quarters[0],
        slowest=quarters[2],
        accuracy=_accuracy(network.card),
        first=_first_layer(network, first, photos),
    )


def _published(network: Network) -> int | None:
    if not network.is_builtin:
        return None
    with torch.device("meta"):
        module = entry(network.name).builder()
    return sum(p.numel() for p in module.parameters())


def _accuracy(card: Any) -> HeldOutAccuracy | None:
    """What the weights' card says, with the data that it was measured on."""
    if card.get("held_out_top1") is None:
        return None
    return {
        "top1": card["held_out_top1"],
        "top5": card.get("held_out_top5"),
        "per_class": card.get("held_out_per_class"),
        "count": card.get("held_out_photos"),
        "data": card.get("data", "data not named"),
        "split": card.get("split", "split not named"),
    }


def _first_layer(network: Network, first: FilterHealth, photos: Sequence[Any]) -> FirstLayer:
    bands = first.mean_bands
    found: FirstLayer = {
        "layer": first.layer,
        "kernel": first.shape[2],
        "stride": first.stride,
        "filters": first.shape[0],
        "bands": None if np.isnan(bands).any() else bands.tolist(),
        "faint": len(first.faint),
        "twins": first.twins,
        "noisy": None if np.isnan(first.noise_limit) else len(first.noisy),
        "largest_rms": float(first.rms.max()),
        "dead": None,
        "folded": None,
    }
    if photos:
        inputs = network.preprocess(photos)
        batches = inputs.split(16)
        where = [place for place in places(network.module, inputs[:1]) if place.label == first.layer]
        maps = activity(network.module, batches, where)
        found["dead"] = len(maps[0].dead) if maps else None
        found["folded"] = next((s.share for s in aliasing(network.module, batches) if s.layer == first.layer), None)
    return found


def _photos(photos: Photos, sample: int, seed: int, progress: Progress | None) -> list[npt.NDArray[np.uint8]]:
    chosen = [int(i) for i in np.random.default_rng(seed).permutation(len(photos))[:sample]]
    tell = counter(progress, "reading photos")
    reading = photos.batches(np.asarray, 1, indices=chosen, ahead=8, progress=tell)
    return [photo for batch in reading for photo in batch.views]
