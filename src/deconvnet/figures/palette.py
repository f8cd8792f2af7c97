"""Every colour of every figure: greys for ink and lines, eight hues for data, and the names of the heat maps.

The hues are those of Okabe & Ito (2008), which the colour-blind tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

INK = "#1f2328"
QUIET = "#6a737d"
MARK = "#e0007a"  # what is pointed at: a receptive field, a change
SPINE = "#c5c9ce"
GRID = "#e6e8eb"
CHANCE = "#9aa0a6"
PALE, PALEST = "#dfe5ee", "#f4f6f9"  # areas behind a curve
NOTHING = "#e3e6ea"  # a picture's place without a picture

BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, YELLOW, GREY = "#e69f00", "#56b4e9", "#f0e442", "#8c8c8c"
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
"""Colours of thin lines, in this order; yellow is too pale for them."""
AREAS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW)
"""Colours of areas, in this order."""
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
"""Heat maps: of values from nothing upwards, and of values on both sides of zero."""

TRAINING, HELD_OUT, PER_CLASS = BLUE, VERMILION, GREEN
CLASSIFIERS = {"svm": BLUE, "softmax": VERMILION}
RULES = {"deconvnet": VERMILION, "guided": GREEN, "gradient": BLUE}
_OTHER_RULES = (PURPLE, ORANGE, INK)


def rule_colour(rules: Sequence[str], rule: str) -> str:
    """The colour of a rule: its own, or one of three for rules that users bring."""
    others = [each for each in rules if each not in RULES]
    return RULES[rule] if rule in RULES else _OTHER_RULES[others.index(rule) % len(_OTHER_RULES)]


def depth_colour(number: int, count: int) -> str:
    """The colour of layer ``number`` of ``count``: light to dark, lower to upper."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    share = number / max(1, count - 1)
    return to_hex(colormaps[SEQUENTIAL](0.88 - 0.88 * share))


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour ``#rrggbb`` as three numbers, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
