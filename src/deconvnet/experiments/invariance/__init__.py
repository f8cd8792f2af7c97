"""Figure 5: how far features move when a photo is moved, enlarged or turned."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("invariance", __name__, "record:InvarianceRecord")
