"""Training: recipes as data, the loop, checkpoints and snapshots."""

from deconvnet.training.evaluation import Accuracy, evaluate
from deconvnet.training.initialization import initialize, spatial_autocorrelation
from deconvnet.training.loop import Step, Watcher, resample_fc6, train
from deconvnet.training.material import DigitMaterial, Material, PhotoMaterial
from deconvnet.training.recipes import RECIPES, Augmentation, Recipe, Stage, recipe
from deconvnet.training.snapshots import snapshot

__all__ = [
    "RECIPES",
    "Accuracy",
    "Augmentation",
    "DigitMaterial",
    "Material",
    "PhotoMaterial",
    "Recipe",
    "Stage",
    "Step",
    "Watcher",
    "evaluate",
    "initialize",
    "recipe",
    "resample_fc6",
    "snapshot",
    "spatial_autocorrelation",
    "train",
]
