"""Figure 2: each feature map's strongest activations over a set of photos, and their projections."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("mine", __name__, "deconvnet.mining.run_record:MiningRecord", "tile_figure:figures")
