"""The paper, claim by claim."""

from deconvnet.experiments.reproduction.run import Paper, Part, parts_of, plan, reproduce, some_classes
from deconvnet.experiments.reproduction.scales import scale_named

__all__ = ["Paper", "Part", "parts_of", "plan", "reproduce", "scale_named", "some_classes"]
