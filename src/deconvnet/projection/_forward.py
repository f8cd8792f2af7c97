"""The forward pass: the model's own, with ReLU, pooling and LRN replaced, and the asked layers recorded."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from deconvnet.errors import DeconvnetError, ModelError
from deconvnet.projection._lrn import skip_lrn
from deconvnet.projection._path import GraphPath, check_path, kind_of
from deconvnet.projection._plan import WindowPlan
from deconvnet.projection._plan_reader import read_plan
from deconvnet.projection._request import ModelInputs, ProjectionSettings, all_finite, bad_photo, precision_of
from deconvnet.projection._substitution import CallSite, Deconvnet
from deconvnet.tracing.lrn import works_cell_by_cell
from deconvnet.tracing.receptive import FieldTracker, LayerField
from deconvnet.tracing.recorder import ModuleRecorder


@dataclass
class ForwardPass:
    """One forward pass of a batch: the graph that all backward passes share.

    Attributes
    ----------
    photos : list of int
        Which of the given photos are in the batch.
    leaf : Tensor, N x C x H x W
        Their pixels, in the model's precision.
    accumulator : autograd node
        Of ``leaf``.
    mode : Deconvnet
    outputs : dict of str -> Tensor
        The asked layers' outputs, in the order in which they ran, attached to the graph.
    fields : dict of str -> LayerField
        The layers' receptive fields, if they were asked for.
    runs : Counter
        How often each layer ran.
    taken : dict of str -> CallSite or None
        Where the model had taken numbers out of a tensor before the layer ran.
    final : Any
        What the model itself gives, detached; None where the pass ended with the asked layers.
    failure : ModelError or None
        Why the model gives nothing, if it failed after all asked layers had run.
    """

    photos: list[int]
    leaf: Tensor
    accumulator: Any
    mode: Deconvnet
    outputs: dict[str, Tensor] = field(default_factory=dict)
    fields: dict[str, LayerField] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    taken: dict[str, CallSite | None] = field(default_factory=dict)
    final: Any = None
    failure: ModelError | None = None
    _paths: dict[str, GraphPath | ModelError] = field(default_factory=dict)

    def path(self, layer: str) -> GraphPath:
        """What lies between a layer and the pixels, looked at once; refuses what has no right answer."""
        if layer not in self._paths:
            self._paths[layer] = self._check(layer)
        found = self._paths[layer]
        if isinstance(found, ModelError):
            raise found
        return found

    def _check(self, layer: str) -> GraphPath | ModelError:
        top, taken = self.outputs[layer].grad_fn, self.taken[layer]
        try:
            return check_path(top, self.accumulator, layer, self.mode, taken)
        except ModelError as error:
            return error.with_traceback(None)  # which would hold the pass in memory

    def close(self) -> None:
        """Look at all paths now: what the model does from here on is not between the layers and the pixels."""
        for layer in self.outputs:
            self._paths[layer] = self._check(layer)
        self.mode.closed = True

    def couples_photos(self) -> bool:
        """Whether what one photo gives may depend on the others of the batch."""
        paths = [self.path(layer) for layer in self.outputs]
        return self.mode.reads_values or any(path.mixed or path.gated for path in paths)

    def plan(self, layer: str) -> WindowPlan:
        """How to go back from a layer to the pixels on windows; ``NoWindows`` where that is not known."""
        return read_plan(self.outputs[layer], self.leaf, self.accumulator, self.mode.biases)


def run_forward(
    model: nn.Module,
    inputs: ModelInputs,
    photos: list[int],
    layers: Sequence[str],
    settings: ProjectionSettings,
    runs: Mapping[str, int] | None,
    *,
    track: bool,
    to_the_end: bool = False,
) -> ForwardPass:
    """Run the model on some photos and record the asked layers.

    Parameters
    ----------
    model, inputs, settings
    photos : list of int
        Which of the inputs' photos.
    layers : sequence of str
    runs : mapping of str -> int, optional
        How often each layer runs, if that is known: all that follows is not looked at.
    track : bool
        Whether to find the layers' receptive fields.
    to_the_end : bool
        Go on to what the model itself gives, even where all asked layers have run.

    Raises
    ------
    ModelError
        If a photo or a layer's output is not finite, the model fails, or a layer does not run or has no units.
    """
    dtype, device = precision_of(inputs.pixels, model)
    leaf = inputs.pixels[photos].to(device, dtype).requires_grad_()  # a list index copies
    if not all_finite(leaf):
        raise ModelError(f"{bad_photo(leaf, photos)} holds NaN or infinite pixels: check its preprocessing.")
    pixels = leaf.clone()  # not the leaf itself, which a model could not change in place
    assert pixels.grad_fn is not None
    tracker = FieldTracker(pixels) if track else None

    def see(module: nn.Module, names: list[str], arguments: Any, output: Any) -> Any:
        if mode.closed:
            return None
        with torch._C.DisableTorchFunction():
            replaced = _see(pass_, tracker, layers, (module, names, arguments, output))
        if runs is not None and all(pass_.runs[name] >= runs[name] for name in layers):
            if not to_the_end:
                ModuleRecorder.stop()
            pass_.close()
            torch.set_grad_enabled(False)  # the rest needs no graph
        return replaced

    recorder = ModuleRecorder(model, see)
    mode = Deconvnet(settings.rule, settings.unpool, settings.lrn, settings.activations, recorder.where)
    mode.watch(pixels)
    pass_ = ForwardPass(photos, leaf, pixels.grad_fn.next_functions[0][0], mode)
    try:
        with torch.enable_grad(), mode, tracker or contextlib.nullcontext():
            final = recorder.run(model, *inputs.arguments(pixels, photos))
            pass_.final = tree_map(lambda each: each.detach() if isinstance(each, Tensor) else each, final)
    except DeconvnetError:
        raise
    except Exception as error:
        size = " x ".join(map(str, leaf.shape[1:]))
        failure = ModelError(
            f"the model does not run on photos of {size} ({first_line(error)}): check their size and channels, "
            "and the model itself."
        )
        if not all(name in pass_.outputs for name in layers):
            raise failure from error
        pass_.failure = failure
    _check_outputs(pass_, layers)
    return pass_


def _see(
    pass_: ForwardPass,
    tracker: FieldTracker | None,
    layers: Sequence[str],
    call: tuple[nn.Module, list[str], Any, Any],
) -> Any:
    """Record the output of a module; gives what takes its place, or None."""
    (module, names, arguments, output), mode, replaced = call, pass_.mode, None
    if mode.lrn == "identity" and isinstance(module, nn.LocalResponseNorm) and arguments:
        # Whatever calls a subclass of it makes, the signal passes it by.
        output = replaced = skip_lrn(arguments[0], output, _computation(module, arguments[0], output))
    mode.follow(module, names[0], output)
    if tracker is not None:
        tracker.follow(module, arguments, output)
    for name in names:
        if name in layers:
            _check_output(name, output, len(pass_.photos))
            pass_.outputs[name] = output.clone()  # the model may overwrite the tensor itself
            pass_.runs[name] += 1
            pass_.taken[name] = mode.taken_out
            if tracker is not None:
                pass_.fields[name] = tracker.layer(output)
    return replaced


def _check_outputs(pass_: ForwardPass, layers: Sequence[str]) -> None:
    for name in layers:
        if name not in pass_.outputs:
            raise ModelError(f"layer {name!r} did not run in the model's forward pass: ask for one that does.")
        if not all_finite(pass_.outputs[name]):
            raise ModelError(
                f"layer {name!r} gives NaN or infinite activations for {bad_photo(pass_.outputs[name], pass_.photos)}: "
                "check the weights and the preprocessing."
            )


def first_line(error: Exception) -> str:
    """An exception's kind and the first line that it says."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"


def _computation(module: nn.Module, maps: Tensor, output: Tensor) -> Callable[[Tensor], Tensor] | None:
    """What a normalising module computes, if that is known for other maps and it works cell by cell."""
    node = output.grad_fn
    if node is not None and kind_of(node) == "LrnSkip" and node.next_functions[0][0] is maps.grad_fn:
        return node.compute  # type: ignore[attr-defined]
    if module._forward_hooks or module._forward_pre_hooks or not works_cell_by_cell(module, maps):
        return None
    return module.forward


def _check_output(name: str, output: Any, count: int) -> None:
    if not isinstance(output, Tensor):
        raise ModelError(f"layer {name!r} gives a {type(output).__name__}, not a tensor: ask for a layer inside it.")
    if output.ndim not in (2, 4) or output.shape[0] != count:
        raise ModelError(
            f"layer {name!r} gives a tensor of shape {tuple(output.shape)} for {count} photos: "
            "units need N x C x H x W or N x F."
        )
