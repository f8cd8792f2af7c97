"""Run the miner over photos, in shards and resumed, and draw what it found: Figure 2."""

from deconvnet.experiments.mining.run import KIND, mine_photos
from deconvnet.experiments.mining.tiles import write_tiles
from deconvnet.experiments.mining.top import top_figure

__all__ = ["KIND", "mine_photos", "top_figure", "write_tiles"]
