"""How a long computation says how far it is: one report, and one type of function that takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Kind = TypeVar("Kind", bound="ProgressReport")


@dataclass(frozen=True)
class ProgressReport:
    """How far a computation is.

    Attributes
    ----------
    done : int
        Units of work that are done, 0 or more.
    total : int or None
        Units of work in all; ``None`` where that is not known.
    what : str
        What is being done, for example ``"reading photos"``.
    note : str
        What is worth knowing in between, for example a rate or a result so far; empty for nothing.
    """

    done: int
    total: int | None
    what: str
    note: str = ""


Progress = Callable[[ProgressReport], None]
"""A function that is called with each report; a measure calls it often, and waits for it."""


def counter(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """A function of (done, total) that reports ``what``, or ``None`` where nobody listens."""
    return None if progress is None else lambda done, total: progress(ProgressReport(done, total, what))


def report(progress: Progress | None, done: int, total: int | None, what: str, note: str = "") -> None:
    """Report, where somebody listens."""
    if progress is not None:
        progress(ProgressReport(done, total, what, note))


def only(kind: type[Kind], call: Callable[[Kind], None]) -> Progress:
    """A progress function that calls ``call`` with the reports of one kind, and ignores the others."""

    def listen(told: ProgressReport) -> None:
        if isinstance(told, kind):
            call(told)

    return listen
