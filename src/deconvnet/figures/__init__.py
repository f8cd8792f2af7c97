"""The pictures: the only place that draws with matplotlib.

`display` turns a signed projection or filter into pixels, `tile` composes pictures in numpy, and the rest return a
`matplotlib.figure.Figure` that belongs to nobody else: pyplot is never used, so nothing stays open. Nothing here
computes on a network.
"""

from deconvnet.figures.ablation import ablation_figure
from deconvnet.figures.canvas import save_figure
from deconvnet.figures.comparison import averaging_figure, comparison_figure
from deconvnet.figures.correspondence import correspondence_figure
from deconvnet.figures.curves import training_curve
from deconvnet.figures.diagnosis import diagnosis_figure
from deconvnet.figures.display import display, display_scale
from deconvnet.figures.evolution import convergence_figure, evolution_figure
from deconvnet.figures.faithfulness import faithfulness_curves
from deconvnet.figures.filters import filters_image, filters_picture
from deconvnet.figures.invariance import invariance_figure
from deconvnet.figures.occlusion import occlusion_panel
from deconvnet.figures.projections import ProjectionRow, projection_panel
from deconvnet.figures.sanity import sanity_figure
from deconvnet.figures.tiles import enlarge, shrink, tile
from deconvnet.figures.top import TopBlock, top_block_image, top_grid
from deconvnet.figures.transfer import transfer_figure

__all__ = [
    "ProjectionRow",
    "TopBlock",
    "ablation_figure",
    "averaging_figure",
    "comparison_figure",
    "convergence_figure",
    "correspondence_figure",
    "diagnosis_figure",
    "display",
    "display_scale",
    "enlarge",
    "evolution_figure",
    "faithfulness_curves",
    "filters_image",
    "filters_picture",
    "invariance_figure",
    "occlusion_panel",
    "projection_panel",
    "sanity_figure",
    "save_figure",
    "shrink",
    "tile",
    "top_block_image",
    "top_grid",
    "training_curve",
    "transfer_figure",
]
