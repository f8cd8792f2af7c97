import deconvnet.runs.kinds

from .figure import invariance_figure as invariance_figure
from .measure import Invariance as Invariance
from .measure import measure_invariance as measure_invariance
from .record import InvarianceRecord as InvarianceRecord
from .transformations import PAPER as PAPER

KIND: deconvnet.runs.kinds.Kind
