"""A network's weights as they were at several epochs of its training: kept, found and read again.

``deconvnet train`` keeps its own; a loop of one's own calls :func:`snapshot`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as serialize
from torch import Tensor, nn

from deconvnet.errors import OptionError, RunError, WeightsError
from deconvnet.networks import Network, is_external, load
from deconvnet.networks.checkpoints import fit_checkpoint, read_checkpoint
from deconvnet.networks.weights import is_own
from deconvnet.runs import Run
from deconvnet.runs.files import write_bytes
from deconvnet.training.record import TrainingRecord, holds_record
from deconvnet.training.resizing import resample_fc6

FOLDER = "snapshots"
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_NUMBER = re.compile(r"\d+")
_GREY_LEVELS = 3.0  # two stages of a training run estimate the mean of the photos a little differently


@dataclass(frozen=True)
class Snapshot:
    """One file of weights.

    Attributes
    ----------
    path : Path
    label : str
        The epoch, or the file's name where no epoch can be read from the names.
    """

    path: Path
    label: str


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one network, oldest first.

    Attributes
    ----------
    files : tuple of Snapshot
    axis : {"epoch", "file"}
        What the labels are.
    """

    files: tuple[Snapshot, ...]
    axis: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each."""
        return tuple(each.label for each in self.files)


def snapshot(model: nn.Module | Network, folder: Path | str, epoch: int, *, half: bool = False) -> Path:
    """Keep a network's weights as they are now, for ``deconvnet evolve``; the model is left as it is.

    Parameters
    ----------
    model : nn.Module or Network
        Of a plain module its ``state_dict()`` is written; of a ``Network`` also what :func:`deconvnet.load` needs.
    folder : path
        Made if missing; the file is ``epoch-0005.safetensors``, written whole or not at all, replaced if it exists.
    epoch : int
        How many epochs (or steps, or whatever is counted) the network has been trained; 0 before the first.
    half : bool
        Store float16: half the size.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        If ``epoch`` is negative.
    RunError
        If the file cannot be written.
    """
    if epoch < 0:
        raise OptionError(f"epoch counts from 0, and is not {epoch}.")
    path = Path(folder) / f"epoch-{epoch:04d}.safetensors"
    if isinstance(model, Network):
        return model.save(path, half=half)
    state = {name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    kept = {  # cloned: tied weights share their memory, which a file cannot
        name: (value.half() if half and value.is_floating_point() else value).clone(
            memory_format=torch.contiguous_format
        )
        for name, value in state.items()
    }
    write_bytes(path, serialize(kept, {"format": "pt", "epoch": str(epoch)}))
    return path


def find_snapshots(sources: Sequence[Path | str] | Path | str) -> Snapshots:
    """The weights files of a training run, of a folder, or those named.

    Parameters
    ----------
    sources : path or sequence of paths
        A run of ``deconvnet train``, a folder of weights files, or the files themselves.

    Returns
    -------
    Snapshots
        By the last number in each file's name, ascending, if each has one and no two the same; that is the epoch then.
        Else in the given order.

    Raises
    ------
    RunError
        If a run is of another kind or has no snapshots, or a folder holds no weights files.
    WeightsError
        If a file does not exist.
    OptionError
        If there is a single snapshot, or one is named twice.
    """
    given = [Path(sources)] if isinstance(sources, Path | str) else [Path(each) for each in sources]
    if len(given) == 1 and given[0].is_dir():
        paths = _of_run(given[0]) if (given[0] / "manifest.json").is_file() else _inside(given[0])
        if not paths:
            raise RunError(f"{given[0]} holds no weights files ({', '.join(ENDINGS)}): name the folder that does.")
    else:
        paths = given
    for path in paths:
        if not path.exists():
            raise WeightsError(f"there is no weights file {path}: check the path.")
        if path.is_dir():
            raise WeightsError(f"{path} is a folder: name one folder alone, or several weights files.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise OptionError("a snapshot is named twice: name each file once.")
    if len(paths) < 2:
        raise OptionError(f"{paths[0]} is a single snapshot, and evolution needs at least two: name more files.")
    numbers = [_NUMBER.findall(path.stem) for path in paths]
    epochs = [int(found[-1]) for found in numbers if found]
    if len(set(epochs)) < len(paths):
        return Snapshots(tuple(Snapshot(path, path.stem) for path in paths), "file")
    ordered = sorted(zip(epochs, paths, strict=True))
    return Snapshots(tuple(Snapshot(path, str(epoch)) for epoch, path in ordered), "epoch")


def _of_run(folder: Path) -> list[Path]:
    run = Run.open(folder, "train")
    paths = _inside(run.path / FOLDER) if (run.path / FOLDER).is_dir() else []
    if not paths:
        done = holds_record(run) and TrainingRecord.read(run).metrics
        epochs = "its recipe kept none, or they were removed" if done else "no epoch is done yet"
        raise RunError(f"the training run {folder} has no snapshots ({epochs}): train one that keeps them.")
    return paths


def _inside(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in ENDINGS and not p.name.startswith(".") and p.is_file())


def load_snapshots(found: Snapshots, network: str | None = None, **options: Any) -> tuple[Network, ...]:
    """Read snapshots as networks that can be compared: see :func:`alike`.

    Parameters
    ----------
    found : Snapshots
    network : str, optional
        Which network the files belong to, as :func:`deconvnet.load` takes it; files that deconvnet wrote say it
        themselves.
    **options
        With which the network was built, for example ``num_classes=10, input_size=64``; not for files that say it.

    Returns
    -------
    tuple of Network
        One for each file, as it was trained.

    Raises
    ------
    OptionError
        If a file does not say which network it belongs to, and none is named.
    WeightsError
        If files are damaged, or of different networks.
    """
    networks = tuple(_load(each, network, options) for each in found.files)
    alike(networks, [str(each.path) for each in found.files])
    return networks


def _load(each: Snapshot, name: str | None, options: Mapping[str, Any]) -> Network:
    if is_own(each.path):
        network = load(str(each.path))
        if name not in (None, network.name, network.address):
            raise WeightsError(f"{each.path} holds weights of {network.name}, not of {name}.")
        if options:
            raise OptionError(f"{each.path} says itself how its network is built: leave {', '.join(options)} out.")
        return network
    if name is None:
        raise OptionError(f"{each.path} does not say which network it belongs to: name it with --network.")
    if is_external(name):
        return load(name, each.path, **options)
    network = load(name, weights=None, **options)
    fit_checkpoint(network.module, read_checkpoint(each.path), network=name, source=each.path)
    return network


def alike(networks: Sequence[Network], names: Sequence[str] | None = None) -> tuple[Network, ...]:
    """Snapshots as they are compared: all at the input size, and with the preprocessing, of the last one.

    A training run may go from small photos to large ones. Weights of convolutions fit any size; fc6's filters are
    resampled, as between two stages of training.

    Parameters
    ----------
    networks : sequence of Network
        Snapshots of one network, oldest first.
    names : sequence of str, optional
        What to call them in an error.

    Returns
    -------
    tuple of Network

    Raises
    ------
    OptionError
        If there are fewer than two.
    WeightsError
        If they are snapshots of different networks, or were shown photos prepared in different ways.
    """
    if len(networks) < 2:
        raise OptionError(f"evolution needs at least two snapshots, and {len(networks)} was given.")
    names = names or [f"snapshot {number} ({each.title})" for number, each in enumerate(networks, start=1)]
    last, last_name = networks[-1], names[-1]
    return tuple(_like(each, name, last, last_name) for each, name in zip(networks, names, strict=True))


def _like(network: Network, name: str, last: Network, last_name: str) -> Network:
    if network is last:
        return network
    if network.address != last.address:
        raise WeightsError(
            f"{name} is of {network.name} and {last_name} of {last.name}: give snapshots of one network."
        )
    ours, theirs = _options(network), _options(last)
    if ours != theirs or network.classes != last.classes:
        differ = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)] or ["classes"]
        raise WeightsError(
            f"{name} and {last_name} are different networks ({', '.join(sorted(differ))} differ): "
            "give snapshots of one training."
        )
    _check_preprocessing(network, name, last, last_name)
    old, new = network.module.state_dict(), last.module.state_dict()
    if old.keys() != new.keys() or any(old[key].ndim != new[key].ndim for key in new):
        raise WeightsError(f"{name} and {last_name} have different layers: give snapshots of one network.")
    shapes = [key for key in new if old[key].shape != new[key].shape]
    if network.preprocessing.input_size == last.preprocessing.input_size and not shapes:
        return replace(network, preprocessing=last.preprocessing)
    resampled = len(shapes) == 1 and new[shapes[0]].ndim == 2  # the first fully connected layer's
    if shapes and (network.preprocessing.input_size == last.preprocessing.input_size or not resampled):
        raise WeightsError(
            f"{name} and {last_name} have weights of different shapes ({', '.join(shapes[:3])}): "
            "give snapshots of one network."
        )
    module = copy.deepcopy(last.module)
    module.load_state_dict(resample_fc6(old, new))
    return replace(network, module=module, preprocessing=last.preprocessing, options=last.options)


def _options(network: Network) -> dict[str, Any]:
    return {key: value for key, value in network.options.items() if key != "input_size"}


def _check_preprocessing(network: Network, name: str, last: Network, last_name: str) -> None:
    ours, theirs = (
        {k: v for k, v in each.preprocessing.record().items() if k not in ("input_size", "resize")}
        for each in (network, last)
    )
    means = [each.preprocessing.mean.mean(axis=(1, 2)) for each in (network, last)]
    if ours != theirs or float(np.abs(means[0] - means[1]).max()) > _GREY_LEVELS:
        raise WeightsError(
            f"{name} and {last_name} were trained on photos prepared in different ways (mean or scale differ): "
            "give snapshots of one training."
        )


def epochs_to_keep(epochs: Sequence[int], total: int) -> tuple[float, ...]:
    """Epochs as :attr:`deconvnet.training.Recipe.snapshots` counts them, in 64ths of the run.

    Raises
    ------
    OptionError
        If an epoch is not one of the run's.
    """
    for epoch in epochs:
        if not 1 <= epoch <= total:
            raise OptionError(f"no snapshot can be kept after epoch {epoch}: the run's epochs are 1 to {total}.")
    return tuple(64 * epoch / total for epoch in sorted(set(epochs)))
