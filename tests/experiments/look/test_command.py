"""``deconvnet demo``: sample photos, one's own, and what it must never do to a folder."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from deconvnet.data.samples import SOURCES
from deconvnet.experiments.look.record import Look
from deconvnet.runs import Run


@pytest.fixture
def odd(tmp_path, two_classes):
    """Photos of many kinds, and a text that calls itself one."""
    folder = tmp_path / "odd"
    folder.mkdir()
    shutil.copy(two_classes / "red" / "0.jpg", folder / "colour.jpg")
    Image.fromarray(np.arange(64 * 90, dtype=np.uint8).reshape(64, 90)).save(folder / "grey.jpg")
    Image.fromarray(np.full((1, 1, 3), 77, np.uint8)).save(folder / "tiny.png")
    rgba = np.random.default_rng(0).integers(0, 255, (66, 99, 4)).astype(np.uint8)
    Image.fromarray(rgba).save(folder / "glass.png")
    (folder / "x.jpg").write_text("no photo")
    return folder


def test_photos_of_a_folder(command, small_weights, odd, tmp_path):
    answer = command("demo", "--network", small_weights, "--photos", odd, "--top", 2, "--out", tmp_path / "run")
    assert answer.code == 0, answer
    assert "left out: 1\n  x.jpg: its content is none of" in answer.out
    record = Look.read(Run.open(tmp_path / "run"))
    assert [photo.name for photo in record.photos] == ["colour.jpg", "glass.png", "grey.jpg", "tiny.png"]
    assert [name for name, _ in record.skipped] == ["x.jpg"]
    for photo in record.photos:
        assert f"{photo.name:20} {photo.predictions[0][0]} " in answer.out
        assert sum(probability for _, probability in photo.predictions) == pytest.approx(1)
        assert [layer.name for layer in photo.layers] == [f"conv{i}" for i in range(1, 6)]
        for layer in photo.layers:
            assert len(layer.maps) == 2
            for shown in layer.maps:
                top, left, bottom, right = shown.box
                assert bottom - top == right - left == layer.receptive_field
                for picture in (shown.projection, shown.patch):
                    with Image.open(tmp_path / "run" / picture) as opened:
                        assert opened.size == (right - left, bottom - top)
    page = (tmp_path / "run" / "look.html").read_text()
    assert str(tmp_path / "run" / "look.html") in answer.out
    assert all(name in page for name in ("colour.jpg", "glass.png", "grey.jpg", "tiny.png", "x.jpg"))
    assert Run.open(tmp_path / "run", "look").finished


def test_sample_photos_with_their_sources(command, small_weights, tmp_path):
    answer = command("demo", "--network", small_weights, "--top", 1)
    assert answer.code == 0, answer
    record = Look.read(Run.open(tmp_path / "runs" / "look"))
    assert {photo.name: photo.source.removeprefix("scikit-image: ") for photo in record.photos} == SOURCES
    assert len(SOURCES) == 7
    assert record.skipped == ()


def test_limit_and_zip(command, small_weights, two_classes, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(two_classes.glob("red/*.jpg"))[:3]:
            archive.write(path, path.name)
    answer = command(
        "demo", "--network", small_weights, "--photos", "photos.zip", "--limit", 1, "--top", 1, "--out", "run"
    )
    assert answer.code == 0, answer
    assert "holds 3 photos; the first 1 are shown" in answer.out
    assert len(Look.read(Run.open(tmp_path / "run")).photos) == 1


def test_its_own_earlier_run_is_replaced_and_only_for_a_page_to_come(command, refused, small_weights, odd, tmp_path):
    run, colour = tmp_path / "run", odd / "colour.jpg"
    start = ("demo", "--network", small_weights, "--out", run, "--top")
    assert command(*start, 2, "--photos", colour).code == 0
    assert command(*start, 1, "--photos", colour).code == 0
    assert len(list((run / "photos").glob("*-conv5-*-patch.png"))) == 1
    # what cannot work leaves the earlier run as it was
    assert "no photo could be read (x.jpg" in refused(*start, 1, "--photos", odd / "x.jpg")
    assert "there is no file or folder" in refused(*start, 1, "--photos", "nowhere")
    assert "top must be at least 1" in refused(*start, 0, "--photos", colour)
    assert "lie in the run's own folder" in refused(*start, 1, "--photos", run / "photos")
    assert Run.open(run).finished


def test_another_folder_is_left_alone(refused, small_weights, odd, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    Run.create(tmp_path / "train", "train", {}, {}).save_json("metrics", [])

    def refuse(out, photos=odd / "colour.jpg"):
        return refused("demo", "--network", small_weights, "--photos", photos, "--top", 1, "--out", out)

    assert "is not empty and not a run" in refuse(tmp_path / "full")
    assert "is a file, and a run needs a folder" in refuse(tmp_path / "file")
    assert "holds a run of kind 'train'" in refuse(tmp_path / "train")
    assert "holds no photo" in refuse("run", tmp_path / "empty")


def test_refused_options(refused, small_weights, odd):
    assert "--limit must be at least 1" in refused("demo", "--network", small_weights, "--photos", odd, "--limit", 0)
    assert "did you mean zfnet" in refused("demo", "--network", "zfnett", "--photos", odd)
