"""What has this CNN learned? The experiments of Zeiler & Fergus (2013) for PyTorch networks.

>>> import deconvnet
>>> network = deconvnet.load("zfnet")                      # doctest: +SKIP
>>> shown = deconvnet.project(network, photo, "conv5:17")  # doctest: +SKIP
>>> shown.plot()                                           # doctest: +SKIP

The names below are imported when they are first used: ``import deconvnet`` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deconvnet.data import open_photos, read_photo, sample_photos
    from deconvnet.errors import DeconvnetError
    from deconvnet.experiments.look import look
    from deconvnet.experiments.mining import mine_photos, top_figure
    from deconvnet.experiments.projecting import PhotoProjections, project, strongest_units
    from deconvnet.mining import mine
    from deconvnet.networks import Network, build, load
    from deconvnet.projection import Projections, receptive_fields
    from deconvnet.report import write_look_page
    from deconvnet.runs import Run, Unit

_HOMES = {
    "DeconvnetError": "errors",
    "Network": "networks",
    "PhotoProjections": "experiments.projecting",
    "Projections": "projection",
    "Run": "runs",
    "Unit": "runs",
    "build": "networks",
    "load": "networks",
    "look": "experiments.look",
    "mine": "mining",
    "mine_photos": "experiments.mining",
    "open_photos": "data",
    "project": "experiments.projecting",
    "read_photo": "data",
    "receptive_fields": "projection",
    "sample_photos": "data",
    "strongest_units": "experiments.projecting",
    "top_figure": "experiments.mining",
    "write_look_page": "report",
}

__all__ = [
    "DeconvnetError",
    "Network",
    "PhotoProjections",
    "Projections",
    "Run",
    "Unit",
    "build",
    "load",
    "look",
    "mine",
    "mine_photos",
    "open_photos",
    "project",
    "read_photo",
    "receptive_fields",
    "sample_photos",
    "strongest_units",
    "top_figure",
    "write_look_page",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"deconvnet.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'deconvnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
