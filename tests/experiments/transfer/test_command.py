"""``deconvnet transfer``: Tables 4 to 7 from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.conftest import noise

from deconvnet.experiments.transfer.record import TransferRecord
from deconvnet.runs import Run

FAST = ("--per-class", 3, "--folds", 2, "--layer", "relu7", "--threads", 1)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Eight photos each of a class that the network names and of two that it does not."""
    root = tmp_path_factory.mktemp("data") / "three"
    for number, name in enumerate(("cat", "red", "other")):
        (root / name).mkdir(parents=True)
        for i in range(8):
            pixels = noise(70, 80, i + 100 * number)
            pixels[..., number] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.jpg")
    return root


def test_a_run_with_its_table_and_figure(command, small_weights, three, tmp_path):
    answer = command("transfer", small_weights, "--data", three, *FAST, "-k", 5)
    assert answer.code == 0, answer
    record = TransferRecord.read(Run.open(tmp_path / "runs" / "transfer"))
    assert record.sizes == (3, 5)
    assert record.known == ("cat",)
    assert "trained on 1 of these classes (cat)" in answer.out
    assert record.table() in answer.out
    with Image.open(tmp_path / "runs" / "transfer" / "transfer.png") as picture:
        assert picture.width > 1000


def test_unseen_classes_without_the_photos_that_were_seen(command, small_weights, three, tmp_path):
    (tmp_path / "old" / "cat").mkdir(parents=True)
    (tmp_path / "old" / "red").mkdir()
    for name in ("cat", "red"):  # only its own class counts as seen: "red" is none
        Image.open(three / "red" / "0.jpg").save(tmp_path / "old" / name / "0.png")
        Image.open(three / "red" / "1.jpg").save(tmp_path / "old" / "red" / "1.png")
    answer = command(
        "transfer",
        small_weights,
        "--data",
        three,
        *FAST,
        "--unseen",
        "--seen",
        "old",
        "--threshold",
        0.99,
        "--out",
        "run",
    )
    assert answer.code == 0, answer
    record = TransferRecord.read(Run.open(tmp_path / "run"))
    assert record.classes == ("other", "red")
    assert [each.photo for each in record.duplicates] == ["red/0.jpg"]
    assert record.seen == 1
    assert "1 photos were left out" in answer.out
    assert "red/0.jpg and cat/0.png" in answer.out


def test_labels_and_the_control(command, small_weights, three, tmp_path):
    lines = [
        f"{c}/{i}.jpg,{label}"
        for c in ("cat", "red", "other")
        for i in range(8)
        for label in (c, "even" if i % 2 else "odd")
    ]
    (tmp_path / "labels.csv").write_text("photo,label\n" + "\n".join(lines))
    start = ("transfer", small_weights, "--data", three, "--layer", "relu7", "--folds", 2, "--labels", "labels.csv")
    answer = command(*start, "--out", "one")
    assert answer.code == 0, answer
    assert "mean average precision" in answer.out
    one = TransferRecord.read(Run.open(tmp_path / "one"))
    assert one.sizes == (12,)
    assert command(*start, "--out", "two", "--shuffle-weights").code == 0
    two = TransferRecord.read(Run.open(tmp_path / "two"))
    assert "shuffled" in two.network
    assert not np.array_equal(one.scores, two.scores)


def test_refused(refused, command, small_weights, three, tmp_path):
    start = ("transfer", small_weights, "--data", three)
    assert "has 8 photos, and 30 to train" in refused(*start)
    assert "did you mean relu7" in refused(*start, "-k", 3, "--layer", "reluu7")
    assert "no classifier 'tree'" in refused(*start, "-k", 3, "--classifier", "tree")
    assert "no recipe 'papper'" in refused(*start, "-k", 3, "--scratch", "papper")
    (tmp_path / "labels.csv").write_text("photo,label\na,x\nb,y\n")
    assert "drop --per-class" in refused(*start, "-k", 3, "--labels", "labels.csv")
    assert "cannot be read" in refused(*start, "--labels", "none.csv")
    assert "--threads" in refused(*start, "--threads", 0)
    assert "no class 'cow'" in refused(*start, "--exclude", "cow")
    assert "1 class(es)" in refused(*start, "-k", 3, "--exclude", "red", "--unseen")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    assert "not empty and not a run" in refused(*start, *FAST[:2], "--out", "thesis")
    assert command(*start, *FAST, "--out", "run").code == 0
    assert "--overwrite" in refused(*start, *FAST, "--out", "run")
