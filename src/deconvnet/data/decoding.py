"""Decoding: one photo of any kind becomes RGB.

A photo is a uint8 array, height x width x 3, RGB, as a viewer would show it. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import math
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deconvnet.errors import DataError, OptionError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the files that count as photos, in lower case; upper case counts too."""

LARGEST_FILE = 2**30
"""Bytes; no photo is larger, but a mistaken or hostile file may be."""

# Only these are tried, whatever a file's name: Pillow would hand an EPS file to an external interpreter.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_BITS_PER_SAMPLE = 258  # TIFF 6.0, section 8
_ORIENTATION = 0x0112  # Exif 2.3, table 4: tag and values
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_photo(
    source: str | Path | bytes | bytearray | memoryview | BinaryIO, *, shortest: int | None = None
) -> NDArray[np.uint8]:
    """Read a photo of any kind as RGB.

    Grey, two-level and palette pictures become RGB; 16-bit grey is scaled to 8 bits; transparent parts are laid on
    white; CMYK is converted; an animation gives its first frame; the camera's orientation mark (Exif) is obeyed.

    Parameters
    ----------
    source : path, bytes or binary file
        The encoded picture. A file is read from where it stands to its end.
    shortest : int, optional
        The shortest side that is needed, in pixels. A large JPEG is then decoded at a half, a quarter or an eighth of
        its size, which is much faster, as long as its shortest side stays at least this long.

    Returns
    -------
    uint8 array of shape (height, width, 3)
        RGB, writable.

    Raises
    ------
    DataError
        If there is no such file, or it is empty, truncated, damaged, not a picture, or unreasonably large.
    OptionError
        If `shortest` is less than 1.
    """
    check_shortest(shortest)
    name = repr(str(source)) if isinstance(source, str | Path) else "the given data"
    try:
        if isinstance(source, str | Path):
            encoded = file_bytes(Path(source))
        else:
            encoded = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read()
        return decode(encoded, shortest)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may raise anything in a decoder
        raise unreadable(name, why(error)) from error


def decode(encoded: bytes, shortest: int | None) -> NDArray[np.uint8]:
    """Encoded bytes as RGB; raises whatever Pillow raises."""
    if not encoded:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
        if shortest is not None and min(image.size) > shortest:
            # Only JPEG heeds it; the result is never smaller than asked for.
            scale = shortest / min(image.size)
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def is_photo(name: str) -> bool:
    """Whether a file counts as a photo, by its ending."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def file_bytes(path: Path) -> bytes:
    """A file's content; raises what :func:`why` puts into words."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file")  # reading from a pipe would wait for ever
    if status.st_size > LARGEST_FILE:
        raise ValueError("it is larger than 1 GiB")
    return path.read_bytes()


def check_shortest(shortest: int | None) -> None:
    """Refuse a shortest side of no pixel."""
    if shortest is not None and shortest < 1:
        raise OptionError(f"the shortest side must be at least 1 pixel, not {shortest}.")


def why(error: Exception) -> str:
    """A part of a sentence, in one line, without a full stop."""
    if isinstance(error, UnidentifiedImageError):
        return f"its content is none of {', '.join(_FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def unreadable(name: str, why: str) -> DataError:
    """The refusal of one photo that was asked for by itself."""
    return DataError(f"{name} is not a readable image: {why}.")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # the photo itself is fine where its Exif block is not
        return 1


def _bits(image: Image.Image) -> int:
    """Of a pixel's number in a TIFF; 0 in other formats, whose modes tell them."""
    tags = getattr(image, "tag_v2", None)
    return max(tags.get(_BITS_PER_SAMPLE, (0,))) if tags is not None else 0


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no fixed range: save it with 8 or 16 bits")
    if _bits(image) > 16:
        raise ValueError("its pixels have 32 bits, which have no fixed range: save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16-bit grey, in some formats and versions of Pillow held in 32 bits
        grey = np.asarray(image).astype(np.int32)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("its pixels have 32 bits, which have no fixed range: save it with 8 or 16 bits")
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")  # 65535 -> 255, rounded
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
