"""What folders and archives of photos have in common: which files count, which folders are classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from deconvnet.data.decoding import SUFFIXES
from deconvnet.data.photos import Photos, Store
from deconvnet.errors import DataError


def is_ignored(part: str) -> bool:
    """Whether a part of a path hides what lies below it."""
    return part.startswith(".") or part == "__MACOSX"


def tops(names: Iterable[str]) -> set[str]:
    """The first parts of paths."""
    return {name.split("/", 1)[0] for name in names}


def unwrap(files: dict[str, int], folders: set[str]) -> tuple[dict[str, int], set[str], str]:
    """Leave out leading folders that hold all photos, as long as there are folders of photos in them."""
    inner = ""
    while len(tops(files)) == 1 and any(name.count("/") >= 2 for name in files):
        top = next(iter(tops(files))) + "/"
        files = {name.removeprefix(top): size for name, size in files.items()}
        folders = {name.removeprefix(top) for name in folders if name.startswith(top)}
        inner += top
    return files, folders, inner


def arrange(root: Path, files: dict[str, int], folders: set[str], store: Store) -> Photos:
    """The collection of listed files; the first folder in a photo's path is its class.

    Raises
    ------
    DataError
        If there is no file.
    """
    if not files:
        raise DataError(
            f"{str(root)!r} holds no photo ({' '.join(SUFFIXES)}): "
            "give a folder or a .zip with photos, or with one folder of photos a class."
        )
    names = sorted(files, key=lambda name: name.split("/"))
    of = [name.split("/", 1)[0] if "/" in name else None for name in names]
    classes = sorted({name for name in of if name is not None})
    number = {name: label for label, name in enumerate(classes)}
    empty = tops(folders) - set(classes) if classes else set()
    return Photos(
        root=root,
        names=tuple(names),
        classes=tuple(classes),
        labels=np.array([-1 if name is None else number[name] for name in of], dtype=np.int64),
        sizes=np.array([files[name] for name in names], dtype=np.int64),
        empty_classes=tuple(sorted(empty)),
        _store=store,
    )
