"""Checks the places of pictures and runs before the work for them starts."""

from __future__ import annotations

from pathlib import Path

from deconvnet.errors import OptionError, RunError


def check_picture(path: Path, photo: Path | None = None) -> None:
    """Refuse a place where no picture can be written, or where it would replace ``photo``.

    Raises
    ------
    OptionError
        If the ending names no picture format, the folder does not exist, or ``path`` is a folder or the photo itself.
    DeconvnetError
        If matplotlib is not installed.
    """
    from deconvnet.figures.canvas import new_figure

    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in known:
        raise OptionError(f"{path} cannot be drawn: its ending must be one of {', '.join(sorted(known))}.")
    if not path.parent.is_dir():
        raise OptionError(f"{path} cannot be written: there is no folder {path.parent}; make it or name another.")
    if path.is_dir():
        raise OptionError(f"{path} cannot be written: it is a folder; name a file.")
    if photo is not None and path.exists() and photo.exists() and path.samefile(photo):
        raise OptionError(f"the picture would replace the photo {photo}: name another file with --out.")


def check_drawing() -> None:
    """Refuse to begin where no picture can be drawn.

    Raises
    ------
    DeconvnetError
        If matplotlib is not installed.
    """
    from deconvnet.figures.canvas import new_figure

    new_figure(1, 1)


def check_run(out: Path, kind: str, overwrite: bool) -> None:
    """Refuse a folder in which no run of this kind can be written.

    Parameters
    ----------
    out : Path
        The folder of the run to be made.
    kind : str
        The kind of the run, for example ``"mine"``.
    overwrite : bool
        Whether an earlier run of that kind may be replaced.

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
