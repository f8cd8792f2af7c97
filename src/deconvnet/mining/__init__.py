"""Engine: the strongest activations of every feature map over a set of photos, for any network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
