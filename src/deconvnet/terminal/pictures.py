"""Checks a picture's place before the work for it starts."""

from __future__ import annotations

from pathlib import Path

from deconvnet.errors import OptionError


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
