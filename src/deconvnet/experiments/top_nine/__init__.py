"""Figure 2: each feature map's strongest activations over a set of photos, and their projections."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
