"""What chosen layers answer to a batch, in one forward pass; and which layers stand for the paper's 1, 5 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers
from deconvnet.tracing.modes import evaluation
from deconvnet.tracing.recorder import ModuleCall, record_calls

_PASSING = nn.Dropout | nn.Flatten | nn.Identity  # give on what they got


@dataclass(frozen=True)
class PaperLayers:
    """A network's counterparts of the paper's layers.

    Attributes
    ----------
    first : str
        Layer 1: the first ReLU that runs once in a pass (``relu1``), or else the first convolution.
    maps : str
        Layer 5: the last output with maps before ``last`` (``pool5``; its shape is the paper's 6 x 6 x 256 at 224 px).
    last : str
        Layer 7: what the last linear layer reads (``relu7``).
    """

    first: str
    maps: str
    last: str


@torch.inference_mode()
def responses(network: Network, batch: Tensor, layers: Sequence[str]) -> tuple[dict[str, Tensor], Any]:
    """Feature vectors of layers, and the network's output, from one forward pass.

    Parameters
    ----------
    network : Network
        Run in evaluation mode; comes back as it was.
    batch : Tensor of float, (N, C, H, W)
    layers : sequence of str
        Modules, each run once in a pass. Of an output, the module's own counts, before a ReLU that follows.

    Returns
    -------
    dict of str to Tensor of float, (N, F)
        Outputs, flattened.
    Any
        What the network gives.

    Raises
    ------
    ModelError
        If a layer does not run, runs more than once, gives no float tensor for each photo, or gives NaN or infinity.
    """
    found: dict[str, Tensor] = {}

    def take(call: ModuleCall) -> None:
        name, output = call.name, call.output
        if name in found:
            raise ModelError(
                f"layer {name!r} runs more than once in a pass, so it has no single feature vector: "
                "choose another, for example the block that holds it."
            )
        if not isinstance(output, Tensor) or not output.is_floating_point() or output.shape[:1] != batch.shape[:1]:
            raise ModelError(
                f"layer {name!r} gives no floating-point tensor for each photo: choose a module inside it."
            )
        found[name] = output.flatten(1).clone()  # an in-place ReLU may follow and write over it

    parts = dict(network.module.named_modules())
    with record_calls({name: parts[name] for name in layers}, take), evaluation(network.module):
        output = network.module(batch)
    for name in layers:
        if name not in found:
            raise ModelError(f"the network's forward pass does not run {name!r}: choose a layer that it runs.")
        if not bool(torch.isfinite(found[name]).all()):
            raise ModelError(f"layer {name!r} gives NaN or infinity: check the weights and the preprocessing.")
    return found, output


def paper_layers(network: Network) -> PaperLayers:
    """The layers that stand for the paper's 1, 5 and 7, found by one pass of a blank input.

    Raises
    ------
    OptionError
        If the network has none of a kind; layers must then be named.
    """
    ran = _trace(network)
    once = [step for step in ran if sum(other.name == step.name for other in ran) == 1]
    once = [step for step in once if step.name and not isinstance(step.part, _PASSING)]
    first = next((s for s in once if isinstance(s.part, nn.ReLU)), None)
    first = first or next((s for s in once if isinstance(s.part, nn.Conv2d)), None)
    heads = [s for s in ran if isinstance(s.part, nn.Linear)]
    last = None
    if heads:
        width, end = heads[-1].part.in_features, heads[-1].place  # type: ignore[union-attr]
        last = next((s for s in reversed(once) if s.place < end and s.features == width), None)
    elif once:
        last = once[-1]
    before = [s for s in once if last is not None and s.place < last.place]
    maps = next((s for s in reversed(before) if len(s.shape) == 4 and s.shape[2] * s.shape[3] > 1), None)
    if first is None or last is None or maps is None:
        raise OptionError(
            f"{network.name} has no layers that stand for the paper's 1, 5 and 7: name them with --layer "
            f"(`deconvnet layers {network.address}` lists them)."
        )
    return PaperLayers(first.name, maps.name, last.name)


def checked_layers(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    """Layers without repetition; refused where there is none, or one is unknown."""
    if not layers:
        raise OptionError("no layer to compare: name at least one.")
    check_layers(network, layers)
    return tuple(dict.fromkeys(layers))


@dataclass(frozen=True)
class _Step:
    place: int
    name: str
    part: nn.Module
    shape: tuple[int, ...]

    @property
    def features(self) -> int:
        return int(torch.Size(self.shape[1:]).numel())


@torch.inference_mode()
def _trace(network: Network) -> list[_Step]:
    """Modules that give a tensor, in the order in which they finish."""
    steps: list[_Step] = []

    def note(call: ModuleCall) -> None:
        if isinstance(call.output, Tensor):
            steps.append(_Step(len(steps), call.name, call.module, tuple(call.output.shape)))

    with record_calls(dict(network.module.named_modules()), note), evaluation(network.module):
        network.module(torch.zeros((1, *network.input_shape)))
    return steps
