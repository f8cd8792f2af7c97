"""How much of a projection comes from the weights, and how much from the photo alone.

The weight randomisation tests of Adebayo et al. (2018, arXiv 1810.03292, Sec. 3), for the projections of single units,
and three more:

cascade
    layers get random weights one after the other, from the unit's own layer down to the first (their Sec. 3.1);
alone
    one layer at a time has random weights, all others stay as they are (their Sec. 3.2);
other map
    another feature map (or class) at the same place in the same photo;
other photo, noise
    the same unit at the same place in another photo, and in noise of the photo's mean and deviation.

A picture that hardly changes when weights become random tells little about them. What unrelated pictures have in
common is the floor: another photo and noise show it. Of the deconvnet and guided backpropagation, Sixt, Granz &
Landgraf (2020, arXiv 1912.09818) found that pictures hardly depend on later layers; whether that holds for the network
at hand is what the test tells.

Units start with 1 and are projected whether they are active or not, because with random weights most are not.

Command: ``deconvnet sanity NETWORK PHOTO...``; about half a minute. docs/sanity.md says how to read it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import DataError, DeconvnetError, ModelError, OptionError
from deconvnet.experiments.sanity.record import KIND, SanityRecord
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers
from deconvnet.photo_projections.project import strongest_units
from deconvnet.progress import Progress, report
from deconvnet.projection import RULES as KNOWN_RULES
from deconvnet.projection import Projections, project
from deconvnet.runs import Run, Unit
from deconvnet.runs.results import RunResult
from deconvnet.tracing.modes import example_weight
from deconvnet.tracing.recorder import ModuleCall, record_calls

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("deconvnet", "guided", "gradient")

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False, repr=False)
class Sanity(SanityRecord, RunResult):
    """The result of :func:`sanity`; a notebook shows its plot.

    Attributes
    ----------
    settings, inputs : dict
        What was asked for, and of which weights and photos; for the run's manifest.

        The others are those of `SanityRecord`.
    """

    kind: ClassVar[str] = KIND

    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Sanity({len(self.units)} units of {self.layer} in {len(self.views)} photos: {self.finding()})"

    def plot(self, title: str | None = None) -> Figure:
        """The first unit's pictures on the way to random weights, and similarity curves over all units."""
        from deconvnet.experiments.sanity.figure import record_figure

        return record_figure(self, title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.settings, self.inputs

    @classmethod
    def open(cls, path: Path | str) -> Sanity:
        """Read a run that :meth:`save` wrote."""
        run = Run.open(path, KIND)
        return replace(cls.read(run), settings=dict(run.settings), inputs=dict(run.inputs))


def check_sanity(
    network: Network,
    photos: PhotosLike,
    *,
    names: Sequence[str] | None = None,
    layer: str | None = None,
    units: int = 4,
    stages: int = 8,
    rules: Sequence[str] = RULES,
    seed: int = 0,
    unpool: str = "sum",
    lrn: str = "identity",
    activations: str = "refuse",
    progress: Progress | None = None,
) -> Sanity:
    """Compare projections with those of partly random networks, of other maps and in other photos.

    Parameters
    ----------
    network : Network
        It is copied before any weight is replaced.
    photos : photos
        A path, PIL images or uint8 arrays (H, W, 3), one or several. With several, the next one serves as the
        "other photo".
    names : sequence of str, optional
        Of the photos, for the record.
    layer : str, optional
        The units' layer; unless given the last one with weights, which usually gives the class scores: only there do
        all layers play a part.
    units : int
        So many strongest maps of that layer in each photo, each at its strongest position.
    stages : int
        Layers get random weights in so many groups at most, one layer a group if they suffice.
    rules : sequence of str
        Rules to compare.
    seed : int
        Decides the random weights, the other maps and the noise.
    unpool, lrn, activations : str
        As for :func:`deconvnet.projection.project`.
    progress : Progress, optional

    Returns
    -------
    Sanity

    Notes
    -----
    Random weights are the layer's own, shuffled over the whole layer: all their statistics stay, and nothing of their
    order. So are its biases. Batch norms keep what they learned.

    Raises
    ------
    ModelError
        If no layer with weights lies below the units, or their layer has a single map.
    OptionError, UnknownNameError
        If an option is out of range or the layer does not exist.
    """
    photos = as_photos(photos, names)
    if not len(photos):
        raise DataError("there is no photo to test with: give at least one.")
    for option, value, least in (("units", units, 1), ("stages", stages, 1), ("seed", seed, 0)):
        if value < least:
            raise OptionError(f"{option} must be at least {least}, not {value}.")
    if not rules:
        raise OptionError(f"there is no rule to test: choose from {', '.join(RULES)}.")
    for rule in rules:
        if rule not in KNOWN_RULES:
            raise OptionError(f"there is no rule {rule!r}: choose from {', '.join(KNOWN_RULES)}.")
    _check_measures()
    if layer is not None:
        check_layers(network, [layer])
    views = tuple(network.view(photos.read(i)) for i in range(len(photos)))
    x = network.preprocessing.tensor(views)
    layer, weighted, maps = _weighted_below(network.module, layer, x[:1])
    if maps < 2:
        raise ModelError(f"{layer} has a single map, so there is no other one to compare with: choose another layer.")
    groups = _groups(weighted, stages)
    strongest = [strongest_units(network, view, [layer], units, active=False) for view in views]
    chosen = [(unit, photo) for photo, some in enumerate(strongest) for unit in some]
    generator = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = {"unpool": unpool, "lrn": lrn, "activations": activations}
    others = [_other_map(unit, maps, generator) for unit, _ in chosen]
    tested = _Tests(network.module, x, chosen, others, groups, generator, options, progress, len(rules))
    found = {rule: tested.run(rule) for rule in rules}
    return Sanity(
        network.title,
        layer,
        tuple(tuple(group) for group in groups),
        tuple(unit for unit, _ in chosen),
        tuple(photo for _, photo in chosen),
        {rule: similarities for rule, (similarities, _) in found.items()},
        {rule: tuple(pictures) for rule, (_, pictures) in found.items()},
        views,
        settings={"layer": layer, "units": units, "stages": stages, "rules": list(rules), "seed": seed, **options},
        inputs={
            "network": network.address,
            "weights_sha256": network.fingerprint,
            "photos": list(photos.names),
        },
    )


class _Tests:
    """All tests of one rule after the other, on one copy of the network."""

    def __init__(
        self,
        module: nn.Module,
        x: Tensor,
        cases: list[tuple[Unit, int]],
        others: list[Unit],
        groups: list[list[str]],
        generator: torch.Generator,
        options: dict[str, Any],
        progress: Progress | None,
        rules: int,
    ) -> None:
        self.module = copy.deepcopy(module)
        self.x, self.options, self.progress = x, options, progress
        self.trained = {name: _state(self.module, name) for group in groups for name in group}
        self.random = {name: _shuffled(state, generator) for name, state in self.trained.items()}
        self.groups = groups
        mean, deviation = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True)
        self.noise = mean + deviation * torch.randn(x.shape, generator=generator)
        self.cases, self.others = cases, others
        self.done, self.total = 0, rules * (2 * len(groups) + 3 + (len(x) > 1))

    def run(self, rule: str) -> tuple[dict[str, Array], list[Array]]:
        units, photos = [unit for unit, _ in self.cases], [photo for _, photo in self.cases]
        clean = self._draw(rule, self.x, units, photos)
        pictures = [_inside(clean, 0)]
        if not pictures[0].any():
            raise ModelError(
                f"the {rule} pictures of {units[0].layer} are all empty, so there is nothing to compare: give other "
                "photos or another layer, or look for dead maps with `deconvnet diagnose`."
            )
        found: dict[str, Array] = {}
        rows: list[Array] = []
        for group in self.groups:
            self._load(self.random, group)
            changed = self._draw(rule, self.x, units, photos)
            pictures.append(_inside(changed, 0))
            rows.append(_compare(clean, changed))
        found["cascade"] = np.stack(rows)
        rows = []
        for group in self.groups:
            self._load(self.trained, list(self.trained))
            self._load(self.random, group)
            rows.append(_compare(clean, self._draw(rule, self.x, units, photos)))
        found["alone"] = np.stack(rows)
        self._load(self.trained, list(self.trained))
        found["other map"] = _compare(clean, self._draw(rule, self.x, self.others, photos))[None]
        if len(self.x) > 1:
            shifted = [(photo + 1) % len(self.x) for photo in photos]
            found["other photo"] = _compare(clean, self._draw(rule, self.x, units, shifted))[None]
        found["noise"] = _compare(clean, self._draw(rule, self.noise, units, photos))[None]
        return found, pictures

    def _draw(self, rule: str, pixels: Tensor, units: list[Unit], photos: list[int]) -> Projections:
        drawn = project(
            self.module, pixels, units, photos=photos, rule=rule, seed="one", inactive="project", **self.options
        )
        self.done += 1
        report(self.progress, self.done, self.total, "projecting")
        return drawn

    @torch.no_grad()
    def _load(self, states: dict[str, dict[str, Tensor]], names: list[str]) -> None:
        for name in names:
            part = self.module.get_submodule(name)
            for key, value in states[name].items():
                part.get_parameter(key).copy_(value)


