"""Which pixels each layer sees, read off one forward pass of the model itself."""

# ruff: noqa: SIM905  (word lists read better as words)
from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from deconvnet.errors import ModelError
from deconvnet.geometry import Box, ReceptiveField, Window, receptive_box
from deconvnet.tracing.forward import evaluating
from deconvnet.tracing.lrn import works_cell_by_cell
from deconvnet.tracing.modes import example_weight
from deconvnet.tracing.recorder import ModuleRecorder
from deconvnet.tracing.spellings import ACTIVATIONS, SHAPED_LIKE, plain_name


@dataclass(frozen=True)
class LayerField:
    """What the units of one layer see.

    Attributes
    ----------
    rows, columns : ReceptiveField or None
        Along each axis; None if ``whole``, or if the model takes a step whose field we do not know.
    whole : bool
        Whether every unit sees the whole image, as in fully connected layers.
    shape : tuple of int
        The layer's output without the batch axis: C x H x W or F.
    image : (int, int)
        Height and width of the network's input.
    mirrored : bool
        Whether maps below are padded with their own cells, so that units at the border see others than the field says.
    """

    rows: ReceptiveField | None
    columns: ReceptiveField | None
    whole: bool
    shape: tuple[int, ...]
    image: tuple[int, int]
    mirrored: bool = False

    def box(self, row: int = 0, column: int = 0) -> Box | None:
        """The pixels that the unit at (row, column) sees: may leave the image; None if that is not known."""
        if self.whole:
            return Box(0, 0, *self.image)
        if self.rows is None or self.columns is None:
            return None
        box = receptive_box(self.rows, self.columns, row, column)
        return None if self.mirrored and not box.inside(*self.image) else box


@dataclass(frozen=True)
class _Field:
    """Rows and columns of what a tensor's cells see; ``whole``: everything; none of the three: not known."""

    rows: ReceptiveField | None = None
    columns: ReceptiveField | None = None
    whole: bool = False
    mirrored: bool = False

    def through(self, rows: Window, columns: Window) -> _Field:
        if self.rows is None or self.columns is None:
            return self
        return _Field(self.rows.through(rows), self.columns.through(columns), mirrored=self.mirrored)


_WHOLE, _UNKNOWN = _Field(whole=True), _Field()

_SAME = ACTIVATIONS | frozenset(
    "batch_norm dropout dropout1d dropout2d feature_dropout alpha_dropout feature_alpha_dropout local_response_norm "
    "channel_shuffle native_channel_shuffle contiguous clone to float double half bfloat16 detach neg abs square sqrt "
    "rsqrt exp log pow erf sign requires_grad view_as type".split()
)
_MIXING = frozenset(
    "add iadd radd sub isub rsub mul imul rmul div idiv truediv itruediv maximum minimum max min fmax fmin where "
    "lerp addcmul copy masked_fill".split()
)
_RESHAPING = frozenset("view reshape transpose swapaxes chunk split unbind narrow getitem squeeze unsqueeze".split())
_REDUCING = frozenset("mean sum amax amin max min var std".split())
_JOINING = frozenset("cat concat concatenate".split())
_SPREADING = frozenset("linear group_norm instance_norm matmul mm addmm bmm flatten".split())


class FieldTracker(TorchFunctionMode):
    """Carry each tensor's receptive field through a forward pass.

    It may be entered inside another mode; it changes nothing.
    """

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self._fields = WeakTensorKeyDictionary()
        self._fields[pixels] = _Field(ReceptiveField(), ReceptiveField())
        self._image = (pixels.shape[-2], pixels.shape[-1])

    def field(self, tensor: Tensor) -> _Field:
        """The field of any tensor of this forward pass."""
        return self._fields.get(tensor) or _UNKNOWN

    def follow(self, module: nn.Module, arguments: Any, output: Any) -> None:
        """Note an LRN layer of own arithmetic, whose calls are not all known, if it works across maps alone."""
        if isinstance(module, nn.LocalResponseNorm) and arguments and isinstance(output, Tensor):
            field = self.field(output)
            if field.rows is None and not field.whole and works_cell_by_cell(module, arguments[0]):
                self._fields[output] = self.field(arguments[0])

    def layer(self, output: Tensor) -> LayerField:
        """The field of a layer's output."""
        field = self.field(output)
        return LayerField(field.rows, field.columns, field.whole, tuple(output.shape[1:]), self._image, field.mirrored)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        looked_at = args[:1] if plain_name(func) in SHAPED_LIKE else (args, kwargs)
        given = [each for each in tree_leaves(looked_at) if isinstance(each, Tensor) and each in self._fields]
        fields = [self._fields[each] for each in given]  # before the call, which may work in place
        shapes = [each.shape for each in given]
        outcome = func(*args, **kwargs)
        if given and plain_name(func) == "setitem":
            self._fields[args[0]] = _UNKNOWN
        elif given:
            for made in tree_leaves(outcome):
                if isinstance(made, Tensor):
                    self._fields[made] = _after(plain_name(func), args, kwargs, fields, shapes, made)
        return outcome


