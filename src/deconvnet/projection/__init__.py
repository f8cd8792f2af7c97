"""The deconvnet of Zeiler & Fergus (2013), Sec. 2.1, for any PyTorch network, unedited.

``project`` draws in pixel space what units of a network respond to; ``receptive_fields`` says which pixels each layer
sees. Both take a plain ``nn.Module`` and a tensor, and leave the module as they found it.
"""

from deconvnet.projection._project import project
from deconvnet.projection._records import Projections
from deconvnet.projection._rules import RULES, Rule
from deconvnet.tracing.receptive import LayerField, receptive_fields

__all__ = ["RULES", "LayerField", "Projections", "Rule", "project", "receptive_fields"]
