"""Weights files of others: safetensors, or what ``torch.save`` wrote. No pickle is run.

Training scripts save a network's tensors under many names and beside many other things. So the file is searched: every
mapping in it that holds tensors is a part, and a part fits where its names, with some leading words taken off, are
those of the module and have its shapes. The module decides, not a list of known names.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import pickle
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deconvnet.errors import WeightsError

_PARTS = 1000  # mappings that are searched at most
_COUNTER = "num_batches_tracked"  # of batch norm; it plays no part in evaluation, and old files lack it
_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")  # torch writes them between names
_AVERAGED = ("ema", "avg", "average", "averaged", "swa", "shadow")
_PLAIN = [  # classes of plain values that training scripts save beside tensors; none of them runs code
    argparse.Namespace,
    collections.defaultdict,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    np.dtype,
    np.ndarray,
    (np.float64().__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64().__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.zeros(0).__reduce__()[0], "numpy._core.multiarray._reconstruct"),
    (np.zeros(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
    *(type(np.dtype(kind)) for kind in "?bBhHiIqQefd"),
]


@dataclass(frozen=True)
class CheckpointPart:
    """Tensors that lie together in a checkpoint.

    Attributes
    ----------
    place : str
        The keys that lead to it, joined by dots; empty for the file itself.
    tensors : dict of str to Tensor
        By their names there.
    """

    place: str
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """One way to read a part for a module.

    Attributes
    ----------
    part : CheckpointPart
    prefix : str
        What was taken off the names.
    tensors : dict of str to Tensor
        By the module's names, without those that the module does not know and that count something.
    """

    part: CheckpointPart
    prefix: str
    tensors: dict[str, Tensor]

    @property
    def averaged(self) -> bool:
        """Whether its place or its names say that the weights are averages over training."""
        words = f"{self.part.place}.{self.prefix}".lower().replace(".", "_").split("_")
        counted = any(name.rpartition(".")[2] == "n_averaged" for name in self.part.tensors)
        return counted or any(word in _AVERAGED for word in words)

    @property
    def words(self) -> str:
        """How it is named in a sentence."""
        return f"{self.part.place or 'the file itself'}{f', names after {self.prefix!r}' if self.prefix else ''}"


def read_checkpoint(path: Path | str) -> tuple[CheckpointPart, ...]:
    """Read everything in a weights file that holds tensors by name.

    Parameters
    ----------
    path : path
        ``.safetensors``, or a file of ``torch.save``, which is read with ``weights_only=True``; plain values beside the
        tensors may be of Python's and numpy's plain classes, ``argparse.Namespace`` among them.

    Returns
    -------
    tuple of CheckpointPart
        The outermost first, in the order of the file; on the CPU.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, holds objects that could run code, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}: check the path.")
    if path.suffix == ".safetensors":
        try:
            content: Any = load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path} is not a whole safetensors file ({error}): copy or download it again, or name another file."
            ) from error
    else:
        content = _load(path)
    found = tuple(_parts(content))
    if not found:
        raise WeightsError(f"{path} holds no tensors by name: save model.state_dict(), best as safetensors.")
    return found


def fit_checkpoint(module: nn.Module, parts: Sequence[CheckpointPart], *, network: str, source: Path | str) -> str:
    """Load the part of a checkpoint that fits a module, or say in one sentence how the nearest differs.

    Parameters
    ----------
    module : nn.Module
        Gets the weights; stays as it is where none fit.
    parts : sequence of CheckpointPart
        Of :func:`read_checkpoint`.
    network, source : str
        Names for messages.

    Returns
    -------
    str
        What was chosen, where there was a choice to tell; else empty.

    Raises
    ------
    WeightsError
        If no part fits, or a tensor is of a kind that cannot be a weight.

    Notes
    -----
    Of several parts that fit and differ, the first that is not an average over training is taken. Batch norm's counters
    may be missing.
    """
    own = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    readings = [reading for part in parts for reading in _readings(part, own)]
    fitting = [reading for reading in readings if not _differences(own, reading)]
    if not fitting:
        raise WeightsError(_why_none(own, readings, network, source))
    plain = [reading for reading in fitting if not reading.averaged]
    chosen = (plain or fitting)[0]
    check_kinds(own, chosen.tensors, source)
    module.load_state_dict({**{n: v for n, v in own.items() if n.endswith(_COUNTER)}, **chosen.tensors})
    others = [r for r in fitting if r is not chosen and not _same(r.tensors, chosen.tensors)]
    if others:
        kind = "averaged" if chosen.averaged else "not averaged" if any(r.averaged for r in others) else "the first"
        return (
            f"{source} holds several weights that fit: those of {chosen.words} ({kind}) were taken, and those of "
            f"{', '.join(r.words for r in others[:3])} were not."
        )
    return "averaged weights were taken; the file holds no others." if chosen.averaged else ""