def _after(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], fields: list[_Field], shapes: list[torch.Size], made: Tensor
) -> _Field:
    if all(field.whole for field in fields):
        return _WHOLE
    if made.ndim == 2 and (name in _SPREADING or name in _RESHAPING or name in _REDUCING):
        return _WHOLE  # a layer without spatial extent, whatever came before
    if any(field.rows is None and not field.whole for field in fields):
        return _UNKNOWN
    field, shape = fields[0], shapes[0]
    spatial = shape[-2:] == made.shape[-2:]
    if name == "conv2d" and len(fields) == 1:
        return field.through(*_convolution(args, kwargs))
    if name in ("max_pool2d", "avg_pool2d", "lp_pool2d"):
        return field.through(*pooling_windows(name, args, kwargs))
    if name.startswith("adaptive_"):
        return _adaptive(field, shape, made)
    if name == "pad":
        return _padded(field, args, kwargs, shape, made)
    if name in ("softmax", "log_softmax") and len(shape) == 4:
        return field if (args[1] if len(args) > 1 else kwargs.get("dim")) == 1 else _UNKNOWN
    if name == "batch_norm" and _option(args, kwargs, 5, "training", False):
        return _WHOLE
    if name in _SAME and made.shape == shape:
        return field
    if name in _JOINING:
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        return _union(fields) if dim in (1, -3) and made.ndim == 4 else _UNKNOWN
    if name in _MIXING and made.ndim == 4 and (len(shapes) > 1 or spatial):
        if any(_is_point(each) and not _is_point(made.shape) for each in shapes):
            return _WHOLE  # one cell goes to all positions
        return _union(fields) if all(each[-2:] == made.shape[-2:] for each in shapes) else _UNKNOWN
    if name in _RESHAPING and spatial and len(shape) >= 4 and made.ndim >= 4:
        return field if _keeps_space(name, args, kwargs, len(shape)) else _UNKNOWN
    if name in _REDUCING and len(shape) == 4 and made.shape[-2:] == (1, 1):
        return _WHOLE
    if name in ("group_norm", "instance_norm"):
        return _WHOLE
    return _UNKNOWN


def _is_point(shape: torch.Size) -> bool:
    return len(shape) == 4 and shape[-2:] == (1, 1)


def _pair(value: Any) -> tuple[int, int]:
    first, *others = (value,) if isinstance(value, int) else tuple(value)
    return int(first), int(others[0] if others else first)


