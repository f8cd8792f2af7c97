"""``deconvnet evolve``: from a training run, and from anyone's weights files, to Figure 4."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.conftest import noise

from deconvnet.cli.app import run as command_line
from deconvnet.experiments.evolution.photos import training_photos
from deconvnet.experiments.evolution.record import EvolutionRecord
from deconvnet.networks import load
from deconvnet.runs import Run
from deconvnet.training import snapshot
from deconvnet.training.record import TrainingRecord

FAST = ("--maps", 2, "--compare", 2, "--layer", "conv1", "--layer", "conv3")
TRAIN = ("train", "caltech101", "--size", "64", "--epochs", "3", "--fc-width", "8", "--batch-size", "8")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "colours"
    for name, channel in (("blue", 2), ("green", 1), ("red", 0)):
        (root / name).mkdir(parents=True)
        for i in range(5):
            pixels = noise(70, 80, i + 50 * channel)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory) -> Path:
    """Two classes of three, three epochs, snapshots of the first and the last."""
    out = tmp_path_factory.mktemp("run") / "trained"
    more = ["--exclude", "green", "--snapshot", "3", "--snapshot", "1", "--threads", "1"]
    threads = torch.get_num_threads()
    assert command_line([*TRAIN, "--data", str(photos), "--out", str(out), *more]) == 0
    torch.set_num_threads(threads)
    return out


def test_a_training_run_to_a_run_with_its_figures(command, trained, photos, tmp_path):
    assert sorted(path.stem for path in (trained / "snapshots").iterdir()) == ["epoch-0001", "epoch-0003"]
    answer = command("evolve", trained, *FAST)
    assert answer.code == 0, answer
    assert "2 snapshots of zfnet: epoch 1, 3." in answer.out
    assert "8 training photos in 2 snapshots" in answer.out
    run = Run.open(tmp_path / "runs" / "evolution")
    record = EvolutionRecord.read(run)
    held_out = set(TrainingRecord.read(Run.open(trained)).held_out)
    assert len(held_out) == 2
    assert record.photos == 8
    assert set(record.names.values()) <= {f"{c}/{i}.png" for c in ("blue", "red") for i in range(5)} - held_out
    assert [len(layer.shown) for layer in record.layers] == [2, 2]
    for row in record.summary():
        assert row.layer in answer.out
        assert f"{row.weights_first:.2f}" in answer.out
    assert list(run.inputs["weights_sha256"]) == [
        str(trained / "snapshots" / f"epoch-000{epoch}.safetensors") for epoch in (1, 3)
    ]
    for name in ("evolution", "convergence"):
        with Image.open(run.path / f"{name}.png") as picture:
            assert picture.width > 700
    answer = command("evolve", trained, "--unit", "conv4:3", "--sample", 3, "--out", "other")
    assert answer.code == 0, answer
    assert EvolutionRecord.read(Run.open(tmp_path / "other")).layers[0].shown.tolist() == [3]
    assert "3 training photos" in answer.out


def test_weights_files_of_another_training(command, torchvision, photos, tmp_path):
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        snapshot(torchvision.models.squeezenet1_1(num_classes=3), tmp_path / "kept", epoch)
    more = ("--data", photos, "--layer", "features.0", "--maps", 1, "--compare", 1)
    named = ("--network", "torchvision:squeezenet1_1", "--classes", 3, "--size", 64)
    files = [tmp_path / "kept" / f"epoch-000{epoch}.safetensors" for epoch in (2, 1)]
    shutil.copytree(tmp_path / "kept", tmp_path / "before")
    for number, source in enumerate(([tmp_path / "kept"], files, ["--weights", *files])):
        answer = command("evolve", *source, *named, *more, "--out", f"run{number}")
        assert answer.code == 0, answer
        assert "epoch 1, 2." in answer.out
        record = EvolutionRecord.read(Run.open(tmp_path / f"run{number}"))
        assert (record.snapshots, record.photos, record.photo_set) == (("1", "2"), 15, "photos")
        assert record.trained_at == (64, 64)


def test_refused(refused, command, trained, photos, small_weights, tmp_path):
    assert "name a training run" in refused("evolve")
    assert "no weights file none" in refused("evolve", "none", "--data", photos)
    assert "did you mean conv3" in refused("evolve", trained, "--layer", "convv3")
    assert "maps 0 to 95" in refused("evolve", trained, "--unit", "conv1:96")
    assert "--sample" in refused("evolve", trained, "--sample", 0)
    assert "single snapshot" in refused("evolve", small_weights, "--data", photos)
    assert "with --data" in refused("evolve", *(trained / "snapshots").iterdir())
    assert "different networks" in refused(
        "evolve", trained / "snapshots" / "epoch-0001.safetensors", small_weights, "--data", photos
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    assert "not a run" in refused("evolve", trained, "--out", "out")


def test_photos_that_are_gone_or_others(refused, command, trained, photos, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    manifest = (moved / "manifest.json").read_text()
    (moved / "manifest.json").write_text(manifest.replace(str(photos), "/nowhere/photos"))
    run = Run.open(moved)
    assert "say where they lie now with --data" in refused("evolve", moved)
    assert len(training_photos(run, photos).photos) == 8
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "red" / "0.png").unlink()
    assert "are not those" in refused("evolve", moved, "--data", tmp_path / "photos")
    shutil.rmtree(tmp_path / "photos" / "red")
    assert "are not those" in refused("evolve", moved, "--data", tmp_path / "photos")
    shutil.rmtree(moved / "snapshots")
    assert "has no snapshots" in refused("evolve", moved, "--data", photos)


def test_an_epoch_that_the_run_does_not_have(refused, photos):
    line = (*TRAIN, "--data", photos, "--out", "x", "--snapshot", 4)
    assert "epochs are 1 to 3" in refused(*line)


def test_a_file_by_name_keeps_its_network(trained):
    assert load(str(trained / "snapshots" / "epoch-0003.safetensors")).classes == ("blue", "red")
