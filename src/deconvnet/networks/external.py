"""Networks of other packages and of the user's own files, by name.

================================  =====================================================================
``torchvision:resnet50``          a classification network of torchvision
``timm:resnet18``                 a network of timm
``path/to/file.py:build``         a function that returns a module, a module class, or a module, in a Python file
================================  =====================================================================

Nothing is downloaded: weights are random, always the same ones, unless a file is given. A network of a file has the
weights that the file gives it.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError, UnknownNameError, WeightsError, printable
from deconvnet.networks.checkpoints import fit_checkpoint, read_checkpoint
from deconvnet.networks.preprocessing import INTERPOLATIONS, Preprocessing
from deconvnet.networks.weights import Weights, fit_weights, is_own, read_weights
from deconvnet.tracing.modes import check_followable, example_weight

PACKAGES = ("torchvision", "timm")
OPTIONS = ("num_classes", "in_chans", "input_size", "img_size", "drop_rate", "width_mult", "aux_logits")
SEED = 0
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, in 0 to 1
_CROP = 224 / 256
_numbers = itertools.count()


@dataclass(frozen=True)
class ExternalNetwork:
    """What :func:`deconvnet.load` makes a ``Network`` of; the fields are the same."""

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    options: Mapping[str, Any]
    card: Mapping[str, Any]
    address: str


@dataclass(frozen=True)
class _Build:
    """A module, and what its package knows about how it wants to be shown photos."""

    module: nn.Module
    input_size: int = 224
    resize: int = 256
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    interpolation: str = "bilinear"
    categories: tuple[str, ...] = ()


def is_external(name: str) -> bool:
    """Whether a name is one of a package or file rather than of a built-in network."""
    return ":" in name or name.endswith(".py")


def is_file(name: str) -> bool:
    """Whether a name is one of something in a Python file, which runs when it is loaded."""
    return is_external(name) and name.partition(":")[0] not in PACKAGES


def check_stored_options(options: Mapping[str, Any], source: Path | str) -> None:
    """Refuse options from a weights file that could make a builder do more than build.

    Raises
    ------
    WeightsError
        If an option is none of ``OPTIONS``, or its value is no number or truth value.
    """
    for name, value in options.items():
        if name not in OPTIONS or not isinstance(value, bool | int | float):
            raise WeightsError(
                f"{source} names the option {printable(name)}={printable(repr(value), 60)}, and a file may only set "
                f"{', '.join(OPTIONS)}, to numbers: name the network and give its options yourself."
            )


def load_external(
    name: str, weights: Path | str | None = "shipped", stored: Weights | None = None, **options: Any
) -> ExternalNetwork:
    """Build a network of torchvision, timm or a Python file.

    Parameters
    ----------
    name : str
        See the module's docstring.
    weights : path, "shipped" or None
        A file of weights: safetensors, or a file of ``torch.save``; see
        :func:`deconvnet.networks.checkpoints.read_checkpoint`. ``"shipped"``: none, and the random ones are those of
        seed 0. ``None``: none, drawn from torch's own random numbers.
    stored : Weights, optional
        What a file that deconvnet wrote holds; taken in place of ``weights``.
    **options
        Given to the function that builds the network, for example ``num_classes=10``; but ``input_size``, in pixels,
        sets the preprocessing.

    Raises
    ------
    UnknownNameError
        If there is no such package, network, or name in the file.
    ModelError
        If the package is not installed, the file cannot be run, or the network cannot be built or run.
    OptionError
        If the network cannot be built with these options.
    WeightsError
        If the weights cannot be read or do not fit.
    """
    source, title, address = _parts(name)
    if stored is None and weights not in ("shipped", None) and is_own(str(weights)):
        stored = _stored(str(weights), name, address)
    if stored is not None and source in PACKAGES:
        check_stored_options(stored.options, stored.path)
    build_options = {**(stored.options if stored else {}), **options}
    input_size = build_options.pop("input_size", None)
    for option in ("pretrained", "weights"):
        if option in build_options:
            raise OptionError(f"{option}={build_options[option]!r} would download weights: name a file with weights=.")
    with _same_random_numbers(weights is not None):
        built = _build_from(source, title, build_options)
    module = built.module.eval()
    check_followable(module)
    card = _load_weights(module, name, source, weights, stored)
    preprocessing = _preprocessing(name, built, input_size)
    if stored is not None and input_size is None:
        preprocessing = stored.preprocessing
    scores = _scores(name, module, preprocessing)
    classes = stored.classes if stored is not None else built.categories
    if len(classes) != scores:
        classes = tuple(f"class {i}" for i in range(scores))
    kept = {**build_options, **({} if input_size is None else {"input_size": input_size})}
    shown = name if source in PACKAGES else f"{Path(source).name}:{title}"
    return ExternalNetwork(shown, module, preprocessing, classes, kept, card, address)


def _stored(path: str, name: str, address: str) -> Weights:
    """A file that deconvnet wrote, refused if it is of another network; a file of Python is the user's own word."""
    stored = read_weights(path)
    if stored.network not in (name, address) and not (is_file(stored.network) and is_file(name)):
        raise WeightsError(f"{path} holds weights of {printable(stored.network)}, not of {name}.")
    return stored


