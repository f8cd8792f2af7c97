import deconvnet.runs.kinds

from .figure import sanity_figure as sanity_figure
from .measure import Sanity as Sanity
from .measure import check_sanity as check_sanity

KIND: deconvnet.runs.kinds.Kind
