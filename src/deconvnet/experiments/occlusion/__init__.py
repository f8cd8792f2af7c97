"""Cover a part of a photo at a time: Figure 7, and how well its order of pixels holds."""

from deconvnet.experiments.occlusion.deletion import faithfulness
from deconvnet.experiments.occlusion.maps import Occluder, Occlusion, Step, class_index, occlude, recorded_layer

__all__ = ["Occluder", "Occlusion", "Step", "class_index", "faithfulness", "occlude", "recorded_layer"]
