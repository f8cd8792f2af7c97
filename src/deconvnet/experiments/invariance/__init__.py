"""How far features move when a photo is moved, enlarged or turned: Figure 5."""

from deconvnet.experiments.invariance.curves import Invariance, invariance
from deconvnet.experiments.invariance.transformations import PAPER

__all__ = ["PAPER", "Invariance", "invariance"]
