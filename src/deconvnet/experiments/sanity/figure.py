"""How much of a projection comes from the weights: pictures on the way to random weights, and similarity curves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.figures.canvas import INK, QUIET, new_figure
from deconvnet.figures.display import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"deconvnet": "#d9730d", "guided": "#2e7d5b", "gradient": "#3465a4"}
_OTHER_COLOURS = ("#8a4fa3", "#b0413e", "#5b6770")
_MEASURES = ("SSIM", "rank correlation, signed", "rank correlation of magnitudes")
_SINGLE = ("other map", "other photo", "noise")
_NOTE = (
    "Full lines: layers get random weights one after the other, from the top down. Dotted, hollow: that layer alone "
    "is random. Right of the bar: all weights as they are, but another map of the layer, another photo, noise. "
    "1 is unchanged. Pale lines: what unrelated pictures have in common (another photo, or noise). A picture that "
    "stays near 1 shows the photo, not what those weights learned; one at its pale line depends on them as much as "
    "on the photo. Empty pictures count as 0. Mid-grey is zero; each picture has its own scale."
)
_WIDTH, _HEAD, _MARGIN, _CURVES = 15.0, 0.72, 0.2, 2.9


def sanity_figure(
    view: np.ndarray,
    stages: Sequence[str],
    means: Mapping[str, Mapping[str, np.ndarray]],
    beside: Mapping[str, Sequence[np.ndarray]],
    pictures: Mapping[str, Sequence[np.ndarray]],
    title: str,
    subtitle: str,
    finding: str,
) -> Figure:
    """Pictures of one unit on the way to random weights, and similarity curves over all units.

    Parameters
    ----------
    view : uint8 ndarray, shape (H, W, 3)
        The photo.
    stages : sequence of str, length S
        What was made random, in this order.
    means : mapping of rule to mapping of test to float ndarray, (S, 3) or (1, 3)
        SSIM, rank correlation, rank correlation of magnitudes; tests ``"cascade"`` and ``"alone"`` have S rows,
        ``"other map"``, ``"other photo"`` and ``"noise"`` one, or are missing.
    beside : mapping of rule to sequence of float ndarray, (3,)
        The same three of the pictured unit, for each stage of the cascade.
    pictures : mapping of rule to sequence of float ndarray, shape (C, h, w)
        The unchanged projection, then one for each stage of the cascade.
    title, subtitle, finding : str
        The line above, what is averaged, and what was measured, in a sentence.

    Raises
    ------
    OptionError
        If there is no rule, or a rule has another number of pictures than stages and one.
    """
    rules = list(pictures)
    if not rules:
        raise OptionError("there is nothing to draw: give at least one rule.")
    for rule in rules:
        if len(pictures[rule]) != len(stages) + 1:
            raise OptionError(f"{rule} has {len(pictures[rule])} pictures for {len(stages)} stages: expected one more.")
    columns = len(stages) + 2  # photo, unchanged, and one for each stage
    cell = (_WIDTH - 2 * _MARGIN - 0.3) / max(columns, 8)
    row = cell + 0.3
    words = textwrap.wrap(finding[:1].upper() + finding[1:] + ".", 150)
    note = textwrap.wrap(_NOTE, 215)
    foot = 1.05 + 0.2 * len(words) + 0.16 * len(note)  # tick labels, the finding and the note
    high = _HEAD + 0.2 + len(rules) * row + 0.42 + _CURVES + foot
    figure = new_figure(_WIDTH, high)

    def place(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        return left / _WIDTH, 1 - (top + height) / high, width / _WIDTH, height / high

    def say(words: str, left: float, top: float, size: float, **style: object) -> None:
        figure.text(left / _WIDTH, 1 - top / high, words, fontsize=size, va="top", parse_math=False, **style)  # type: ignore[arg-type]

    say(title, _MARGIN, 0.12, 13, fontweight="bold", color=INK)
    say(subtitle, _MARGIN, 0.42, 9, color=QUIET)
    for number, rule in enumerate(rules):
        top = _HEAD + 0.2 + number * row
        shown = [view, *(display(_coloured(picture)) for picture in pictures[rule])]
        for column, image in enumerate(shown):
            if number and column == 0:  # the photo once
                continue
            left = _MARGIN + 0.3 + column * cell
            if column == 0:
                left -= 0.3
            axes = figure.add_axes(place(left + 0.03, top, cell - 0.06, cell - 0.06))
            axes.imshow(image, interpolation="nearest")
            axes.set_axis_off()
            if number == 0:
                heading = "photo" if column == 0 else "unchanged" if column == 1 else f"+ {stages[column - 2]}"
                axes.set_title(_short(heading), fontsize=8.5, color=INK, parse_math=False, pad=3)
            if column == 1:
                axes.text(
                    -0.07, 0.5, rule, transform=axes.transAxes, ha="right", va="center", rotation=90,
                    fontsize=9.5, fontweight="bold", color=_colour(rules, rule), parse_math=False,
                )  # fmt: skip
            if column > 1:
                ssim, signed, size = (float(value) for value in beside[rule][column - 2])
                axes.text(
                    0.5, -0.03, f"SSIM {ssim:.2f}\nrank {signed:.2f}, |·| {size:.2f}", transform=axes.transAxes,
                    ha="center", va="top", fontsize=6.5, color=QUIET, linespacing=1.15,
                )  # fmt: skip
    top = _HEAD + 0.2 + len(rules) * row + 0.42
    width = (_WIDTH - 2 * _MARGIN - 0.3 - 2 * 0.4) / 3
    low = min(0.0, *(float(values.min()) for tests in means.values() for values in tests.values()))
    for number, measure in enumerate(_MEASURES):
        axes = figure.add_axes(place(_MARGIN + 0.3 + number * (width + 0.4), top, width, _CURVES))
        _curves(axes, number, rules, stages, means)
        axes.set_ylim(low - 0.05, 1.05)
        axes.set_title(measure, fontsize=10, color=INK, loc="left")
    handles, labels = figure.axes[-3].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", bbox_to_anchor=(1 - _MARGIN / _WIDTH, 1 - 0.1 / high), ncols=len(rules),
        fontsize=9, frameon=False,
    )  # fmt: skip
    top += _CURVES + 1.05
    say("\n".join(words), _MARGIN, top, 9.5, fontweight="bold", color=INK, linespacing=1.25)
    say("\n".join(note), _MARGIN, top + 0.2 * len(words), 8, color=QUIET, linespacing=1.25)
    return figure


def _curves(
    axes: Axes,
    measure: int,
    rules: Sequence[str],
    stages: Sequence[str],
    means: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    single = [test for test in _SINGLE if any(test in tests for tests in means.values())]
    for number, rule in enumerate(rules):
        colour, tests = _colour(rules, rule), means[rule]
        cascade = np.concatenate([[1.0], tests["cascade"][:, measure]])
        axes.plot(range(len(cascade)), cascade, "o-", color=colour, markersize=4, linewidth=1.6, label=rule)
        alone = tests["alone"][:, measure]
        axes.plot(range(1, len(alone) + 1), alone, "o:", color=colour, markersize=4, mfc="white", linewidth=1)
        floor = next((tests[test] for test in ("other photo", "noise") if test in tests), None)
        if floor is not None:
            axes.plot([0, len(stages) + 0.5], [floor[0, measure]] * 2, color=colour, linewidth=4, alpha=0.16)
        shift = 0.16 * (number - (len(rules) - 1) / 2)
        places = [len(stages) + 1 + i + shift for i, test in enumerate(single) if test in tests]
        values = [float(tests[test][0, measure]) for test in single if test in tests]
        axes.plot(places, values, "D", color=colour, markersize=4.5)
    axes.axvline(len(stages) + 0.5, color="#c5c9ce", linewidth=1)
    ticks = ["none", *(_short(name) for name in stages), *single]
    axes.set_xticks(range(len(ticks)), ticks, fontsize=8, rotation=40, ha="right", rotation_mode="anchor")
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
    axes.set_xlim(-0.3, len(ticks) - 0.6)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=QUIET)


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"…{name[-15:].lstrip('.')}"


def _coloured(picture: np.ndarray) -> np.ndarray:
    """Other numbers of channels than 1 and 3 are shown by their sum."""
    return picture if picture.shape[0] in (1, 3) else picture.sum(0, keepdims=True)


def _colour(rules: Sequence[str], rule: str) -> str:
    others = [each for each in rules if each not in _COLOURS]
    return _COLOURS[rule] if rule in _COLOURS else _OTHER_COLOURS[others.index(rule) % len(_OTHER_COLOURS)]
