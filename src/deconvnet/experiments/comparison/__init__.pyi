import deconvnet.runs.kinds

from .figure import comparison_figure as comparison_figure
from .measure import Comparison as Comparison
from .measure import compare as compare
from .record import ComparisonRow as ComparisonRow

KIND: deconvnet.runs.kinds.Kind
