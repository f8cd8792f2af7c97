"""Is the projection engine right on everyone's networks, or does it say why not? Never may it be silently wrong.

Every classification CNN of torchvision and one small member of each CNN family of timm, with random weights: a unit of
the last convolutional layer is projected by the engine and, independently, by plain autograd on the unedited model. For
``rule="gradient"`` that is the unit's gradient; for ``rule="deconvnet"`` the graph that autograd recorded is walked,
and a hook at each of its ReLU nodes rectifies what goes down (Sec. 2.1), however the model spells its ReLUs.

Command: ``python -m benchmarks.sweep_command``; a few seconds a network, half an hour in
all. docs/sweep.md is its table.
"""

# ruff: noqa: SIM905  (word lists read better as words)
from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deconvnet.errors import DeconvnetError, ModelError
from deconvnet.networks import Network, load
from deconvnet.networks.layers import convolutions
from deconvnet.projection import Projections, project
from deconvnet.runs import Unit

SIDE = 128  # pixels; networks that cannot be run on so few get their own size
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}  # largest difference, relative to the largest magnitude
_WIDE = 150_000_000  # networks with more parameters stay in float32
_TRANSFORMERS = ("vit_", "swin_")
# One small member of each family, by the file of timm that holds it and, inside a file, by its kind of block.
TIMM = tuple(
    """
    resnet18 resnet26t resnext50_32x4d resnetblur50 resnetaa34d ecaresnet26t seresnext26d_32x4d seresnet33ts
    resnetrs50 gcresnext26ts skresnet18 resnest14d res2net50_14w_8s res2next50 resnetv2_18 resnetv2_50 resnet51q
    wide_resnet50_2 legacy_seresnet18 legacy_seresnext26_32x4d densenet121 densenetblur121d dla34 dla46x_c dla60_res2net
    dpn48b dpn68 vgg11 vgg11_bn inception_v3 inception_v4 inception_resnet_v2 inception_next_atto legacy_xception
    xception41 xception41p nasnetalarge pnasnet5large mobilenetv1_100 mobilenetv2_035 mobilenetv3_small_050
    mobilenetv3_rw mobilenetv4_conv_small_035 mobilenetv4_hybrid_medium mnasnet_small semnasnet_075 efficientnet_b0
    tf_efficientnet_lite0 efficientnet_es efficientnetv2_rw_t efficientnet_blur_b0 mixnet_s fbnetc_100 fbnetv3_b
    spnasnet_100 hardcorenas_a ghostnet_050 ghostnetv2_100 ghostnetv3_050 repghostnet_050 lcnet_035 lcnetv2_base
    tinynet_e rexnet_100 rexnetr_100 regnetx_002 regnety_002 regnetz_005 regnetv_040 convnext_atto convnextv2_atto
    convnext_atto_ols convmixer_1024_20_ks9_p14 cspresnet50 cspresnext50 cspdarknet53 darknet17 darknetaa53 cs3darknet_s
    hrnet_w18_small hgnet_tiny hgnetv2_b0 selecsls42 tresnet_m ese_vovnet19b_slim_dw vovnet39a repvgg_a0 mobileone_s0
    gernet_s fastvit_t8 repvit_m0_9 starnet_s050 shvit_s1 fasternet_t0 edgenext_xx_small efficientformer_l1
    efficientformerv2_s0 mobilevit_xxs mobilevitv2_050 poolformer_s12 poolformerv2_s12 convformer_s18 nf_resnet26
    nf_regnet_b0 eca_nfnet_l0 focalnet_tiny_srf mambaout_femto rdnet_tiny botnet26t_256 halonet26t lambda_resnet26t
    visformer_tiny levit_conv_128s efficientvit_b0 nextvit_small swiftformer_xs iformer_t lowformer_b0
    efficientvim_m1 csatv2
    """.split()
)


