"""Figure 4: what feature maps looked like as training went on."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("evolve", __name__, "record:EvolutionRecord")
