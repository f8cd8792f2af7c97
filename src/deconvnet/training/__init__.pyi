import deconvnet.runs.kinds

from .dataset import Dataset as Dataset
from .dataset import DigitDataset as DigitDataset
from .dataset import PhotoDataset as PhotoDataset
from .evaluation import Accuracy as Accuracy
from .evaluation import evaluate as evaluate
from .figure import training_curve as training_curve
from .initialization import initialize as initialize
from .initialization import spatial_autocorrelation as spatial_autocorrelation
from .loop import train as train
from .recipes import RECIPES as RECIPES
from .recipes import Augmentation as Augmentation
from .recipes import Recipe as Recipe
from .recipes import Stage as Stage
from .recipes import recipe as recipe
from .reports import EpochReport as EpochReport
from .reports import TrainingStep as TrainingStep
from .resizing import resample_fc6 as resample_fc6
from .snapshots import snapshot as snapshot

KIND: deconvnet.runs.kinds.Kind
