"""docs/run-format.md names every array, table and key of a mining run."""

from __future__ import annotations

import json
from pathlib import Path

import deconvnet
from deconvnet.experiments.top_nine import mine
from deconvnet.experiments.top_nine.tiles import write_tiles

PAGE = Path(__file__).parents[2] / "docs" / "run-format.md"


def test_everything_in_a_mining_run_is_described(small_network, small_weights, two_classes, tmp_path):
    photos = deconvnet.open_photos(two_classes)
    run = mine(small_network, photos, tmp_path / "run", layers=["conv1"], weights=str(small_weights))
    write_tiles(run)
    page = PAGE.read_text(encoding="utf-8")
    for name in run.arrays("top"):
        assert f"`{name.replace('conv1/', 'L/')}`" in page or f"`{name}`" in page, name
    for key in run.manifest:
        assert f"`{key}`" in page, key
    for table in ("photos", "timing", "tiles/index"):
        for key in run.json(table):
            assert f"`{key}`" in page, key
    for key in (
        *run.settings,
        *run.inputs,
        *run.json("timing")["seconds"],
        *run.json("tiles/index")["layers"]["conv1"],
    ):
        assert f"`{key}`" in page, key
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["schema"] == 1
