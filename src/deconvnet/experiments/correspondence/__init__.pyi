import deconvnet.runs.kinds

from .figure import correspondence_figure as correspondence_figure
from .measure import ROUNDING as ROUNDING
from .measure import Correspondence as Correspondence
from .measure import correspond as correspond
from .parts import Part as Part
from .parts import read_parts as read_parts
from .record import CorrespondenceRecord as CorrespondenceRecord

KIND: deconvnet.runs.kinds.Kind
