"""Section 4.1 and Figure 6: what is wrong with a network's filters and maps."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("diagnose", __name__, "record:DiagnosesRecord")
