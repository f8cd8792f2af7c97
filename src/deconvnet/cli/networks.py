"""``deconvnet networks`` and ``deconvnet layers``: what there is, and what it is made of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_KINDS = {"Conv2d": "conv", "MaxPool2d": "max pool", "ZeroPad2d": "pad", "LocalResponseNorm": "LRN", "ReLU": "ReLU"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("networks")(networks)
    app.command("layers")(layers)


def networks() -> None:
    """List the built-in networks: parameters, input, receptive field of the last convolutional layer, weights."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from deconvnet.networks import entry, layer_table, lenet_preprocessing, names
    from deconvnet.networks.weights import read_weights, shipped

    table = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("network", "left"),
        ("parameters", "right"),
        ("input", "right"),
        ("sees", "right"),
        ("trained", "left"),
        ("what", "left"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
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
        table.add_row(
            name, f"{sum(r.parameters for r in rows):,}", f"{side} x {side}", f"{seen} px", trained, found.about
        )
    Console(highlight=False, width=max(104, Console().width)).print(table)
    typer.echo("\n'sees': receptive field of the last map. `deconvnet layers NETWORK` prints the layers.")
    typer.echo(
        "Others by name: torchvision:resnet50, timm:resnet18 (where these packages are installed), or FILE.py:FUNCTION "
        "of your own; with --weights FILE, else random weights."
    )


def layers(
    network: Annotated[
        str, typer.Argument(help="A built-in network, a weights file, torchvision:NAME, timm:NAME or FILE.py:NAME.")
    ],
    input_size: Annotated[int | None, typer.Option(help="Side of the input in pixels.")] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.")] = None,
) -> None:
    """Print a network's layers: kernel, stride, output size, parameters, receptive field."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from deconvnet.errors import ModelError, OptionError
    from deconvnet.networks import build, entry, is_foreign, layer_table, lenet_preprocessing, load
    from deconvnet.networks.layers import layer_rows

    options: dict[str, Any] = {k: v for k, v in (("input_size", input_size), ("num_classes", classes)) if v is not None}
    if network.endswith(".safetensors"):
        if options:
            raise OptionError(f"{network} fixes input size and classes: give them with a network's name only.")
        found = load(network)
        rows, total = layer_rows(found), found.parameters
    elif is_foreign(network):
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
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "kind"):
        table.add_column(heading, no_wrap=True)
    for heading in ("kernel", "stride", "pad", "output", "parameters", "work", "sees", "every"):
        table.add_column(heading, justify="right", no_wrap=True)
    for r in rows:
        table.add_row(
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
    width = 104 + max(0, max(len(r.name) + len(r.kind) for r in rows) - 14)
    Console(highlight=False, width=max(width, Console().width)).print(table)
    work = sum(r.multiply_adds for r in rows)
    typer.echo(f"\n{total:,} parameters, {work / 1e6:,.1f} million multiply-adds for one input.")
    typer.echo("work: multiply-adds; sees: side of the square of pixels that one unit sees; every: step between units.")
    if any(r.measured for r in rows):
        typer.echo(">=: measured by the gradient of one unit, where the network takes a step whose field is not known.")


def _size(value: int | tuple[int, int] | None) -> str:
    """A length, or rows x columns; nothing for 0."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value or "")
