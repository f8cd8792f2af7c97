"""MNIST's handwritten digits, from the four idx files as they are distributed.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits" (CC BY-SA 3.0). Data sets in
the same files, such as Fashion-MNIST, load as well.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deconvnet.errors import DataError

__all__ = ["Mnist", "load_mnist", "read_idx"]

_GZIP = b"\x1f\x8b"
_UINT8 = 0x08  # the idx format's code of the element type


@dataclass(frozen=True, eq=False)
class Mnist:
    """The digits and their classes.

    Attributes
    ----------
    train_images : uint8 array of shape (60000, 28, 28)
        0 is background, 255 full ink.
    train_labels : uint8 array of shape (60000,)
        0 to 9.
    test_images : uint8 array of shape (10000, 28, 28)
    test_labels : uint8 array of shape (10000,)
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or compressed with gzip.

    Parameters
    ----------
    path : path
        The file; whether it is compressed is told from its first bytes, not from its name.

    Returns
    -------
    uint8 array
        With as many dimensions as the file declares; writable.

    Raises
    ------
    DataError
        If the file is missing, truncated, longer than its header says, or not an idx file of unsigned bytes.
    """
    path = Path(path)
    content = _content(path)
    # header: two zero bytes, element type, number of dimensions, then each dimension as a big-endian 32-bit integer
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{path} is not an idx file: it does not begin with two zero bytes; download it again.")
    kind, dimensions = content[2], content[3]
    if kind != _UINT8:
        raise DataError(f"{path} holds elements of idx type 0x{kind:02x}, where unsigned bytes (0x08) are needed.")
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise DataError(f"{path} is truncated: its idx header is not complete; download it again.")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    found, declared = len(content) - start, math.prod(shape)
    if found != declared:
        what = "is truncated" if found < declared else "is too long"
        size = " x ".join(map(str, shape))
        raise DataError(f"{path} {what}: its header declares {size} bytes, but {found} follow; download it again.")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def load_mnist(folder: str | Path) -> Mnist:
    """Load MNIST from a folder with its four idx files, each plain or with ``.gz``.

    Parameters
    ----------
    folder : path
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.

    Returns
    -------
    Mnist

    Raises
    ------
    DataError
        If a file is missing (it is named) or damaged, or if the files do not fit each other.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give the folder with MNIST's four idx files.")
    train = _images_and_labels(folder, "train")
    test = _images_and_labels(folder, "t10k")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"the digits in {folder} are {_size(train[0])} for training but {_size(test[0])} for the test: "
            "the files are of different data sets."
        )
    return Mnist(*train, *test)


def _images_and_labels(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_path, labels_path = (_find(folder, f"{part}-{rest}") for rest in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise DataError(f"{images_path} holds an array of {images.ndim} dimensions, where images have 3.")
    if labels.ndim != 1:
        raise DataError(f"{labels_path} holds an array of {labels.ndim} dimensions, where labels have 1.")
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images but {labels_path.name} {len(labels)} labels: "
            "the files are of different data sets."
        )
    if len(labels) and labels.max() > 9:
        raise DataError(f"{labels_path} holds the label {labels.max()}, where labels are 0 to 9.")
    return images, labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder} holds neither {name} nor {name}.gz: put MNIST's four idx files there.")


def _content(path: Path) -> bytearray:
    try:
        raw = path.read_bytes()
        return bytearray(gzip.decompress(raw) if raw.startswith(_GZIP) else raw)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}: give the path of an idx file.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged or truncated ({error}); download it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error


def _size(images: NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))
