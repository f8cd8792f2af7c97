"""What a feature map looked like as training went on: Figure 4."""

from deconvnet.experiments.evolution.photos import training_photos
from deconvnet.experiments.evolution.snapshots import Evolution, evolution

__all__ = ["Evolution", "evolution", "training_photos"]
