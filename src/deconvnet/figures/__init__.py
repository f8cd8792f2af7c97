"""Drawing: the sheet, the palette, signed values as pixels, tiles, filters and projections.

`display` turns a signed projection or filter into pixels, `tile` composes pictures in numpy, and the rest return a
`matplotlib.figure.Figure` that belongs to nobody else: pyplot is never used, so nothing stays open. Nothing here
computes on a network; each experiment's own figure lies in its folder.
"""

from deconvnet.figures.canvas import save_figure
from deconvnet.figures.display import display, display_scale
from deconvnet.figures.filters import filters_image, filters_picture
from deconvnet.figures.projections import ProjectionRow, projection_panel
from deconvnet.figures.tiles import enlarge, shrink, tile

__all__ = [
    "ProjectionRow",
    "display",
    "display_scale",
    "enlarge",
    "filters_image",
    "filters_picture",
    "projection_panel",
    "save_figure",
    "shrink",
    "tile",
]
