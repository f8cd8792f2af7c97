"""Table 1 and Figure 8: whether a part is missed alike in photos."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("correspond", __name__, "record:CorrespondenceRecord")
