"""How much of a projection comes from the network, and how much from the photo alone.

The tests of Adebayo et al. (2018, arXiv 1810.03292), which Sixt, Granz & Landgraf (2020, arXiv 1912.09818) ran on the
deconvnet, for the projections of single units:

cascade
    weights are replaced by random ones layer by layer, from the unit's own layer down to the first;
alone
    one layer at a time is replaced, all others stay trained;
wrong unit
    another feature map at the same place in the same photo;
random photo
    the same units in noise with the photo's mean and deviation.

A picture that hardly changes when weights become random tells little about them. Expect that of the deconvnet where
upper layers are replaced: rectification and switches carry the photo through.

Command: ``deconvnet sanity NETWORK PHOTO``; about half a minute.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError
from deconvnet.experiments.projecting import check_layers, convolutions, strongest_units
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import Photo
from deconvnet.projection import Projections, project
from deconvnet.runs import Run, Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("deconvnet", "guided", "gradient")


@dataclass(frozen=True)
class Similarity:
    """How alike a changed projection is to the unchanged one, averaged over units.

    Attributes
    ----------
    test : str
        ``"cascade"``, ``"alone"``, ``"wrong unit"`` or ``"random photo"``.
    rule : str
        The rule of the projections.
    layer : str
        The layer down to which (cascade) or which alone has random weights; empty for the other tests.
    ssim : float
        Mean structural similarity of the pictures, each divided by its largest magnitude; 1 is equal. NaN if no unit
        was left to compare.
    rank_correlation : float
        Mean Spearman correlation of the pixels' magnitudes (summed over channels), -1 to 1; NaN as above.
    units : int
        Units compared: those that are active in both.
    """

    test: str
    rule: str
    layer: str
    ssim: float
    rank_correlation: float
    units: int


@dataclass(frozen=True, eq=False)
class Sanity:
    """The result of :func:`sanity`.

    Attributes
    ----------
    layer : str
        The units' layer.
    units : tuple of Unit
    layers : tuple of str
        Layers with weights between units and pixels, from the units' own down to the first.
    similarities : tuple of Similarity
    examples : dict of str to list of ndarray, float (C, h, w)
        For each rule, the first unit's projection in the part of its receptive field that lies in the photo: unchanged,
        then for each step of the cascade.
    view : ndarray of uint8, (H, W, 3)
    """

    layer: str
    units: tuple[Unit, ...]
    layers: tuple[str, ...]
    similarities: tuple[Similarity, ...]
    examples: dict[str, list[npt.NDArray[np.floating]]]
    view: npt.NDArray[np.uint8]

    def of(self, test: str, rule: str) -> list[Similarity]:
        """The similarities of one test and rule, in the order of layers."""
        return [s for s in self.similarities if (s.test, s.rule) == (test, rule)]

    def plot(self, title: str | None = None) -> Figure:
        """The curves, and the first unit's pictures on the way."""
        from deconvnet.figures.sanity import sanity_figure

        return sanity_figure(
            self.view,
            self.layers,
            {
                rule: {
                    test: [(s.ssim, s.rank_correlation) for s in self.of(test, rule)]
                    for test in ("cascade", "alone", "wrong unit", "random photo")
                }
                for rule in self.examples
            },
            self.examples,
            title or f"Does the picture of {self.units[0]} come from the weights?",
        )

    def save(self, path: Path | str, overwrite: bool = False) -> Run:
        """Write a run of kind ``sanity``: ``sanity.json``, the example pictures as arrays, and the view."""
        run = Run.create(path, "sanity", {"layer": self.layer, "layers": self.layers}, {}, overwrite=overwrite)
        rows = [{k: None if v != v else v for k, v in asdict(s).items()} for s in self.similarities]
        run.save_json("sanity", {"units": [str(u) for u in self.units], "similarities": rows})
        run.save_arrays(
            "examples", {f"{rule}/{i}": e for rule, some in self.examples.items() for i, e in enumerate(some)}
        )
        run.save_image("view", self.view)
        run.finish()
        return run


