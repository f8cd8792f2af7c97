"""Look at the graph between a layer and the pixels before anything is projected: is every step one that we know?

The list of steps is closed. What is not on it is refused by name rather than passed with its plain gradient.
"""

# ruff: noqa: SIM905  (word lists read better as words)
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from deconvnet.errors import ModelError
from deconvnet.projection._lrn import LrnGradient, LrnSkip
from deconvnet.projection._pooling import MaxPool
from deconvnet.projection._substitution import CallSite, Deconvnet, Rectify

# Linear steps, and steps that are linear once their switches are known: their backward is the transposed step.
_LINEAR = frozenset(
    """
    Convolution ConvolutionOverrideable SlowConv2D MkldnnConvolution Addmm Mm Mv Bmm Baddbmm Addbmm Addmv Linear
    MkldnnLinear Matmul Add Addcmul Sub Rsub Mul Div Neg Sum Mean Cumsum
    AvgPool2D AvgPool3D MkldnnAvgPool2D AdaptiveAvgPool2D MkldnnAdaptiveAvgPool2D
    ConstantPadNd ReflectionPad1D ReflectionPad2D ReplicationPad1D ReplicationPad2D
    View UnsafeView ReshapeAlias Reshape Permute Transpose T Unflatten Squeeze Unsqueeze Expand Repeat Cat Stack
    Slice Select Split SplitWithSizes UnsafeSplit Chunk Unbind Narrow Index IndexSelect Gather Clone Copy
    CopySlices AsStrided AsStridedScatter ToCopy ToDtype Contiguous Alias Flip Roll Rot90 Diagonal
    Unfold Im2Col Col2Im PixelShuffle PixelUnshuffle NativeChannelShuffle ChannelShuffle
    UpsampleNearest2D UpsampleNearestExact2D UpsampleBilinear2D UpsampleBicubic2D UpsampleBilinear2DAa
    UpsampleBicubic2DAa NativeBatchNorm CudnnBatchNorm MiopenBatchNorm NativeDropout
    MaxPool MaxUnpool2D Amax Max Maximum Rectify LrnSkip LrnGradient AccumulateGrad
    """.split()
)
# Linear only if no more than one of the factors comes from the pixels.
_PRODUCTS = frozenset("Mul Mm Mv Bmm Matmul Linear MkldnnLinear Convolution ConvolutionOverrideable".split())
_PRODUCTS_WITH_SUMMAND = frozenset("Addmm Baddbmm Addbmm Addmv Addcmul".split())
_REDUCING = ("Mean", "Sum", "Amax")
_NORMS = ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm")
# Ours replaces these wherever a Python call makes them; one that is left was made where no call comes by.
_MISSED = {
    "Relu": "ReLU",
    "MaxPool2DWithIndices": "max pool",
    "MkldnnMaxPool2D": "max pool",
    "AdaptiveMaxPool2D": "max pool",
}


Links = Callable[[Any], Any]


@dataclass(frozen=True)
class GraphPath:
    """What was seen between a layer and the pixels.

    Attributes
    ----------
    relus : int
        Number of rectifying steps.
    gated : bool
        Whether a step uses numbers that the model computed from this very photo, outside the graph.
    hooked : bool
        Whether the model changes a gradient by a hook of its own.
    mixed : bool
        Whether photos of one batch may have to do with each other there: a step gives a tensor without the batch axis,
        or reduces it.
    """

    relus: int
    gated: bool
    hooked: bool
    mixed: bool


def check_path(top: Any, pixels: Any, layer: str, mode: Deconvnet, taken: CallSite | None) -> GraphPath:
    """Refuse a path on which the deconvnet is not defined; count its ReLUs.

    Parameters
    ----------
    top : autograd node or None
        Made the asked layer's output.
    pixels : autograd node
        Accumulates the gradient of the pixels.
    layer : str
        The asked layer's name, for the message.
    mode : Deconvnet
        Under which the forward pass ran.
    taken : CallSite or None
        Where the model took numbers out of a tensor, before the layer ran.

    Returns
    -------
    GraphPath

    Raises
    ------
    ModelError
        If the layer does not depend on the pixels, or a step is not one that we know.
    """
    sites, activations, lrn = mode.sites, mode.activations, mode.lrn
    order = _children_first(top)
    on_path = _on_path(order, pixels, _edges)
    if top is None or top not in on_path:
        raise ModelError(
            f"layer {layer!r} does not depend on the pixels in a way that autograd can follow "
            "(no_grad, detach or numpy inside the model, or only another of several inputs?): ask for a layer below "
            "that, or choose the input with onto=NUMBER."
        )
    if taken is not None and activations == "refuse":
        raise ModelError(
            f"the model{_in(taken)} takes numbers out of a tensor that depends on the photo ({taken.function}), and "
            "autograd cannot follow what it does with them: choose activations='gradient' to take them as constants, "
            "or remove the hook if one only records them."
        )
    origin: dict[Any, CallSite | None] = {}
    for node in reversed(order):  # a node inside a composite call belongs to the call that made its consumer
        here = origin[node] = sites.get(node, origin.get(node))
        for child, _ in node.next_functions:
            if child is not None:
                origin.setdefault(child, here)

    rectified, gated, hooked, mixed, count = 0, False, False, False, len(pixels.variable)
    for node in order:
        if node not in on_path:
            continue
        kind, site = kind_of(node), origin[node]
        mixed |= node is not pixels and _leaves_batch(node, count)
        rectified += kind == "Rectify"
        if kind in _MISSED and (site is None or site.function != "lp_pool2d"):  # which has a ReLU of its own
            raise ModelError(
                f"on the way from layer {layer!r} to the pixels the model{_in(site)} computes a {_MISSED[kind]} where "
                "it cannot be replaced (scripted or compiled code?): give the plain Python module."
            )
        if own_function(node):
            site = sites.get(node)  # a consumer's call did not make it
        gated |= site is not None and (site.gated or "dropout" in site.function)
        if site is not None and site.hidden:
            raise ModelError(
                f"the model{_in(site)} changes a tensor ({site.function}) on the way from layer {layer!r} to the "
                "pixels where autograd cannot follow: take no_grad, .data or detach out of its forward."
            )
        if kind in _NORMS and _uses_batch_statistics(node) and (site is None or site.function != "instance_norm"):
            raise ModelError(
                f"the model{_in(site)} applies a batch norm without running statistics, so each photo's answer would "
                "depend on the others in its batch: give a model with running statistics."
            )
        if site is not None and site.lrn and lrn == "grad":
            continue
        hooked |= site is not None and site.hooked
        odd = _nonlinear(node, kind, on_path, site)
        if odd and activations == "refuse":
            raise ModelError(
                f"the model{_in(site)} applies {odd}, which is neither linear nor a ReLU, on the way from layer "
                f"{layer!r} to the pixels, and the deconvnet does not say what to do there: choose "
                "activations='gradient' (its true derivative) or activations='relu' (treat it like a ReLU)."
            )
    return GraphPath(rectified, gated, hooked, mixed)


