"""Weights files of others: safetensors, or what ``torch.save`` wrote of tensors. No pickle is run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deconvnet.errors import WeightsError
from deconvnet.networks.weights import fit_weights

NESTS = ("state_dict", "model_state_dict", "model", "net")  # where training scripts put the tensors
_PREFIXES = ("module.", "_orig_mod.")  # what torch.nn.DataParallel and torch.compile write before names
_COUNTER = "num_batches_tracked"  # of batch norm; it plays no part in evaluation, and old files lack it


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a weights file.

    Parameters
    ----------
    path : path
        ``.safetensors``, or a file of ``torch.save``, which is read with ``weights_only=True``. The tensors may lie
        under one of ``state_dict``, ``model_state_dict``, ``model`` and ``net``, and all their names may begin with
        ``module.``.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, holds more than tensors and plain values, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}: check the path.")
    if path.suffix == ".safetensors":
        try:
            found: Any = load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path} is not a whole safetensors file ({error}): copy or download it again, or name another file."
            ) from error
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise WeightsError(
                f"{path} holds more than tensors, or is not a file of torch.save, and is not read, for it could run "
                "any code: save model.state_dict() alone, best as safetensors."
            ) from error
        except Exception as error:  # torch.load has many
            raise WeightsError(
                f"{path} is not a whole file of torch.save ({type(error).__name__}): copy or download it again, "
                "or name another file."
            ) from error
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        nest = next((key for key in NESTS if isinstance(found.get(key), Mapping)), None)
        if nest is None:
            break
        found = found[nest]
    tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name: save model.state_dict(), best as safetensors.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def fit_state_dict(module: nn.Module, tensors: Mapping[str, Tensor], *, network: str, source: Path | str) -> None:
    """Load tensors into any module, or say in one sentence how they differ; batch norm's counters may be missing.

    Raises
    ------
    WeightsError
        If a tensor is missing, left over, or of another shape.
    """
    counters = {name: value for name, value in module.state_dict().items() if name.endswith(_COUNTER)}
    fit_weights(module, {**counters, **tensors}, network=network, source=source)
