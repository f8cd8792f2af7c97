"""How much of a projection comes from the weights: pictures on the way to random weights, and the similarity curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.figures.canvas import INK, QUIET, new_figure
from deconvnet.figures.display import display

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"deconvnet": "#d9730d", "guided": "#2e7d5b", "gradient": "#3465a4"}
_NOTE = (
    "Left: layers get random weights one after the other, from the unit's own down to the first. Middle: one layer "
    "alone is random.\nA curve that stays high means a picture that would look much the same without those weights: "
    "it shows the photo, not what the layer learned."
)


def sanity_figure(
    view: np.ndarray,
    layers: Sequence[str],
    similarities: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    examples: Mapping[str, Sequence[np.ndarray]],
    title: str,
) -> Figure:
    """Pictures of one unit on the way to random weights, and similarity curves over all units.

    Parameters
    ----------
    view : uint8 ndarray, shape (H, W, 3)
        The photo.
    layers : sequence of str
        Layers in the order in which they were made random.
    similarities : mapping of rule to mapping of test to sequence of (ssim, rank correlation)
        Tests ``"cascade"`` and ``"alone"`` have one pair a layer, ``"wrong unit"`` and ``"random photo"`` one.
    examples : mapping of rule to sequence of float ndarray, shape (C, h, w)
        The unchanged projection, then one for each layer of the cascade.
    title : str
        The line above the figure.
    """
    rules = list(examples)
    columns = len(layers) + 2  # photo, trained, and one for each layer made random
    width = max(10.0, 1.35 * columns)
    picture = width / columns
    high = len(rules) * picture + 5.0
    figure = new_figure(width, high)
    figure.text(0.02, 1 - 0.15 / high, title, fontsize=13, fontweight="bold", color=INK, va="top", parse_math=False)
    top = 1 - 0.85 / high
    names = ["trained", *(f"+ {name}" for name in layers)]
    for row, rule in enumerate(rules):
        pictures = [view, *(display(example) for example in examples[rule])]
        for column, image in enumerate(pictures):
            if row and column == 0:  # the photo once
                continue
            axes = figure.add_axes(
                (column / columns + 0.008, top - (row + 1) * picture / high, 1 / columns - 0.022, 0.94 * picture / high)
            )
            axes.imshow(image, interpolation="nearest")
            axes.set_axis_off()
            if row == 0:
                heading = "photo" if column == 0 else names[column - 1]
                axes.set_title(heading, fontsize=9, color=INK, parse_math=False)
            if column == 1:
                axes.text(
                    -0.06, 0.5, rule, transform=axes.transAxes, ha="right", va="center", rotation=90,
                    fontsize=10, fontweight="bold", color=_colour(rule),
                )  # fmt: skip
    bottom, height = 1.15 / high, 2.7 / high
    panels = [figure.add_axes((left, bottom, w, height)) for left, w in ((0.06, 0.36), (0.47, 0.36), (0.87, 0.11))]
    for axes, test, heading in zip(
        panels[:2], ("cascade", "alone"), ("Random from the top", "Random alone"), strict=True
    ):
        for rule in rules:
            pairs = np.array(similarities[rule][test], dtype=float).reshape(-1, 2)
            start = [[1.0, 1.0]] if test == "cascade" else []
            values = np.array([*start, *pairs])
            places = np.arange(len(values))
            axes.plot(places, values[:, 0], "o-", color=_colour(rule), markersize=4, label=f"{rule}, SSIM")
            axes.plot(places, values[:, 1], "s:", color=_colour(rule), markersize=4, label=f"{rule}, rank correlation")
        ticks = [*(["none"] if test == "cascade" else []), *layers]
        axes.set_xticks(range(len(ticks)), ticks, fontsize=8, rotation=30 if len(ticks) > 8 else 0)
        axes.set_title(heading, fontsize=10, color=INK, loc="left")
        axes.set_ylim(min(-0.1, axes.get_ylim()[0]), 1.05)
        axes.grid(axis="y", color="#e5e5e5")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    panels[0].set_ylabel("similarity to the trained picture", fontsize=9)
    axes = panels[2]
    for rule in rules:
        values = [similarities[rule][test][0] for test in ("wrong unit", "random photo")]
        axes.plot([0, 1], [v[0] for v in values], "o", color=_colour(rule), markersize=5)
        axes.plot([0.12, 1.12], [v[1] for v in values], "s", color=_colour(rule), markersize=5, mfc="none")
    axes.set_xticks([0, 1], ["wrong\nunit", "noise\nphoto"], fontsize=8)
    axes.set_xlim(-0.5, 1.6)
    axes.set_ylim(panels[0].get_ylim())
    axes.grid(axis="y", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.05, 0.36 / high), ncols=len(rules), fontsize=8,
                  frameon=False)  # fmt: skip
    figure.text(0.02, 0.08 / high, _NOTE, fontsize=8, color=QUIET, va="bottom", linespacing=1.3)
    return figure


def _colour(rule: str) -> str:
    return _COLOURS.get(rule, "#777777")
