"""Figure 7: a square slides over a photo, and what the network answers."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("occlude", __name__, "record:OcclusionRecord")
