from .measure import KIND as KIND
from .measure import mine as mine
from .pictures import draw_top_nine as draw_top_nine
from .tiles import write_tiles as write_tiles
