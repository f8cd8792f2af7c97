"""Occlusion of Zeiler & Fergus (2013), Sec. 4.2, in plain loops in float64, slow on purpose.

"Systematically occluding different portions of the input image with a grey square, and monitoring the output": cover
the square in the pixels, send the whole photo through every layer, write down what comes out. Nothing is kept from one
position to the next. Maps are arrays C x H x W; a network is a list of layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Conv:
    weight: Array  # out x in / groups x height x width
    bias: Array | None = None
    stride: int = 1
    padding: int = 0
    groups: int = 1
    name: str = ""


@dataclass
class BatchNorm:
    mean: Array
    variance: Array
    gain: Array
    shift: Array
    epsilon: float


@dataclass
class Relu:
    name: str = ""


@dataclass
class MaxPool:
    size: int
    stride: int
    padding: int = 0


@dataclass
class Lrn:
    size: int
    alpha: float
    beta: float
    k: float


@dataclass
class GlobalAverage:
    pass


@dataclass
class Flatten:
    pass


@dataclass
class Linear:
    weight: Array  # out x in
    bias: Array


@dataclass
class Softmax:
    pass


@dataclass
class Residual:
    """What one way gives, plus what the other gives; no layers are the value itself."""

    main: list[Any]
    shortcut: list[Any] = field(default_factory=list)


def cover(photo: Array, window: tuple[int, int, int, int], fill: Array) -> Array:
    """The photo with the fill in rows top to bottom - 1 and columns left to right - 1."""
    covered = photo.copy()
    top, left, bottom, right = window
    for channel in range(photo.shape[0]):
        for y in range(photo.shape[1]):
            for x in range(photo.shape[2]):
                if top <= y < bottom and left <= x < right:
                    covered[channel, y, x] = fill[channel, y, x]
    return covered


def answer(layers: list[Any], value: Array, heard: dict[str, Array]) -> Array:
    """What the network gives; the outputs of layers that have a name are written into ``heard``."""
    for layer in layers:
        value = _apply(layer, value, heard)
        if getattr(layer, "name", ""):
            heard[layer.name] = value
    return value


def activity(maps: Array) -> tuple[Array, Array]:
    """For each map the sum of its positive values, and its largest value."""
    sums, largest = np.zeros(len(maps)), np.full(len(maps), -np.inf)
    for channel, one in enumerate(maps):
        for v in one.ravel():
            sums[channel] += v if v > 0 else 0.0
            largest[channel] = max(largest[channel], v)
    return sums, largest


def _apply(layer: Any, value: Array, heard: dict[str, Array]) -> Array:
    match layer:
        case Conv():
            return _convolve(layer, value)
        case BatchNorm():
            found = np.empty_like(value)
            for c in range(len(value)):
                scale = layer.gain[c] / math.sqrt(layer.variance[c] + layer.epsilon)
                found[c] = (value[c] - layer.mean[c]) * scale + layer.shift[c]
            return found
        case Relu():
            return np.where(value > 0, value, 0.0)
        case MaxPool():
            return _pool(layer, value)
        case Lrn():
            return _normalize(layer, value)
        case GlobalAverage():
            return np.array([one.sum() / one.size for one in value])
        case Flatten():
            return np.array([v for one in value for row in one for v in row])
        case Linear():
            return np.array([float((row * value).sum()) + b for row, b in zip(layer.weight, layer.bias, strict=True)])
        case Softmax():
            powers = np.array([math.exp(v - value.max()) for v in value])
            return powers / powers.sum()
        case Residual():
            return answer(layer.main, value, heard) + answer(layer.shortcut, value, heard)
    raise TypeError(layer)


def _around(value: Array, padding: int, border: float) -> Array:
    channels, height, width = value.shape
    found = np.full((channels, height + 2 * padding, width + 2 * padding), border)
    found[:, padding : padding + height, padding : padding + width] = value
    return found


def _convolve(layer: Conv, value: Array) -> Array:
    padded = _around(value, layer.padding, 0.0)
    out, into, high, wide = layer.weight.shape
    rows = (padded.shape[1] - high) // layer.stride + 1
    columns = (padded.shape[2] - wide) // layer.stride + 1
    found = np.zeros((out, rows, columns))
    for o in range(out):
        first = o // (out // layer.groups) * into  # the first map that this group sees
        for y in range(rows):
            for x in range(columns):
                top, left = y * layer.stride, x * layer.stride
                seen = padded[first : first + into, top : top + high, left : left + wide]
                found[o, y, x] = (seen * layer.weight[o]).sum() + (0.0 if layer.bias is None else layer.bias[o])
    return found


def _pool(layer: MaxPool, value: Array) -> Array:
    padded = _around(value, layer.padding, -np.inf)
    rows = (padded.shape[1] - layer.size) // layer.stride + 1
    columns = (padded.shape[2] - layer.size) // layer.stride + 1
    found = np.empty((len(value), rows, columns))
    for c in range(len(value)):
        for y in range(rows):
            for x in range(columns):
                top, left = y * layer.stride, x * layer.stride
                found[c, y, x] = padded[c, top : top + layer.size, left : left + layer.size].max()
    return found


def _normalize(layer: Lrn, value: Array) -> Array:
    """Each map divided by the squares of its neighbours: half the size before it, the rest from it on."""
    found = np.empty_like(value)
    for c in range(len(value)):
        total = np.zeros(value.shape[1:])
        for neighbour in range(c - layer.size // 2, c - layer.size // 2 + layer.size):
            if 0 <= neighbour < len(value):
                total += value[neighbour] ** 2
        found[c] = value[c] / (layer.k + layer.alpha / layer.size * total) ** layer.beta
    return found
