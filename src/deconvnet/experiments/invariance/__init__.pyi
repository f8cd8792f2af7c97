from .figure import invariance_figure as invariance_figure
from .measure import Invariance as Invariance
from .measure import invariance as invariance
from .record import InvarianceRecord as InvarianceRecord
from .transformations import PAPER as PAPER
