"""An experiment of one's own: which share of each layer's cells is active, as a figure and a run.

``python examples/new_experiment.py PHOTO...``. In the package it would be one folder, ``experiments/NAME``, with
measure.py, record.py, figure.py and command.py (see ``experiments/maps``), and one line in ``deconvnet/__init__.pyi``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from matplotlib.figure import Figure

import deconvnet
from deconvnet.features.responses import responses
from deconvnet.figures import save_figure


@dataclass(frozen=True)
class Density:
    """The record: the share of cells above zero, 0 to 1, of each layer and photo."""

    layers: tuple[str, ...]
    photos: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]


def measure(
    network: deconvnet.Network, photos: Sequence[np.ndarray], names: Sequence[str], layers: list[str]
) -> Density:
    """Pass the photos forward once and count the cells above zero."""
    found, _ = responses(network, network.preprocess(photos), layers)
    shares = tuple(tuple((found[layer] > 0).float().mean(1).tolist()) for layer in layers)
    return Density(tuple(layers), tuple(names), shares)


def figure(record: Density) -> Figure:
    """A bar for each layer: the mean over photos."""
    drawn = Figure(figsize=(5, 3), layout="constrained")
    axes = drawn.subplots()
    axes.bar(record.layers, [100 * float(np.mean(shares)) for shares in record.shares])
    axes.set_ylabel("cells above zero, %")
    return drawn


def main(paths: Sequence[str], network: str = "zfnet", out: str = "density") -> Density:
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5"]
    record = measure(deconvnet.load(network), [deconvnet.read_photo(path) for path in paths], paths, layers)
    run = deconvnet.Run.create(out, "density", {"layers": layers}, {"photos": list(paths)}, overwrite=True)
    run.save_json("density", asdict(record))
    save_figure(figure(record), run.path / "density.png")
    run.finish()
    return record


if __name__ == "__main__":
    main(sys.argv[1:])
