"""Photos in tar files and WebDataset shards; and in Hugging Face datasets, where the package is installed."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deconvnet.data import UnreadablePhoto, open_photos, read_many
from deconvnet.errors import DataError


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


FILES = {
    "./set/bee/2.png": png(3),
    "./set/ant/1.png": png(1),
    "./set/ant/10.png": png(2),
    "./set/ant/.hidden.png": png(9),
    "./set/ant/note.txt": b"text",
    "./set/a-name-longer-than-a-hundred-letters-" + "x" * 90 + "/1.png": png(4),
}


def values(photos) -> list[int]:
    return [int(photos.read(i)[0, 0, 0]) for i in range(len(photos))]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_like_the_folder_that_was_packed(tmp_path, form):
    for name, content in FILES.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    with tarfile.open(tmp_path / "set.tar", "w", format=form) as archive:
        archive.add(tmp_path / "set", "set")
    packed, folder = open_photos(tmp_path / "set.tar"), open_photos(tmp_path / "set")
    assert packed.names == folder.names
    assert packed.classes == folder.classes
    assert packed.labels.tolist() == folder.labels.tolist()
    assert packed.fingerprint == folder.fingerprint
    assert values(packed) == values(folder)
    assert values(pickle.loads(pickle.dumps(packed))) == values(folder)
    assert values(packed.subset([2, 0])) == [values(folder)[i] for i in (2, 0)]
    assert [int(p[0, 0, 0]) for _, p in read_many(packed, range(4), threads=3)] == values(folder)


def test_a_photo_cut_off_in_the_archive_is_skipped(tmp_path):
    path = pack(tmp_path / "a.tar", {"a/1.png": png(1), "a/2.png": png(2)[:40], "a/3.txt": b""})
    (_, good), (_, bad) = read_many(open_photos(path), [0, 1])
    assert good.shape == (4, 6, 3)
    assert isinstance(bad, UnreadablePhoto)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match="not a readable tar archive"):
        open_photos(path)


def shard(path: Path, number: int) -> Path:
    files: dict[str, bytes] = {}
    for i in range(3):
        key = f"{number}{i}"
        files[f"{key}.png"] = png(10 * number + i)
        files[f"{key}.cls"] = str(10 - i).encode() + b"\n"
        files[f"{key}.json"] = b"{}"
    return pack(path / f"shard-{number:03d}.tar", files)


def test_webdataset_shards(tmp_path):
    for number in range(3):
        shard(tmp_path, number)
    photos = open_photos(str(tmp_path / "shard-{000..002}.tar"))
    assert len(photos) == 9
    assert photos.names[:2] == ("shard-000/00.png", "shard-000/01.png")
    assert photos.classes == ("8", "9", "10")  # numbers in the order of numbers
    assert photos.labels.tolist() == [2, 1, 0] * 3
    assert values(photos) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert open_photos(photos.address).fingerprint == photos.fingerprint
    assert open_photos(tmp_path).fingerprint == photos.fingerprint  # a folder of shards alone
    assert values(open_photos(tmp_path / "shard-001.tar")) == [10, 11, 12]
    assert values(open_photos(str(tmp_path / "shard-{001..002}.tar"))) == [10, 11, 12, 20, 21, 22]


def test_tars_that_are_refused(tmp_path):
    shard(tmp_path, 0)
    with pytest.raises(DataError, match=r"there is no shard .*shard-001.tar"):
        open_photos(str(tmp_path / "shard-{000..001}.tar"))
    with pytest.raises(DataError, match="one pair of braces"):
        open_photos(str(tmp_path / "shard-{003..001}.tar"))
    with pytest.raises(DataError, match="is compressed, so a photo in it cannot be found again"):
        open_photos(pack(tmp_path / "a.tar.gz", FILES, "w:gz"))
    (tmp_path / "b.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match="not a readable tar archive"):
        open_photos(tmp_path / "b.tar")
    with pytest.raises(DataError, match="holds no photo"):
        open_photos(pack(tmp_path / "c.tar", {"a.txt": b""}))
    with pytest.raises(DataError, match="there is no file or folder"):
        open_photos(tmp_path / "d.tar")


def test_a_hugging_face_dataset_on_the_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])})
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(5)], "label": [0, 1, 1, 0, 1]}
    made = datasets.Dataset.from_dict(rows, features=features)
    made.save_to_disk(tmp_path / "set")
    photos = open_photos(f"hf:{tmp_path / 'set'}")
    assert photos.classes == ("ant", "bee")
    assert photos.labels.tolist() == [0, 1, 1, 0, 1]
    assert values(photos) == [0, 1, 2, 3, 4]
    assert photos.sizes.tolist() == [len(png(i)) for i in range(5)]
    assert values(pickle.loads(pickle.dumps(photos))) == [0, 1, 2, 3, 4]
    assert open_photos(photos.address).fingerprint == photos.fingerprint
    datasets.DatasetDict({"train": made, "test": made.select([3])}).save_to_disk(tmp_path / "two")
    assert values(open_photos(f"hf:{tmp_path / 'two'}#test")) == [3]
    with pytest.raises(DataError, match="has the splits train, test: name one"):
        open_photos(f"hf:{tmp_path / 'two'}")


def test_hugging_face_datasets_that_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"not a dataset that save_to_disk wrote|pip install 'deconvnet\[hf\]'"):
        open_photos(f"hf:{tmp_path}")
