"""What claims are judged by: the runs of a reproduction, and rules with three values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deconvnet.reproduction.record import FAILS, HOLDS, UNTESTABLE, Answer
from deconvnet.runs import Run

SIGMAS = 2.0
"""Standard errors that a difference must exceed to decide anything."""
SIGNIFICANT = 0.05
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Verdict:
    """Our figure, and whether the claim holds; None where the rule cannot tell, with the reason."""

    ours: str
    holds: bool | None
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """The finished parts of a reproduction.

    Attributes
    ----------
    folder : Path
        Where they lie.
    missing : mapping of str to str
        Parts that are not there, and why.
    classes : int
        Classes of the data.
    """

    folder: Path
    missing: Mapping[str, str]
    classes: int

    def run(self, part: str) -> Run:
        """The run of a part."""
        return Run.open(self.folder / part)


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    name, where, says, paper, rule : str
        As in :class:`deconvnet.reproduction.record.Answer`.
    parts : tuple of str
        Parts that must be there to judge it.
    judge : callable(Evidence) -> Verdict
        The rule, computed.
    learned : bool
        Whether it is about what a trained network does, so that a scale that trains for seconds cannot tell.
    """

    name: str
    where: str
    says: str
    paper: str
    rule: str
    parts: tuple[str, ...]
    judge: Callable[[Evidence], Verdict]
    learned: bool = True

    def answer(self, evidence: Evidence, trains: bool) -> Answer:
        """Judge it; not testable where a part is missing or the scale trains nothing."""
        absent = [part for part in self.parts if part in evidence.missing]
        if absent:
            reason = evidence.missing[absent[0]]
            found = Verdict("", None, f"no {absent[0]}: {reason}")
        else:
            found = self.judge(evidence)
            if self.learned and not trains:
                found = Verdict(found.ours, None, "this scale trains for seconds only")
        verdict = UNTESTABLE if found.holds is None else HOLDS if found.holds else FAILS
        words = (self.name, self.where, self.says, self.rule, self.paper)
        return Answer(*words, found.ours, verdict, found.why, self.parts)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def beyond(difference: float, error: float) -> bool | None:
    """True if a difference is more than ``SIGMAS`` standard errors above 0, False if so far below, None between."""
    return None if abs(difference) <= SIGMAS * error else difference > 0


def binomial_error(share: float, count: float) -> float:
    """Standard error of a share of ``count`` photos; of none or all, as if half a photo were otherwise."""
    kept = min(max(share, 0.5 / count), 1 - 0.5 / count)
    return math.sqrt(kept * (1 - kept) / count)


def within_noise(difference: str, error: float) -> str:
    return f"{difference} is within {SIGMAS:g} standard errors of {100 * error:.1f} points"
