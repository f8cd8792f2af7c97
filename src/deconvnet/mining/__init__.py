"""The strongest activations of every feature map over a set of photos, for any network."""

from deconvnet.mining.engine import Miner, mine
from deconvnet.mining.selection import merge
from deconvnet.runs.top import LayerTop, Mined, Winner

__all__ = ["LayerTop", "Mined", "Miner", "Winner", "merge", "mine"]
