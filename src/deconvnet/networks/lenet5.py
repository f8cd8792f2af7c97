"""LeNet-5, as published in 1998 and in its modern form.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998, section II. The numbers below are of that paper; the layers of `LeNet5Original`
bear its names.

=======  =========  =======================================================  ==========  ===========
layer    output     what                                                     parameters  connections
=======  =========  =======================================================  ==========  ===========
input    1 @ 32x32  a digit padded to 32x32; background -0.1, ink 1.175
c1       6 @ 28x28  5x5 convolution                                                 156      122,304
s2       6 @ 14x14  2x2 sums times a coefficient, plus a bias                        12        5,880
c3       16 @ 10x10 5x5 convolution, each map fed by 3, 4 or 6 maps of s2         1,516      151,600
s4       16 @ 5x5   as s2                                                            32        2,000
c5       120 @ 1x1  5x5 convolution                                              48,120       48,120
f6       84         fully connected                                              10,164       10,164
output   10         squared distance to ten fixed bitmaps of 7x12 pixels              0          840
=======  =========  =======================================================  ==========  ===========

In all 60,000 parameters and 340,908 connections. A squashing function follows each of c1 to f6.

The modern form keeps the sizes (conv 6, 16, 120; fc 84, 10) and takes plain pooling, a full c3, ReLU and a linear
output: 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706 parameters.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import OptionError

__all__ = [
    "BACKGROUND",
    "C3_TABLE",
    "INK",
    "DistanceToBitmaps",
    "LeNet5",
    "LeNet5Original",
    "Squash",
    "Subsampling",
    "TableConv2d",
    "digit_bitmaps",
    "map_loss",
]

# Sec. II-B: grey levels of the input, chosen so that its mean is about 0 and its variance about 1
BACKGROUND = -0.1
INK = 1.175

# Table I: the maps of s2 (columns of digits) that feed each of the 16 maps of c3
C3_TABLE: tuple[tuple[int, ...], ...] = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)

# Sec. II-B, Fig. 3: the target of each class is a stylised digit, 7 pixels wide and 12 high; # is +1, . is -1. These
# are our own drawings: what matters is that classes which are easily confused have similar codes.
_DIGITS = """
..###.. ...##.. .#####. ####### ....#.. ####### ..####. ####### .#####. .#####.
.#...#. ..###.. #.....# .....#. ...##.. #...... .#..... ......# #.....# #.....#
#.....# .#.##.. ......# ....#.. ...##.. #...... #...... ......# #.....# #.....#
#.....# ...##.. ......# ...#... ..#.#.. #...... #...... .....#. #.....# #.....#
#.....# ...##.. ......# ..####. ..#.#.. ######. #.####. .....#. .#####. #....##
#.....# ...##.. .....#. ......# .#..#.. ......# ##....# ....#.. #.....# .####.#
#.....# ...##.. ....#.. ......# .#..#.. ......# #.....# ....#.. #.....# ......#
#.....# ...##.. ...#... ......# #...#.. ......# #.....# ...#... #.....# ......#
#.....# ...##.. ..#.... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...##.. .#..... #.....# ....#.. #.....# #.....# ..#.... #.....# ......#
.#...#. ...##.. #...... #.....# ....#.. #.....# #.....# ..#.... #.....# .....#.
..###.. .###### ####### .#####. ....#.. .#####. .#####. .#..... .#####. .####..
"""


def digit_bitmaps() -> Tensor:
    """The fixed codes of the ten digits (Sec. II-B, Fig. 3).

    Returns
    -------
    Tensor of shape (10, 84)
        -1 and +1, float32; each row is a bitmap of 12 rows and 7 columns, row by row.
    """
    rows = [line.split() for line in _DIGITS.strip().splitlines()]
    digits = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if cell == "#" else -1.0 for cell in digit] for digit in digits])


class Squash(nn.Module):
    """The scaled hyperbolic tangent ``1.7159 tanh(2a / 3)``, elementwise (Eq. 6 and Appendix A).

    Its range is (-1.7159, 1.7159), and it takes -1 to -1 and 1 to 1.
    """

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))  # Eq. 6: A tanh(S a)


class Subsampling(nn.Module):
    """Sums of 2x2 windows that do not overlap, times a trainable coefficient, plus a trainable bias (Sec. II-B).

    The squashing function that follows it in the paper is a layer of its own here.

    Parameters
    ----------
    maps : int
        Number of feature maps; each has one coefficient and one bias.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (2, 2), (2, 2), (0, 0)
        self.weight = nn.Parameter(torch.empty(maps))
        self.bias = nn.Parameter(torch.empty(maps))
        _initialise(self.weight, self.bias, fan_in=4)

    def forward(self, maps: Tensor) -> Tensor:
        sums = 4 * F.avg_pool2d(maps, self.kernel_size)  # (n, maps, h / 2, w / 2)
        return sums * self.weight[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.weight)}"