@dataclass(frozen=True)
class Check:
    """One comparison of the engine with plain autograd.

    Attributes
    ----------
    rule, activations : str
        Settings of :func:`deconvnet.projection.project`.
    unit : str
    error : float
        Largest difference of a pixel, relative to the largest magnitude of a pixel.
    relus, relus_recorded : int
        ReLUs on the way, as the engine counts them and as autograd recorded them.
    windowed : bool
        Whether the engine passed the unit down through its window alone.
    ok : bool
        Whether the error is within rounding and the ReLUs are as many.
    """

    rule: str
    activations: str
    unit: str
    error: float
    relus: int
    relus_recorded: int
    windowed: bool
    ok: bool


@dataclass(frozen=True)
class SweepRow:
    """What became of one network.

    Attributes
    ----------
    network : str
    outcome : {"right", "refused", "wrong", "failed", "not run"}
        ``right``: the last convolutional layer is projected, as it should be. ``refused``: it is not, with a reason;
        what is projected (an earlier layer; or the same one, once ``activations="gradient"`` is chosen) is right.
        ``wrong``: a picture differs. ``failed``: an error that is no sentence of ours. ``not run``: the network itself
        cannot be built or run here.
    reason : str
        Why it was refused or not run, or what failed.
    layer : str
        The last convolutional layer.
    reaches : str
        The last convolutional layer that is projected without a choice of ``activations``.
    side : int
        Of the input, in pixels.
    precision : str
    checks : tuple of Check
    seconds : float
    """

    network: str
    outcome: str
    reason: str = ""
    layer: str = ""
    reaches: str = ""
    side: int = 0
    precision: str = ""
    checks: tuple[Check, ...] = field(default=())
    seconds: float = 0.0

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> SweepRow:
        """Read what ``dataclasses.asdict`` gave."""
        return cls(**{**record, "checks": tuple(Check(**check) for check in record["checks"])})


def sweep_names() -> list[str]:
    """The networks of the full sweep, those of packages that are installed."""
    from importlib import import_module
    from importlib.util import find_spec

    names: list[str] = []
    if find_spec("torchvision"):
        models = import_module("torchvision.models")
        names += [f"torchvision:{n}" for n in models.list_models(module=models) if not n.startswith(_TRANSFORMERS)]
    if find_spec("timm"):
        known = set(import_module("timm").list_models())
        names += [f"timm:{n}" for n in TIMM if n in known]
    if not names:
        raise ModelError("the sweep needs networks: pip install torchvision timm.")
    return names


def sweep(
    names: Iterable[str], record: Path | str | None = None, progress: Callable[[SweepRow], None] | None = None
) -> list[SweepRow]:
    """Compare the engine with plain autograd on many networks.

    Parameters
    ----------
    names : iterable of str
        As :func:`deconvnet.load` takes them.
    record : path, optional
        JSON lines, one a network, written as they come; networks in it are not done again.
    progress : callable(SweepRow), optional

    Returns
    -------
    list of SweepRow
    """
    done: dict[str, SweepRow] = {}
    if record is not None and Path(record).is_file():
        lines = Path(record).read_text().splitlines()
        done = {swept.network: swept for swept in (SweepRow.from_record(json.loads(line)) for line in lines if line)}
    found: list[SweepRow] = []
    for name in names:
        if name not in done:
            done[name] = sweep_one(name)
            gc.collect()
            if record is not None:
                with open(record, "a") as file:
                    file.write(json.dumps(asdict(done[name])) + "\n")
        found.append(done[name])
        if progress is not None:
            progress(done[name])
    return found


def sweep_one(name: str) -> SweepRow:
    """Compare the engine with plain autograd on one network; see :class:`SweepRow`."""
    started = time.monotonic()
    try:
        try:
            network = load(name, input_size=SIDE)
        except ModelError:
            network = load(name)
        module, pixels = _prepare(network)
        layers = convolutions(network)
    except Exception as error:
        return SweepRow(name, "not run", _first_sentence(error), seconds=time.monotonic() - started)
    layer, reaches, reason = layers[-1], "", ""
    checks: list[Check] = []
    try:
        reason = _refusal(module, pixels, layer, "refuse")
        reaches = _last_accepted(module, pixels, layers) if reason else layer
        plan = [(reaches, "refuse")] if reaches else []
        if reason and not _refusal(module, pixels, layer, "gradient"):
            plan.append((layer, "gradient"))
        for place, activations in plan:
            checks += [_check(module, pixels, place, rule, activations) for rule in ("gradient", "deconvnet", "guided")]
        outcome = "wrong" if not all(check.ok for check in checks) else "refused" if reason else "right"
    except Exception as error:
        outcome, reason = "failed", _first_sentence(error)
    return SweepRow(
        name,
        outcome,
        reason,
        layer,
        reaches,
        pixels.shape[-1],
        str(pixels.dtype).removeprefix("torch."),
        tuple(checks),
        time.monotonic() - started,
    )


