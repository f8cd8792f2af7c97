"""``deconvnet mine`` and ``deconvnet top``."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from deconvnet.cli.app import run
from deconvnet.data import open_photos
from deconvnet.mining.run_record import MiningRecord
from deconvnet.runs import Run

LAYERS = ("conv1", "conv3")


@pytest.fixture(scope="session")
def mined(tmp_path_factory, small_weights, two_classes):
    """A folder with photos in it and the run mined from them, to be copied by tests that change one."""
    root = tmp_path_factory.mktemp("mined")
    shutil.copytree(two_classes, root / "photos")
    (root / "photos" / "red" / "note.jpg").write_text("no photo")
    layers = [word for layer in LAYERS for word in ("--layer", layer)]
    photos, out = str(root / "photos"), str(root / "run")
    assert (
        run(["mine", str(small_weights), "--data", photos, "--out", out, "--k", "4", "--batch-size", "7", *layers]) == 0
    )
    return root


@pytest.fixture
def moved(mined, tmp_path):
    """A copy of the run whose photos are a copy too."""
    root = tmp_path / "moved"
    shutil.copytree(mined, root)
    manifest = root / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["places"]["photos"] = str(root / "photos")
    manifest.write_text(json.dumps(content))
    return root


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).copy()


def test_winners_agree_with_a_slow_recomputation(mined, small_network):
    photos = open_photos(mined / "photos")
    unreadable = photos.names.index("red/note.jpg")
    found = MiningRecord.read(Run.open(mined / "run", "mine")).mined
    assert found.count == 20
    for layer in LAYERS:
        maps = []  # of each photo, one at a time
        for index in range(len(photos)):
            if index == unreadable:
                maps.append(None)
                continue
            x = small_network.preprocess([photos.read(index)])
            with torch.inference_mode():
                for name, part in small_network.module.named_children():
                    x = part(x)
                    if name == layer:
                        break
            maps.append(x[0].double().numpy())
        channels = len(maps[0])
        for channel in range(channels):
            maxima = [-np.inf if m is None else m[channel].max() for m in maps]
            best = [max(value, 0) for value in sorted(maxima, reverse=True)[:4]]
            winners = found[layer].winners(channel)
            np.testing.assert_allclose([w.value for w in winners], best, rtol=1e-4, atol=1e-4)
            assert len({w.photo for w in winners}) == 4
            for winner in winners:
                if not winner.active:
                    continue
                at = maps[winner.photo][channel][winner.position]
                assert at == pytest.approx(winner.value, rel=1e-4, abs=1e-4)


def test_mine_tells_what_it_found(command, small_weights, mined, tmp_path):
    answer = command("mine", small_weights, "--data", mined / "photos", "--out", tmp_path / "run", "--layer", "conv2")
    assert answer.code == 0, answer
    assert "256 maps" in answer.out
    assert "left out: 1 of 21, the first red/note.jpg: its content is none of" in answer.out
    assert "20 photos mined" in answer.out
    again = command("mine", small_weights, "--data", mined / "photos", "--out", tmp_path / "run", "--layer", "conv1")
    assert again.code == 2
    assert "holds a mine run already" in again.err
    over = ["--layer", "conv1", "--overwrite"]
    assert command("mine", small_weights, "--data", mined / "photos", "--out", tmp_path / "run", *over).code == 0
    assert Run.open(tmp_path / "run").settings["layers"] == ["conv1"]


def test_top_draws_a_random_subset_by_seed(command, moved):
    answer = command("top", moved / "run", "conv3", "--maps", 2)
    assert answer.code == 0, answer
    first = pixels(moved / "run" / "conv3.png")
    assert f"{moved / 'run' / 'conv3.png'}" in answer.out
    command("top", moved / "run", "conv3", "--maps", 2, "--seed", 0, "--out", "again.png")
    command("top", moved / "run", "conv3", "--maps", 2, "--seed", 1, "--out", "other.png")
    assert (pixels("again.png") == first).all()
    other = pixels("other.png")
    assert other.shape != first.shape or (other != first).any()


def test_top_draws_chosen_maps(command, mined, tmp_path):
    answer = command("top", mined / "run", "conv1", "--map", 5, "--map", 2, "--out", tmp_path / "a.png")
    assert answer.code == 0, answer
    command("top", mined / "run", "conv1", "--map", 5, "--out", tmp_path / "b.png")
    assert pixels(tmp_path / "a.png").shape[1] > 1.5 * pixels(tmp_path / "b.png").shape[1]


def test_top_with_photos_that_moved(command, refused, moved):
    (moved / "photos").rename(moved / "elsewhere")
    assert "say where they lie now with --data" in refused("top", moved / "run", "conv1", "--map", 1)
    answer = command("top", moved / "run", "conv1", "--map", 1, "--data", moved / "elsewhere")
    assert answer.code == 0, answer


def test_top_refuses_photos_that_changed(refused, moved):
    one = moved / "photos" / "red" / "3.jpg"
    content = one.read_bytes()
    one.write_bytes(content + b"\0")
    assert "changed since" in refused("top", moved / "run", "conv1", "--map", 1)
    one.unlink()
    assert "(red/3.jpg is missing)" in refused("top", moved / "run", "conv1", "--map", 1)


def test_top_refuses_an_unfinished_run(refused, moved):
    manifest = moved / "run" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "finished": False}))
    assert "is unfinished: mine again" in refused("top", moved / "run", "conv1")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["conv2"], "did you mean conv3 or conv1"),
        (["conv1", "--map", 96], "there is no map 96"),
        (["conv1", "--map", -1], "there is no map -1"),
        (["conv1", "--maps", 0], "maps must be at least 1"),
        (["conv1", "--maps", -1], "maps must be at least 1"),
        (["conv1", "--seed", -1], "seed at least 0"),
        (["conv1", "--out", "nowhere/a.png"], "there is no folder nowhere"),
        (["conv1", "--out", "a.xyz"], "its ending must be one of"),
        (["conv1", "--data", "nowhere"], "gone from nowhere"),
        (["conv1", "--rule", "magic"], "magic"),
    ],
)
def test_top_refuses(refused, mined, options, part):
    assert part in refused("top", mined / "run", *options)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--k", 0], "k must be at least 1"),
        (["--batch-size", 0], "batch_size must be at least 1"),
        (["--score", "median"], "median"),
        (["--layer", "conv9"], "did you mean conv"),
    ],
)
def test_mine_refuses(refused, small_weights, two_classes, options, part):
    assert part in refused("mine", small_weights, "--data", two_classes, "--out", "run", *options)


def test_mine_refuses_data_and_places(refused, small_weights, two_classes, tmp_path):
    def refuse(data, out="run"):
        return refused("mine", small_weights, "--data", data, "--out", out)

    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.jpg").write_text("no photo")
    (tmp_path / "file").write_text("mine")
    assert "there is no file or folder 'nowhere'" in refuse("nowhere")
    assert "holds no photo" in refuse("empty")
    assert "none of the 1 photos of bad can be read, text.jpg because" in refuse("bad")
    assert "is a file, and a run needs a folder" in refuse(two_classes, "file")
    assert "is not empty and not a run" in refuse(two_classes, "bad")


def test_top_needs_a_mining_run(refused, tmp_path):
    assert "there is no run" in refused("top", tmp_path / "none", "conv1")
    Run.create(tmp_path / "look", "look", {}, {})
    assert "of kind 'look'" in refused("top", tmp_path / "look", "conv1")
