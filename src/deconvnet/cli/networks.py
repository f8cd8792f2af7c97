"""``deconvnet networks`` and ``deconvnet layers``: what there is, and what it is made of."""

from __future__ import annotations

from typing import Any

import typer

from deconvnet.terminal import options, panels
from deconvnet.terminal.tables import Alignment, print_table

_KINDS = {"Conv2d": "conv", "MaxPool2d": "max pool", "ZeroPad2d": "pad", "LocalResponseNorm": "LRN", "ReLU": "ReLU"}

_NETWORK_COLUMNS: tuple[tuple[str, Alignment], ...] = (
    ("network", "left"),
    ("parameters", "right"),
    ("input", "right"),
    ("sees", "right"),
    ("trained", "left"),
    ("what", "left"),
)
_LAYER_COLUMNS: tuple[tuple[str, Alignment], ...] = (
    ("layer", "left"),
    ("kind", "left"),
    ("kernel", "right"),
    ("stride", "right"),
    ("pad", "right"),
    ("output", "right"),
    ("parameters", "right"),
    ("work", "right"),
    ("sees", "right"),
    ("every", "right"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("networks", rich_help_panel=panels.LOOK)(networks)
    app.command("layers", rich_help_panel=panels.LOOK)(layers)


def networks() -> None:
    """List the built-in networks with parameters, input size, receptive field and weights."""
    import torch

    from deconvnet.networks import entry, layer_table, lenet_preprocessing, names
    from deconvnet.networks.weights import read_weights, shipped

    lines = []
    for name in names():
        found = entry(name)
        with torch.device("meta"):
            module = found.builder()
        side = 224 if found.channels == 3 else lenet_preprocessing().input_size
        rows = layer_table(module, (found.channels, side, side))
        seen = max(r.receptive_field for r in rows if r.receptive_field)
        path = shipped(name)
        trained = ""
        if path is not None:
            stored = read_weights(path)
            trained = f"{len(stored.classes)} classes, {stored.preprocessing.input_size} px"
        parameters = f"{sum(r.parameters for r in rows):,}"
        lines.append((name, parameters, f"{side} x {side}", f"{seen} px", trained, found.about))
    print_table(_NETWORK_COLUMNS, lines)
    typer.echo("\n'sees': receptive field of the last map. `deconvnet layers NETWORK` prints the layers.")
    typer.echo(
        "Others by name: torchvision:resnet50, timm:resnet18 (where these packages are installed), or FILE.py:FUNCTION "
        "of your own; with --weights FILE, else random weights."
    )


def layers(
    network: options.NetworkArgument,
    input_size: options.InputSizeOption = None,
    classes: options.ClassCountOption = None,
) -> None:
    """List a network's layers with kernel, stride, output size, parameters and receptive field."""
    import torch

    from deconvnet.errors import ModelError, OptionError
    from deconvnet.networks import build, entry, is_external, layer_table, lenet_preprocessing, load
    from deconvnet.networks.layers import layer_rows

    options: dict[str, Any] = {k: v for k, v in (("input_size", input_size), ("num_classes", classes)) if v is not None}
    if network.endswith(".safetensors"):
        if options:
            raise OptionError(f"{network} fixes input size and classes: give them with a network's name only.")
        found = load(network)
        rows, total = layer_rows(found), found.parameters
    elif is_external(network):
        found = load(network, **options)
        rows, total = layer_rows(found), found.parameters
    else:
        found = entry(network)
        with torch.device("meta"):
            module = build(network, **options)
        side = int(getattr(module, "input_size", 224)) if found.channels == 3 else lenet_preprocessing().input_size
        rows = layer_table(module, (found.channels, side, side))
        total = sum(r.parameters for r in rows)
    if not rows:
        raise ModelError(f"{network} has no layer that gives a tensor: nothing can be said of it.")
    lines = [
        (
            r.name,
            _KINDS.get(r.kind, r.kind.lower()),
            (f"{r.kernel}x{r.kernel}" if isinstance(r.kernel, int) else _size(r.kernel)) if r.kernel else "",
            _size(r.stride),
            _size(r.padding),
            "x".join(map(str, r.output)),
            f"{r.parameters:,}" if r.parameters else "",
            f"{r.multiply_adds / 1e6:,.1f} M" if r.multiply_adds else "",
            f"{'>= ' if r.measured else ''}{_size(r.receptive_field)} px" if r.receptive_field else "all",
            f"{_size(r.receptive_stride)} px" if r.receptive_stride else "",
        )
        for r in rows
    ]
    width = 104 + max(0, max(len(r.name) + len(r.kind) for r in rows) - 14)
    print_table(_LAYER_COLUMNS, lines, width)
    work = sum(r.multiply_adds for r in rows)
    typer.echo(f"\n{total:,} parameters, {work / 1e6:,.1f} million multiply-adds for one input.")
    typer.echo("work: multiply-adds; sees: side of the square of pixels that one unit sees; every: step between units.")
    if any(r.measured for r in rows):
        typer.echo(">=: measured by the gradient of one unit, where the network takes a step whose field is not known.")


def _size(value: int | tuple[int, int] | None) -> str:
    """A length, or rows x columns; nothing for 0."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value or "")
