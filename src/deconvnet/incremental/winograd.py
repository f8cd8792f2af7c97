"""3 x 3 convolutions by Winograd's minimal filtering, as a few large matrix products (Lavin & Gray 2015).

F(m x m, 3 x 3) gives m x m outputs from (m + 2) x (m + 2) inputs with (m + 2)^2 multiplications for each pair of
channels, instead of 9 m^2. Rounding depends on the points at which it evaluates. Largest error relative to the largest
output, float32, 256 to 512 channels: direct 2e-6, F(2 x 2) 5e-7, F(4 x 4) 4e-6. F(6 x 6) would round more, 2e-5, and
gain little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import torch
from torch import Tensor

POINTS = {
    2: ("0", "1", "-1"),
    4: ("0", "1", "-1", "1/2", "-2"),
}
_TAPS = 3
_EXTRA = 1.1  # reading clean values, cutting to size, adding up


@lru_cache
def transforms(outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of F(m, 3), float64: ``A`` (m, n), ``G`` (n, 3), ``B`` (n, n), n = m + 2.

    The convolution of inputs d with taps g is ``A @ ((G @ g) * (B @ d))``: the transposed Toom-Cook algorithm, exact
    in rational numbers.
    """
    points = [Fraction(point) for point in POINTS[outputs]]
    size = len(points) + 1
    scale = [_product([p - q for q in points if q != p]) for p in points]
    powers = [[p**j for j in range(size)] for p in points]
    a = [[*(row[j] for row in powers), Fraction(j == outputs - 1)] for j in range(outputs)]
    g = [[row[j] / s for j in range(_TAPS)] for row, s in zip(powers, scale, strict=True)]
    g.append([Fraction(j == _TAPS - 1) for j in range(_TAPS)])
    # Row i of B: coefficients of the product of (x - q) over the other points; the last, over all points.
    b = [_polynomial([q for q in points if q != p], size) for p in points]
    b.append(_polynomial(points, size))
    found = [torch.tensor([[float(v) for v in row] for row in matrix], dtype=torch.float64) for matrix in (a, g, b)]
    return found[0], found[1], found[2]


def _product(factors: Sequence[Fraction]) -> Fraction:
    found = Fraction(1)
    for factor in factors:
        found *= factor
    return found


def _polynomial(roots: Sequence[Fraction], size: int) -> list[Fraction]:
    """Coefficients, lowest first, of the product of (x - root)."""
    found = [Fraction(1)]
    for root in roots:
        found = [
            (found[j - 1] if j else Fraction(0)) - (root * found[j] if j < len(found) else 0)
            for j in range(len(found) + 1)
        ]
    return found + [Fraction(0)] * (size - len(found))


