"""Mining without a run: the answer in memory, for photos that are at hand and for modules on tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import OptionError
from deconvnet.mining import TopActivations
from deconvnet.mining import mine as mine_batches
from deconvnet.networks import Network
from deconvnet.progress import Progress, counter, report


def mine_in_memory(
    network: Network | nn.Module,
    photos: PhotosLike | Tensor,
    layers: Sequence[str],
    *,
    k: int,
    score: str,
    batch_size: int,
    seed: int,
    threads: int,
    progress: Progress | None,
) -> TopActivations:
    """The strongest activations of every feature map; see :func:`deconvnet.mine` for all parameters and errors."""
    options: dict[str, Any] = {"k": k, "score": score, "seed": seed}
    module = network.module if isinstance(network, Network) else network
    if isinstance(photos, Tensor):
        return mine_batches(module, _slices(photos, batch_size, progress), layers, **options)
    if not isinstance(network, Network):
        raise OptionError("a module takes a tensor (N x C x H x W); photos need a network that knows how to read them.")
    found = as_photos(photos)
    tell = counter(progress, "mining")
    stack = network.preprocessing.tensor
    read = found.batches(network.view, batch_size, stack=stack, threads=threads, progress=tell)
    batches = ((batch.indices, batch.views) for batch in read)
    return mine_batches(module, batches, layers, labels=found.labels, classes=len(found.classes), **options)


def _slices(inputs: Tensor, size: int, progress: Progress | None) -> Iterator[tuple[Sequence[int], Tensor]]:
    for first in range(0, len(inputs), size):
        end = min(first + size, len(inputs))
        yield range(first, end), inputs[first:end]
        report(progress, end, len(inputs), "mining")
