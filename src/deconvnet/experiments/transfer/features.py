"""Feature vectors of photos in several layers: each photo passes through the network once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from deconvnet.data import Photos, UnreadablePhoto
from deconvnet.errors import OptionError
from deconvnet.experiments.transfer.record import FeatureLayer
from deconvnet.experiments.transfer.stages import stage_ends
from deconvnet.features.responses import checked_layers, responses
from deconvnet.networks import Network
from deconvnet.networks.layers import layer_rows
from deconvnet.progress import Progress, counter


@dataclass(frozen=True, eq=False)
class LayerFeatures:
    """What layers gave for photos.

    Attributes
    ----------
    layers : tuple of FeatureLayer
    vectors : tuple of ndarray of float32, (N, F)
        One a layer.
    indices : ndarray of int64, (N,)
        The photos that could be read, ascending.
    unreadable : tuple of UnreadablePhoto
    forward_seconds : float
    """

    layers: tuple[FeatureLayer, ...]
    vectors: tuple[npt.NDArray[np.float32], ...]
    indices: npt.NDArray[np.int64]
    unreadable: tuple[UnreadablePhoto, ...]
    forward_seconds: float


def plan_layers(network: Network, layers: Sequence[str] | None, most: int) -> tuple[FeatureLayer, ...]:
    """The layers and the sizes of their features.

    Parameters
    ----------
    network : Network
    layers : sequence of str, optional
        The ends of all stages (:func:`deconvnet.experiments.transfer.stages.stage_ends`) unless given.
    most : int
        Features of a layer at most: larger maps are averaged over space to as many cells as fit, at least one.

    Raises
    ------
    UnknownNameError, OptionError
        If a layer does not exist or there is none to choose, or ``most`` is less than 1.
    """
    if most < 1:
        raise OptionError(f"a layer has at least 1 feature, not {most}.")
    if layers is None:
        shapes = {row.name: tuple(row.output) for row in stage_ends(network)}
    else:
        names = checked_layers(network, layers)
        rows = {row.name: tuple(row.output) for row in layer_rows(network)}
        shapes = {name: rows.get(name, ()) for name in names}
    return tuple(FeatureLayer(name, shape, _used(shape, most)) for name, shape in shapes.items())


def layer_features(
    network: Network,
    photos: Photos,
    layers: Sequence[FeatureLayer],
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> LayerFeatures:
    """Take the features of all layers from one forward pass a batch.

    Parameters
    ----------
    network : Network
    photos : Photos
    layers : sequence of FeatureLayer
        What :func:`plan_layers` gave.
    batch_size : int
    progress : Progress, optional

    Raises
    ------
    OptionError
        If ``batch_size`` is less than 1.
    DataError
        If no photo can be read.
    ModelError
        If a layer gives no features; see :func:`deconvnet.features.responses.responses`.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, not {batch_size}.")
    parts: list[list[npt.NDArray[np.float32]]] = [[] for _ in layers]
    kept: list[int] = []
    seconds = 0.0
    reading = photos.batches(
        network.view,
        batch_size,
        stack=network.preprocessing.tensor,
        threads=1,
        ahead=batch_size,
        progress=counter(progress, "computing features"),
    )
    for batch in reading:
        began = time.perf_counter()
        found, _ = responses(network, batch.views, [layer.name for layer in layers])
        for part, layer in zip(parts, layers, strict=True):
            part.append(_shrunk(found[layer.name], layer))
        seconds += time.perf_counter() - began
        kept += batch.indices
    vectors = tuple(np.concatenate(part) for part in parts)
    sized = tuple(
        layer if layer.shape else FeatureLayer(layer.name, (each.shape[1],), (each.shape[1],))
        for layer, each in zip(layers, vectors, strict=True)
    )
    return LayerFeatures(sized, vectors, np.array(kept, np.int64), tuple(reading.unreadable), seconds)


def _used(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    if len(shape) != 3 or math.prod(shape) <= most:
        return shape
    maps, height, width = shape
    cells = max(1, most // maps)
    high = max(1, min(height, round(math.sqrt(cells * height / width))))
    wide = max(1, min(width, cells // high))
    while high * wide > cells and high > 1:
        high -= 1
    return maps, high, wide


def _shrunk(vectors: Tensor, layer: FeatureLayer) -> npt.NDArray[np.float32]:
    if layer.pooled:
        maps = vectors.reshape(len(vectors), *layer.shape)
        vectors = adaptive_avg_pool2d(maps, (layer.used[1], layer.used[2])).flatten(1)
    return vectors.float().cpu().numpy()