@dataclass
class Winograd:
    """One convolution, its weights transformed, in two forms.

    `gather` reads tiles of inputs that overlap and writes tiles of outputs. `spread`, its transpose, reads tiles of
    inputs and adds up tiles of outputs that overlap: where the input is zero outside a window it takes fewer tiles,
    since the window is smaller than what it changes.

    Parameters
    ----------
    weight : Tensor, (O, C, 3, 3)
    outputs : {2, 4}
        m.
    """

    weight: Tensor
    outputs: int

    def __post_init__(self) -> None:
        a, _, b = (m.to(self.weight) for m in transforms(self.outputs))
        self.tile = self.outputs + _TAPS - 1
        self._a, self._b = torch.kron(a, a), torch.kron(b, b)

    @cached_property
    def _gathering(self) -> Tensor:
        return self._transformed(self.weight)

    @cached_property
    def _spreading(self) -> Tensor:
        return self._transformed(self.weight.flip(2, 3))

    def _transformed(self, weight: Tensor) -> Tensor:
        """(points, C, O)."""
        g = transforms(self.outputs)[1].to(weight.device)
        found = torch.einsum("ia,jb,ocab->ijco", g, g, weight.double())
        return found.reshape(self.tile**2, *found.shape[2:]).to(weight.dtype).contiguous()

    def tiles(self, height: int, width: int) -> tuple[int, int]:
        """How many tiles cover so many positions."""
        return -(-height // self.outputs), -(-width // self.outputs)

    def gather(self, x: Tensor) -> Tensor:
        """The convolution without padding.

        Parameters
        ----------
        x : Tensor, (N, m rows + 2, m columns + 2, C)

        Returns
        -------
        Tensor, (N, m rows, m columns, O)
        """
        count, height, width, channels = x.shape
        m, n = self.outputs, self.tile
        rows, columns = (height - 2) // m, (width - 2) // m
        seen = x.unfold(1, n, m).unfold(2, n, m)  # N, rows, columns, C, n, n
        seen = seen.permute(4, 5, 0, 1, 2, 3).reshape(n * n, -1)
        values = (self._b @ seen).view(n * n, -1, channels) @ self._gathering
        found = (self._a @ values.view(n * n, -1)).view(m, m, count, rows, columns, -1)
        return found.permute(2, 3, 0, 4, 1, 5).reshape(count, rows * m, columns * m, -1)

    def spread(self, x: Tensor) -> Tensor:
        """The convolution of inputs that are zero all around, with all outputs that they reach.

        Parameters
        ----------
        x : Tensor, (N, m rows, m columns, C)

        Returns
        -------
        Tensor, (N, m rows + 2, m columns + 2, O)
            Output (i, j) sees inputs (i - 2, j - 2) to (i, j).
        """
        count, height, width, channels = x.shape
        m, n = self.outputs, self.tile
        rows, columns = height // m, width // m
        seen = x.reshape(count, rows, m, columns, m, channels).permute(2, 4, 0, 1, 3, 5).reshape(m * m, -1)
        values = (self._a.T @ seen).view(n * n, -1, channels) @ self._spreading
        found = (self._b.T @ values.view(n * n, -1)).view(n, n, count, rows, columns, -1)
        found = found.permute(2, 3, 0, 4, 1, 5)  # N, rows, n, columns, n, O
        whole = x.new_zeros((count, rows + 1, m, columns + 1, m, found.shape[-1]))
        whole[:, :-1, :, :-1] = found[:, :, :m, :, :m]
        whole[:, 1:, :2, :-1] += found[:, :, m:, :, :m]
        whole[:, :-1, :, 1:, :2] += found[:, :, :m, :, m:]
        whole[:, 1:, :2, 1:, :2] += found[:, :, m:, :, m:]
        return whole.view(count, (rows + 1) * m, (columns + 1) * m, -1)[:, : height + 2, : width + 2]


def gather_cost(outputs: int, height: int, width: int, inputs: int, channels: int) -> float:
    """Of one window, in multiply-adds of a direct convolution of the same time, as measured on a CPU.

    Parameters
    ----------
    outputs : int
        m.
    height, width : int
        Of the window of outputs.
    inputs, channels : int
        Input and output channels.
    """
    tiles = -(-height // outputs) * -(-width // outputs)
    points = (outputs + 2) ** 2
    products = (1.1 if outputs == 2 else 1.2) * points * inputs * channels
    moves = points * points * inputs + points * outputs**2 * channels + 120 * (points * inputs + outputs**2 * channels)
    return _EXTRA * tiles * (products + moves)


def spread_cost(outputs: int, height: int, width: int, inputs: int, channels: int) -> float:
    """As `gather_cost`, for `Winograd.spread` and a window of inputs."""
    tiles = -(-height // outputs) * -(-width // outputs)
    points = (outputs + 2) ** 2
    products = (1.1 if outputs == 2 else 1.2) * points * inputs * channels
    moves = points * points * channels + points * outputs**2 * inputs + 120 * (points * channels + outputs**2 * inputs)
    return _EXTRA * tiles * (products + moves)
