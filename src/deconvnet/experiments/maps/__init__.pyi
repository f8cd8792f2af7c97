import deconvnet.runs.kinds

from .figure import maps_figure as maps_figure
from .measure import ActivationMaps as ActivationMaps
from .measure import draw_maps as draw_maps
from .record import MAPS as MAPS
from .record import MapsRecord as MapsRecord

KIND: deconvnet.runs.kinds.Kind
