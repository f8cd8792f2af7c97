"""Files appear whole or not at all, and damaged ones are told."""

import os
import subprocess
import sys

import numpy as np
import pytest

from deconvnet.errors import RunError
from deconvnet.runs import (
    read_arrays,
    read_image,
    read_json,
    write_arrays,
    write_bytes,
    write_image,
    write_json,
    write_text,
    writing,
)


def test_arrays_come_back_with_types_shapes_and_values(tmp_path):
    arrays = {
        "grid": np.arange(12, dtype=np.float32).reshape(3, 4).T,  # not contiguous
        "scalar": np.array(7, np.int64),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.uint8),
        "half": np.array([-np.inf, 1.5], np.float16),
        "big-endian": np.arange(3, dtype=">i4"),
    }
    write_arrays(tmp_path / "a.safetensors", arrays, {"made": "here"})
    back = read_arrays(tmp_path / "a.safetensors")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        assert back[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back[name], array)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_json_takes_paths_and_numpy_numbers(tmp_path):
    write_json(tmp_path / "x.json", {"path": tmp_path, "n": np.int64(3), "a": np.eye(2), "t": (1, 2), "word": "é"})
    assert read_json(tmp_path / "x.json") == {
        "path": str(tmp_path),
        "n": 3,
        "a": [[1, 0], [0, 1]],
        "t": [1, 2],
        "word": "é",
    }


def test_small_webp_pictures_are_exact_and_large_ones_nearly(tmp_path):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (60, 160, 3)).astype(np.uint8)
    write_image(tmp_path / "small.webp", small)
    np.testing.assert_array_equal(read_image(tmp_path / "small.webp"), small)
    ramp = np.linspace(0, 255, 300)
    large = np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=2).astype(np.uint8)
    write_image(tmp_path / "large.webp", large)
    back = read_image(tmp_path / "large.webp")
    assert 0 < np.abs(back.astype(int) - large).max() < 8
    assert (tmp_path / "large.webp").stat().st_size < large.size / 20


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_images_come_back_bit_for_bit(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_image(tmp_path / "deep" / "i.png", image)
    back = read_image(tmp_path / "deep" / "i.png")
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {"loss": float("nan")}),
        lambda path: write_json(path, {"model": object()}),
        lambda path: write_arrays(path, {"names": np.array(["a", "b"])}),
        lambda path: write_arrays(path, {"things": np.array([object()])}),
        lambda path: write_image(path, np.zeros((4, 4, 3), np.float32)),
        lambda path: write_image(path, np.zeros((4, 4, 4), np.uint8)),
    ],
)
def test_content_without_a_form_is_refused_and_leaves_the_old_file(tmp_path, write):
    write_text(tmp_path / "f", "old")
    with pytest.raises(RunError, match="could not be written"):
        write(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_while_writing_leaves_the_old_file_and_no_temporary(tmp_path, failure):
    def half():
        with writing(tmp_path / "f") as file:
            file.write(b"half of the new")
            raise failure

    write_text(tmp_path / "f", "old")
    with pytest.raises(failure):
        half()
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_is_told(tmp_path):
    with (
        pytest.raises(RunError, match=r"f could not be written because the disk is full"),
        writing(tmp_path / "f"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path):
    """A real refusal by the system in the middle of the file: no file may grow beyond 4 kB in this process."""
    pytest.importorskip("resource")
    write_text(tmp_path / "f", "old")
    script = (
        "import resource, sys\n"
        "from deconvnet.errors import RunError\n"
        "from deconvnet.runs import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    write_bytes(sys.argv[1], bytes(100_000))\n"
        "except RunError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "f")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{tmp_path / 'f'} could not be written (")
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    write_text(tmp_path / "file", "x")
    with pytest.raises(RunError, match="could not be written"):
        write_bytes(tmp_path / "file" / "inside", b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="read-only"):
        write_bytes(tmp_path / "f", b"")


def test_file_rights_follow_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        write_text(tmp_path / "f", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("keep", [0, 4, 20, 0.5, -1])
@pytest.mark.parametrize("kind", ["arrays", "image", "json"])
def test_truncated_files_are_told(tmp_path, kind, keep):
    path = tmp_path / "f"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    {
        "arrays": lambda: write_arrays(path, {"a": noise}),
        "image": lambda: write_image(path, noise),
        "json": lambda: write_json(path, {"a": [1, 2, 3], "b": "long enough to cut"}),
    }[kind]()
    data = path.read_bytes().rstrip()
    length = {0.5: len(data) // 2, -1: len(data) - 1}.get(keep, keep)
    if kind == "image" and keep == -1:
        length = len(data) - 40  # the last bytes of a PNG are an end mark, without pixels
    path.write_bytes(data[:length])
    read = {"arrays": read_arrays, "image": read_image, "json": read_json}[kind]
    with pytest.raises(RunError, match=f"{path} is damaged"):
        read(path)


@pytest.mark.parametrize("read", [read_arrays, read_image, read_json])
def test_missing_files_are_told(tmp_path, read):
    with pytest.raises(RunError, match="there is no file"):
        read(tmp_path / "nowhere")


def test_the_package_opens_without_torch_and_cheaply():
    script = (
        "import sys\n"
        "import deconvnet.runs\n"
        "print([m for m in ('torch', 'numpy', 'PIL', 'safetensors') if m in sys.modules])\n"
        "import deconvnet.mining.record, numpy, tempfile\n"
        "run = deconvnet.runs.Run.create(tempfile.mkdtemp(), 'look', {}, {})\n"
        "run.save_arrays('a', {'x': numpy.ones(2)}); run.arrays('a')\n"
        "run.save_image('i', numpy.ones((2, 2), 'uint8')); run.image('i')\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False"]
