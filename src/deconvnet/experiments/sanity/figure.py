"""How much of a projection comes from the weights: pictures on the way to random weights, and similarity curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.experiments.sanity.record import SanityRecord
from deconvnet.figures.axes import MARGIN, Page, dress, name_columns
from deconvnet.figures.display import display
from deconvnet.figures.lettering import lay_names, names_that_fit, wrapped
from deconvnet.figures.palette import INK, QUIET, SPINE, rule_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run

_MEASURES = ("SSIM", "rank correlation, signed", "rank correlation of magnitudes")
_SINGLE = ("other map", "other photo", "noise")
_NOTE = (
    "Full lines: layers get random weights one after the other, from the top down. Dotted, hollow: that layer alone "
    "is random. Right of the bar: all weights as they are, but another map of the layer, another photo, noise. "
    "1 is unchanged. Pale lines: what unrelated pictures have in common (another photo, or noise). A picture that "
    "stays near 1 shows the photo, not what those weights learned; one at its pale line depends on them as much as "
    "on the photo. Empty pictures count as 0. Mid-grey is zero; each picture has its own scale."
)
_WIDTH, _CURVES = 15.0, 2.9


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
    cell = (_WIDTH - 2 * MARGIN - 0.3) / max(columns, 8)
    row = cell + 0.3
    width = (_WIDTH - 2 * MARGIN - 0.3 - 2 * 0.4) / 3
    single = [test for test in _SINGLE if any(test in tests for tests in means.values())]
    ticks = lay_names(["none", *stages, *single], width, most=30)
    said = wrapped(finding[:1].upper() + finding[1:] + ".", _WIDTH - 2 * MARGIN, 9.5, bold=True)
    curves = 0.25 + len(rules) * row + 0.42  # where the curves begin, below the pictures
    under = curves + _CURVES + ticks.height + 0.1
    page = Page(_WIDTH, under + 0.19 * len(said) + 0.05, title, subtitle=subtitle, notes=[_NOTE])
    heads = names_that_fit(["photo", "unchanged", *(f"+ {name}" for name in stages)], cell - 0.1, 8.5)
    for number, rule in enumerate(rules):
        top = 0.25 + number * row
        shown = [view, *(display(_coloured(picture)) for picture in pictures[rule])]
        for column, image in enumerate(shown):
            if number and column == 0:  # the photo once
                continue
            left = MARGIN + (0.3 + column * cell if column else 0.0)
            axes = page.picture(image, left + 0.03, top, cell - 0.06, cell - 0.06)
            axes.set_anchor("C")
            if number == 0:
                axes.set_title(heads[column], fontsize=8.5, color=INK, parse_math=False, pad=3)
            if column == 1:
                axes.text(
                    -0.07, 0.5, rule, transform=axes.transAxes, ha="right", va="center", rotation=90,
                    fontsize=9.5, fontweight="bold", color=rule_colour(rules, rule), parse_math=False,
                )  # fmt: skip
            if column > 1:
                ssim, signed, size = (float(value) for value in beside[rule][column - 2])
                axes.text(
                    0.5, -0.03, f"SSIM {ssim:.2f}\nrank {signed:.2f}, |·| {size:.2f}", transform=axes.transAxes,
                    ha="center", va="top", fontsize=6.5, color=QUIET, linespacing=1.15,
                )  # fmt: skip
    low = min(0.0, *(float(values.min()) for tests in means.values() for values in tests.values()))
    for number, measure in enumerate(_MEASURES):
        axes = page.axes(MARGIN + 0.3 + number * (width + 0.4), curves, width, _CURVES)
        _curves(axes, number, rules, len(stages), single, means)
        dress(axes, measure, spines=("bottom", "left"))
        axes.set_ylim(low - 0.05, 1.05)
        name_columns(axes, ticks)
    handles, labels = page.figure.axes[-3].get_legend_handles_labels()
    page.figure.legend(
        handles, labels, loc="lower right", bbox_to_anchor=(1 - MARGIN / _WIDTH, 1 - 0.62 / page.height),
        ncols=len(rules), fontsize=9, frameon=False,
    )  # fmt: skip
    page.text("\n".join(said), MARGIN, under, size=9.5, bold=True)
    return page.figure


def _curves(
    axes: Axes,
    measure: int,
    rules: Sequence[str],
    stages: int,
    single: Sequence[str],
    means: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    for number, rule in enumerate(rules):
        colour, tests = rule_colour(rules, rule), means[rule]
        cascade = np.concatenate([[1.0], tests["cascade"][:, measure]])
        axes.plot(range(len(cascade)), cascade, "o-", color=colour, markersize=4, linewidth=1.6, label=rule)
        alone = tests["alone"][:, measure]
        axes.plot(range(1, len(alone) + 1), alone, "o:", color=colour, markersize=4, mfc="white", linewidth=1)
        floor = next((tests[test] for test in ("other photo", "noise") if test in tests), None)
        if floor is not None:
            axes.plot([0, stages + 0.5], [floor[0, measure]] * 2, color=colour, linewidth=4, alpha=0.16)
        shift = 0.16 * (number - (len(rules) - 1) / 2)
        places = [stages + 1 + i + shift for i, test in enumerate(single) if test in tests]
        values = [float(tests[test][0, measure]) for test in single if test in tests]
        axes.plot(places, values, "D", color=colour, markersize=4.5)
    axes.axvline(stages + 0.5, color=SPINE, linewidth=1)
    axes.set_xlim(-0.3, stages + 1 + len(single) - 0.6)


def _coloured(picture: np.ndarray) -> np.ndarray:
    """Other numbers of channels than 1 and 3 are shown by their sum."""
    return picture if picture.shape[0] in (1, 3) else picture.sum(0, keepdims=True)


def record_figure(record: SanityRecord, title: str | None = None) -> Figure:
    """The first unit's pictures on the way to random weights, and similarity curves over all units.

    Parameters
    ----------
    record : SanityRecord
    title : str, optional
        By default the network and the layer.

    Returns
    -------
    matplotlib.figure.Figure
    """
    several = f"{len(record.views)} photos" if len(record.views) > 1 else "one photo"
    found = record.similarities
    return sanity_figure(
        record.views[record.photos[0]],
        record.stage_names,
        {rule: {test: record.mean(rule, test) for test in tests} for rule, tests in found.items()},
        {rule: [found[rule]["cascade"][stage, 0] for stage in range(len(record.stages))] for rule in found},
        record.pictures,
        title or f"{record.title}: do pictures of {record.layer} come from its weights?",
        f"Pictures: {record.units[0]}. Curves: means over {len(record.units)} units in {several}.",
        record.finding(),
    )


def figures(record: SanityRecord, _run: Run) -> dict[str, Figure]:
    """The figures of a run, by name."""
    return {"sanity": record_figure(record)}