def _build_from(source: str, title: str, options: Mapping[str, Any]) -> _Build:
    if source == "torchvision":
        return _from_torchvision(title, options)
    if source == "timm":
        return _from_timm(title, options)
    return _from_file(Path(source), title, options)


def _load_weights(
    module: nn.Module, name: str, source: str, weights: Path | str | None, stored: Weights | None
) -> dict[str, Any]:
    """Load what was asked for into the module; what the card says of it."""
    if stored is not None:
        fit_weights(module, stored.tensors, network=name, source=stored.path)
        return dict(stored.card)
    if weights not in ("shipped", None):
        chosen = fit_checkpoint(module, read_checkpoint(str(weights)), network=name, source=str(weights))
        said = {"weights": f"from {Path(str(weights)).name}"}
        return {**said, "choice": chosen} if chosen else said
    if source in PACKAGES:
        drawn = f"random, of seed {SEED}" if weights == "shipped" else "random"
        return {
            "title": f"{name}, random weights",
            "weights": f"{drawn}: nothing was trained, and nothing is downloaded; give a file with --weights",
        }
    return {"weights": f"as {Path(source).name} gives them"}


def _parts(name: str) -> tuple[str, str, str]:
    """Package or file, name in it, and a name that does not depend on the working folder."""
    source, _, title = name.rpartition(":")
    if name.endswith(".py"):
        raise ModelError(f"{name} is a file: say what in it builds the network, for example {name}:build.")
    if source in PACKAGES:
        return source, title, name
    if not source.endswith(".py"):
        raise UnknownNameError(
            "source of networks", source, PACKAGES, "A network of one's own is named FILE.py:FUNCTION."
        )
    if not Path(source).is_file():
        raise ModelError(f"there is no file {source}: check the path.")
    if not title:
        raise ModelError(f"say what in {source} builds the network, for example {source}:build.")
    return source, title, f"{Path(source).resolve()}:{title}"


@contextmanager
def _same_random_numbers(wanted: bool) -> Iterator[None]:
    """The same weights at each call, so that a run can find them again; torch's own state is left as it was."""
    if not wanted:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield


