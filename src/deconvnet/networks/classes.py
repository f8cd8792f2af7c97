"""Finds a class by its name or by its number."""

from __future__ import annotations

from collections.abc import Sequence

from deconvnet.errors import OptionError, UnknownNameError


def class_index(classes: Sequence[str], text: str, network: str = "the network") -> int:
    """The number of a class, by its name or else by its number.

    Parameters
    ----------
    classes : sequence of str
        The names of a network's classes.
    text : str
        A name, or a number from 0 to ``len(classes) - 1``; a class that is named like a number goes first.
    network : str
        What the network is called in an error.

    Returns
    -------
    int
        The class's place in ``classes``.

    Raises
    ------
    UnknownNameError
        If there is no such class; the nearest are offered.
    OptionError
        If several classes have that name.
    """
    same = [i for i, known in enumerate(classes) if known == text]
    if len(same) > 1:
        raise OptionError(f"{network} has {len(same)} classes named {text!r}: give a number, {same[0]} or {same[1]}.")
    if same:
        return same[0]
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    raise UnknownNameError("class", text, classes)
