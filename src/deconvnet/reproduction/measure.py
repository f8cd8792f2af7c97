"""The whole paper in one run: every experiment at one scale, part by part, and its claims judged.

Command: ``deconvnet reproduce --data FOLDER --out RUN --scale smoke|laptop|full``. Each part is a run of its own in a
folder of this run; finished parts are not done again, trainings and mining go on where they were killed, other parts
are redone. What a part cannot do with the data at hand does not stop the others: its claims are then not testable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deconvnet.data import Photos
from deconvnet.errors import DataError, DeconvnetError, RunError, UnknownNameError
from deconvnet.reproduction.claims import CLAIMS
from deconvnet.reproduction.evidence import Evidence
from deconvnet.reproduction.paper import ALEXNET, PASS_SECONDS, ZFNET, PaperInputs, PaperPart, PartPlan
from deconvnet.reproduction.parts import parts_of
from deconvnet.reproduction.record import KIND, PartTime, ReproductionRecord
from deconvnet.runs import Run, files


def plan(paper: PaperInputs) -> tuple[PartPlan, ...]:
    """The parts with their estimated costs, and whether they are done; nothing is computed or written.

    Raises
    ------
    DataError
        If the photos have no classes.
    """
    _check_classes(paper.photos)
    found = []
    for part in parts_of(paper):
        try:
            minutes = part.passes(paper) * PASS_SECONDS / 60
        except DataError:  # the part itself will say why
            minutes = 0.0
        found.append(PartPlan(part, minutes, _finished(paper.out, part.name) is not None))
    return tuple(found)


def reproduce(
    paper: PaperInputs,
    *,
    only: Sequence[str] = (),
    overwrite: bool = False,
    inputs: Mapping[str, Any] | None = None,
    began: Callable[[PaperPart], None] | None = None,
    ended: Callable[[PartTime], None] | None = None,
) -> ReproductionRecord:
    """Do every part that is not done, judge the claims, and write the run.

    Parameters
    ----------
    paper : PaperInputs
    only : sequence of str
        Do these parts alone, and those that they need; claims on others are then not testable.
    overwrite : bool
        Remove an earlier reproduction with all its parts first.
    inputs : mapping, optional
        What else the manifest should say of the data.
    began, ended : callable, optional
        Before and after each part that is done now.

    Returns
    -------
    ReproductionRecord

    Raises
    ------
    DataError
        If the photos have no classes.
    UnknownNameError
        If there is no part of a name.
    RunError
        If ``out`` holds something else, a reproduction at another scale or of other photos, or cannot be written.
    """
    _check_classes(paper.photos)
    parts = parts_of(paper)
    wanted = _wanted(parts, only)
    given = {"photos": paper.photos.fingerprint, "count": len(paper.photos), **(inputs or {})}
    settings = {"scale": paper.scale.name}
    run = Run.create(paper.out, KIND, settings, given, overwrite=overwrite, resume=not overwrite)
    missing: dict[str, str] = {part: "not planned at this scale" for claim in CLAIMS for part in claim.parts}
    missing["average-zfnets"] = "not planned at this scale"
    times = []
    for part in parts:
        missing.pop(part.name, None)
        done = _finished(paper.out, part.name)
        why = "" if done is not None else "not done yet"
        if done is None and part.name in wanted:
            lacking = next((name for name in part.needs if name in missing), None)
            if lacking is not None:
                why = f"no {lacking}: {missing[lacking]}"
            else:
                if began is not None:
                    began(part)
                done, why = _do(paper, part, run)
                if ended is not None:
                    ended(_time(part, done, why))
        if done is None:
            missing[part.name] = why
        times.append(_time(part, done, why))
    evidence = Evidence(paper.out, missing, len(paper.photos.classes))
    answers = tuple(claim.answer(evidence, paper.scale.trains) for claim in CLAIMS)
    words = f"{paper.photos.root.name}, {len(paper.photos):,} photos in {len(paper.photos.classes)} classes"
    titles = tuple(paper.network(name).title for name in (ZFNET, ALEXNET) if f"train-{name}" not in missing)
    record = ReproductionRecord(paper.scale.name, paper.scale.about, words, titles, tuple(times), answers)
    record.write(run)
    files.write_text(paper.out / "claims.md", record.markdown())
    if not any(each.why == "not done yet" for each in times):
        run.finish()
    return record


def _time(part: PaperPart, done: Mapping[str, float | None] | None, why: str) -> PartTime:
    spent = done or {}
    seconds, cpu, forward = (spent.get(name) for name in ("seconds", "cpu_seconds", "forward_seconds"))
    return PartTime(part.name, part.title, seconds, cpu, forward, why)


def _wanted(parts: Sequence[PaperPart], only: Sequence[str]) -> set[str]:
    by_name = {part.name: part for part in parts}
    for name in only:
        if name not in by_name:
            raise UnknownNameError("part", name, by_name)
    wanted: set[str] = set()
    pending = list(only or by_name)
    while pending:
        name = pending.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            pending += by_name[name].needs
    return wanted


def _do(paper: PaperInputs, part: PaperPart, run: Run) -> tuple[dict[str, float | None] | None, str]:
    """The time that a part took, or why it cannot be done with this data."""
    start, cpu = time.perf_counter(), time.process_time()
    try:
        forward = part.do(paper, paper.out / part.name)
    except RunError:  # a full disk, a folder of something else: nothing that other parts would get round
        raise
    except DeconvnetError as error:
        return None, str(error)
    spent = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "forward_seconds": forward,
    }
    run.save_json(f"done/{part.name}", spent)
    return spent, ""


def _finished(out: Path, name: str) -> dict[str, float | None] | None:
    """The time that a part took, if it is done."""
    path = out / "done" / f"{name}.json"
    if not path.is_file() or not (out / name / "manifest.json").is_file():
        return None
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("seconds"), float):
        raise RunError(f"{path} is damaged: remove it, and the part is done again.")
    return found


def _check_classes(photos: Photos) -> None:
    if len(photos.classes) < 2:
        raise DataError(
            f"{photos.root} holds {len(photos.classes)} class(es): the paper needs one folder of photos for each of at "
            "least two classes (CLASS/photo.jpg)."
        )
