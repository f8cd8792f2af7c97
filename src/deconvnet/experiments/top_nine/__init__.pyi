import deconvnet.runs.kinds

from .measure import mine as mine
from .pictures import draw_top_nine as draw_top_nine
from .tiles import write_tiles as write_tiles

KIND: deconvnet.runs.kinds.Kind
