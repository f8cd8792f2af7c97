"""Table 1 and Figure 8: whether a part is missed alike in photos."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
