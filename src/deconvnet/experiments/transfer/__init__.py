"""Tables 4 to 7 and Figure 9: how well features serve other photos and other classes."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("transfer", __name__, "record:TransferRecord")
