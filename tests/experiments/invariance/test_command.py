"""``deconvnet invariance``: Figure 5 from the command line."""

from __future__ import annotations

import zipfile

import pytest
from PIL import Image

from deconvnet.experiments.invariance.record import InvarianceRecord
from deconvnet.runs import Run

FAST = ("--transform", "vertical:-4:4:4", "--transform", "brightness:1:1.5:0.5")


@pytest.fixture
def photo(two_classes):
    return two_classes / "red" / "0.jpg"


def test_photos_to_a_run_with_its_figure(command, small_weights, two_classes, photo, tmp_path):
    answer = command("invariance", small_weights, photo, two_classes / "other" / "1.jpg", *FAST)
    assert answer.code == 0, answer
    record = InvarianceRecord.read(Run.open(tmp_path / "runs" / "invariance"))
    assert record.layers == ("relu1", "relu7")
    assert record.photos == (photo.resolve().as_posix(), (two_classes / "other" / "1.jpg").resolve().as_posix())
    assert [course.name for course in record.courses] == ["vertical", "brightness"]
    for row in record.summary():
        assert f"{row.between:.2f}" in answer.out
    assert "8 pictures in 2 forward passes" in answer.out
    assert "red/0.jpg" in answer.out
    assert "(predicted)" in answer.out
    with Image.open(tmp_path / "runs" / "invariance" / "invariance.png") as picture:
        assert picture.width > 1000


def test_names_inside_an_archive_and_a_class(command, small_weights, photo, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photo, "cat/a.jpg")
        archive.write(photo.with_name("1.jpg"), "dog/b.jpg")
    start = ("invariance", small_weights, "cat/a.jpg", "dog/b.jpg", "--data", "photos.zip", *FAST)
    answer = command(*start, "--out", "one", "--layer", "conv5", "--layer", "fc6")
    assert answer.code == 0, answer
    assert "class cat (folder)" in answer.out
    assert "class dog (folder)" in answer.out
    assert InvarianceRecord.read(Run.open(tmp_path / "one")).layers == ("conv5", "fc6")
    answer = command(*start, "--out", "two", "--class", "eel", "--fill", "edge")
    assert InvarianceRecord.read(Run.open(tmp_path / "two")).labels == ("eel", "eel")
    answer = command(*start, "--out", "three", "--class", "3", "--class", "ant")
    assert InvarianceRecord.read(Run.open(tmp_path / "three")).labels == ("dog", "ant")


def test_refused(refused, command, small_weights, photo, tmp_path):
    start = ("invariance", small_weights, photo)
    assert "there is no such file" in refused("invariance", small_weights, "none.jpg", *FAST)
    assert "no photo 'x.jpg'" in refused("invariance", small_weights, "x.jpg", "--data", photo.parent)
    assert "choose from vertical" in refused(*start, "--transform", "sideways")
    assert "no class 'cow'" in refused(*start, "--class", "cow", *FAST)
    assert "no class '5'" in refused(*start, "--class", "5", *FAST)
    assert "did you mean conv5" in refused(*start, "--layer", "convv5", *FAST)
    assert "cannot be 'noise'" in refused(*start, "--fill", "noise", *FAST)
    assert "batch_size" in refused(*start, "--batch-size", 0, *FAST)
    assert command(*start, *FAST, "--out", "run").code == 0
    assert "--overwrite" in refused(*start, *FAST, "--out", "run")
    assert command(*start, *FAST, "--out", "run", "--overwrite").code == 0
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    assert "not empty and not a run" in refused(*start, *FAST, "--out", "thesis")
    assert "is a file" in refused(*start, *FAST, "--out", "thesis/a.txt")
    Run.create(tmp_path / "mined", "mine", {}, {})
    assert "kind 'mine'" in refused(*start, *FAST, "--out", "mined", "--overwrite")