def _state(module: nn.Module, name: str) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.get_submodule(name).named_parameters(recurse=False)}


def _shuffled(state: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    return {
        key: value.flatten()[torch.randperm(value.numel(), generator=generator).to(value.device)].view_as(value)
        for key, value in state.items()
    }


def _other_map(unit: Unit, maps: int, generator: torch.Generator) -> Unit:
    step = 1 + int(torch.randint(maps - 1, (), generator=generator))
    return Unit(unit.layer, (unit.channel + step) % maps, unit.position)


def _weighted_below(module: nn.Module, layer: str | None, x: Tensor) -> tuple[str, list[str], int]:
    """The units' layer, the convolutions and fully connected layers from it down (the latest first), and how
    many maps the layer gives.

    Those that the layer's output does not depend on are not among them.
    """
    ghost = copy.deepcopy(module).requires_grad_(True)
    order: list[str] = []
    outputs: dict[str, Tensor] = {}

    def note(call: ModuleCall) -> None:
        if isinstance(call.module, _ConvNd | nn.Linear):
            order.append(call.name)
        if isinstance(call.output, Tensor):
            outputs[call.name] = call.output.clone()  # the model may overwrite the tensor itself

    parts = {n: part for n, part in ghost.named_modules() if isinstance(part, _ConvNd | nn.Linear) or n == layer}
    with torch.enable_grad():
        with record_calls(parts, note):
            ghost.eval()(x.to(example_weight(ghost, x)))
        order = list(dict.fromkeys(order))
        layer = layer or next((n for n in reversed(order) if n in outputs and outputs[n].ndim in (2, 4)), None)
        if layer is None:
            raise ModelError("the network has no convolution or fully connected layer whose weights could be replaced.")
        if layer not in outputs:
            raise ModelError(f"layer {layer!r} gave no tensor in the forward pass: choose another.")
        weights = [ghost.get_submodule(name).get_parameter("weight") for name in order]
        gradients = (
            torch.autograd.grad(outputs[layer].sum(), weights, allow_unused=True)
            if outputs[layer].requires_grad
            else ()
        )
    below = [name for name, gradient in zip(order, gradients, strict=False) if gradient is not None]
    if not below:
        raise ModelError(f"no layer with weights lies between {layer!r} and the pixels: choose a higher one.")
    return layer, below[::-1], outputs[layer].shape[1]


def _check_measures() -> None:
    try:
        import skimage.metrics  # noqa: F401
    except ImportError as error:
        raise DeconvnetError(
            "comparing pictures needs scikit-image, which is not installed: pip install 'deconvnet[experiments]'."
        ) from error


def _groups(layers: list[str], most: int) -> list[list[str]]:
    """Consecutive layers, in at most so many groups of nearly one size."""
    bounds = np.linspace(0, len(layers), min(most, len(layers)) + 1).round().astype(int)
    return [layers[first:last] for first, last in pairwise(bounds)]


def _inside(projections: Projections, index: int) -> Array:
    """The projection in the part of its receptive field that lies in the photo."""
    pixels, box = projections.pixels[index], projections.boxes[index]
    if box is None:
        return pixels
    inside = box.clip(*pixels.shape[1:])
    return pixels[:, inside.top : inside.bottom, inside.left : inside.right]


def _compare(clean: Projections, changed: Projections) -> Array:
    """Similarities of each unit's two pictures, (U, 3)."""
    return np.array([similarity(_inside(clean, i), _inside(changed, i)) for i in range(len(clean))])


def similarity(first: Array, second: Array) -> tuple[float, float, float]:
    """How alike two projections of one place are, by three of the measures of Adebayo et al. (2018).

    Parameters
    ----------
    first, second : ndarray of float, (C, h, w)

    Returns
    -------
    ssim : float
        Structural similarity (Wang et al. 2004) of the pictures as they are displayed, each divided by its largest
        magnitude; windows of 7 x 7, smaller where the picture is. 1 is equal.
    rank : float
        Spearman's rank correlation of the signed pixels.
    rank_of_magnitudes : float
        The same without the signs.

        All three are 0 if one of the pictures is empty; a rank correlation is 0 if one is constant.
    """
    from skimage.metrics import structural_similarity

    if first.shape != second.shape:
        raise OptionError(f"pictures of shapes {first.shape} and {second.shape} cannot be compared.")
    largest = [float(np.abs(picture).max()) for picture in (first, second)]
    if not all(largest):
        return 0.0, 0.0, 0.0
    shown = [picture / most for picture, most in zip((first, second), largest, strict=True)]
    window = min(7, *(side - (side % 2 == 0) for side in first.shape[1:]))
    if window >= 3:
        alike: Any = structural_similarity(shown[0], shown[1], win_size=window, data_range=2.0, channel_axis=0)
    else:
        alike = float(np.allclose(shown[0], shown[1]))
    signed = _rank_correlation(first, second)
    return float(alike), signed, _rank_correlation(np.abs(first), np.abs(second))


def _rank_correlation(first: Array, second: Array) -> float:
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    found: Any = spearmanr(first.ravel(), second.ravel())
    return float(found.statistic)
