from .measure import KIND as KIND
from .measure import mine_photos as mine_photos
from .pictures import top_figure as top_figure
from .tiles import write_tiles as write_tiles
