"""Table 3: the network without some of its layers, or with other sizes."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("ablate", __name__, "record:AblationRecord")
