"""The pictures: the only place that draws with matplotlib.

`display` turns a signed projection or filter into pixels, `tile` composes pictures in numpy, and the rest return a
`matplotlib.figure.Figure` that belongs to nobody else: pyplot is never used, so nothing stays open. Nothing here
computes on a network.
"""

from deconvnet.figures.canvas import save_figure
from deconvnet.figures.curves import training_curve
from deconvnet.figures.display import display, display_scale
from deconvnet.figures.filters import filters_image, filters_picture
from deconvnet.figures.projections import ProjectionRow, projection_panel
from deconvnet.figures.tiles import enlarge, shrink, tile
from deconvnet.figures.top import TopBlock, top_block_image, top_grid

__all__ = [
    "ProjectionRow",
    "TopBlock",
    "display",
    "display_scale",
    "enlarge",
    "filters_image",
    "filters_picture",
    "projection_panel",
    "save_figure",
    "shrink",
    "tile",
    "top_block_image",
    "top_grid",
    "training_curve",
]
