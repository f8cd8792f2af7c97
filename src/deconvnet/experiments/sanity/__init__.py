"""How much of a projection comes from the weights, and how much from the photo alone."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("sanity", __name__, "record:SanityRecord")