def _package(name: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise ModelError(f"networks of {name} need the package {name}, which is not installed: pip install {name}.")
    try:
        return importlib.import_module(name)
    except Exception as error:  # a build for another torch raises RuntimeError
        raise ModelError(
            f"{name} is installed but cannot be imported ({_said(error)}): "
            f"install the {name} that belongs to torch {torch.__version__}."
        ) from error


def _from_torchvision(title: str, options: Mapping[str, Any]) -> _Build:
    models = _package("torchvision").models
    known = models.list_models(module=models)
    if title not in known:
        raise UnknownNameError("network of torchvision", title, known)
    module = _build(f"torchvision:{title}", models.get_model, {"name": title, "weights": None, **options}, options)
    weights = models.get_model_weights(title).DEFAULT
    shown = weights.transforms()
    size, resize = getattr(shown, "crop_size", [224])[0], getattr(shown, "resize_size", [256])[0]
    return _Build(
        module,
        size,
        max(size, resize),
        tuple(getattr(shown, "mean", _MEAN)),
        tuple(getattr(shown, "std", _STD)),
        str(getattr(getattr(shown, "interpolation", None), "value", "bilinear")),
        tuple(weights.meta.get("categories", ())),
    )


def _from_timm(title: str, options: Mapping[str, Any]) -> _Build:
    timm = _package("timm")
    known = timm.list_models()
    if title.partition(".")[0] not in known:
        raise UnknownNameError("network of timm", title, known)
    name = f"timm:{title}"
    return _configured(
        name, _build(name, timm.create_model, {"model_name": title, "pretrained": False, **options}, options)
    )


def _from_file(path: Path, title: str, options: Mapping[str, Any]) -> _Build:
    place = f"{path}:{title}"
    code = _run_file(path)
    if title not in vars(code):
        public = [name for name, value in vars(code).items() if not name.startswith("_") and _builds(value, code)]
        raise UnknownNameError(f"function or model in {path} named", title, public)
    found = getattr(code, title)
    if isinstance(found, nn.Module):
        if options:
            raise OptionError(f"{place} is built already and takes no options: leave {', '.join(options)} out.")
        return _configured(place, found)
    if not callable(found):
        raise ModelError(f"{place} is a {type(found).__name__}: name a function that returns an nn.Module.")
    made = _build(place, found, options, options)
    if not isinstance(made, nn.Module):
        raise ModelError(f"{place} returns a {type(made).__name__}, not an nn.Module: return the network.")
    return _configured(place, made)


def _builds(value: Any, code: ModuleType) -> bool:
    return isinstance(value, nn.Module) or (callable(value) and getattr(value, "__module__", "") == code.__name__)


def _run_file(path: Path) -> ModuleType:
    """Import a file that is in no package; it may import its neighbours."""
    name = f"deconvnet_file_{next(_numbers)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code  # dataclasses and pickling look here
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(code)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ModelError(f"{path} cannot be run ({_said(error)}): mend the file.") from error
    finally:
        sys.path.remove(folder)
    return code


def _build(name: str, builder: Callable[..., Any], arguments: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    given = f" with {', '.join(f'{k}={v!r}' for k, v in options.items())}" if options else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return builder(**arguments)
        except (Exception, SystemExit) as error:
            kind = OptionError if options else ModelError
            raise kind(f"{name} cannot be built{given} ({_said(error)}): build it in Python to see where.") from error


def _configured(name: str, module: nn.Module) -> _Build:
    """What a module says of itself in timm's way, ``pretrained_cfg`` or ``default_cfg``; else ImageNet's usual."""
    said = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    if not isinstance(said, Mapping) or "input_size" not in said:
        own = getattr(module, "input_size", 224)
        size = own if isinstance(own, int) and own > 0 else 224
        return _Build(module, size, round(size / _CROP))
    height, width = said["input_size"][-2:]
    if height != width:
        raise ModelError(f"{name} reads {height} x {width} px, and photos are shown as squares: give input_size.")
    interpolation = str(said.get("interpolation") or "bicubic")
    return _Build(
        module,
        int(height),
        max(int(height), math.floor(height / float(said.get("crop_pct") or _CROP))),
        tuple(said.get("mean") or _MEAN),
        tuple(said.get("std") or _STD),
        interpolation if interpolation in INTERPOLATIONS else "bicubic",  # "random" is one
    )


def _preprocessing(name: str, built: _Build, input_size: int | None) -> Preprocessing:
    size, resize = built.input_size, built.resize
    if input_size is not None:
        if not isinstance(input_size, int) or input_size < 1:
            raise OptionError(f"{name} sees squares of whole pixels: input_size must be 1 or more, not {input_size!r}.")
        size, resize = input_size, max(input_size, round(input_size * resize / size))
    first = next((part for part in built.module.modules() if isinstance(part, nn.Conv2d)), None)
    mean, std = built.mean, built.std
    if first is not None and first.in_channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Preprocessing(
        size,
        resize,
        np.array([255 * value for value in mean], np.float32).reshape(-1, 1, 1),
        tuple(255 * value for value in std),
        channels=len(mean),
        interpolation=built.interpolation,
    )


@torch.no_grad()
def _scores(name: str, module: nn.Module, preprocessing: Preprocessing) -> int:
    """Run the network once on zeros: how many class scores it gives (0: its answer is of another form)."""
    p = preprocessing
    shape = (1, p.channels, p.input_size, p.input_size)
    example = example_weight(module, torch.zeros(()))
    try:
        answer = module(torch.zeros(shape, dtype=example.dtype, device=example.device))
    except Exception as error:
        raise ModelError(
            f"{name} cannot be run on an input of shape {shape} ({_said(error)}): "
            "say its input's side in pixels, input_size=..., or as the attribute input_size of the module."
        ) from error
    return answer.shape[1] if isinstance(answer, Tensor) and answer.ndim == 2 and answer.shape[0] == 1 else 0


def _said(error: BaseException) -> str:
    """An error in a clause."""
    words = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {words if len(words) <= 200 else words[:200] + ' ...'}"