def check_kinds(own: Mapping[str, Tensor], given: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuse integers, truth values and complex numbers where the module has floating-point weights.

    Raises
    ------
    WeightsError
        If a tensor is of such a kind.
    """
    for name, value in own.items():
        other = given.get(name)
        if other is None:
            continue
        integers = value.is_floating_point() and not other.is_floating_point()
        if integers or (other.is_complex() and not value.is_complex()):
            kind = str(other.dtype).removeprefix("torch.")
            raise WeightsError(
                f"{name} in {source} holds {kind} numbers where the network has floating-point weights: save the "
                "weights as floating-point numbers (dequantised, if they were quantised)."
            )


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_PLAIN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors{_unknown(path)}, or is not a file of torch.save, and is not read, for it "
            "could run any code: save model.state_dict() alone, best as safetensors."
        ) from error
    except Exception as error:  # torch.load has many
        if "torch.jit" in str(error) or "TorchScript" in str(error):
            raise WeightsError(
                f"{path} is a TorchScript archive, which holds code: save the state_dict() of its Python module."
            ) from error
        raise WeightsError(
            f"{path} is not a whole file of torch.save ({type(error).__name__}): copy or download it again, "
            "or name another file."
        ) from error


def _unknown(path: Path) -> str:
    """The classes that are not read, in brackets; empty where they cannot be told."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path))
    except Exception:  # not a file of torch.save, or one of an older form
        return ""
    return f" ({', '.join(found[:3])}{' ...' if len(found) > 3 else ''})" if found else ""


def _parts(content: Any) -> Iterator[CheckpointPart]:
    """Mappings that hold tensors, breadth first; each once, however often the file points to it."""
    waiting: deque[tuple[str, Any]] = deque([("", content)])
    seen: set[int] = set()
    while waiting and len(seen) < _PARTS:
        place, found = waiting.popleft()
        if isinstance(found, argparse.Namespace):
            found = vars(found)
        if not isinstance(found, Mapping) or id(found) in seen:
            continue
        seen.add(id(found))
        tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
        if tensors:
            yield CheckpointPart(place, tensors)
        waiting.extend((f"{place}.{key}" if place else str(key), value) for key, value in found.items())


def _readings(part: CheckpointPart, own: Mapping[str, Tensor]) -> Iterator[Reading]:
    """The part with each leading text taken off under which one of the module's longest names stands."""
    weights = [name for name in own if not name.endswith(_COUNTER)]
    if not weights:
        yield Reading(part, "", dict(part.tensors))
        return
    bare = _without_wrappers(part.tensors, own)
    rare = sorted(weights, key=lambda name: (-name.count("."), -len(name), name))[:3]
    prefixes = {""}
    for wanted in rare:
        prefixes |= {name.removesuffix(wanted) for name in bare if name.endswith("." + wanted)}
    prefixes |= set(_common(bare))
    for prefix in sorted(prefixes, key=lambda text: (text.count("."), text)):
        kept = {name.removeprefix(prefix): value for name, value in bare.items() if name.startswith(prefix)}
        yield Reading(part, prefix, {n: v for n, v in kept.items() if n in own or not _counts(v)})


def _without_wrappers(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the words that torch.compile, checkpointing and FSDP write between their parts."""
    known = {word for name in own for word in name.split(".")}
    taken = [word for word in _WRAPPERS if word not in known]
    return {".".join(word for word in name.split(".") if word not in taken): value for name, value in tensors.items()}


def _common(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Leading words that all names but counters have in common, one more each time."""
    names = [name.split(".") for name, value in tensors.items() if not _counts(value)]
    shared: list[str] = []
    while names and all(len(words) > len(shared) + 1 for words in names):
        word = names[0][len(shared)]
        if any(words[len(shared)] != word for words in names):
            return
        shared.append(word)
        yield ".".join(shared) + "."


def _counts(value: Tensor) -> bool:
    """Whether a tensor is a single number: an accuracy, a loss, a counter."""
    return value.ndim == 0


def _differences(own: Mapping[str, Tensor], reading: Reading) -> int:
    """How many names are missing, left over, or of another shape."""
    given = reading.tensors
    missing = sum(name not in given and not name.endswith(_COUNTER) for name in own)
    return missing + sum(name not in own or value.shape != own[name].shape for name, value in given.items())


def _why_none(own: Mapping[str, Tensor], readings: Sequence[Reading], network: str, source: Path | str) -> str:
    nearest = min(readings, key=lambda reading: _differences(own, reading))
    given = nearest.tensors
    where = f" (nearest: {nearest.words})" if nearest.part.place or nearest.prefix else ""
    missing = sorted(name for name in own if name not in given and not name.endswith(_COUNTER))
    extra = sorted(name for name in given if name not in own)
    if missing or extra:
        differ = (["lacks " + few(missing)] if missing else []) + (["has " + few(extra) + " besides"] if extra else [])
        return f"{source} holds weights of another network than {network}{where}: it {' and '.join(differ)}."
    name = next(name for name, value in own.items() if name in given and value.shape != given[name].shape)
    return (
        f"{source} holds weights of another {network}{where}: {name} is {tuple(given[name].shape)} there and "
        f"{tuple(own[name].shape)} here; build the network with the options that it was trained with."
    )


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
