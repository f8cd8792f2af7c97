"""The paper, claim by claim."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("reproduce", __name__, "record:ReproductionRecord")
