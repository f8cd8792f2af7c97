"""The deconvnet of Zeiler & Fergus (2013), Sec. 2.1, for any PyTorch network, unedited.

``project`` draws in pixel space what units of a network respond to; ``prepare`` runs photos forward once and answers
layer outputs, strongest units and projections from that; ``receptive_fields`` says which pixels each layer sees. All
take a plain ``nn.Module`` and tensors, and leave the module as they found it::

    model, inputs, units      _request        checked and refused before a tensor moves
            |
            v
    model's own forward       _forward        ReLU, max pooling, LRN replaced (_substitution, _pooling, _lrn, _rules);
            |                                 the asked layers recorded; the graph kept
            v
    graph, layer to pixels    _path           each step known? else refused by name
            |
            v
        choose                _chooser ------ later photos, units with positions: forward and backward on windows alone
         /      \\
     windows    whole maps    _whole_maps     autograd, with the saved tensors of the pass
        |           |         _plan_reader    the plan on windows, read off the graph (_plan, _steps);
        |           |         _windows        its forward and backward, many units at a time
         \\      /
          v    v
    Projections               _buffer, _records
"""

from deconvnet.projection._prepared import PreparedProjection, prepare
from deconvnet.projection._project import project
from deconvnet.projection._records import Projections
from deconvnet.projection._rules import RULES, Rule
from deconvnet.tracing.receptive import LayerField, receptive_fields

__all__ = [
    "RULES",
    "LayerField",
    "PreparedProjection",
    "Projections",
    "Rule",
    "prepare",
    "project",
    "receptive_fields",
]
