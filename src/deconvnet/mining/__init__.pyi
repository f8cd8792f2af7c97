from .engine import Miner as Miner
from .engine import mine as mine
from .record import LayerTop as LayerTop
from .record import TopActivations as TopActivations
from .record import Winner as Winner
from .selection import merge as merge
