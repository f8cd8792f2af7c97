import deconvnet.runs.kinds

from .deletion import measure_faithfulness as measure_faithfulness
from .figure import occlusion_panel as occlusion_panel
from .measure import Occluder as Occluder
from .measure import Occlusion as Occlusion
from .measure import OcclusionReport as OcclusionReport
from .measure import occlude as occlude
from .measure import recorded_layer as recorded_layer
from .record import OccludedPhoto as OccludedPhoto

KIND: deconvnet.runs.kinds.Kind
