import deconvnet.runs.kinds

from .measure import LookPhoto as LookPhoto
from .measure import LookReport as LookReport
from .measure import LookResult as LookResult
from .measure import Skip as Skip
from .measure import look as look
from .page import write_look_page as write_look_page

KIND: deconvnet.runs.kinds.Kind
