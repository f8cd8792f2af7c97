"""Projections through receptive-field windows, against the whole maps and against Captum's one unit a call.

ZFNet, 224 px, one thread. First 64 active units of one photo, each at its map's strongest position, for every
convolutional layer; then the kind of work that Figure 2 asks for: 9 x 64 units of conv5, each for a photo of its own.

Columns: CPU milliseconds a unit, forward pass included, by Captum's ``NeuronDeconvolution``, by whole maps
(``windows=False``) and by windows; how many times faster than Captum the two are; the largest difference of windows
from whole maps, and from Captum where it was run, each relative to the picture's largest magnitude. Captum takes LRN's
true gradient, so the comparison has ``lrn="grad"``; the last column is the time with our default, ``lrn="identity"``.

``python -m benchmarks.projection`` (about three minutes)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn

from benchmarks.stopwatch import interleaved
from deconvnet.networks.zfnet import zfnet
from deconvnet.projection import Projections, project
from deconvnet.runs import Unit

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


def main(units: int = 64, photos: int = 9 * 64, captum_units: int = 4, whole_units: int = 8) -> None:
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = zfnet(101, 224, 512).eval()
    images = torch.randn(photos, 3, 224, 224)
    print(f"{units} units of one photo, zfnet 224 px, one thread, CPU ms a unit with the forward pass")
    print(
        f"{'':12} {'Captum':>7} {'maps':>7} {'windows':>7} {'ratios':>12} {'from maps':>10} "
        f"{'from Captum':>11} {'lrn skipped':>12}"
    )
    for layer in LAYERS:
        some = _active(network, images[:1], layer)[:units]
        _compare(layer, network, images[:1], some, [0] * units, captum_units, whole_units)
    own = strongest(network, images, "conv5")
    print(f"{photos} units of conv5, each for a photo of its own")
    _compare("conv5, top-9", network, images, own, list(range(photos)), captum_units, whole_units)


def _compare(
    title: str, network: nn.Module, images: Tensor, units: Sequence[Unit], photos: list[int], few: int, some: int
) -> None:
    captum = NeuronDeconvolution(network, network.get_submodule(units[0].layer))

    def one_by_one() -> list[Tensor]:
        return [
            captum.attribute(images[p : p + 1].clone().requires_grad_(), (u.channel, *(u.position or ())))
            for u, p in zip(units[:few], photos, strict=False)
        ]

    def maps() -> Projections:
        count = len(units) if photos[-1] == 0 else some  # a photo's forward pass is shared by all its units
        return project(network, images, units[:count], photos=photos[:count], lrn="grad", seed="one", windows=False)

    def windows(lrn: str = "grad") -> Projections:
        return project(network, images, units, photos=photos, lrn=lrn, seed="one")

    ways = {"captum": one_by_one, "maps": maps, "windows": windows, "skipped": lambda: windows("identity")}
    seconds = interleaved(ways, rounds=2)
    found, expected = windows(), maps()
    assert found.windowed.all()
    assert found.active.all()
    theirs = torch.cat(one_by_one()).detach().numpy()
    counts = {"captum": few, "maps": len(expected), "windows": len(units), "skipped": len(units)}
    each = {way: 1e3 * seconds[way] / counts[way] for way in ways}
    ratios = f"{each['captum'] / each['maps']:.1f} {each['captum'] / each['windows']:6.1f}"
    skipped = f"{each['skipped']:.2f} ({each['captum'] / each['skipped']:.1f})"
    print(
        f"{title:12} {each['captum']:7.1f} {each['maps']:7.1f} {each['windows']:7.2f} {ratios:>12} "
        f"{_difference(found, expected.pixels):10.1e} {_difference(found, theirs):11.1e} {skipped:>12}",
        flush=True,
    )


def _difference(found: Projections, expected: np.ndarray) -> float:
    worst = 0.0
    for index, picture in enumerate(expected):
        window = found.windows[index]
        whole = np.zeros_like(picture)
        whole[:, window.top : window.bottom, window.left : window.right] = found.crops[index]
        worst = max(worst, float(np.abs(whole - picture).max() / np.abs(picture).max()))
    return worst


def _active(network: nn.Module, image: Tensor, layer: str) -> list[Unit]:
    """The layer's active maps, each at its strongest position."""
    channels = network.get_submodule(layer).weight.shape[0]
    every = project(network, image, [Unit(layer, channel) for channel in range(channels)])
    return [unit for unit, active in zip(every.units, every.active, strict=True) if active]


@torch.no_grad()
def strongest(network: nn.Module, images: Tensor, layer: str) -> list[Unit]:
    """For each photo one of its strong maps, at its strongest position."""
    names = [name for name, _ in network.named_children()]
    below = nn.Sequential(*list(network.children())[: names.index(layer) + 1])
    units: list[Unit] = []
    for index, image in enumerate(images):
        maps = below(image[None])[0]
        channel = int(maps.amax((1, 2)).argsort(descending=True)[index % 64])
        units.append(Unit(layer, channel, divmod(int(maps[channel].argmax()), maps.shape[2])))
    return units


if __name__ == "__main__":
    main()
