"""A feature map's activations over the photo that they answer, each cell at its receptive field's centre.

Command: ``deconvnet maps NETWORK PHOTO --layer conv3``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deconvnet.errors import ModelError, OptionError
from deconvnet.experiments.maps.figure import maps_figure
from deconvnet.experiments.maps.record import MapsRecord
from deconvnet.features.responses import checked_layers, responses
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import Photo
from deconvnet.runs.results import RunResult
from deconvnet.tracing.receptive import receptive_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ActivationMaps(MapsRecord, RunResult):
    """The record, with its figure and a run of its own."""

    def plot(self) -> Figure:
        """The maps over the photo."""
        return maps_figure(self)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        settings = {"network": self.network, "layer": self.layer, "channels": list(self.channels)}
        return {**settings, "smooth": self.smooth}, {"photo": self.photo}


def draw_maps(
    network: Network,
    photo: Photo,
    layer: str,
    channels: Sequence[int] = (),
    *,
    top: int = 9,
    smooth: bool = False,
    name: str = "photo",
) -> ActivationMaps:
    """What maps of a layer answer to a photo, and where in the photo each cell lies.

    Parameters
    ----------
    network : Network
    photo : PIL image, or uint8 array (H, W, 3)
    layer : str
        A layer with maps.
    channels : sequence of int
        Which maps; the ``top`` strongest that are active unless given.
    top : int
        At most so many of the strongest.
    smooth : bool
        Interpolate between the centres of cells instead of showing the nearest cell.
    name : str
        The photo's name.

    Returns
    -------
    ActivationMaps
        ``plot()`` is the figure, ``save(folder)`` writes a run.

    Raises
    ------
    OptionError
        If ``top`` is below 1, a map is not one of the layer's, or none is active.
    UnknownNameError
        If there is no such layer.
    ModelError
        If the layer has no maps, or it is not known which pixels its cells see.
    """
    if top < 1:
        raise OptionError(f"top must be at least 1, not {top}.")
    checked_layers(network, [layer])
    view = network.view(photo)
    found, _ = responses(network, network.preprocessing.tensor([view]), [layer])
    field = receptive_fields(network.module, network.input_shape)[layer]
    if len(field.shape) != 3 or field.whole:
        raise ModelError(
            f"every unit of layer {layer!r} sees the whole photo, so that it has no place in it: choose a layer before."
        )
    if field.rows is None or field.columns is None:
        raise ModelError(
            f"it is not known which pixels the cells of layer {layer!r} see, so that they cannot be laid over the "
            "photo: choose a layer before."
        )
    values = found[layer].reshape(field.shape).numpy()
    count = len(values)
    strange = [channel for channel in channels if not 0 <= channel < count]
    if strange:
        raise OptionError(f"layer {layer!r} has maps 0 to {count - 1}, and {strange[0]} is none of them.")
    strongest = np.argsort(-values.max((1, 2)), kind="stable")[:top]
    chosen = tuple(channels) or tuple(int(channel) for channel in strongest if values[channel].max() > 0)
    if not chosen:
        raise OptionError(f"no map of layer {layer!r} is active in {name}: choose another layer.")
    return ActivationMaps(
        network.title,
        name,
        layer,
        chosen,
        view,
        values[list(chosen)].astype(np.float32),
        field.rows,
        field.columns,
        smooth,
    )