def _prepare(network: Network) -> tuple[nn.Module, Tensor]:
    """The module with all parameters random, none zero, none trainable; and an input of noise."""
    module = network.module.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    batch_norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for part in batch_norms:
        if part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
    for name, value in module.named_parameters():
        if value.ndim <= 1 and value.is_floating_point():
            if "bias" in name:
                value.normal_(0, 0.1, generator=generator)
            else:
                value.uniform_(0.5, 1.5, generator=generator)
        elif not value.any():  # blocks that begin as the identity
            value.normal_(0, 0.05, generator=generator)
    pixels = torch.randn((1, *network.input_shape), generator=generator)
    if network.parameters < _WIDE:
        try:
            with torch.no_grad():
                module.double()(pixels.double())
            return module, pixels.double()
        except RuntimeError:  # a tensor made in float32 inside
            module.float()
    return module, pixels


def _refusal(module: nn.Module, pixels: Tensor, layer: str, activations: str) -> str:
    """Why the engine does not project a layer; empty if it does."""
    try:
        project(module, pixels, [Unit(layer, 0)], rule="gradient", activations=activations)
    except DeconvnetError as error:
        return str(error)
    return ""


def _last_accepted(module: nn.Module, pixels: Tensor, layers: Sequence[str]) -> str:
    """The last layer that the engine projects by default, if those before it are; found by halving."""
    if _refusal(module, pixels, layers[0], "refuse"):
        return ""
    low, high = 0, len(layers) - 1  # low is accepted, high is refused
    while high - low > 1:
        middle = (low + high) // 2
        if _refusal(module, pixels, layers[middle], "refuse"):
            high = middle
        else:
            low = middle
    return layers[low]


def _check(module: nn.Module, pixels: Tensor, layer: str, rule: str, activations: str) -> Check:
    """Compare one unit, the strongest one whose picture is not empty."""
    check: Check | None = None
    for unit in _strongest(module, pixels, layer):
        expected, recorded = by_autograd(module, pixels, unit, rule)
        got = project(module, pixels, [unit], rule=rule, activations=activations, lrn="grad")
        check = _compare(got, expected, recorded, rule, activations, TOLERANCE[pixels.dtype])
        if not check.ok or expected.any():
            break
    assert check is not None
    return check


def _compare(got: Projections, expected: Tensor, recorded: int, rule: str, activations: str, tolerance: float) -> Check:
    picture = torch.from_numpy(got.pixels[0])
    largest = float(expected.abs().max())
    difference = float((picture - expected).abs().max())
    error = difference / largest if largest else difference
    relus = got.relus[0]
    ok = error <= tolerance and relus == recorded
    return Check(rule, activations, str(got.units[0]), error, relus, recorded, bool(got.windowed[0]), ok)


