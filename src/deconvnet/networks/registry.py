"""The built-in networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from deconvnet.errors import OptionError, UnknownNameError
from deconvnet.networks.alexnet import alexnet, alexnet_dense
from deconvnet.networks.lenet5 import LeNet5, LeNet5Original
from deconvnet.networks.zfnet import zfnet, zfnet_386m, zfnet_lrn30, zfnet_wide


@dataclass(frozen=True)
class NetworkEntry:
    """A built-in network.

    Attributes
    ----------
    name : str
        Name in the registry.
    builder : callable
        Builds the module; its keyword arguments are the network's options.
    about : str
        One line: what it is, and where it comes from.
    channels : int
        Channels of the input (1 grey, 3 RGB).
    """

    name: str
    builder: Callable[..., nn.Module]
    about: str
    channels: int = 3

    @property
    def options(self) -> dict[str, Any]:
        """The options and their defaults."""
        parameters = inspect.signature(self.builder).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    @property
    def module_doc(self) -> str:
        """The file's docstring: the network's source and table."""
        return inspect.getdoc(inspect.getmodule(self.builder)) or ""


_ENTRIES = (
    NetworkEntry("lenet5-1998", LeNet5Original, "LeNet-5 as published: trainable subsampling, RBF output (1998)", 1),
    NetworkEntry("lenet5", LeNet5, "LeNet-5, the modern form: ReLU, max pooling, linear output", 1),
    NetworkEntry("alexnet", alexnet, "AlexNet: two towers, LRN inside each (Krizhevsky et al. 2012)"),
    NetworkEntry("alexnet-dense", alexnet_dense, "AlexNet as one tower: Zeiler & Fergus's starting point"),
    NetworkEntry("zfnet", zfnet, "ZFNet: 7x7/2 filters, pool before LRN (Zeiler & Fergus 2013, Fig. 3)"),
    NetworkEntry("zfnet-wide", zfnet_wide, "ZFNet with 512-1024-512 maps in layers 3 to 5 (Table 3)"),
    NetworkEntry(
        "zfnet-lrn30", zfnet_lrn30, "a write-up's variant: LRN over 30 and 50 maps before pooling, no dropout"
    ),
    NetworkEntry("zfnet-386m", zfnet_386m, "a write-up's variant: conv2 with stride 1, 512-1024-512 maps, no LRN"),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def names() -> tuple[str, ...]:
    """Names of the built-in networks, oldest first."""
    return tuple(_BY_NAME)


def entry(name: str) -> NetworkEntry:
    """The registry's entry.

    Raises
    ------
    UnknownNameError
        If there is no such network; the nearest names are offered.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownNameError(
            "network",
            name,
            _BY_NAME,
            "`deconvnet networks` lists them; others are torchvision:NAME, timm:NAME and FILE.py:NAME.",
        ) from None


def build(name: str, **options: Any) -> nn.Module:
    """Build a built-in network with fresh weights.

    Parameters
    ----------
    name : str
        A name of :func:`names`.
    **options
        The network's options, for example ``num_classes=101, input_size=128, fc_width=1024, remove=(3, 4)``.

    Raises
    ------
    UnknownNameError, OptionError
        If the network or an option does not exist, or an option is out of range.
    """
    found = entry(name)
    for option in options:
        if option not in found.options:
            raise UnknownNameError(f"option of {name}", option, found.options)
    if isinstance(options.get("remove"), list):
        options["remove"] = tuple(options["remove"])
    try:
        return found.builder(**options)
    except (TypeError, ValueError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"{name} cannot be built with {options}: {error}") from error
