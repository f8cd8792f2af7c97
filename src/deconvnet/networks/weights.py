"""Weights files: safetensors that say which network they belong to. No pickle.

Besides the tensors, the file's metadata holds the network's name and options, its classes, its preprocessing and its
card (data, split, recipe, command, accuracy, licence), so that one file is all that :func:`deconvnet.load` needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from deconvnet.errors import WeightsError
from deconvnet.networks.checkpoints import CheckpointPart, fit_checkpoint
from deconvnet.networks.preprocessing import Preprocessing
from deconvnet.runs.files import write_bytes

FORMAT = "deconvnet-weights"
_MEAN = "preprocessing.mean"
SHIPPED = {  # network -> file in deconvnet/weights
    "zfnet": "zfnet-caltech101.safetensors",
    "alexnet-dense": "alexnet-dense-caltech101.safetensors",
    "lenet5": "lenet5-mnist.safetensors",
    "lenet5-1998": "lenet5-1998-mnist.safetensors",
}


@dataclass(frozen=True)
class Weights:
    """What a weights file holds."""

    network: str
    options: dict[str, Any]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    card: Mapping[str, Any]
    tensors: dict[str, Tensor]
    path: Path


def shipped(name: str) -> Path | None:
    """The file of trained weights that comes with the package for a network, or ``None``."""
    file = SHIPPED.get(name)
    if file is None:
        return None
    path = Path(str(resources.files("deconvnet"))) / "weights" / file
    return path if path.is_file() else None


def save_weights(
    path: Path | str,
    module: nn.Module,
    *,
    network: str,
    options: Mapping[str, Any],
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    card: Mapping[str, Any],
    half: bool = False,
) -> Path:
    """Write a weights file, whole or not at all.

    Parameters
    ----------
    path : path
        Where to write; replaced if it exists.
    module : nn.Module
        The trained network.
    network, options : str, mapping
        Name and options with which :func:`deconvnet.networks.build` makes the module again.
    classes : tuple of str
        One name for each class score.
    preprocessing : Preprocessing
        How photos become inputs.
    card : mapping
        What a reader must know: data, split, recipe, command, accuracy, licence.
    half : bool
        Store float16 (half the size); loading gives float32 again.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    kind = torch.float16 if half else torch.float32
    state = module.state_dict()
    tensors = {k: v.detach().cpu().to(kind if v.is_floating_point() else v.dtype) for k, v in state.items()}
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    tensors[_MEAN] = torch.from_numpy(np.ascontiguousarray(preprocessing.mean))
    metadata = {
        "format": FORMAT,
        "network": network,
        "options": json.dumps(dict(options)),
        "classes": json.dumps(list(classes)),
        "preprocessing": json.dumps(preprocessing.record()),
        "card": json.dumps(dict(card)),
    }
    write_bytes(path, serialize(tensors, metadata))
    return Path(path)


def is_own(path: Path | str) -> bool:
    """Whether a file is one that :func:`save_weights` wrote."""
    if Path(path).suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError):
        return False


def read_weights(path: Path | str) -> Weights:
    """Read a weights file.

    Raises
    ------
    WeightsError
        If the file is missing, truncated, or not one that deconvnet wrote.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}: check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}): copy or download it again, or name another file."
        ) from error
    if metadata.get("format") != FORMAT or _MEAN not in tensors:
        raise WeightsError(
            f"{path} is a safetensors file but does not say which network it belongs to: "
            "write weights with deconvnet.networks.save_weights, or name a file that `deconvnet train` wrote."
        )
    mean = tensors.pop(_MEAN).numpy()
    try:
        network = metadata["network"]
        options, card = dict(json.loads(metadata["options"])), dict(json.loads(metadata["card"]))
        classes = tuple(map(str, json.loads(metadata["classes"])))
        preprocessing = Preprocessing(mean=mean, **json.loads(metadata["preprocessing"]))
    except (KeyError, TypeError, ValueError) as error:  # also JSONDecodeError and OptionError
        raise WeightsError(
            f"the header of {path} is damaged ({error}): copy or download the file again, or name another."
        ) from error
    return Weights(
        network,
        options,
        classes,
        preprocessing,
        card,
        {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()},
        path,
    )


def fit_weights(module: nn.Module, tensors: Mapping[str, Tensor], *, network: str, source: Path | str) -> None:
    """Load the tensors of a weights file that deconvnet wrote into a module, or say in one sentence how they differ.

    Raises
    ------
    WeightsError
        If a tensor is missing, left over, of another shape, or of a kind that cannot be a weight.
    """
    fit_checkpoint(module, [CheckpointPart("", dict(tensors))], network=network, source=source)
