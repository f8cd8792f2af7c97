"""Make torchvision's Python parts importable beside a torch that its compiled parts do not fit."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import torch

_OPERATORS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[torch.library.Library] = []


def import_torchvision() -> ModuleType | None:
    """torchvision, or None where it is not installed.

    A torchvision from the package index next to a CPU build of torch stops at import, for its operators are missing;
    their schemas are declared here. Models, transforms and data sets call none of them.
    """
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in [each for each in sys.modules if each.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define(_OPERATORS)
        library.define("q" + _OPERATORS)
        _kept.append(library)  # declarations live as long as it does
        return importlib.import_module("torchvision")
