"""``deconvnet project``: units of a photo, drawn and told."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from deconvnet.data import read_photo


@pytest.fixture
def photo(two_classes):
    return two_classes / "red" / "0.jpg"


def told(answer) -> list[tuple[str, float]]:
    return [(unit, float(value)) for unit, value in re.findall(r"^(\S+:\S+) +activation +(\S+)", answer.out, re.M)]


def test_single_units_with_their_activations(command, small_weights, small_network, photo, tmp_path):
    answer = command("project", small_weights, photo, "--unit", "conv1:3@2,5", "--unit", "conv2:17")
    assert answer.code == 0, answer
    (first, value), (second, strongest) = told(answer)
    assert first == "conv1:3@2,5"
    assert re.fullmatch(r"conv2:17@\d+,\d+", second)
    with torch.inference_mode():
        x = small_network.preprocess([read_photo(photo)])
        for name, part in small_network.module.named_children():
            x = part(x)
            if name == "conv1":
                assert value == pytest.approx(float(x[0, 3, 2, 5]), abs=1e-3)
            if name == "conv2":
                assert strongest == pytest.approx(float(x[0, 17].max()), abs=1e-3)
                break
    assert "zfnet says" in answer.out
    with Image.open(tmp_path / "projection.png") as picture:
        assert min(picture.size) > 300


def test_strongest_maps_of_several_layers(command, small_weights, photo, tmp_path):
    out = tmp_path / "strong.pdf"
    answer = command("project", small_weights, photo, "--top", 2, "--layer", "conv3", "--layer", "conv5", "--out", out)
    units = told(answer)
    assert [unit.split(":")[0] for unit, _ in units] == ["conv3", "conv3", "conv5", "conv5"]
    assert units[0][1] >= units[1][1] > 0
    assert units[2][1] >= units[3][1] > 0
    assert out.read_bytes().startswith(b"%PDF")


def test_the_last_convolution_unless_a_layer_is_named(command, small_weights, photo):
    units = told(command("project", small_weights, photo, "--top", 1))
    assert [unit.split(":")[0] for unit, _ in units] == ["conv5"]


def test_other_settings_give_other_pictures(command, small_weights, photo, tmp_path):
    pictures = set()
    for number, setting in enumerate(
        ([], ["--rule", "guided"], ["--rule", "gradient"], ["--unpool", "place"], ["--lrn", "grad"])
    ):
        out = tmp_path / f"{number}.png"
        assert command("project", small_weights, photo, "--unit", "conv3:11", "--out", out, *setting).code == 0
        with Image.open(out) as picture:
            pictures.add(np.asarray(picture).tobytes())
    assert len(pictures) == 5


def test_a_unit_that_is_not_active_is_told(command, small_weights, small_network, photo):
    with torch.inference_mode():
        scores = small_network.module(small_network.preprocess([read_photo(photo)]))[0]
    weakest = int(scores.argmin())
    assert scores[weakest] < 0
    answer = command("project", small_weights, photo, "--unit", f"fc8:{weakest}")
    assert answer.code == 0
    assert "not active: it projects to nothing" in answer.out


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--unit", "conv55:1"], "did you mean conv5"),
        (["--layer", "cnov3"], "did you mean conv3"),
        (["--unit", "conv5:256"], "conv5"),
        (["--unit", "conv5:1@3,0"], "conv5"),
        (["--unit", "fc8:1@0,0"], "fc8"),
        (["--unit", "conv5"], "'conv5' is not a unit"),
        (["--unit", "conv5:x"], "'conv5:x' is not a unit"),
        (["--top", 0], "top must be at least 1"),
        (["--unit", "conv5:1", "--layer", "conv5"], "not both"),
        (["--rule", "magic"], "magic"),
        (["--unpool", "max"], "max"),
        (["--lrn", "skip"], "skip"),
        (["--out", "nowhere/a.png"], "there is no folder nowhere"),
        (["--out", "a.xyz"], "its ending must be one of"),
        (["--out", "a"], "its ending must be one of"),
    ],
)
def test_refused_options(refused, small_weights, photo, options, part):
    assert part in refused("project", small_weights, photo, *options)


def test_refused_photos(refused, small_weights, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    assert "text.jpg' is not a readable image" in refused("project", small_weights, tmp_path / "text.jpg")
    assert "there is no such file" in refused("project", small_weights, tmp_path / "none.jpg")
    assert str(tmp_path) in refused("project", small_weights, tmp_path)


def test_the_photo_is_not_replaced_by_the_picture(refused, small_weights, tmp_path):
    Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(tmp_path / "mine.png")
    assert "would replace the photo" in refused("project", small_weights, "mine.png", "--out", "./mine.png")


def test_refused_weights(refused, small_weights, photo, tmp_path):
    whole = small_weights.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "not a whole safetensors file" in refused("project", cut, photo)
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"conv1.weight": torch.zeros(2)}, pickled)
    assert "not a whole safetensors file" in refused("project", pickled, photo)
    assert "not a whole safetensors file" in refused("project", "zfnet", photo, "--weights", pickled)
    assert "holds weights of zfnet, not of alexnet-dense" in refused(
        "project", "alexnet-dense", photo, "--weights", small_weights
    )
    assert "a weights file itself" in refused("project", small_weights, photo, "--weights", pickled)
    assert "did you mean zfnet" in refused("project", "zfnett", photo)
