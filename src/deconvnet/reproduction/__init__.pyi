import deconvnet.runs.kinds

from .measure import Paper as Paper
from .measure import Part as Part
from .measure import parts_of as parts_of
from .measure import plan as plan
from .measure import reproduce as reproduce
from .measure import some_classes as some_classes
from .scales import scale_named as scale_named

KIND: deconvnet.runs.kinds.Kind
