import deconvnet.runs.kinds

from .figure import convergence_figure as convergence_figure
from .figure import evolution_figure as evolution_figure
from .measure import Evolution as Evolution
from .measure import evolve as evolve
from .photos import training_photos as training_photos
from .record import EvolutionRecord as EvolutionRecord

KIND: deconvnet.runs.kinds.Kind
