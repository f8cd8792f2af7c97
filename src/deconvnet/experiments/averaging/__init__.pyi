import deconvnet.runs.kinds

from .figure import averaging_figure as averaging_figure
from .measure import Averaging as Averaging
from .measure import average as average
from .measure import check_classes as check_classes
from .record import AverageRow as AverageRow

KIND: deconvnet.runs.kinds.Kind
