"""The record of a reproduction: each claim of the paper with its figure, ours, and whether it holds. No torch."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import ClassVar, Literal

from deconvnet.runs.record import Record

KIND = "reproduce"
HOLDS, FAILS, UNTESTABLE = "holds", "does not hold", "not testable"
VERDICTS = (HOLDS, FAILS, UNTESTABLE)


@dataclass(frozen=True)
class Answer:
    """What became of one claim.

    Attributes
    ----------
    name : str
        A short name.
    where : str
        Section, figure or table of the paper.
    claim : str
        What the paper says.
    rule : str
        When it counts as holding.
    paper, ours : str
        The paper's figure and ours, in words; ours may be empty.
    verdict : {"holds", "does not hold", "not testable"}
    why : str
        Why it is not testable; empty otherwise.
    parts : tuple of str
        Parts that measured it: folders of the run.
    """

    name: str
    where: str
    claim: str
    rule: str
    paper: str
    ours: str
    verdict: Literal["holds", "does not hold", "not testable"]
    why: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class PartTime:
    """One part of the run.

    Attributes
    ----------
    name, title : str
        Its folder, and what it is.
    seconds, cpu_seconds : float or None
        Wall and CPU time of the session that finished it; None if it is not done.
    forward_seconds : float or None
        Wall time in bare forward passes, where the experiment counts them.
    why : str
        Why it is not done; empty if it is.
    """

    name: str
    title: str
    seconds: float | None
    cpu_seconds: float | None
    forward_seconds: float | None
    why: str


@dataclass(frozen=True)
class ReproductionRecord(Record):
    """Everything of a reproduction but the parts, which are runs of their own in its folder.

    Attributes
    ----------
    scale, about : str
        Name of the scale, and what it does.
    data : str
        What the photos are.
    networks : tuple of str
        Titles of the networks that stand for the paper's.
    parts : tuple of PartTime
    answers : tuple of Answer
        In the order of the paper.
    """

    kind: ClassVar[str] = KIND

    scale: str
    about: str
    data: str
    networks: tuple[str, ...]
    parts: tuple[PartTime, ...]
    answers: tuple[Answer, ...]

    def count(self, verdict: str) -> int:
        """How many claims have a verdict."""
        return sum(answer.verdict == verdict for answer in self.answers)

    def summary(self) -> str:
        """The verdicts counted, in a sentence."""
        told = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in VERDICTS)
        return f"{len(self.answers)} claims at scale {self.scale}: {told}."

    def table(self) -> str:
        """All claims as text, 140 columns wide."""
        widths = (15, 42, 30, 33, 14)
        lines = [*_line(("where", "the paper says", "its figure", "ours", "verdict"), widths), ""]
        for answer in self.answers:
            ours = answer.ours + (f" ({answer.why})" if answer.why else "")
            lines += [*_line((answer.where, answer.claim, answer.paper, ours.strip(), answer.verdict), widths), ""]
        return "\n".join(lines).rstrip()

    def times(self) -> str:
        """All parts as text, with their times."""
        lines = [f"{'part':22} {'seconds':>8} {'of CPU':>8} {'forward':>8}"]
        for part in self.parts:
            lines.append(" ".join([f"{part.name:22}", *(f"{v:>8}" for v in _seconds(part)), part.why]).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """Claims, rules and times as a page."""
        rows = [
            f"| {a.where} | {a.claim} | {a.paper} | {' '.join(x for x in (a.ours, a.why and f'({a.why})') if x)} "
            f"| **{a.verdict}** |"
            for a in self.answers
        ]
        rules = [f"- *{a.claim}* ({a.where}; {', '.join(a.parts) or 'no part'}): {a.rule}" for a in self.answers]
        spent = [f"| {p.name} | {p.title} | {' | '.join(_seconds(p))} | {p.why} |" for p in self.parts]
        return "\n".join(
            [
                f"# The paper at scale {self.scale}\n",
                f"{self.about} Photos: {self.data}. Networks: {', '.join(self.networks)}.\n",
                self.summary() + "\n",
                "| where | the paper says | its figure | ours | |",
                "|---|---|---|---|---|",
                *rows,
                "\n## Rules\n",
                *rules,
                "\n## Times\n",
                "| part | what | seconds | of CPU | in forward passes (wall) | |",
                "|---|---|---|---|---|---|",
                *spent,
                "",
            ]
        )


def _seconds(part: PartTime) -> list[str]:
    every = (part.seconds, part.cpu_seconds, part.forward_seconds)
    return ["-" if value is None else f"{value:.0f}" for value in every]


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> list[str]:
    """One row of a table, each cell wrapped to its width."""
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    return [
        " ".join(
            f"{column[i] if i < len(column) else '':{width}}" for column, width in zip(wrapped, widths, strict=True)
        ).rstrip()
        for i in range(max(map(len, wrapped)))
    ]
