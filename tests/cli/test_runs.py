"""``deconvnet runs show`` and ``deconvnet runs list``, and tiles and ordinary photos from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from deconvnet.cli.app import run
from deconvnet.runs import Run


@pytest.fixture(scope="module")
def mined(tmp_path_factory, small_weights, two_classes):
    root = tmp_path_factory.mktemp("shown")
    shutil.copytree(two_classes, root / "photos")
    words = ["mine", small_weights, "--data", root / "photos", "--out", root / "run", "--layer", "conv1"]
    assert run([str(word) for word in words]) == 0
    return root


def test_show_tells_inputs_settings_and_layers(command, mined):
    answer = command("runs", "show", mined / "run")
    assert answer.code == 0, answer
    assert "mine run" in answer.out
    assert "finished" in answer.out
    assert "classes: other, red" in answer.out
    assert "batch_size: 16" in answer.out
    assert "record.safetensors: " in answer.out
    assert "conv1         96 maps of 30 x 30" in answer.out
    assert "GONE" not in answer.out


def test_show_tells_of_a_layer_and_of_a_map(command, refused, mined):
    lines = command("runs", "show", mined / "run", "conv1").out.splitlines()
    assert len(lines) == 97
    assert sum("dead" in line for line in lines[1:]) == int(lines[0].split("; ")[1].split()[0])
    alive = next(line.split()[0] for line in lines[1:] if "active" in line)
    answer = command("runs", "show", mined / "run", f"conv1:{alive}")
    assert answer.code == 0, answer
    for part in ("strongest:", "drawn at random near the quantiles", "classes by mean maximum:", "red (10 photos)"):
        assert part in answer.out
    counts = [int(line.split()[-1]) for line in answer.out.split("photos by maximum:")[1].strip().splitlines()]
    assert sum(counts) == 20
    assert "there is no channel 96" in refused("runs", "show", mined / "run", "conv1:96")
    assert "conv9" in refused("runs", "show", mined / "run", "conv9")


def test_show_and_list_load_no_torch(mined):
    code = (
        "import sys; from deconvnet.cli.app import run;"
        f"assert run(['runs', 'show', {str(mined / 'run')!r}, 'conv1']) == 0;"
        f"assert run(['runs', 'list', {str(mined)!r}]) == 0;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_show_says_that_photos_are_gone_and_shards_unfinished(command, refused, mined, tmp_path, small_weights):
    shutil.copytree(mined / "run", tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["places"] = {"photos": "/nowhere/photos", "weights": "shipped"}
    manifest.write_text(json.dumps(content))
    assert "photos at /nowhere/photos (GONE)" in command("runs", "show", tmp_path / "run").out
    words = ["--data", mined / "photos", "--layer", "conv1", "--shard", "2/3"]
    answer = command("mine", small_weights, "--out", "part", *words)
    assert answer.code == 0, answer
    assert "shard 2/3 is done; the run is whole once these are too: 1/3 (not begun), 3/3 (not begun)" in answer.out
    shown = command("runs", "show", "part").out
    assert "NOT FINISHED" in shown
    assert "shard 1/3: not begun" in shown
    assert "shard 2/3: 1 of 1 batches" in shown
    assert "holds no mined layer" in refused("runs", "show", "part", "conv1")


def test_list(command, refused, mined, tmp_path):
    assert str(mined / "run") in command("runs", "list", mined).out
    (tmp_path / "empty").mkdir()
    assert "no runs" in command("runs", "list", tmp_path / "empty").out
    assert "there is no folder nowhere" in refused("runs", "list", "nowhere")
    assert "there is no run" in refused("runs", "show", "nowhere")


def test_top_all_and_ordinary(command, refused, mined, tmp_path):
    shutil.copytree(mined, tmp_path / "copy")
    folder = tmp_path / "copy" / "run"
    answer = command("top", folder, "--all")
    assert answer.code == 0, answer
    assert "maps are drawn in" in answer.out
    assert Run.open(folder).has("tiles/index")
    assert "the pictures in the run remain" not in command("runs", "show", folder).out  # the photos lie where they lay
    answer = command("top", folder, "conv1", "--maps", 2, "--ordinary")
    assert answer.code == 0, answer
    assert (folder / "conv1-ordinary.png").is_file()
    assert "name a layer to draw (conv1), or --all" in refused("top", folder)
    assert "leave out --map" in refused("top", folder, "--all", "--map", 1)
