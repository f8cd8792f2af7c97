"""Parts of photos, marked by boxes: reading them, and finding them again in what a network sees."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deconvnet.errors import DataError
from deconvnet.geometry import Box
from deconvnet.networks.preprocessing import LONGEST, Preprocessing

COLUMNS = ("photo", "part", "left", "top", "width", "height")


@dataclass(frozen=True)
class Part:
    """A box around a part of a photo.

    Attributes
    ----------
    photo : str
        Path inside the data's folder or archive, with forward slashes.
    part : str
        ``"nose"``, ``"right eye"``, or any name.
    left, top, width, height : int
        In the photo's own pixels, upright as a viewer shows it.
    """

    photo: str
    part: str
    left: int
    top: int
    width: int
    height: int

    @property
    def box(self) -> Box:
        return Box(self.top, self.left, self.top + self.height, self.left + self.width)

    def __str__(self) -> str:
        return f"{self.part!r} of {self.photo} ({self.width} x {self.height} px at left {self.left}, top {self.top})"


def read_parts(path: str | os.PathLike[str] | None = None) -> tuple[Part, ...]:
    """Read a table of parts.

    Parameters
    ----------
    path : path, optional
        A CSV file whose first line names at least the columns photo, part, left, top, width and height. Unless given,
        the file that comes with deconvnet: twelve faces and twelve Dalmatians of Caltech-101, marked by hand; right and
        left are the subject's own.

    Returns
    -------
    tuple of Part
        In the file's order.

    Raises
    ------
    DataError
        If the file is missing or not such a table, a box is none, or a part is marked twice in a photo.
    """
    name, text = _text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [each.strip() for each in reader.fieldnames or ()]
        reader.fieldnames = header
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{name} is not a table ({error}): give a CSV file.") from error
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DataError(f"{name} lacks the column {missing[0]!r}: its first line must name {', '.join(COLUMNS)}.")
    parts = [_part(name, line, row) for line, row in rows if any(v and str(v).strip() for v in row.values())]
    if not parts:
        raise DataError(f"{name} marks no part: give at least two photos of one.")
    seen: set[tuple[str, str]] = set()
    for part in parts:
        if (part.photo, part.part) in seen:
            raise DataError(f"{name} marks {part.part!r} of {part.photo} twice: keep one line of these.")
        seen.add((part.photo, part.part))
    return tuple(parts)


def view_box(preprocessing: Preprocessing, height: int, width: int, box: Box) -> Box:
    """Where a box of a photo lies in what the network sees, after resizing, cropping and the border.

    Parameters
    ----------
    preprocessing : Preprocessing
    height, width : int
        Of the photo.
    box : Box
        In the photo's pixels.

    Returns
    -------
    Box
        Edges rounded to whole pixels, at least 1 px a side; may lie partly or wholly outside of the crop.
    """
    p = preprocessing
    most = LONGEST * min(height, width)
    cut = (max(0, (height - most) // 2), max(0, (width - most) // 2))  # as shortest_side does
    lengths = (min(height, most), min(width, most))
    edges: list[tuple[int, int]] = []
    for axis, (first, last) in enumerate(((box.top, box.bottom), (box.left, box.right))):
        resized = max(p.resize, round(lengths[axis] * p.resize / min(lengths)))
        ratio = resized / lengths[axis]
        offset = (resized - p.crop) // 2 - p.border
        start, end = (round((edge - cut[axis]) * ratio) - offset for edge in (first, last))
        edges.append((start, max(end, start + 1)))
    (top, bottom), (left, right) = edges
    return Box(top, left, bottom, right)


def visible(preprocessing: Preprocessing, box: Box) -> bool:
    """Whether all of a box of :func:`view_box` lies in the crop."""
    edge, far = preprocessing.border, preprocessing.input_size - preprocessing.border
    return min(box.top, box.left) >= edge and max(box.bottom, box.right) <= far


def check_inside(parts: Sequence[Part], height: int, width: int) -> None:
    """Refuse boxes that leave their photo of ``height`` x ``width`` px."""
    for part in parts:
        if not part.box.inside(height, width):
            raise DataError(f"the box of {part} leaves its photo of {width} x {height} px: correct its line.")


def _text(path: str | os.PathLike[str] | None) -> tuple[str, str]:
    if path is None:
        source = files("deconvnet") / "parts" / "caltech101.csv"
        return "the parts file of deconvnet", source.read_text(encoding="utf-8")
    try:
        return str(path), Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no parts file {path}: give a CSV file of {', '.join(COLUMNS)}.") from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise DataError(f"{path} cannot be read ({why}): give a CSV file of {', '.join(COLUMNS)}.") from error


def _part(name: str, line: int, row: dict[str, str | None]) -> Part:
    words = {column: (row[column] or "").strip() for column in COLUMNS}
    for column in ("photo", "part"):
        if not words[column]:
            raise DataError(f"line {line} of {name} has no {column}: fill it in.")
    numbers: dict[str, int] = {}
    for column in COLUMNS[2:]:
        try:
            numbers[column] = int(words[column])
        except ValueError as error:
            raise DataError(
                f"line {line} of {name} has {words[column]!r} for {column}: give a whole number of pixels."
            ) from error
    part = Part(words["photo"].replace("\\", "/").removeprefix("./"), words["part"], **numbers)
    if part.width < 1 or part.height < 1:
        raise DataError(
            f"the box of {part} is empty: give a width and height of at least 1 px (line {line} of {name})."
        )
    return part
