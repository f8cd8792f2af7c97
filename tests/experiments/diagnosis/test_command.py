"""``deconvnet diagnose``, ``compare`` and ``average``."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from PIL import Image

from deconvnet.networks import load
from deconvnet.runs import Run


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    """Two weights files of the classes and split of the photos."""
    root = tmp_path_factory.mktemp("two")
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = load("zfnet", weights=None, num_classes=2, input_size=64, fc_width=16)
        card = {"recipe": {"held_out": 0.4, "seed": 0}}
        paths.append(
            dataclasses.replace(network, classes=("other", "red"), card=card).save(root / f"{seed}.safetensors")
        )
    return paths


def test_diagnose(command, small_weights, two_classes, tmp_path):
    out = tmp_path / "run"
    few = ["--data", two_classes, "--photos", "5", "--probe", "2", "--out", out]
    answer = command("diagnose", small_weights, small_weights, *few)
    assert answer.code == 0, answer
    assert answer.out.count("initial noise: Filters no smoother than white noise") == 2
    assert "shifts: " in answer.out
    assert Run.open(out, "diagnose").finished
    with Image.open(out / "diagnosis.png") as picture:
        assert picture.width > 500
    again = command("diagnose", small_weights, *few)
    assert again.code == 2
    assert "holds a diagnose run already" in again.err
    assert command("diagnose", small_weights, *few, "--overwrite").code == 0


def test_diagnose_without_photos(command, small_weights):
    answer = command("diagnose", small_weights)
    assert answer.code == 0, answer
    assert "Without --data only filters were looked at" in answer.out


def test_diagnose_refuses(refused, small_weights, two_classes):
    assert "at most 4 networks" in refused("diagnose", *["zfnet"] * 5)
    assert "--weights belongs to one network" in refused("diagnose", "zfnet", "zfnet", "--weights", small_weights)
    assert "sample must be at least 1" in refused("diagnose", small_weights, "--data", two_classes, "--photos", "0")
    assert "no network 'zfnett'" in refused("diagnose", "zfnett")
    assert "give photos with --data" in refused("diagnose", small_weights, "--exclude", "red")
    assert "nowhere" in refused("diagnose", small_weights, "--data", "nowhere")


def test_compare(command, small_weights, tmp_path):
    out = tmp_path / "run"
    answer = command("compare", "lenet5", small_weights, "--rounds", "2", "--out", out)
    assert answer.code == 0, answer
    assert answer.out.splitlines()[0].split() == ["lenet5", "zfnet"]
    assert "accuracy on 10,000 held out, MNIST" in answer.out
    assert "no accuracy on a card" in answer.out
    assert (out / "comparison.png").is_file()
    assert Run.open(out, "compare").finished


def test_compare_refuses(refused, small_weights):
    assert "rounds must be at least 1" in refused("compare", small_weights, "--rounds", "0")
    assert "--threads must be at least 1" in refused("compare", small_weights, "--threads", "0")
    assert "give photos with --data" in refused("compare", small_weights, "--exclude", "red")
    assert "no network 'lenet6'" in refused("compare", "lenet6")


def test_average(command, two_networks, two_classes, tmp_path):
    out = tmp_path / "run"
    answer = command("average", *two_networks, "--data", two_classes, "--out", out)
    assert answer.code == 0, answer
    assert "average of 2" in answer.out
    assert "held-out photos (share 0.4, seed 0), ten crops: 8 photos in 2 classes" in answer.out
    assert (out / "average.png").is_file()
    assert Run.open(out, "average").finished
    limited = ["--limit", "3", "--centre", "--out", tmp_path / "other"]
    few = command("average", *two_networks, "--data", two_classes, *limited)
    assert "3 of 8 held-out photos (share 0.4, seed 0), centre crop: 3 photos" in few.out


def test_average_refuses(refused, two_networks, small_weights, two_classes):
    assert "at least two networks" in refused("average", two_networks[0], "--data", two_classes)
    said = refused("average", two_networks[0], small_weights, "--data", two_classes)
    assert "only networks of the same classes can be averaged" in said
    assert "does not say how its photos were split" in refused(
        "average", small_weights, small_weights, "--data", two_classes
    )
    assert "--limit must be at least 1" in refused("average", *two_networks, "--data", two_classes, "--limit", "0")
    without = refused("average", *two_networks, "--data", two_classes, "--exclude", "red")
    assert "1 class" in without


def test_average_refuses_different_splits(refused, two_networks, two_classes, tmp_path_factory):
    network = load(str(two_networks[0]))
    card = {"recipe": {"held_out": 0.4, "seed": 3}}
    other = dataclasses.replace(network, card=card).save(tmp_path_factory.mktemp("other") / "other.safetensors")
    assert "trained on different splits" in refused("average", two_networks[0], other, "--data", two_classes)
