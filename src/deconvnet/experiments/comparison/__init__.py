"""Networks side by side: size, work, speed, accuracy and first layers."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("compare", __name__, "record:ComparisonRecord")
