"""A feature map's activations laid over the photo that they answer."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("maps", __name__, "record:MapsRecord")