def _option(args: Sequence[Any], kwargs: dict[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _convolution(args: Sequence[Any], kwargs: dict[str, Any]) -> list[Window]:
    size = tuple(_option(args, kwargs, 1, "weight", None).shape[-2:])
    stride, dilation = _pair(_option(args, kwargs, 3, "stride", 1)), _pair(_option(args, kwargs, 5, "dilation", 1))
    padding = _option(args, kwargs, 4, "padding", 0)
    if padding == "same":
        padding = tuple(dilation[axis] * (size[axis] - 1) // 2 for axis in (0, 1))
    elif padding == "valid":
        padding = 0
    padding = _pair(padding)
    return [Window(size[axis], stride[axis], padding[axis], dilation[axis]) for axis in (0, 1)]


def pooling_windows(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Window, Window]:
    """The windows of a pooling call along rows and columns."""
    first = 2 if name == "lp_pool2d" else 1  # lp_pool2d(input, norm_type, kernel_size, ...)
    size = _pair(_option(args, kwargs, first, "kernel_size", None))
    stride = _option(args, kwargs, first + 1, "stride", None)
    stride = size if stride is None or stride == [] or stride == () else _pair(stride)
    padding = (0, 0) if name == "lp_pool2d" else _pair(_option(args, kwargs, 3, "padding", 0))
    dilation = _pair(_option(args, kwargs, 4, "dilation", 1)) if name == "max_pool2d" else (1, 1)
    rows, columns = (Window(size[axis], stride[axis], padding[axis], dilation[axis]) for axis in (0, 1))
    return rows, columns


def _adaptive(field: _Field, shape: torch.Size, made: Tensor) -> _Field:
    if made.shape[-2:] == (1, 1):
        return _WHOLE
    windows = []
    for axis in (-2, -1):
        if shape[axis] % made.shape[axis]:
            return _UNKNOWN  # windows of unequal size
        size = shape[axis] // made.shape[axis]
        windows.append(Window(size, size))
    return field.through(*windows)


def _padded(field: _Field, args: Sequence[Any], kwargs: dict[str, Any], shape: torch.Size, made: Tensor) -> _Field:
    amounts = list(_option(args, kwargs, 1, "pad", ()))
    mode = _option(args, kwargs, 2, "mode", "constant")
    if mode == "circular" or made.ndim != 4 or len(shape) != 4:
        return _UNKNOWN
    left = amounts[0] if amounts else 0
    top = amounts[2] if len(amounts) > 2 else 0
    padded = field.through(Window(1, padding=top), Window(1, padding=left))
    return padded if mode == "constant" else replace(padded, mirrored=True)


def _keeps_space(name: str, args: Sequence[Any], kwargs: dict[str, Any], ndim: int) -> bool:
    """Whether a call that gave the last two axes the same lengths also left them alone."""
    if name in ("view", "reshape", "squeeze", "unsqueeze"):
        return True  # row-major order: equal trailing lengths are the same axes
    if name in ("transpose", "swapaxes"):
        return not kwargs and all(dim % ndim < ndim - 2 for dim in args[1:3])
    if name == "getitem":
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return all(isinstance(each, slice) or each is Ellipsis or each is None for each in index)
    place = 2 if name in ("chunk", "split") else 1
    dim = _option(args, kwargs, place, "dim", 0)
    return isinstance(dim, int) and dim % ndim < ndim - 2


def _union(fields: list[_Field]) -> _Field:
    """What a cell sees that combines cells of several maps at its own position."""
    if any(field.whole for field in fields):
        return _WHOLE
    axes = []
    for spans in ([field.rows for field in fields], [field.columns for field in fields]):
        known = [span for span in spans if span is not None]
        if len({span.stride for span in known}) != 1:
            return _UNKNOWN
        start = min(span.start for span in known)
        axes.append(ReceptiveField(max(span.start + span.size for span in known) - start, known[0].stride, start))
    return _Field(axes[0], axes[1], mirrored=any(field.mirrored for field in fields))


def receptive_fields(model: nn.Module, input_shape: Sequence[int]) -> dict[str, LayerField]:
    """The receptive field of every layer that gives a tensor, from one forward pass of zeros.

    Parameters
    ----------
    model : nn.Module
        It comes back as it was: mode, hooks, flags, gradients.
    input_shape : sequence of int
        C, H, W, or 1, C, H, W.

    Returns
    -------
    dict of str -> LayerField
        By module name, in the order in which the layers first ran. A module that ran several times has the field of
        its last run. Where a forward pass takes a step that we do not know (interpolation, a transposed convolution,
        attention), the field of the maps behind it is None rather than a guess.

    Raises
    ------
    ModelError
        If the input's shape is not one of an image.
    """
    shape = tuple(input_shape)[-3:]
    if len(shape) != 3 or len(tuple(input_shape)) > 4:
        raise ModelError(f"an input of shape {tuple(input_shape)} is not an image: give (C, H, W).")
    fields: dict[str, LayerField] = {}
    example = example_weight(model, torch.zeros(()))
    with evaluating(model), torch.no_grad(), contextlib.ExitStack() as stack:
        pixels = torch.zeros((1, *shape), dtype=example.dtype, device=example.device)
        tracker = FieldTracker(pixels)

        def note(module: nn.Module, names: list[str], inputs: Any, output: Any) -> None:
            tracker.follow(module, inputs, output)
            if isinstance(output, Tensor) and output.ndim > 1:
                fields.update(dict.fromkeys((name for name in names if name), tracker.layer(output)))

        stack.enter_context(tracker)
        ModuleRecorder(model, note).run(model, pixels)
    return fields
