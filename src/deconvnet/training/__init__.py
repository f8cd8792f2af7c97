"""Training: recipes as data, the loop, checkpoints and snapshots."""

import lazy_loader

from deconvnet.runs.kinds import Kind

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

KIND = Kind("train", __name__, "record:TrainingRecord")
