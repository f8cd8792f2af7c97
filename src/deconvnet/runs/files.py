"""Files that are written whole or not at all, and read with errors that say what to do next.

Each writer fills a temporary file beside its target, flushes it to the disk and renames it: whoever reads the target
sees the old content or the new, never a part, also after a power cut. Heavy imports are inside the functions, so that
commands which only parse a unit's address load neither numpy nor Pillow.
"""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from deconvnet.errors import RunError

if TYPE_CHECKING:
    import numpy as np

_EXACT = 160  # pixels; pictures up to this size are small enough without loss
PARTIAL = ".part"
"""Ending of the temporary files; their names begin with a dot. One that a killed process left is of no use."""


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that appears at ``path`` when the block ends, and not at all if it fails.

    Missing folders above ``path`` are made. The block should do nothing but write: its ``OSError`` is taken as one of
    writing.

    Raises
    ------
    RunError
        If the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    temporary = path.parent / f".{secrets.token_hex(8)}{PARTIAL}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(_not_written(path, error)) from error


def _not_written(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} could not be written because the disk is full: free some space and run again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} could not be written because its folder is read-only for you: choose another folder."
    reason = error.strerror or str(error)
    return f"{path} could not be written ({reason}): check the folder and the disk, then run again."


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all; raises `RunError` as `writing` does."""
    with writing(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all; raises `RunError` as `writing` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` to ``path`` as indented JSON, whole or not at all.

    Paths become strings, numpy numbers and arrays become numbers and lists, tuples become lists.

    Raises
    ------
    RunError
        If the file cannot be written, or ``content`` holds something that JSON has no form for (NaN and infinity
        are among these).
    """
    write_text(path, to_json(content, path))


def to_json(content: Any, path: str | os.PathLike[str]) -> str:
    """``content`` as the JSON text that `write_json` writes; ``path`` is only named in errors."""
    try:
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise RunError(f"{path} could not be written: JSON has no form for its content ({error}).") from error


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is neither a number, a text, a list nor a mapping")


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays to ``path`` in the safetensors format, whole or not at all.

    Parameters
    ----------
    path : path
        The file, customarily ending in ``.safetensors``.
    arrays : mapping of str to ndarray
        Arrays of numbers or booleans, any shape.
    metadata : mapping of str to str, optional
        Texts for the file's header.

    Raises
    ------
    RunError
        If the file cannot be written, or an array's type has no form in safetensors (texts, objects).
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in whole.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise RunError(f"{path} could not be written: array {name!r} is of type {array.dtype}, not of numbers.")
    try:
        data = save(whole, dict(metadata) if metadata else None)
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise RunError(f"{path} could not be written: its arrays do not fit safetensors ({error}).") from error
    write_bytes(path, data)


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a picture to ``path``, whole or not at all: as PNG, or as WebP, small and nearly exact.

    Parameters
    ----------
    path : path
        The file; one ending in ``.webp`` is written as WebP of quality 90, and exactly if its longest side has at most
        160 pixels (small cells would lose their colours); any other as PNG.
    image : ndarray, uint8, (height, width, 3) or (height, width)
        RGB or grey pixels, 0 to 255.

    Raises
    ------
    RunError
        If the file cannot be written, or ``image`` has another type or shape.
    """
    import numpy as np
    from PIL import Image

    image = np.asarray(image)
    grey, rgb = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (grey or rgb) or image.size == 0:
        raise RunError(
            f"{path} could not be written: a picture is uint8, height x width x 3 or height x width, "
            f"and this array is {image.dtype} {' x '.join(map(str, image.shape))}."
        )
    data = io.BytesIO()
    options: dict[str, Any] = {"format": "PNG"}
    if Path(path).suffix == ".webp":
        exact = max(image.shape[:2]) <= _EXACT
        options = {"format": "WEBP", "lossless": True} if exact else {"format": "WEBP", "quality": 90, "method": 2}
    Image.fromarray(np.ascontiguousarray(image)).save(data, **options)
    write_bytes(path, data.getvalue())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Content of a JSON file.

    Raises
    ------
    RunError
        If the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(_not_read(path, error)) from error
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError
        raise RunError(f"{path} is damaged ({error}): make the run again.") from error


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Named arrays of a safetensors file.

    Raises
    ------
    RunError
        If the file is missing, unreadable, truncated or otherwise damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(Path(path).read_bytes())
    except OSError as error:
        raise RunError(_not_read(path, error)) from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged or truncated ({error}): make the run again.") from error


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Pixels of a picture: uint8, (height, width, 3), or (height, width) if it was stored grey.

    Raises
    ------
    RunError
        If the file is missing, unreadable, truncated or not a picture.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RunError(_not_read(path, error)) from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image if image.mode == "L" else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise RunError(f"{path} is damaged or not a picture ({error}): make the run again.") from error


def _not_read(path: str | os.PathLike[str], error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no file {path}: the run lacks it, so make the run again or open another."
    return f"{path} could not be read ({error.strerror or error}): check the file and its folder."
