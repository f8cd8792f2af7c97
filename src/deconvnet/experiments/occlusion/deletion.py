"""Whether an occlusion map tells which pixels matter: deletion and insertion curves (Petsiuk, Das & Saenko 2018).

Command: ``deconvnet occlude NETWORK PHOTO --faithfulness``. Pixels are covered, or uncovered, in the order of the map,
and the class's probability is drawn against their share: a map that tells the truth makes it fall, or rise, earlier
than orders that know nothing of the network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.faithfulness_record import ORDERS, Faithfulness
from deconvnet.experiments.occlusion.record import OcclusionMap
from deconvnet.networks import Network
from deconvnet.perturbations.fills import make_fill
from deconvnet.progress import Progress, report

_BATCH = 16


@torch.no_grad()
def measure_faithfulness(
    network: Network,
    found: OcclusionMap,
    label: int,
    *,
    photo: str = "photo",
    steps: int = 32,
    seeds: int = 5,
    progress: Progress | None = None,
) -> Faithfulness:
    """Deletion and insertion curves of a map, beside orders that know nothing of the network.

    Parameters
    ----------
    network : Network
        The one that the map was made with.
    found : OcclusionMap
        Its per-pixel map of the class's probability gives the order, the largest mean drop first (of equal pixels,
        row by row); its fill covers.
    label : int
        The class.
    photo : str
        The photo's name, for the record.
    steps : int
        How often the share of pixels grows, from none to all.
    seeds : int
        Runs of each random order.
    progress : Progress, optional
        Forward passes.

    Returns
    -------
    Faithfulness
        By order: ``"map"``; ``"centre"``, pixels nearest to the photo's centre first; ``"random pixels"``, each pixel
        on its own; ``"shuffled map"``, the map's own values moved to random positions and averaged by pixel again, so
        that what is covered is as coarse as with the map (equal pixels in random order).

    Raises
    ------
    OptionError
        If ``steps`` or ``seeds`` is less than 1.
    """
    if steps < 1 or seeds < 1:
        raise OptionError(f"steps and seeds must be at least 1, not {steps} and {seeds}.")
    orders = pixel_orders(found, label, seeds)
    _, fill = make_fill(network, found.view, found.fill.name, found.grid.size)
    image = network.preprocessing.tensor([found.view])[0]
    rows = [(order, i) for order in ORDERS for i in range(len(orders[order]))]
    done, total, what = 0, 2 * len(rows) * (steps - 1) + 2, f"{photo}, {found.fill.name}: curves"
    ends = _probabilities(network, torch.stack([image, fill]), label)  # all curves share their ends
    curves = []
    for start, end, first, last in ((image, fill, *ends), (fill, image, *reversed(ends))):
        values = {order: np.empty((len(orders[order]), steps + 1), np.float32) for order in ORDERS}
        for order, i in rows:
            line = values[order][i]
            line[0], line[-1] = first, last
            for begin in range(1, steps, _BATCH):
                shares = range(begin, min(steps, begin + _BATCH))
                line[begin : shares[-1] + 1] = _probabilities(
                    network, _mixed(start, end, orders[order][i], [s / steps for s in shares]), label
                )
                done += len(shares)
                report(progress, done, total, what)
        curves.append(values)
    report(progress, total, total, what)
    shares = np.linspace(0, 1, steps + 1)
    return Faithfulness(photo, found.classes[label], found.fill.about, shares, *curves)


def pixel_orders(found: OcclusionMap, label: int, seeds: int) -> dict[str, list[npt.NDArray[np.int64]]]:
    """For each order, and each seed of random ones, the rank of every pixel, int64 (H, W): 0 goes first."""
    height, width = found.grid.photo
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    drop = found.drop(label)
    pixels, shuffled = [], []
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        pixels.append(_ranks(generator.random((height, width))))
        moved = generator.permutation(drop.ravel()).reshape(drop.shape)
        shuffled.append(_ranks(-found.grid.per_pixel(moved), generator.random((height, width))))
    return {
        "map": [_ranks(-found.per_pixel(label))],
        "centre": [_ranks(distance)],
        "random pixels": pixels,
        "shuffled map": shuffled,
    }


def _ranks(keys: npt.NDArray[np.floating], ties: npt.NDArray[np.floating] | None = None) -> npt.NDArray[np.int64]:
    """The place of each pixel in ascending order of keys, NaN (never covered) last; equal ones by ``ties``, then row by
    row.
    """
    order = np.lexsort((np.zeros(keys.size) if ties is None else ties.ravel(), keys.ravel()))
    ranks = np.empty(keys.size, np.int64)
    ranks[order] = np.arange(keys.size)
    return ranks.reshape(keys.shape)


def _mixed(start: Tensor, end: Tensor, ranks: npt.NDArray[np.int64], shares: list[float]) -> Tensor:
    """``start`` with each of so large shares of its pixels taken from ``end``, (len(shares), C, H, W)."""
    counts = torch.tensor([round(share * ranks.size) for share in shares])
    taken = torch.from_numpy(ranks)[None, None] < counts[:, None, None, None]
    return torch.where(taken, end, start)


def _probabilities(network: Network, inputs: Tensor, label: int) -> npt.NDArray[np.float32]:
    scores = network.module(inputs.contiguous(memory_format=torch.channels_last))
    return scores.double().softmax(1)[:, label].float().numpy()
