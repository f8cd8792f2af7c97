"""Photos of which each may have several labels, as in PASCAL VOC: a table of photo and label."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deconvnet.data import Photos
from deconvnet.errors import DataError, UnknownNameError

COLUMNS = ("photo", "label")


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Which labels photos have.

    Attributes
    ----------
    photos : tuple of str, N
        Names, in the order in which they first stand in the table.
    labels : tuple of str, C
        Sorted.
    has : ndarray of bool, (N, C)
    """

    photos: tuple[str, ...]
    labels: tuple[str, ...]
    has: npt.NDArray[np.bool_]


def read_labels(path: str | os.PathLike[str]) -> LabelTable:
    """Read a table of labels.

    Parameters
    ----------
    path : path
        A CSV file whose first line names at least the columns photo and label; a photo with several labels has several
        lines.

    Raises
    ------
    DataError
        If the file is missing or not such a table, or holds fewer than two labels.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"the labels {path} cannot be read ({why}): give a CSV file in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        reader.fieldnames = [each.strip() for each in reader.fieldnames or ()]
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path} is not a table ({error}): give a CSV file.") from error
    for column in COLUMNS:
        if column not in reader.fieldnames:
            raise DataError(f"{path} lacks the column {column!r}: its first line must name photo and label.")
    pairs = [(line, (row["photo"] or "").strip(), (row["label"] or "").strip()) for line, row in rows]
    for line, photo, label in pairs:
        if not photo or not label:
            raise DataError(f"line {line} of {path} lacks a photo or a label: write both, or remove the line.")
    return labelled([(photo, label) for _, photo, label in pairs], str(path))


def labelled(pairs: Sequence[tuple[str, str]], name: str = "the table") -> LabelTable:
    """Labels from pairs of photo and label; see :func:`read_labels`."""
    photos = tuple(dict.fromkeys(photo for photo, _ in pairs))
    labels = tuple(sorted({label for _, label in pairs}))
    if len(labels) < 2:
        raise DataError(f"{name} holds {len(labels)} label(s): a classifier needs at least two.")
    rows, columns = ({each: i for i, each in enumerate(group)} for group in (photos, labels))
    has = np.zeros((len(photos), len(labels)), bool)
    for photo, label in pairs:
        has[rows[photo], columns[label]] = True
    return LabelTable(photos, labels, has)


def places(labels: LabelTable, photos: Photos) -> npt.NDArray[np.int64]:
    """Where the labelled photos lie in the data, (N,).

    Raises
    ------
    UnknownNameError
        If one is not there.
    """
    known = {name: i for i, name in enumerate(photos.names)}
    for name in labels.photos:
        if name not in known:
            raise UnknownNameError("photo", name, photos.names, f"Names are those inside {photos.root}.")
    return np.array([known[name] for name in labels.photos], np.int64)
