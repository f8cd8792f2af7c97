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
    from deconvnet.experiments.ablation import ablate
    from deconvnet.experiments.averaging import average
    from deconvnet.experiments.comparison import compare
    from deconvnet.experiments.correspondence import correspondence
    from deconvnet.experiments.diagnosis import diagnose
    from deconvnet.experiments.evolution import evolution
    from deconvnet.experiments.invariance import invariance
    from deconvnet.experiments.look import look
    from deconvnet.experiments.mining import mine_photos, top_figure
    from deconvnet.experiments.occlusion import occlude
    from deconvnet.experiments.projecting import PhotoProjections, project, strongest_units
    from deconvnet.experiments.sanity import sanity
    from deconvnet.experiments.transfer import transfer
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
    "ablate": "experiments.ablation",
    "average": "experiments.averaging",
    "build": "networks",
    "compare": "experiments.comparison",
    "correspondence": "experiments.correspondence",
    "diagnose": "experiments.diagnosis",
    "evolution": "experiments.evolution",
    "invariance": "experiments.invariance",
    "load": "networks",
    "look": "experiments.look",
    "mine": "mining",
    "mine_photos": "experiments.mining",
    "occlude": "experiments.occlusion",
    "open_photos": "data",
    "project": "experiments.projecting",
    "read_photo": "data",
    "receptive_fields": "projection",
    "sample_photos": "data",
    "sanity": "experiments.sanity",
    "strongest_units": "experiments.projecting",
    "top_figure": "experiments.mining",
    "transfer": "experiments.transfer",
    "write_look_page": "report",
}

__all__ = [
    "DeconvnetError",
    "Network",
    "PhotoProjections",
    "Projections",
    "Run",
    "Unit",
    "ablate",
    "average",
    "build",
    "compare",
    "correspondence",
    "diagnose",
    "evolution",
    "invariance",
    "load",
    "look",
    "mine",
    "mine_photos",
    "occlude",
    "open_photos",
    "project",
    "read_photo",
    "receptive_fields",
    "sample_photos",
    "sanity",
    "strongest_units",
    "top_figure",
    "transfer",
    "write_look_page",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"deconvnet.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'deconvnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