def _leaves_batch(node: Any, count: int) -> bool:
    shape = tuple(node._input_metadata[0].shape) if getattr(node, "_input_metadata", ()) else (count,)
    over = getattr(node, "_saved_dim", None)
    reduced = over if isinstance(over, tuple) and kind_of(node) in _REDUCING else ()
    axes = len(shape) + (0 if getattr(node, "_saved_keepdim", False) else len(reduced))
    return shape[:1] != (count,) or any(signed(dim) % max(axes, 1) == 0 for dim in reduced)


def _nonlinear(node: Any, kind: str, on_path: set[Any], site: CallSite | None) -> str:
    """What is not linear about a node, in words; empty if nothing is."""
    name = site.function if site is not None else kind
    factors = [child in on_path for child, _ in node.next_functions]
    own = own_function(node)
    if own:
        return "a backward hook" if own.startswith("BackwardHook") else f"an autograd function of its own, {own}"
    if kind not in _LINEAR or (site is not None and kind in _NORMS and site.function == "instance_norm"):
        return name
    if site is not None and site.hooked:
        return "a hook to its gradient (register_hook)"
    if site is not None and "dropout" in site.function:
        return f"{name} that is on in eval mode too, so that no two passes agree"
    if kind == "Div" and getattr(node, "_saved_rounding_mode", None):
        return f"{name} with rounding"
    if site is not None and site.gated and kind not in ("Rectify", "MaxPool", "LrnSkip", "MaxUnpool2D"):
        return f"{name} with a mask or number that it computes from the photo"
    if kind in _PRODUCTS and sum(factors) > 1:
        return f"a product of two signals ({name})"
    if kind in _PRODUCTS_WITH_SUMMAND and sum(factors[1:]) > 1:
        return f"a product of two signals ({name})"
    if kind == "Div" and any(factors[1:]):
        return f"a division by a signal ({name})"
    if kind == "Maximum" and sum(factors) == 1:
        return f"{name} with a constant"
    return ""


def _edges(node: Any) -> Any:
    return node.next_functions


def _on_path(children_first: list[Any], pixels: Any, links: Links) -> set[Any]:
    on_path: set[Any] = set()
    for node in children_first:
        if node is pixels or any(child in on_path for child, _ in links(node)):
            on_path.add(node)
    return on_path


def nodes_between(top: Any, pixels: Any, links: Links = _edges) -> list[Any]:
    """The autograd nodes from ``top`` down to ``pixels``, each after all that use it.

    ``links`` gives a node's children, as pairs (node or None, number of its output).
    """
    order = _children_first(top, links)
    on_path = _on_path(order, pixels, links)
    return [node for node in reversed(order) if node in on_path]


def _children_first(top: Any, links: Links = _edges) -> list[Any]:
    """All nodes below ``top``, each after its children."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(top, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((child, False) for child, _ in links(node))
    return order


_OURS = (Rectify, MaxPool, LrnSkip, LrnGradient)


def own_function(node: Any) -> str:
    """The name of the model's own autograd function that made a node; empty for torch's own nodes and for ours."""
    if not isinstance(node, torch.autograd.function.BackwardCFunction):
        return ""
    function = node._forward_cls  # type: ignore[attr-defined]
    return "" if function in _OURS else function.__name__


def kind_of(node: Any) -> str:
    """An autograd node's kind: its name without "Backward0"; none that is known for a function of the model's own."""
    own = own_function(node)
    return f"function {own}" if own else re.sub(r"Backwards?\d*$", "", node.name().rsplit("::", 1)[-1])


def signed(number: int) -> int:
    """Torch shows negative numbers that a node keeps as unsigned ones."""
    return number - 2**64 if number >= 2**63 else int(number)


def _uses_batch_statistics(node: Any) -> bool:
    return bool(getattr(node, "_saved_training", False))


def _in(site: CallSite | None) -> str:
    return f"'s layer {site.layer!r}" if site is not None and site.layer else ""
