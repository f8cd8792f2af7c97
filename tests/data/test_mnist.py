"""Reading MNIST's idx files: the real ones where they lie at hand, and small generated ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from deconvnet.data.mnist import load_mnist, read_idx
from deconvnet.errors import DataError

REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def idx(array: np.ndarray, kind: int = 0x08) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, images: np.ndarray) -> Path:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(5, dtype=np.uint8))))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:2]), mtime=0))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([9, 8], dtype=np.uint8)))
    return tmp_path


@pytest.mark.skipif(not REAL.is_dir(), reason=f"MNIST is not at {REAL}")
def test_real_mnist() -> None:
    mnist = load_mnist(REAL)
    assert mnist.train_images.shape == (60_000, 28, 28)
    assert mnist.test_images.shape == (10_000, 28, 28)
    assert mnist.train_images.dtype == mnist.train_labels.dtype == np.uint8
    # the published counts of each digit, and the first labels
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # background is 0, and the ink's mean is the well-known one
    assert mnist.train_images[:, 0, 0].max() == 0
    assert mnist.train_images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_small_files_plain_and_compressed(folder: Path, images: np.ndarray) -> None:
    mnist = load_mnist(str(folder))
    np.testing.assert_array_equal(mnist.train_images, images)
    np.testing.assert_array_equal(mnist.train_labels, range(5))
    np.testing.assert_array_equal(mnist.test_images, images[:2])
    np.testing.assert_array_equal(mnist.test_labels, [9, 8])
    mnist.train_images[0, 0, 0] = 1  # the caller's own


def test_compression_is_told_from_the_content(tmp_path: Path, images: np.ndarray) -> None:
    misnamed = tmp_path / "images"
    misnamed.write_bytes(gzip.compress(idx(images), mtime=0))
    np.testing.assert_array_equal(read_idx(misnamed), images)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"<html>404</html>", "not an idx file"),
        (b"\0\0\x08\x03\0\0", "truncated: its idx header"),
        (b"\0\0\x08\0", "truncated: its idx header"),
        (idx(np.zeros((2, 3), np.float32), kind=0x0D), "idx type 0x0d"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"truncated: its header declares 2 x 3 bytes, but 5 follow"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", r"too long: its header declares 2 x 3 bytes, but 7 follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "truncated: its header declares 4294967295"),
        (gzip.compress(idx(np.zeros((50, 3), np.uint8)), mtime=0)[:-9], "damaged or truncated"),
        (gzip.compress(idx(np.arange(99, dtype=np.uint8)), mtime=0)[:20] + b"garbage" * 9, "damaged or truncated"),
        (gzip.compress(idx(np.zeros((2, 3), np.uint8))[:-1], mtime=0), "truncated: its header declares"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "digits"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_things_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*absent"):
        read_idx(folder / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(folder)
    with pytest.raises(DataError, match=r"there is no folder .*absent"):
        load_mnist(folder / "absent")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte\.gz"):
        load_mnist(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("t10k-labels-idx1-ubyte", np.zeros(3, np.uint8), "2 images but t10k-labels-idx1-ubyte 3 labels"),
        ("t10k-labels-idx1-ubyte", np.zeros((2, 1), np.uint8), "2 dimensions, where labels have 1"),
        ("t10k-labels-idx1-ubyte", np.array([1, 10], np.uint8), "the label 10"),
        ("train-images-idx3-ubyte", np.zeros((5, 12), np.uint8), "2 dimensions, where images have 3"),
        ("train-images-idx3-ubyte", np.zeros((5, 4, 4), np.uint8), "4 x 4 for training but 4 x 3 for the test"),
    ],
)
def test_files_that_do_not_fit_each_other(folder: Path, name: str, array: np.ndarray, message: str) -> None:
    (folder / name).write_bytes(idx(array))
    with pytest.raises(DataError, match=message):
        load_mnist(folder)
