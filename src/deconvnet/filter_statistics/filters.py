"""The filters of a network's convolutions, each layer measured on its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import nn

from deconvnet.errors import ModelError
from deconvnet.filter_statistics.record import FilterHealth
from deconvnet.filter_statistics.spectra import RINGS, filter_spectra, grating_concentration, radial_power
from deconvnet.filter_statistics.statistics import autocorrelation, duplicates, filter_rms, in_pixel_units, noise_limit
from deconvnet.networks import Network

SPECTRAL = 5  # side of the smallest kernel whose spectrum is told: three cells do not resolve the bands


def filter_health(network: Network) -> Iterator[FilterHealth]:
    """The filters of every convolution (``nn.Conv2d``), first to last.

    Raises
    ------
    ModelError
        If there is none.
    """
    first = first_convolution(network)
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Conv2d):
            yield _layer(network, name, part, name == first)


def first_convolution(network: Network) -> str:
    """Name of the first convolution.

    Raises
    ------
    ModelError
        If there is none.
    """
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Conv2d):
            return name
    raise ModelError(f"{network.name} has no convolution (nn.Conv2d), so that there are no filters to look at.")


def weights_of(network: Network, layer: str) -> npt.NDArray[np.float32]:
    """Filters of a convolution, (O, C, h, w)."""
    part = network.module.get_submodule(layer)
    assert isinstance(part, nn.Conv2d)
    return _weights(part)


def _weights(part: nn.Conv2d) -> npt.NDArray[np.float32]:
    return part.weight.detach().float().cpu().numpy()


def _layer(network: Network, name: str, part: nn.Conv2d, first: bool) -> FilterHealth:
    weights = _weights(part)
    on_pixels = first and weights.shape[1] == network.preprocessing.channels
    spectral = min(weights.shape[2:]) >= SPECTRAL
    unknown = np.full(len(weights), np.nan)
    spectra = filter_spectra(weights) if spectral else None
    start = (network.card.get("filters") or {}).get(name, {})
    count, maps, height, width = weights.shape
    return FilterHealth(
        layer=name,
        shape=(count, maps, height, width),
        stride=part.stride[0],
        rms=filter_rms(in_pixel_units(weights, network.preprocessing.scale) if on_pixels else weights),
        rms_is_paper=on_pixels,
        autocorrelation=autocorrelation(weights),
        noise_limit=noise_limit(weights.shape),
        duplicates=tuple(duplicates(weights)),
        bands=spectra.bands if spectra else np.full((len(weights), 3), np.nan),
        peak=spectra.peak if spectra else unknown,
        concentration=spectra.concentration / grating_concentration(weights.shape) if spectra else unknown,
        radial=radial_power(weights) if spectral else np.full(RINGS, np.nan),
        start={key: float(value) for key, value in start.items()},
    )
