"""The frame that AlexNet and ZFNet share: five convolutional layers, three fully connected ones.

A network is a tuple of :class:`ConvLayer` and a few options; the frame turns it into a plain ``nn.Sequential`` whose
children bear the field's names: conv1, relu1, pool1, norm1, ..., pool5, flatten, fc6, relu6, drop6, fc7, relu7, drop7,
fc8. Geometry follows cuda-convnet, on which both papers' code ran: windows of convolution and pooling that start inside
the map and overhang its right or lower edge count (ceil), reading zeros there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import nn

from deconvnet.errors import OptionError
from deconvnet.geometry import Window
from deconvnet.networks.blurpool import BlurPool
from deconvnet.networks.normalization import LocalResponseNorm


@dataclass(frozen=True)
class Normalization:
    """Constants of a local response normalisation, in torch's convention (n=5, k=2 in both papers' code)."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0
    groups: int = 1


@dataclass(frozen=True)
class ConvLayer:
    """One convolutional layer: convolution, ReLU and, if asked, pooling and normalisation."""

    maps: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    pool: Window | None = None
    norm: Normalization | None = None


REMOVABLE = ((), (3, 4), (6,), (7,), (6, 7), (3, 4, 6, 7))  # Table 3
POOL = Window(3, 2)  # overlapping, in both papers


class EightLayerNet(nn.Sequential):
    """A network of the AlexNet family as a plain sequence of named children.

    Attributes
    ----------
    input_size : int
        Side of the square input, in pixels; the fully connected layers fit this size only.
    num_classes : int
        Number of class scores.
    """

    input_size: int
    num_classes: int


def eight_layers(
    layers: Sequence[ConvLayer],
    *,
    num_classes: int,
    input_size: int,
    fc_width: int,
    remove: Collection[int],
    dropout: float,
    norm_first: bool,
    overhang: bool = True,
    blurpool: bool = False,
) -> EightLayerNet:
    """Build the sequence.

    Parameters
    ----------
    layers : sequence of ConvLayer
        conv1 to conv5.
    num_classes : int
        Class scores of fc8; at least 1.
    input_size : int
        Side of the square RGB input in pixels; any that leaves a positive map after pool5.
    fc_width : int
        Units of fc6 and of fc7.
    remove : collection of int
        Layers to leave out, one of the sets of Table 3: 3,4 / 6 / 7 / 6,7 / 3,4,6,7.
    dropout : float
        Probability in fc6 and fc7; 0 leaves dropout out.
    norm_first : bool
        Normalise before pooling (AlexNet's order) or after it (ZFNet's).
    overhang : bool
        Whether windows that overhang the right or lower edge count (cuda-convnet), or not (torch's default).
    blurpool : bool
        Blur before subsampling (:class:`~deconvnet.networks.blurpool.BlurPool`, 3 taps): a convolution of stride s has
        stride s/2 and is followed, after its ReLU, by blur1 (blur2, ...) with stride 2; a pool of stride 2 has stride 1
        and is followed by poolblur1. The sizes of the maps, and the weights, are those of the network without it.

    Raises
    ------
    OptionError
        If an option is out of range or the input too small, naming the layer where the map vanishes.
    """
    removed = _checked(layers, remove, num_classes, fc_width, input_size, dropout)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    maps, side = 3, input_size
    for number, layer in enumerate(layers, start=1):
        if number in removed:
            continue
        missing = -(side + 2 * layer.padding - layer.kernel) % layer.stride
        if overhang and missing:  # zeros to the right and below
            parts[f"pad{number}"] = nn.ZeroPad2d((0, missing, 0, missing))
            side += missing
        blurred = blurpool and layer.stride % 2 == 0
        step = layer.stride // 2 if blurred else layer.stride
        parts[f"conv{number}"] = nn.Conv2d(maps, layer.maps, layer.kernel, step, layer.padding, groups=layer.groups)
        parts[f"relu{number}"] = nn.ReLU()
        if blurred:
            parts[f"blur{number}"] = BlurPool()
        maps = layer.maps
        side = _shrink(Window(layer.kernel, layer.stride, layer.padding), side, f"conv{number}", input_size)

        after: list[tuple[str, nn.Module]] = []
        if layer.pool is not None:
            pooled = _shrink(layer.pool, side, f"pool{number}", input_size, ceil=overhang)
            after += _pool(number, layer.pool, side, pooled, overhang, blurpool)
            side = pooled
        if layer.norm is not None:
            n = layer.norm
            after.append((f"norm{number}", LocalResponseNorm(n.size, n.alpha, n.beta, n.k, n.groups)))
        parts.update((*after[-1:], *after[:-1]) if norm_first and layer.norm is not None else after)

    parts["flatten"] = nn.Flatten()
    features = maps * side * side
    for number in (6, 7):
        if number in removed:
            continue
        parts[f"fc{number}"] = nn.Linear(features, fc_width)
        parts[f"relu{number}"] = nn.ReLU()
        if dropout:
            parts[f"drop{number}"] = nn.Dropout(dropout)
        features = fc_width
    parts["fc8"] = nn.Linear(features, num_classes)

    network = EightLayerNet(parts)
    network.input_size, network.num_classes = input_size, num_classes
    return network