@torch.no_grad()
def _strongest(module: nn.Module, pixels: Tensor, layer: str, count: int = 4) -> list[Unit]:
    maps = _output(module, pixels, layer)[0]
    best = maps.flatten(1).max(1)
    channels = best.values.argsort(descending=True)[:count].tolist()
    width = maps.shape[2]
    return [Unit(layer, c, (int(best.indices[c]) // width, int(best.indices[c]) % width)) for c in channels]


def _output(module: nn.Module, pixels: Tensor, layer: str) -> Tensor:
    """A layer's last output in a plain forward pass."""
    outputs: list[Tensor] = []
    handle = module.get_submodule(layer).register_forward_hook(lambda _m, _i, output: outputs.append(output.clone()))
    try:
        module(pixels.clone())  # a model may change its input in place
    finally:
        handle.remove()
    return outputs[-1]


def by_autograd(module: nn.Module, pixels: Tensor, unit: Unit, rule: str) -> tuple[Tensor, int]:
    """A projection without the engine: the graph of a plain forward pass, with hooks at its ReLU nodes.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode, with no trainable parameter.
    pixels : Tensor of float, (1, C, H, W)
    unit : Unit
        With a position.
    rule : {"gradient", "deconvnet", "guided"}

    Returns
    -------
    picture : Tensor of float, (C, H, W)
    relus : int
        ReLU nodes between the unit and the pixels.
    """
    leaf = pixels.clone().requires_grad_()
    assert unit.position is not None
    value = _output(module, leaf, unit.layer)[(0, unit.channel, *unit.position)]
    relus = 0
    for node in _nodes(value.grad_fn):
        if not _is_relu(node):
            continue
        relus += 1
        if rule == "deconvnet":  # Sec. 2.1: the signal is rectified, the forward mask plays no part
            node.register_hook(lambda _into, out: (out[0].relu(),))
        elif rule == "guided":
            node.register_hook(lambda into, _out: (into[0].relu(),))
    (picture,) = torch.autograd.grad(value, leaf, value.detach())
    return picture[0], relus


def _nodes(top: Any) -> Iterable[Any]:
    seen, stack = {top}, [top]
    while stack:
        node = stack.pop()
        yield node
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)


def _is_relu(node: Any) -> bool:
    name = node.name()
    if name == "ClampMinBackward0":
        return node._saved_min == 0
    if name == "ClampBackward1":
        return node._saved_min == 0 and node._saved_max is None
    return name == "ReluBackward0"


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DeconvnetError) else f"{type(error).__name__}: {text[:200]}"


_ABOUT = """\
A unit of the last convolutional layer is projected with the rules gradient, deconvnet and guided, and compared with
plain autograd on the unedited model: its gradient, or for the other rules the same backward pass with a hook at every
ReLU node that autograd recorded. *error* is the largest difference of a pixel relative to the picture's largest
magnitude, the worst of the three rules; *ReLUs* are those on the way, of which the engine and autograd counted the same
number. Networks are compared in float64 where they can be run in it.

- **right**: projected without being asked for a choice, and equal.
- **refused**: a step on the way is neither linear nor a ReLU, and the engine names it and the choices. *up to* is the
  last convolutional layer that it projects without a choice, *then* the last one of all with
  `activations="gradient"`; both are compared too.
- **wrong**: a picture differs. There must be none.
"""


def sweep_table(rows: Sequence[SweepRow], command: str, date: str) -> str:
    """The sweep as a page of Markdown.

    Parameters
    ----------
    rows : sequence of SweepRow
    command, date : str
        What made them, and when.
    """
    counts = {outcome: sum(row.outcome == outcome for row in rows) for outcome in _OUTCOMES}
    lines = [
        "# The engine on everyone's networks",
        "",
        f"`{command}`, {date}, torch {torch.__version__.partition('+')[0]}.",
        "",
        f"{len(rows)} networks with random weights: "
        + ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count or outcome == "wrong")
        + ".",
        "",
        _ABOUT,
        "| network | px | outcome | up to | ReLUs | error | then | ReLUs | error | first step that is refused |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        plain = [check for check in row.checks if check.activations == "refuse"]
        chosen = [check for check in row.checks if check.activations != "refuse"]
        outcome = row.outcome if row.outcome in ("right", "refused") else f"**{row.outcome}**"
        cells = [row.network, str(row.side or ""), outcome]
        for some, layer in ((plain, row.reaches), (chosen, row.layer)):
            if some:
                cells += [f"`{layer}`", str(some[0].relus), f"{max(check.error for check in some):.0e}"]
            else:
                cells += ["", "", ""]
        cells.append(_short(row.reason).replace("|", "\\|"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


_OUTCOMES = ("right", "refused", "wrong", "failed", "not run")


def _short(reason: str) -> str:
    """A refusal without what all of them say."""
    return reason.partition(", which is neither linear")[0].removeprefix("the model's ").removeprefix("the model ")
