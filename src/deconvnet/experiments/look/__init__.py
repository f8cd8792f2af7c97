"""A first look into a network: its answers and the strongest maps of each layer, photo by photo."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("look", __name__, "record:Look")
