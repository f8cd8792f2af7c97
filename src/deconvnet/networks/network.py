"""A network with all that is needed to show it a photo: preprocessing, class names, card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError, UnknownNameError, WeightsError, printable
from deconvnet.networks.external import is_external, is_file, load_external
from deconvnet.networks.layers import LayerRow, layer_table, without_memory
from deconvnet.networks.preprocessing import Photo, Preprocessing
from deconvnet.networks.registry import build, entry, names
from deconvnet.networks.weights import SHIPPED, fit_weights, read_weights, save_weights, shipped


@dataclass(frozen=True)
class Network:
    """A network and its preprocessing.

    Attributes
    ----------
    name : str
        Name in the registry, or of a package or file and what is in it: ``torchvision:resnet50``, ``net.py:build``.
    module : nn.Module
        In evaluation mode; N x C x H x W -> N x classes scores.
    preprocessing : Preprocessing
        How photos become inputs.
    classes : tuple of str
        One name for each class score; empty where the module gives none (N x classes).
    options : mapping
        What the module was built with.
    card : mapping
        Data, recipe, accuracy and licence of trained weights; empty for fresh ones.
    address : str
        What :func:`load` finds the network again by, from any folder; the name unless given.
    """

    name: str
    module: nn.Module = field(repr=False)
    preprocessing: Preprocessing
    classes: tuple[str, ...] = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    address: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.address:
            object.__setattr__(self, "address", self.name)

    @property
    def is_builtin(self) -> bool:
        """Whether it is one of :func:`deconvnet.networks.names`: its forward runs its children in order."""
        return self.name in names()

    @property
    def title(self) -> str:
        """Its name for a heading; says so where another package's network has random weights."""
        return self.name if self.is_builtin else str(self.card.get("title") or self.name)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        p = self.preprocessing
        return p.channels, p.input_size, p.input_size

    @property
    def parameters(self) -> int:
        """Number of trainable weights and biases."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over the module's tensors in order."""
        digest = hashlib.sha256()
        for name, value in self.module.state_dict().items():
            digest.update(name.encode() + b"\0" + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def view(self, photo: Photo) -> npt.NDArray[np.uint8]:
        """The pixels that the network sees, uint8 (H, W, 3)."""
        return self.preprocessing.view(photo)

    def preprocess(self, photos: Sequence[Photo]) -> Tensor:
        """Photos as the network reads them, float32 (N, C, H, W)."""
        return self.preprocessing(photos)

    @torch.inference_mode()
    def probabilities(self, photos: Sequence[Photo], ten_crops: bool = False) -> npt.NDArray[np.float32]:
        """Class probabilities.

        Parameters
        ----------
        photos : sequence of PIL images or uint8 arrays
        ten_crops : bool
            Average the probabilities of the paper's ten crops instead of looking at the centre once.

        Returns
        -------
        ndarray of float32, (N, classes)
            (N, 0) for a module that gives no class scores.
        """
        p = self.preprocessing
        if not photos or not self.classes:
            return np.zeros((len(photos), len(self.classes)), np.float32)
        if not ten_crops:
            return self.probabilities_of(self.module(p(photos)))
        return np.stack([self.module(p.tensor(p.ten_crops(photo))).softmax(1).mean(0).numpy() for photo in photos])

    def probabilities_of(self, scores: Tensor) -> npt.NDArray[np.float32]:
        """Class probabilities (N, classes) of what the module gave, for callers that have run it already."""
        if not self.classes:
            return np.zeros((len(scores), 0), np.float32)
        return scores.detach().softmax(1).cpu().numpy()

    def layers(self) -> tuple[LayerRow, ...]:
        """The table of a built-in network's layers; for any network see :mod:`deconvnet.networks.layers`.

        Raises
        ------
        ModelError
            If it is not a built-in network.
        """
        if not self.is_builtin:
            raise ModelError(f"{self.name} is no sequence of layers: deconvnet.networks.layers tells them apart.")
        return layer_table(without_memory(self.module), self.input_shape)

    def save(self, path: Path | str, half: bool = False) -> Path:
        """Write the weights with all that :func:`load` needs; see :func:`~deconvnet.networks.weights.save_weights`."""
        return save_weights(
            path,
            self.module,
            network=self.address,
            options=self.options,
            classes=self.classes,
            preprocessing=self.preprocessing,
            card=self.card,
            half=half,
        )


def load(name: str, weights: Path | str | None = "shipped", **options: Any) -> Network:
    """A network with its preprocessing and class names: a built-in one, trained, or anyone's.

    Parameters
    ----------
    name : str
        A built-in network's name; ``torchvision:resnet50``, ``timm:resnet18`` or ``path/to/file.py:build`` (see
        :mod:`deconvnet.networks.external`); or the path of a weights file that deconvnet wrote.
    weights : path, "shipped" or None
        A weights file; the trained weights that come with the package; or ``None`` for fresh, random weights. None come
        with networks of other packages and nothing is downloaded, so ``"shipped"`` then means random weights, always
        the same; the network's title and card say so.
    **options
        With ``weights=None``, the options with which to build the network; for those of other packages and files, also
        with a weights file.

    Returns
    -------
    Network
        In evaluation mode.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    ModelError
        If a package is not installed, a file cannot be run, or what they hold cannot be built or run.
    WeightsError
        If no trained weights come with it, or the file is missing, damaged or of another network.
    """
    stored = None
    if name.endswith(".safetensors"):
        if weights != "shipped":
            raise OptionError(f"{name} is a weights file itself: name a network, or give no other weights.")
        stored = read_weights(name)
        if is_file(stored.network):
            raise WeightsError(
                f"{name} holds weights of a network that a Python file builds, and no file is run that you did not "
                f"name: name it and give these as its weights (it was {printable(stored.network)})."
            )
        if is_external(stored.network):
            return Network(**vars(load_external(stored.network, stored=stored, **options)))
        name, weights = stored.network, name
    if is_external(name):
        return Network(**vars(load_external(name, weights, **options)))
    found = entry(name)
    if weights is None:
        module = build(name, **options).eval()
        classes = tuple(f"class {i}" for i in range({**found.options, **options}.get("num_classes", 10)))
        return Network(name, module, _paper_preprocessing(name, module), classes, options)
    if options:
        raise OptionError("options come from the weights file; give them together with weights=None only.")
    path = shipped(name) if weights == "shipped" else Path(weights)
    if path is None:
        trained = ", ".join(n for n in SHIPPED if shipped(n))
        raise WeightsError(
            f"no trained weights come with {found.name} (they do with {trained or 'none'}): "
            "train it with `deconvnet train`, or name a file with its weights (in Python, weights=None builds it with "
            "random ones)."
        )
    stored = stored or read_weights(path)
    if stored.network != name:
        raise WeightsError(f"{path} holds weights of {stored.network}, not of {name}.")
    try:
        module = build(name, **stored.options)
    except (OptionError, UnknownNameError) as error:
        raise WeightsError(f"{path} names options with which {name} cannot be built: {error}") from error
    fit_weights(module, stored.tensors, network=name, source=path)
    network = Network(name, module.eval(), stored.preprocessing, stored.classes, stored.options, stored.card)
    scores = network.layers()[-1].output[0]
    if scores != len(stored.classes):
        raise WeightsError(f"{path} names {len(stored.classes)} classes, but its {name} has {scores} class scores.")
    return network


def _paper_preprocessing(name: str, module: nn.Module) -> Preprocessing:
    """What the papers did, for a network without weights of its own."""
    if entry(name).channels == 1:
        return lenet_preprocessing()
    size = int(getattr(module, "input_size", 224))
    mean = np.full((3, 1, 1), 127.5, np.float32)
    return Preprocessing(size, round(size * 256 / 224), mean)  # Sec. 3: shortest side 256, centre 224


def lenet_preprocessing() -> Preprocessing:
    """LeNet-5's: 28 x 28 white on black, padded to 32 x 32, black is -0.1 and white 1.175 (LeCun et al. 1998)."""
    black, white = -0.1, 1.175
    scale = 255 / (white - black)
    return Preprocessing(32, 28, np.full((1, 1, 1), -black * scale, np.float32), scale, channels=1, border=2)