def sanity(
    network: Network,
    photo: Photo,
    *,
    layer: str | None = None,
    units: int = 8,
    rules: Sequence[str] = RULES,
    seed: int = 0,
    unpool: str = "sum",
    lrn: str = "identity",
    progress: Callable[[int, int], None] | None = None,
) -> Sanity:
    """Compare projections with those of partly random networks, other units and noise.

    Parameters
    ----------
    network : Network
        It is copied before any weight is replaced.
    photo : PIL image or ndarray of uint8
    layer : str, optional
        The units' layer; the last convolutional one unless given.
    units : int
        The strongest maps of that layer in the photo, at their strongest position; results are means over them.
    rules : sequence of str
        Rules to compare.
    seed : int
        Decides the random weights and the noise.
    unpool, lrn : str
        As for :func:`deconvnet.projection.project`.
    progress : callable(done, total), optional

    Returns
    -------
    Sanity

    Raises
    ------
    ModelError
        If no map of the layer is active in the photo.
    OptionError, UnknownNameError
        If an option is out of range or the layer does not exist.
    """
    layer = layer or convolutions(network)[-1]
    check_layers(network, [layer])
    view = network.view(photo)
    x = network.preprocessing.tensor([view])
    chosen = strongest_units(network, view, [layer], units)
    if len(chosen) < 2:
        raise ModelError(f"fewer than two maps of {layer} are active in this photo: choose another layer or photo.")
    layers = _weighted_below(network.module, layer, x)
    generator = torch.Generator().manual_seed(seed)
    noise = x.mean() + x.std() * torch.randn(x.shape, generator=generator)
    randomized = {name: _random_like(network.module.get_submodule(name), generator) for name in layers}
    similarities: list[Similarity] = []
    examples: dict[str, list[npt.NDArray[np.floating]]] = {}
    total, done = len(rules) * (2 * len(layers) + 3), 0

    def draw(module: nn.Module, pixels: Tensor, some: Sequence[Unit], rule: str) -> Projections:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return project(module, pixels, some, rule=rule, unpool=unpool, lrn=lrn, seed="one")

    for rule in rules:
        clean = draw(network.module, x, chosen, rule)
        examples[rule] = [_inside(clean, 0)]
        cascade = copy.deepcopy(network.module)
        for name in layers:
            _replace(cascade, name, randomized[name])
            changed = draw(cascade, x, chosen, rule)
            examples[rule].append(_inside(changed, 0))
            similarities.append(_compare("cascade", rule, name, clean, changed))
        for name in layers:
            alone = copy.deepcopy(network.module)
            _replace(alone, name, randomized[name])
            similarities.append(_compare("alone", rule, name, clean, draw(alone, x, chosen, rule)))
        others = [
            Unit(layer, chosen[(i + 1) % len(chosen)].channel, unit.position) for i, unit in enumerate(chosen)
        ]  # another strong map at this unit's place
        similarities.append(_compare("wrong unit", rule, "", clean, draw(network.module, x, others, rule)))
        similarities.append(_compare("random photo", rule, "", clean, draw(network.module, noise, chosen, rule)))
    return Sanity(layer, tuple(chosen), tuple(layers), tuple(similarities), examples, view)


def _weighted_below(module: nn.Module, layer: str, x: Tensor) -> list[str]:
    """Layers with a weight between pixels and ``layer``, from it down, in the order in which they ran."""
    ran: list[str] = []
    handles = [
        part.register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    if layer not in ran:
        raise OptionError(f"{layer} has no weights of its own: choose a convolution or a fully connected layer.")
    return list(reversed(list(dict.fromkeys(ran[: ran.index(layer) + 1]))))


def _random_like(part: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Gaussian weights with each tensor's own mean and deviation."""
    out: dict[str, Tensor] = {}
    for name, value in part.named_parameters():
        deviation = value.std() if value.numel() > 1 else torch.zeros(())
        out[name] = (value.mean() + deviation * torch.randn(value.shape, generator=generator)).detach()
    return out


@torch.no_grad()
def _replace(module: nn.Module, name: str, tensors: dict[str, Tensor]) -> None:
    for key, value in module.get_submodule(name).named_parameters():
        value.copy_(tensors[key])


def _compare(test: str, rule: str, layer: str, clean: Projections, changed: Projections) -> Similarity:
    pairs: list[tuple[float, float]] = []
    for i in range(len(clean)):
        if clean.active[i] and changed.active[i]:
            pairs.append(similarity(_inside(clean, i), _inside(changed, i)))
    values = np.array(pairs) if pairs else np.full((1, 2), np.nan)
    return Similarity(test, rule, layer, float(values[:, 0].mean()), float(values[:, 1].mean()), len(pairs))


def _inside(projections: Projections, index: int) -> npt.NDArray[np.floating]:
    """The projection in the part of its receptive field that lies in the photo: grey filling is not compared."""
    pixels, box = projections.pixels[index], projections.boxes[index]
    if box is None:
        return pixels
    inside = box.clip(*pixels.shape[1:])
    return pixels[:, inside.top : inside.bottom, inside.left : inside.right]


def similarity(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Structural similarity and rank correlation of two projections.

    Parameters
    ----------
    first, second : ndarray of float, (C, h, w)
        Of the same place.

    Returns
    -------
    ssim : float
        Of the pictures as they are displayed: each divided by its largest magnitude (Wang et al. 2004, 7 x 7 windows,
        smaller where the picture is).
    rank_correlation : float
        Spearman's, of magnitudes summed over channels; 0 if one of them is constant.
    """
    from scipy.stats import spearmanr
    from skimage.metrics import structural_similarity

    shown: list[npt.NDArray[np.floating]] = []
    for picture in (first, second):
        largest = np.abs(picture).max()
        shown.append(picture / largest if largest else picture)
    window = min(7, *(side - (side % 2 == 0) for side in first.shape[1:]))
    if window >= 3:
        alike = structural_similarity(shown[0], shown[1], win_size=window, data_range=2.0, channel_axis=0)
    else:
        alike = float(np.allclose(shown[0], shown[1]))
    sizes = [np.abs(picture).sum(0).ravel() for picture in (first, second)]
    if any(np.ptp(size) == 0 for size in sizes):
        return float(np.asarray(alike)), 0.0
    rank: Any = spearmanr(sizes[0], sizes[1])
    return float(np.asarray(alike)), float(rank.statistic)
