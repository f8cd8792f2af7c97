"""``deconvnet sanity``: randomised weights, other maps, other photos, told and drawn."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from deconvnet.experiments.sanity.record import SanityRecord
from deconvnet.runs import Run


@pytest.fixture
def photo(two_classes):
    return two_classes / "red" / "0.jpg"


def test_a_table_a_run_and_a_figure(command, small_weights, two_classes, photo, tmp_path):
    other = two_classes / "other" / "1.jpg"
    options = ("--layer", "conv2", "--units", 2, "--out", "checked")
    answer = command("sanity", small_weights, photo, other, *options)
    assert answer.code == 0, answer
    rows = re.findall(
        r"^(cascade|alone|other map|other photo|noise) +(\S*) +(\S+) +(\S+) +(\S+) +(\S+)", answer.out, re.M
    )
    assert [row[:2] for row in rows if row[2] == "guided"][:4] == [
        ("cascade", "conv2"),
        ("cascade", "conv1"),
        ("alone", "conv2"),
        ("alone", "conv1"),
    ]
    assert len(rows) == 3 * 7
    assert "Means over 4 units" in answer.out
    assert "upper 1 of 2 layers (conv2)" in answer.out
    run = Run.open(tmp_path / "checked", "sanity")
    assert run.finished
    assert run.inputs["photos"] == ["0.jpg", "1.jpg"]
    means = SanityRecord.read(run).mean("guided", "cascade")
    assert float(rows[7][3]) == pytest.approx(means[0][0], abs=0.006)
    with Image.open(tmp_path / "checked" / "sanity.png") as picture:
        assert min(picture.size) > 900
    again = command("sanity", small_weights, photo, *options)
    assert again.code == 2
    assert "holds a sanity run already" in again.err
    assert command("sanity", small_weights, photo, *options, "--overwrite").code == 0
    assert len(SanityRecord.read(Run.open(tmp_path / "checked", "sanity")).units) == 2


def test_sample_photos_unless_given(command, small_weights, tmp_path):
    answer = command("sanity", small_weights, "--layer", "conv1", "--units", 1, "--out", "s")
    assert answer.code == 0, answer
    assert Run.open(tmp_path / "s", "sanity").inputs["photos"] == ["astronaut", "chelsea", "coffee"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--layer", "conv99"], "did you mean conv"),
        (["--units", 0], "units must be at least 1"),
        (["--stages", 0], "stages must be at least 1"),
        (["--seed", -1], "seed must be at least 0"),
        (["--unpool", "max"], "max"),
    ],
)
def test_refused_options(refused, small_weights, photo, options, part):
    assert part in refused("sanity", small_weights, photo, *options)


def test_refused_places_and_photos(refused, small_weights, photo, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept.txt").write_text("mine")
    assert "mine is not empty" in refused("sanity", small_weights, photo, "--out", "mine")
    assert "mine is not empty and not a run" in refused("sanity", small_weights, photo, "--out", "mine", "--overwrite")
    assert "there is no such file" in refused("sanity", small_weights, tmp_path / "none.jpg", "--layer", "conv1")
