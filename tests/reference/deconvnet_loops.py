"""The deconvnet of Zeiler & Fergus (2013), Sec. 2.1, sentence by sentence: plain loops in float64, slow on purpose.

A network is a list of layers; maps are arrays C x H x W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Conv:
    weight: Array  # out x in x height x width
    bias: Array
    stride: int = 1
    padding: int = 0


@dataclass
class Relu:
    pass


@dataclass
class MaxPool:
    size: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass
class Lrn:
    size: int
    alpha: float
    beta: float
    k: float


@dataclass
class Flatten:
    pass


@dataclass
class Linear:
    weight: Array  # out x in
    bias: Array


def forward(layers: list[Any], photo: Array) -> list[Array]:
    """The maps: the photo, then the output of each layer."""
    maps = [np.asarray(photo, np.float64)]
    for layer in layers:
        maps.append(_up(layer, maps[-1]))
    return maps


def project(
    layers: list[Any],
    photo: Array,
    depth: int,
    unit: tuple[int, ...],
    *,
    rule: str = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    seed: str = "activation",
    inactive: str = "nothing",
) -> Array:
    """Project one unit (channel, or channel, row, column) of the output of layer number ``depth`` - 1."""
    maps = forward(layers, photo)
    # "To examine a given convnet activation, we set all other activations in the layer to zero"
    signal = np.zeros_like(maps[depth])
    value = maps[depth][unit]
    if value <= 0 and inactive == "nothing":
        return np.zeros_like(maps[0])
    signal[unit] = value if seed == "activation" else 1.0
    # "and pass the feature maps as input to the attached deconvnet layer."
    for layer, below in zip(reversed(layers[:depth]), reversed(maps[:depth]), strict=True):
        signal = _down(layer, below, signal, rule, unpool, lrn)
    return signal


def _up(layer: Any, maps: Array) -> Array:
    match layer:
        case Conv():
            return _filter(maps, layer)
        case Relu():
            return np.maximum(maps, 0)
        case MaxPool():
            return _pool(maps, layer)[0]
        case Lrn():
            return maps / _lrn_scale(maps, layer) ** layer.beta
        case Flatten():
            return maps.reshape(-1)
        case Linear():
            return layer.weight @ maps + layer.bias
    raise TypeError(layer)


def _down(layer: Any, below: Array, signal: Array, rule: str, unpool: str, lrn: str) -> Array:
    match layer:
        case Conv():
            return _transposed_filter(signal, layer, below.shape)
        case Relu():
            if rule == "deconvnet":
                return np.maximum(signal, 0)
            if rule == "gradient":
                return np.where(below > 0, signal, 0)
            return np.where(below > 0, np.maximum(signal, 0), 0)
        case MaxPool():
            return _unpool(signal, _pool(below, layer)[1], below.shape, unpool)
        case Lrn():
            return signal if lrn == "identity" else _lrn_gradient(below, signal, layer)
        case Flatten():
            return signal.reshape(below.shape)
        case Linear():
            return layer.weight.T @ signal
    raise TypeError(layer)


def _filter(maps: Array, layer: Conv) -> Array:
    out, _, height, width = layer.weight.shape
    p, s = layer.padding, layer.stride
    framed = np.pad(maps, ((0, 0), (p, p), (p, p)))
    rows, columns = (framed.shape[1] - height) // s + 1, (framed.shape[2] - width) // s + 1
    result = np.zeros((out, rows, columns))
    for c in range(out):
        for i in range(rows):
            for j in range(columns):
                patch = framed[:, i * s : i * s + height, j * s : j * s + width]
                result[c, i, j] = np.sum(patch * layer.weight[c]) + layer.bias[c]
    return result


def _transposed_filter(signal: Array, layer: Conv, shape: tuple[int, ...]) -> Array:
    """ "this means flipping each filter vertically and horizontally": and sliding it over the spread-out maps."""
    _, channels, height, width = layer.weight.shape
    flipped = layer.weight[:, :, ::-1, ::-1]
    p, s = layer.padding, layer.stride
    framed_rows, framed_columns = shape[1] + 2 * p, shape[2] + 2 * p
    spread = np.zeros((signal.shape[0], framed_rows + height - 1, framed_columns + width - 1))
    for i in range(signal.shape[1]):
        for j in range(signal.shape[2]):
            spread[:, height - 1 + i * s, width - 1 + j * s] = signal[:, i, j]
    result = np.zeros((channels, framed_rows, framed_columns))
    for c in range(channels):
        for i in range(framed_rows):
            for j in range(framed_columns):
                result[c, i, j] = np.sum(spread[:, i : i + height, j : j + width] * flipped[:, c])
    return result[:, p : p + shape[1], p : p + shape[2]]


def _pool(maps: Array, layer: MaxPool) -> tuple[Array, NDArray[np.int64]]:
    """Maxima and switches: "recording the locations of the maxima within each pooling region"."""
    channels, height, width = maps.shape
    sides = []
    for length in (height, width):
        span = length + 2 * layer.padding - layer.size
        count = (-(-span // layer.stride) if layer.ceil else span // layer.stride) + 1
        if layer.ceil and (count - 1) * layer.stride >= length + layer.padding:
            count -= 1
        sides.append(count)
    maxima = np.full((channels, *sides), -np.inf)
    switches = np.zeros((channels, *sides, 2), np.int64)
    for c in range(channels):
        for i in range(sides[0]):
            for j in range(sides[1]):
                for y in range(i * layer.stride - layer.padding, i * layer.stride - layer.padding + layer.size):
                    for x in range(j * layer.stride - layer.padding, j * layer.stride - layer.padding + layer.size):
                        if 0 <= y < height and 0 <= x < width and maps[c, y, x] > maxima[c, i, j]:
                            maxima[c, i, j], switches[c, i, j] = maps[c, y, x], (y, x)
    return maxima, switches


def _unpool(signal: Array, switches: NDArray[np.int64], shape: tuple[int, ...], unpool: str) -> Array:
    """ "place the reconstructions from the layer above into appropriate locations"; windows may share one."""
    arriving: dict[tuple[int, int, int], list[float]] = {}
    for c, i, j in np.ndindex(signal.shape):
        y, x = switches[c, i, j]
        arriving.setdefault((c, int(y), int(x)), []).append(float(signal[c, i, j]))
    result = np.zeros(shape)
    for cell, values in arriving.items():
        result[cell] = {"sum": sum(values), "place": max(values), "mean": sum(values) / len(values)}[unpool]
    return result


def _lrn_scale(maps: Array, layer: Lrn) -> Array:
    scale = np.full_like(maps, layer.k)
    for c in range(len(maps)):
        for d in range(len(maps)):
            if _neighbours(c, d, layer.size):
                scale[c] += layer.alpha / layer.size * maps[d] ** 2
    return scale


def _neighbours(c: int, d: int, size: int) -> bool:
    """Whether map d is one of the ``size`` maps around map c."""
    return c - size // 2 <= d <= c + (size - 1) // 2


def _lrn_gradient(maps: Array, signal: Array, layer: Lrn) -> Array:
    scale = _lrn_scale(maps, layer)
    result = signal / scale**layer.beta
    for d in range(len(maps)):
        for c in range(len(maps)):
            if _neighbours(c, d, layer.size):
                shared = signal[c] * maps[c] * scale[c] ** (-layer.beta - 1)
                result[d] -= 2 * layer.alpha / layer.size * layer.beta * maps[d] * shared
    return result
