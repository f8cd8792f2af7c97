"""Checks a run's place before the work for it starts."""

from __future__ import annotations

from pathlib import Path

from deconvnet.errors import RunError


def check_place(out: Path, kind: str, overwrite: bool) -> None:
    """Refuse a folder in which no run of this kind can be written.

    Raises
    ------
    RunError
        If ``out`` is a file, holds something that is no run, a run of another kind, or one that is not to be replaced.
    """
    from deconvnet.runs import Run

    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file, and a run needs a folder: choose another place.")
    if not any(out.iterdir()):
        return
    if not (out / "manifest.json").is_file():
        raise RunError(f"{out} is not empty and not a run: choose a new or empty folder.")
    if Run.open(out, kind) and not overwrite:
        raise RunError(f"{out} holds a {kind} run already: choose another folder with --out, or add --overwrite.")
