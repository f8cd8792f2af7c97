"""docs/run-format.md tells of every record as it is, and of every key that a mining run holds beside it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import fields
from pathlib import Path

import deconvnet
from deconvnet.experiments.top_nine import mine
from deconvnet.experiments.top_nine.tiles import write_tiles
from deconvnet.runs.kinds import kinds

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "run-format.md"


def test_the_page_is_made_from_the_records():
    spec = importlib.util.spec_from_file_location("run_format", ROOT / "tools" / "run_format.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    text = PAGE.read_text(encoding="utf-8")
    assert tool.page(text) == text, "run python tools/run_format.py"
    assert tool.page(text.replace("A row of", "Some row of")) == text


def test_every_field_of_every_record_is_described():
    """Independently of how the page is made: each field's name stands in the docstring of its class."""
    page = PAGE.read_text(encoding="utf-8")
    for kind in kinds().values():
        assert f"### Kind {kind.name}\n" in page
        words = (kind.record_class.__doc__ or "").partition("Attributes")[2]
        for field in fields(kind.record_class):  # type: ignore[arg-type]
            assert field.name in words, f"{kind.name}: {field.name}"


def test_everything_in_a_mining_run_is_described(small_network, small_weights, two_classes, tmp_path):
    photos = deconvnet.open_photos(two_classes)
    run = mine(small_network, photos, tmp_path / "run", layers=["conv1"], weights=str(small_weights))
    write_tiles(run)
    page = PAGE.read_text(encoding="utf-8")
    for name in run.arrays("record"):
        assert name.rpartition("/")[2] in page, name
    for key in run.manifest:
        assert f"`{key}`" in page, key
    for key in run.json("record"):
        assert key in page, key
    for key in run.json("tiles/index"):
        assert f"`{key}`" in page, key
    for key in (*run.json("record")["seconds"], *run.json("tiles/index")["layers"]["conv1"]):
        assert f"`{key}`" in page, key
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["schema"] == 2
