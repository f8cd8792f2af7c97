"""Photos of a Hugging Face dataset on this machine, as ``save_to_disk`` wrote it. Extra: ``deconvnet[hf]``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deconvnet.data.decoding import why
from deconvnet.data.photos import Photos
from deconvnet.errors import DataError

PREFIX = "hf:"


@dataclass(frozen=True)
class HuggingFaceStore:
    """Encoded photos by name; the dataset's memory-mapped file is opened in each process when first needed."""

    address: str
    column: str
    rows: dict[str, int]
    _opened: dict[int, Any] = field(default_factory=dict, repr=False)

    def read(self, name: str) -> bytes:
        """The encoded photo."""
        rows = self._opened.get(os.getpid())
        if rows is None:
            rows = self._opened[os.getpid()] = _undecoded(_load(self.address), self.column)
        photo = rows[self.rows[name]][self.column]
        if photo is None:
            raise ValueError("the dataset holds nothing in this row")
        if photo["bytes"] is not None:
            return photo["bytes"]
        return Path(photo["path"]).read_bytes()

    def locate(self, name: str) -> str:
        """Dataset and row, for messages."""
        return f"{self.address} row {self.rows[name]}"

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "column": self.column, "rows": self.rows, "_opened": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)


def open_hugging_face(address: str) -> Photos:
    """The photos of a dataset on the disk.

    Parameters
    ----------
    address : str
        ``hf:FOLDER``, or ``hf:FOLDER#SPLIT`` for a dataset with several splits.

    Raises
    ------
    DataError
        If ``datasets`` is not installed, there is no such dataset, or it has no column of pictures.
    """
    folder, _, split = address.removeprefix(PREFIX).partition("#")
    address = PREFIX + os.path.abspath(folder) + (f"#{split}" if split else "")
    rows = _load(address)
    import datasets  # pyright: ignore[reportMissingImports]

    pictures = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    if not pictures or not len(rows):
        raise DataError(f"{address} holds no photo: a dataset with a column of pictures (datasets.Image) is needed.")
    column = pictures[0]
    labels = [name for name, feature in rows.features.items() if isinstance(feature, datasets.ClassLabel)]
    names = tuple(f"{row:08d}" for row in range(len(rows)))
    classes = tuple(rows.features[labels[0]].names) if labels else ()
    given = rows[labels[0]] if labels else []
    return Photos(
        root=Path(address),
        names=names,
        classes=classes,
        labels=np.array([-1 if label is None else label for label in given] or [-1] * len(names), np.int64),
        sizes=_sizes(_undecoded(rows, column), column),
        empty_classes=(),
        _store=HuggingFaceStore(address, column, {name: row for row, name in enumerate(names)}),
    )


def _load(address: str) -> Any:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DataError(
            f"{address} needs the package datasets, which is not installed: pip install 'deconvnet[hf]'."
        ) from error
    folder, _, split = address.removeprefix(PREFIX).partition("#")
    try:
        found = datasets.load_from_disk(folder)
    except Exception as error:  # of many kinds: missing, not a dataset, damaged
        raise DataError(
            f"{address} is not a dataset that save_to_disk wrote ({why(error)}): check the folder."
        ) from error
    if isinstance(found, datasets.DatasetDict):
        if not split and len(found) == 1:
            return next(iter(found.values()))
        if split not in found:
            raise DataError(
                f"{address} has the splits {', '.join(found)}: name one, as in {PREFIX}{folder}#{next(iter(found))}."
            )
        return found[split]
    return found


def _undecoded(rows: Any, column: str) -> Any:
    import datasets  # pyright: ignore[reportMissingImports]

    return rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))


def _sizes(rows: Any, column: str) -> np.ndarray:
    """Bytes of each photo; of one that lies in a file of its own, the file's."""
    sizes = []
    for row in rows:
        photo = row[column]
        if photo is None:
            sizes.append(0)
        elif photo["bytes"] is not None:
            sizes.append(len(photo["bytes"]))
        else:
            sizes.append(os.path.getsize(photo["path"]) if os.path.exists(photo["path"]) else 0)
    return np.array(sizes, np.int64)
