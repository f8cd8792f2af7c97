"""``deconvnet occlude``: Figure 7, its record, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from tests.conftest import noise

import deconvnet
from deconvnet.experiments.occlusion import Occluder
from deconvnet.experiments.occlusion.record import OcclusionRecord, rank_correlation


@pytest.fixture
def photo(two_classes):
    return two_classes / "red" / "0.jpg"


def test_a_picture_and_what_it_shows(command, small_weights, small_network, photo, tmp_path):
    answer = command("occlude", small_weights, photo, "--size", "30x20", "--stride", 12, "--class", "dog")
    assert answer.code == 0, answer
    with Image.open(tmp_path / "occlusion.png") as picture:
        assert picture.size[0] > 1500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["occlusion.png"]
    occluder = Occluder(small_network, deconvnet.read_photo(photo))
    found = occluder.map(occluder.grid((30, 20), 12))
    clean, lowest = re.findall(r"dog ([\d.]+) uncovered, ([\d.]+) with", answer.out)[0]
    assert float(clean) == pytest.approx(found.clean_score(3), abs=6e-4)
    assert float(lowest) == pytest.approx(float(found.score(3).min()), abs=6e-4)
    assert f"conv5:{found.strongest()} total activity" in answer.out
    assert "square 30 x 20 px, stride 12 x 12 px, border inside: 4 x 5 positions" in answer.out
    assert "mean (128, 128, 128)" in answer.out
    alike = float(re.findall(r"of its probability with that of its logit (-?[\d.]+)", answer.out)[0])
    assert alike == pytest.approx(rank_correlation(found.score(3), found.score(3, "logit")), abs=6e-3)


def test_a_run_holds_the_numbers_of_all_photos_and_fills(command, small_weights, small_network, two_classes, tmp_path):
    photos = [two_classes / "red" / "0.jpg", two_classes / "other" / "1.jpg"]
    options = ["--size", 40, "--stride", 12, "--fill", "grey", "--fill", "blur", "--layer", "conv4", "--map", 5]
    more = ["--class", "ant", "--class", "bee", "--border", "cut", "--score", "logit", "--out", "run"]
    assert command("occlude", small_weights, *photos, *options, *more).code == 0
    run = deconvnet.Run.open(tmp_path / "run", "occlude")
    assert run.finished
    assert run.settings["fills"] == ["grey", "blur"]
    assert run.settings["score"] == "logit"
    assert run.inputs["weights_sha256"] == small_network.fingerprint
    assert run.has("record")
    back = OcclusionRecord.read(run).photos
    assert [(each.name, each.label_name, each.channel) for each in back] == [("0.jpg", "ant", 5), ("1.jpg", "bee", 5)]
    for path, each in zip(photos, back, strict=True):
        occluder = Occluder(small_network, deconvnet.read_photo(path), layer="conv4")
        for found in each.maps:
            direct = occluder.map(occluder.grid(40, 12, "cut"), found.fill.name)
            np.testing.assert_allclose(found.logits, direct.logits, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(found.sums, direct.sums, rtol=1e-4, atol=1e-4)
    assert "holds a occlude run already" in command("occlude", small_weights, *photos, "--out", "run").err
    assert command("occlude", small_weights, photos[0], "--size", 60, "--out", "run", "--overwrite").code == 0
    assert len(OcclusionRecord.read(deconvnet.Run.open(tmp_path / "run")).photos) == 1


def test_deletion_and_insertion_curves(command, small_weights, photo, tmp_path):
    options = ["--size", 40, "--stride", 12, "--faithfulness", "--steps", 4, "--seeds", 2]
    answer = command("occlude", small_weights, photo, *options, "--out", "run")
    assert answer.code == 0, answer
    (measured,) = OcclusionRecord.read(deconvnet.Run.open(tmp_path / "run")).faithfulness
    assert measured.deletion["random pixels"].shape == (2, 5)
    for curve in ("deletion", "insertion"):
        area = float(measured.area(curve, "map")[0])
        assert f"0.jpg, mean (128, 128, 128), {curve} area: map {area:.3f}, centre" in answer.out
    assert (tmp_path / "run" / "faithfulness.png").is_file()
    assert command("occlude", small_weights, photo, *options, "--out", "a.pdf").code == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a-faithfulness.pdf").read_bytes().startswith(b"%PDF")


def test_projections_from_a_mining_run(command, small_weights, two_classes, photo, tmp_path):
    assert command("mine", small_weights, "--data", two_classes, "--out", "mined", "--layer", "conv5").code == 0
    options = ["--size", 40, "--stride", 24, "--out", "run", "--run"]
    assert command("occlude", small_weights, photo, *options, "mined").code == 0
    (back,) = OcclusionRecord.read(deconvnet.Run.open(tmp_path / "run")).photos
    assert back.projections[0].photo == "0.jpg"
    assert len(back.projections) == 4
    assert len({each.photo for each in back.projections}) == 4
    answer = command("occlude", small_weights, photo, *options[:-3], "--run", "run")
    assert answer.code == 2
    assert "of kind 'occlude', and one of kind 'mine' is needed" in answer.err


def test_there_is_one_arithmetic(command, small_weights, photo, tmp_path):
    options = ["--size", 40, "--stride", 24, "--out", "run"]
    assert "No such option" in command("occlude", small_weights, photo, *options, "--fast").err
    assert command("occlude", small_weights, photo, *options).code == 0
    assert OcclusionRecord.read(deconvnet.Run.open(tmp_path / "run")).photos[0].maps[0].precision == "exact"


def test_grey_networks(command, tmp_path):
    Image.fromarray(noise(28, 28, 0) * 4).save(tmp_path / "digit.png")
    answer = command("occlude", "lenet5", "digit.png", "--stride", 8, "--fill", "white", "--out", "a.png")
    assert answer.code == 0, answer
    assert "grey (255, 255, 255)" in answer.out
    assert "square 7 x 7 px" in answer.out


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--size", 0], "--size is a number of pixels of at least 1"),
        (["--size", "30x0"], "--size is a number of pixels of at least 1"),
        (["--size", "big"], "HEIGHTxWIDTH such as 50x30, not 'big'"),
        (["--size", 65], "a rectangle of 65 x 65 px does not fit into the 64 x 64 px that the network sees"),
        (["--stride", 0], "--stride is a number of pixels of at least 1"),
        (["--stride=-8"], "--stride is a number of pixels of at least 1"),
        (["--fill", "blu"], "'blu' is no fill: give mean, grey, blur"),
        (["--fill", "grey", "--fill", "300,0,0"], "'300,0,0' is no fill"),
        (["--border", "wrap"], "border is one of inside, cut, partial"),
        (["--class", "bea"], "there is no class 'bea': did you mean bee"),
        (["--class", "ant", "--class", "bee"], "2 classes for 1 photos"),
        (["--layer", "fc6"], "fc6 of zfnet has no feature maps"),
        (["--layer", "cnov5"], "did you mean conv5"),
        (["--map", 256], "conv5 has maps 0 to 255"),
        (["--strongest", "mean"], "max or sum, not 'mean'"),
        (["--score", "odds"], "--score is probability or logit"),
        (["--run", "nowhere"], "there is no run nowhere"),
        (["--faithfulness", "--steps", 0], "--steps and --seeds must be at least 1"),
        (["--memory", 0], "--memory must be at least 1 MiB"),
        (["--memory", 1], "MiB for its activations, more than the 1 MiB allowed: allow more memory"),
        (["--out", "nowhere/a.png"], "there is no folder nowhere"),
        (["--out", "a.xyz"], "its ending must be one of"),
        (["--input-size", 96], "options come from the weights file"),
    ],
)
def test_refused_options(refused, small_weights, photo, options, part):
    assert part in refused("occlude", small_weights, photo, *options)


def test_refused_photos_and_places(refused, small_weights, photo, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    assert "text.jpg' is not a readable image" in refused("occlude", small_weights, photo, "text.jpg")
    assert "there is no such file" in refused("occlude", small_weights, "none.jpg")
    (tmp_path / "mine").mkdir()
    Image.fromarray(noise(70, 70, 0)).save(tmp_path / "mine" / "a.png")
    assert "would replace the photo" in refused("occlude", small_weights, "mine/a.png", "--out", "mine/a.png")
    assert "lies in the run's own folder" in refused("occlude", small_weights, "mine/a.png", "--out", "mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    assert "is not empty and not a run" in refused("occlude", small_weights, photo, "--out", "full")


def test_a_network_without_class_scores_is_refused(refused, photo, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())\n"
    )
    assert "gives no class scores (N x classes)" in refused("occlude", "net.py:build", photo)


def test_help_shows_it(command):
    told = " ".join(command("--help").out.split())
    assert "occlude Slide a square over photos and measure what the network misses (Figure 7)." in told
