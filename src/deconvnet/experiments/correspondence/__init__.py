"""Do parts of photos move a network the same way? Table 1."""

from deconvnet.experiments.correspondence.differences import ROUNDING, Correspondence, correspondence
from deconvnet.experiments.correspondence.parts import Part, read_parts

__all__ = ["ROUNDING", "Correspondence", "Part", "correspondence", "read_parts"]
