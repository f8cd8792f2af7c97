"""What has this CNN learned? The experiments of Zeiler & Fergus (2013) for PyTorch networks.

>>> import deconvnet
>>> network = deconvnet.load("zfnet")                      # doctest: +SKIP
>>> shown = deconvnet.project(network, photo, "conv5:17")  # doctest: +SKIP
>>> shown.plot()                                           # doctest: +SKIP

The public names stand in one list, ``__init__.pyi``; each is imported when it is first used, so that
``import deconvnet`` loads no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
