"""Words that fit: measured, wrapped and shortened before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, radians, sin
from typing import Any, NamedTuple

from deconvnet.figures.canvas import DPI, new_figure

NAME, NOTE, HEAD = 7.5, 7.5, 12.0
"""Sizes in points of names beside an axis, of notes below a figure and of the title above it."""
NOTE_LINE, HEAD_LINE = 0.155, 0.22
"""Heights in inches of a line of notes and of a title."""
_ANGLE = 35
_LONGEST = 1.15  # inches of a turned name
_MANY = 12  # names below an axis; of more, five are shown


@lru_cache(1)
def _renderer() -> Any:
    return new_figure(1, 1).canvas.get_renderer()  # type: ignore[attr-defined]


@lru_cache(4096)
def width_of(words: str, size: float, bold: bool = False) -> float:
    """Width of a line in inches, ``size`` in points."""
    renderer = _renderer()  # first: it says that matplotlib is missing
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(renderer.get_text_width_height_descent(words, font, False)[0]) / DPI


def wrapped(words: str, room: float, size: float = NOTE, bold: bool = False) -> list[str]:
    """Words in lines of at most ``room`` inches; a word that is longer is broken.

    Raises
    ------
    DeconvnetError
        If matplotlib is not installed.
    """
    lines: list[str] = []
    for paragraph in words.split("\n"):
        if paragraph and width_of(paragraph, size, bold) <= room:
            lines.append(paragraph)
            continue
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if width_of(longer, size, bold) <= room:
                line = longer
                continue
            if line:
                lines.append(line)
            while width_of(word, size, bold) > room and len(word) > 1:
                fits = max(1, sum(width_of(word[: n + 1], size, bold) <= room for n in range(len(word))))
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        if line:
            lines.append(line)
    return lines


def shortened(words: str, room: float, size: float = NAME, bold: bool = False) -> str:
    """Words in one line of at most ``room`` inches, without their middle where they are longer."""
    if width_of(words, size, bold) <= room:
        return words
    for kept in range(len(words) - 1, 1, -1):
        found = _without_middle(words, kept)
        if width_of(found, size, bold) <= room:
            return found
    return "…"


def names_that_fit(names: Sequence[str], room: float, size: float = NAME) -> list[str]:
    """Names of at most ``room`` inches, of which two are alike only where they were.

    A long name loses its middle. Where that makes some alike they lose what they have in common at the start; where
    this does not tell them apart either, all begin with their numbers.
    """
    found = [shortened(name, room, size) for name in names]
    for alike in {each for each in found if found.count(each) > 1}:
        clashing = list(dict.fromkeys(name for name, short in zip(names, found, strict=True) if short == alike))
        if len(clashing) > 1:
            common = _common_start(clashing)
            for place, name in enumerate(names):
                if name in clashing:
                    found[place] = _cut(f"…{name[common:]}", room, size)
    if len(set(found)) == len(set(names)):
        return found
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    return [shortened(f"{numbers[name]} {name}", room, size) for name in names]


def _without_middle(words: str, kept: int) -> str:
    end = (kept + 1) // 2
    return f"{words[: kept - end].rstrip()}…{words[len(words) - end :].lstrip()}"


def _cut(words: str, room: float, size: float) -> str:
    """Words without their end where they are longer than ``room`` inches."""
    if width_of(words, size) <= room:
        return words
    while len(words) > 1 and width_of(words + "…", size) > room:
        words = words[:-1]
    return words.rstrip() + "…"


def _common_start(names: Sequence[str]) -> int:
    """Letters that all names begin with, but for the last word of them (after a dot, slash, dash, line or space)."""
    same = [len(set(letters)) == 1 for letters in zip(*names, strict=False)]
    common = same.index(False) if False in same else len(same)
    return next((place for place in range(common, 0, -1) if names[0][place - 1] in "./-_ :"), 0)


class NameLayout(NamedTuple):
    """How names stand below an axis.

    Attributes
    ----------
    shown : list of int
        Which names: all of up to 12, else the first, the last and three between.
    words : list of str
    angle : int
        Degrees, 0 where they fit side by side.
    height : float
        Inches that they take below the axis.
    overhang : float
        Inches that the first one reaches to the left of its tick.
    """

    shown: list[int]
    words: list[str]
    angle: int
    height: float
    overhang: float


def lay_names(names: Sequence[str], room: float, size: float = NAME, most: int = _MANY) -> NameLayout:
    """Lay names out below an axis of ``room`` inches."""
    count = len(names)
    shown = list(range(count)) if count <= most else sorted({round(i * (count - 1) / 4) for i in range(5)})
    each = room / max(1, count if len(shown) == count else len(shown))
    widths = [width_of(names[i], size) for i in shown]
    if max(widths, default=0.0) <= each - 0.06:
        return NameLayout(shown, [names[i] for i in shown], 0, 0.22, max(widths, default=0.0) / 2)
    words = names_that_fit([names[i] for i in shown], _LONGEST, size)
    longest = max(width_of(each, size) for each in words)
    turned = radians(_ANGLE)
    first = width_of(words[0], size) * cos(turned) + 0.05
    return NameLayout(shown, words, _ANGLE, longest * sin(turned) + 0.22, first)
