import deconvnet.runs.kinds

from .measure import plan as plan
from .measure import reproduce as reproduce
from .paper import PaperInputs as PaperInputs
from .paper import PaperPart as PaperPart
from .paper import some_classes as some_classes
from .parts import parts_of as parts_of
from .scales import scale_named as scale_named

KIND: deconvnet.runs.kinds.Kind