def _checked(
    layers: Sequence[ConvLayer],
    remove: Collection[int],
    num_classes: int,
    fc_width: int,
    input_size: int,
    dropout: float,
) -> tuple[int, ...]:
    """The layers to leave out, in order; refuses options out of range."""
    remove = tuple(remove)
    if not all(isinstance(number, int) for number in remove):
        raise OptionError(f"remove takes numbers of layers, for example (3, 4), not {remove!r}.")
    removed = tuple(sorted(set(remove)))
    if removed not in REMOVABLE:
        allowed = " / ".join(",".join(map(str, r)) for r in REMOVABLE if r)
        raise OptionError(f"layers {','.join(map(str, removed))} cannot be removed: choose one of {allowed}.")
    for option, value in (("num_classes", num_classes), ("fc_width", fc_width), ("input_size", input_size)):
        if value < 1:
            raise OptionError(f"{option} must be at least 1, not {value}.")
    if not 0 <= dropout < 1:
        raise OptionError(f"dropout is a probability, at least 0 and less than 1, not {dropout}.")
    for number, layer in enumerate(layers, start=1):
        if layer.maps < 1 or layer.maps % layer.groups:
            many = "at least 1" if layer.groups == 1 else f"a multiple of {layer.groups} (its towers)"
            raise OptionError(f"the number of maps of conv{number} must be {many}, not {layer.maps}: change widths.")
    return removed


def three_widths(widths: Sequence[int]) -> tuple[int, int, int]:
    """Maps of layers 3, 4 and 5 (Table 3), or an `OptionError` if they are not three numbers."""
    if isinstance(widths, str) or len(widths) != 3:
        raise OptionError(f"widths takes the maps of layers 3, 4 and 5, for example (512, 1024, 512), not {widths!r}.")
    three, four, five = widths
    return three, four, five


def _pool(
    number: int, pool: Window, side: int, pooled: int, overhang: bool, blurpool: bool
) -> list[tuple[str, nn.Module]]:
    """Max pooling of a map of ``side`` cells to ``pooled``, with a blur between maximum and subsampling if asked."""
    if not blurpool or pool.stride != 2:
        return [(f"pool{number}", nn.MaxPool2d(pool.size, pool.stride, pool.padding, ceil_mode=overhang))]
    dense = Window(pool.size, 1, pool.padding).output(side)
    missing = max(0, 2 * pooled - 1 - dense)  # the overhang: zeros change no maximum of a rectified map
    edge: list[tuple[str, nn.Module]] = [(f"poolpad{number}", nn.ZeroPad2d((0, missing, 0, missing)))]
    steps = [(f"pool{number}", nn.MaxPool2d(pool.size, 1, pool.padding)), (f"poolblur{number}", BlurPool())]
    return (edge if missing else []) + steps


def _shrink(window: Window, side: int, layer: str, input_size: int, ceil: bool = False) -> int:
    out = window.output(side, ceil)
    if out < 1 or side < 1:
        raise OptionError(
            f"an input of {input_size} x {input_size} px leaves nothing of the map at {layer}: "
            "choose a larger input_size (the paper's is 224)."
        )
    return out