class TableConv2d(nn.Module):
    """A convolution whose output maps see only some of the input maps (Sec. II-B, Table I).

    Only the weights of existing connections are parameters: one kernel for each (output map, input map) pair of the
    table.

    Parameters
    ----------
    in_channels : int
        Number of input maps.
    table : tuple of tuples of int
        For each output map, the input maps that feed it.
    kernel_size : int
        Side of the square kernels.

    Attributes
    ----------
    kernels : Parameter of shape (connections, kernel_size, kernel_size)
        The kernels in the table's order.
    bias : Parameter of shape (out_channels,)
    """

    pairs: Tensor

    def __init__(self, in_channels: int, table: tuple[tuple[int, ...], ...], kernel_size: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, len(table)
        self.kernel_size, self.stride, self.padding = (kernel_size, kernel_size), (1, 1), (0, 0)
        self.table = table
        pairs = [to * in_channels + of for to, inputs in enumerate(table) for of in inputs]
        self.register_buffer("pairs", torch.tensor(pairs), persistent=False)
        self.kernels = nn.Parameter(torch.empty(len(pairs), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(table)))
        first = 0
        for to, inputs in enumerate(table):
            own = self.kernels[first : first + len(inputs)]
            _initialise(own, self.bias[to], fan_in=own.numel())  # F differs between maps: 75, 100 or 150 here
            first += len(inputs)

    @property
    def weight(self) -> Tensor:
        """The kernels as a dense weight (out_channels, in_channels, k, k), zero where there is no connection."""
        dense = self.kernels.new_zeros(self.out_channels * self.in_channels, *self.kernel_size)
        dense = dense.index_copy(0, self.pairs, self.kernels)
        return dense.view(self.out_channels, self.in_channels, *self.kernel_size)

    def forward(self, maps: Tensor) -> Tensor:
        return F.conv2d(maps, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, kernels={len(self.kernels)}"


class DistanceToBitmaps(nn.Module):
    """The output layer of Euclidean radial basis functions (Sec. II-B, Eq. 7), with its sign turned.

    The paper's output is a penalty, ``y_i = sum_j (x_j - w_ij)^2``, and the class is its argmin. This layer returns
    ``-y_i``, so that the outputs are class scores like any other network's: the class is the argmax.

    Attributes
    ----------
    bitmaps : Tensor of shape (10, 84)
        The fixed codes, -1 and +1; a buffer, not trained. It is stored with the weights.
    """

    bitmaps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bitmaps", digit_bitmaps())

    def forward(self, states: Tensor) -> Tensor:
        return -(states[:, None, :] - self.bitmaps).square().sum(dim=2)  # Eq. 7: (n, 1, 84) - (10, 84) -> (n, 10)


class _Chain(nn.Module):
    """A module whose children are applied one after the other, in the order in which they were made."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


class LeNet5(_Chain):
    """The modern LeNet-5: 61,706 parameters.

    Children: conv1, relu1, pool1, conv2, relu2, pool2, conv3, relu3, flatten, fc4, relu4, fc5 (with ``"tanh"``, tanh1
    and so on in place of relu1). The input is (n, 1, 32, 32): a 28x28 digit is padded by 2 in its preprocessing. The
    output is (n, num_classes), scores before the softmax.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    pool : {"max", "avg"}
        Kind of the 2x2 pooling with stride 2.
    activation : {"relu", "tanh"}
        Kind of the nonlinearity.

    Raises
    ------
    OptionError
        If an option has another value.
    """

    def __init__(
        self,
        num_classes: int = 10,
        pool: Literal["max", "avg"] = "max",
        activation: Literal["relu", "tanh"] = "relu",
    ) -> None:
        super().__init__()
        pools: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
        activations: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
        if num_classes < 1:
            raise OptionError(f"LeNet5 needs at least one class, not num_classes={num_classes}.")
        if pool not in pools:
            raise OptionError(f"LeNet5 has no pooling {pool!r}: choose from {', '.join(pools)}.")
        if activation not in activations:
            raise OptionError(f"LeNet5 has no activation {activation!r}: choose from {', '.join(activations)}.")
        self.conv1 = nn.Conv2d(1, 6, 5)  # 32 -> 28
        self.add_module(f"{activation}1", activations[activation]())
        self.pool1 = pools[pool](2)  # 28 -> 14
        self.conv2 = nn.Conv2d(6, 16, 5)  # 14 -> 10
        self.add_module(f"{activation}2", activations[activation]())
        self.pool2 = pools[pool](2)  # 10 -> 5
        self.conv3 = nn.Conv2d(16, 120, 5)  # 5 -> 1
        self.add_module(f"{activation}3", activations[activation]())
        self.flatten = nn.Flatten()
        self.fc4 = nn.Linear(120, 84)
        self.add_module(f"{activation}4", activations[activation]())
        self.fc5 = nn.Linear(84, num_classes)


class LeNet5Original(_Chain):
    """LeNet-5 as published in 1998: 60,000 trainable parameters, 340,908 connections.

    Children bear the paper's names: c1, s2, c3, s4, c5, f6, output; squash1 to squash6 follow the first six, and
    flatten goes before f6. The input is (n, 1, 32, 32) with background -0.1 and ink 1.175. The output is (n, 10):
    the negative of the paper's penalties, so that the class is the argmax (see `DistanceToBitmaps`). Train it with
    `map_loss`.

    The initial weights and biases of a unit with F inputs are drawn from U(-2.4 / F, 2.4 / F).
    """

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)  # 32 -> 28
        self.squash1 = Squash()
        self.s2 = Subsampling(6)  # 28 -> 14
        self.squash2 = Squash()
        self.c3 = TableConv2d(6, C3_TABLE, 5)  # 14 -> 10
        self.squash3 = Squash()
        self.s4 = Subsampling(16)  # 10 -> 5
        self.squash4 = Squash()
        self.c5 = nn.Conv2d(16, 120, 5)  # 5 -> 1
        self.squash5 = Squash()
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.squash6 = Squash()
        self.output = DistanceToBitmaps()
        for layer in (self.c1, self.c5, self.f6):
            assert layer.bias is not None
            _initialise(layer.weight, layer.bias, fan_in=layer.weight[0].numel())


def map_loss(scores: Tensor, targets: Tensor, j: float = 0.1) -> Tensor:
    """The paper's discriminative loss, a maximum a posteriori criterion (Sec. II-C, Eq. 9), averaged over the batch.

    For the penalties ``y = -scores`` and the right class D it is ``y_D + log(exp(-j) + sum_i exp(-y_i))``, a positive
    number. It pulls the right class's penalty down and pushes the others up; the constant j stands for a class
    "none of these" and keeps penalties that are already large from being pushed further.

    Parameters
    ----------
    scores : Tensor of shape (n, classes)
        Output of `LeNet5Original`: negative penalties.
    targets : Tensor of shape (n,), int64
        Right classes.
    j : float
        The constant of Eq. 9, positive; the paper does not print its value.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    OptionError
        If `j` is not positive.
    """
    if j <= 0:
        raise OptionError(f"map_loss needs a positive j, not {j}.")
    none_of_these = torch.full_like(scores[:, :1], -j)
    competition = torch.logsumexp(torch.cat([none_of_these, scores], dim=1), dim=1)
    return (competition - scores.gather(1, targets[:, None]).squeeze(1)).mean()  # Eq. 9


@torch.no_grad()
def _initialise(weight: Tensor, bias: Tensor, fan_in: int) -> None:
    # Appendix A: uniform in +-2.4 / F, F the number of inputs of the unit
    bound = 2.4 / fan_in
    weight.uniform_(-bound, bound)
    bias.uniform_(-bound, bound)
