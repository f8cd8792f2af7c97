"""Runs that were written before there was one form for all records still give what they gave then."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runs.runs_of_schema_1 import EXPECTED, FINISHED, READABLE, RUNS, unpack

from deconvnet.errors import RunError
from deconvnet.experiments.top_nine import shards
from deconvnet.runs import Run, Unit
from deconvnet.runs.kinds import kind_of, kinds


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    return unpack(tmp_path_factory.mktemp("runs"), *RUNS)


def same(expected: Any, found: Any, where: str = "") -> None:
    """Compare what the commit of the fixtures read (numbers to six digits) with what is read now."""
    if isinstance(expected, Mapping) and set(expected) == {"dtype", "shape", "sum"}:
        assert str(found.dtype) == expected["dtype"], where
        assert list(found.shape) == expected["shape"], where
        sums = float(found[np.isfinite(found)].sum(dtype=np.float64))
        assert sums == pytest.approx(expected["sum"], rel=1e-5, abs=1e-4), where
    elif isinstance(expected, Mapping):
        for key, value in expected.items():
            inside = {str(k): v for k, v in found.items()}[key] if isinstance(found, Mapping) else getattr(found, key)
            same(value, inside, f"{where}.{key}")
    elif isinstance(expected, list):
        found = found.tolist() if isinstance(found, np.ndarray) else found
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            same(one, other, f"{where}[{number}]")
    elif isinstance(expected, bool | str):
        assert expected == (str(found) if isinstance(found, Unit) else found), where
    elif expected is None:
        assert found is None or math.isnan(found), where
    else:
        assert found == pytest.approx(expected, rel=1e-5), where


def _ablate(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({k: v for k, v in told.items() if k not in ("table", "rows", "trainings")}, record)
    assert record.table() == told["table"]
    same(told["rows"], record.rows())


def _average(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({"data": told["data"], **told["arrays"]}, record)
    assert record.table() == told["table"]


def _compare(told: dict[str, Any], record: Any, _run: Run) -> None:
    assert record.table() == told["table"]
    assert [row.name for row in record.rows] == told["names"]
    for key in ("parameters", "multiply_adds", "receptive_field", "trained"):
        assert [getattr(row, key) for row in record.rows] == told[key]
    same(list(told["filters"].values()), record.filters)


def _correspond(told: dict[str, Any], record: Any, _run: Run) -> None:
    same(told, record)


def _diagnose(told: dict[str, Any], record: Any, _run: Run) -> None:
    assert len(record.networks) == len(told["diagnoses"])
    plain = ("network", "title", "data", "photos", "probed", "input_size", "first", "second_layer", "second", "verdict")
    for one, found in zip(told["diagnoses"].values(), record.networks, strict=True):
        same({key: one[key] for key in (*plain, "consistency")}, found)
        same([entry[0] for entry in one["filters"]], [f.layer for f in found.filters])
        same([entry[1] for entry in one["filters"]], [f.shape for f in found.filters])
        same([entry[:2] for entry in one["maps"]], [(m.layer, len(m.dead)) for m in found.maps])
        same(one["strided"], [(s.layer, s.kind, s.stride, s.share) for s in found.strided])
        same(one["shifts"], [(s.layer, s.stride, s.change, s.unexplained) for s in found.shifts])


def _evolve(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({key: value for key, value in told.items() if key != "summary"}, record)
    same(told["summary"], record.summary())


def _invariance(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({key: value for key, value in told.items() if key != "summary"}, record)
    same(told["summary"], record.summary())


def _look(told: dict[str, Any], record: Any, run: Run) -> None:
    same({key: told[key] for key in ("network", "settings", "filters")}, record)
    assert len(record.photos) == len(told["photos"])
    for one, found in zip(told["photos"], record.photos, strict=True):
        same({key: one[key] for key in ("name", "source", "predictions")}, found)
        same(one["view"], run.image(found.view.removesuffix(".png")))
        for layer, seen in zip(one["layers"], found.layers, strict=True):
            assert (layer["layer"], layer["receptive_field"]) == (seen.name, seen.receptive_field)
            for unit, shown in zip(layer["maps"], seen.maps, strict=True):
                same({key: unit[key] for key in ("unit", "activation", "box", "scale")}, shown)
                same(unit["projection"], run.image(shown.projection.removesuffix(".png")))
                same(unit["patch"], run.image(shown.patch.removesuffix(".png")))


def _mine(told: dict[str, Any], record: Any, run: Run) -> None:
    from deconvnet.experiments.top_nine.tiles_record import Tiles

    same({key: told[key] for key in ("names", "labels", "skipped")}, record)
    _mined(told["mined"], record.mined)
    if "tiles" in told:
        tiles = Tiles.read(run)
        assert dict(tiles.settings) == told["tiles"]["settings"]
        assert tiles.input_size == told["tiles"]["input_size"]


def _mined(told: dict[str, Any], mined: Any) -> None:
    same({key: told[key] for key in ("count", "k", "score", "seed")}, mined)
    assert list(mined.layers) == list(told["layers"])
    for name, layer in told["layers"].items():
        top = mined[name]
        own = ("values", "photos", "positions", "active", "mean_maximum", "shape", "spatial")
        same({key: layer[key] for key in own}, top, name)
        same({key: layer[key] for key in ("histogram", "sample", "class_counts")}, top.spread, name)
        assert len(top.dead) == layer["dead"]
        first = [(w.photo, w.value, *w.position) for w in top.winners(0)[:3]]
        same(layer["first_map"], first, name)


def _occlude(told: dict[str, Any], record: Any, _run: Run) -> None:
    assert len(record.photos) == len(told["photos"])
    for one, photo in zip(told["photos"], record.photos, strict=True):
        same({key: one[key] for key in ("name", "label", "given", "unit", "unprojected", "projections")}, photo)
        assert photo.label_name == one["class"]
        assert photo.agreement() == pytest.approx(one["agreement"], rel=1e-5)
        for each, found in zip(one["maps"], photo.maps, strict=True):
            same({key: each[key] for key in ("view", "logits", "sums", "maxima")}, found)
            same({"fill": each["fill"], "about": each["about"]}, {"fill": found.fill.name, "about": found.fill.about})
            same(each["picture"], found.fill.picture)
            same({"shape": each["grid"], "size": each["size"], "stride": each["stride"]}, found.grid)
            assert found.clean_score(photo.label) == pytest.approx(each["clean_probability"], rel=1e-5)
            assert found.score(photo.label).min() == pytest.approx(each["lowest_probability"], rel=1e-5)
    assert len(record.faithfulness) == len(told.get("faithfulness", ()))
    for one, curves in zip(told.get("faithfulness", ()), record.faithfulness, strict=True):
        same({"photo": one["photo"], "label": one["class"], "fill": one["fill"], "shares": one["shares"]}, curves)
        for curve, areas in one["areas"].items():
            same(areas, {order: curves.area(curve, order) for order in areas})


def _reproduce(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({key: told[key] for key in ("scale", "about", "data", "networks")}, record)
    assert record.summary() == told["summary"]
    same(told["parts"], [(part.name, part.seconds is not None, part.why) for part in record.parts])
    same(told["answers"], [(answer.name, answer.verdict, answer.ours) for answer in record.answers])
    assert len(record.table().splitlines()) == told["table_lines"]
    assert record.markdown().startswith(told["markdown_start"])


def _sanity(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({key: value for key, value in told.items() if key != "finding"}, record)
    assert record.finding() == told["finding"]


def _train(told: dict[str, Any], record: Any, _run: Run) -> None:
    assert list(record.classes) == told["classes"]
    if isinstance(told["held_out"], list):
        assert list(record.held_out) == told["held_out"]
    else:
        assert (len(record.held_out), record.held_out[0]) == (told["held_out"]["count"], told["held_out"]["first"])
    for key, name in (("epoch", "epochs"), ("size", "sizes"), ("train_loss", "train_loss"), ("val_top1", "val_top1")):
        same(told[name], [entry[key] for entry in record.metrics])
    weights = [name for name in told["weights"] if name.startswith("snapshots/")]
    assert list(record.snapshots) == [name.removesuffix(".safetensors") for name in weights]


def _transfer(told: dict[str, Any], record: Any, _run: Run) -> None:
    same({key: value for key, value in told.items() if key not in ("table", "cells", "layers")}, record)
    same(told["cells"], record.cells())
    assert record.table() == told["table"]


CHECKS = {
    "ablate": _ablate,
    "average": _average,
    "compare": _compare,
    "correspond": _correspond,
    "diagnose": _diagnose,
    "evolve": _evolve,
    "invariance": _invariance,
    "look": _look,
    "mine": _mine,
    "occlude": _occlude,
    "reproduce": _reproduce,
    "sanity": _sanity,
    "train": _train,
    "transfer": _transfer,
}


@pytest.mark.parametrize("name", READABLE)
def test_a_run_gives_what_it_gave_when_it_was_written(stored: Path, name: str) -> None:
    run = Run.open(stored / name)
    assert run.settings == EXPECTED[name]["settings"]
    CHECKS[run.kind](EXPECTED[name]["read"], kind_of(run).read(run), run)


@pytest.mark.parametrize("name", READABLE)
def test_it_gives_the_same_once_written_in_the_present_form(stored: Path, tmp_path: Path, name: str) -> None:
    old = Run.open(stored / name)
    new = Run.create(tmp_path / "run", old.kind, old.settings, old.inputs)
    kind_of(old).read(old).write(new)
    new.finish()
    pictures = [path for path in old.path.rglob("*") if path.suffix in (".png", ".webp") or path.name == "index.json"]
    for path in pictures:  # what a look and tiles keep in files of their own
        target = new.path / path.relative_to(old.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    again = Run.open(new.path)
    assert again.manifest["schema"] == 2
    CHECKS[again.kind](EXPECTED[name]["read"], kind_of(again).read(again), again)


def test_there_is_a_run_of_every_kind() -> None:
    assert {EXPECTED[name]["kind"] for name in READABLE} == set(kinds()) - {"maps"}  # which came with schema 2


@pytest.mark.parametrize("name", ["mine-interrupted", "mine-shards"])
def test_an_interrupted_mining_run_tells_how_far_it_came(stored: Path, name: str) -> None:
    run = Run.open(stored / name)
    count = run.manifest["shards"]
    for number, told in enumerate(EXPECTED[name]["read"]["shards"]):
        state = shards.read(run, number, count)
        assert (state is None) == (told is None)
        if state is not None and told is not None:
            assert (state.done, state.total) == (told["done"], told["total"])
            _mined(told["mined"], state.mined)
    with pytest.raises(RunError, match="is not finished and holds no record yet"):
        kind_of(run).read(run)


SCRIPT = """
import sys
from deconvnet.cli.app import run
for path in sys.argv[2:]:
    assert run(["runs", "show", path]) == 0, path
    assert run(["runs", "draw", path, "--out", sys.argv[1]]) == 0, path
loaded = [name for name in ("torch", "sklearn", "skimage") if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize("name", READABLE)
def test_every_run_is_told_and_drawn_without_torch(stored: Path, tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "figures"), str(stored / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "figures").glob("*.png"))


def test_the_list_of_finished_runs_is_not_empty() -> None:
    assert len(FINISHED) >= 17
