"""Table 2: several networks' class probabilities averaged."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("average", __name__, "record:AveragingRecord")
