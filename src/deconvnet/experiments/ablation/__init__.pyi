import deconvnet.runs.kinds

from .figure import ablation_figure as ablation_figure
from .measure import Ablation as Ablation
from .measure import ablate as ablate
from .record import AblationRecord as AblationRecord

KIND: deconvnet.runs.kinds.Kind
