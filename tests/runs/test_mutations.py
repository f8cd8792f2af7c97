"""Records that were changed at random are read, or refused in one sentence; nothing else happens."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.runs import mutations
from tests.runs.runs_of_schema_1 import READABLE, unpack

from deconvnet.errors import RunError
from deconvnet.runs import Run, write_json
from deconvnet.runs.kinds import Kind, kind_of

CHANGES, DRAWN = 150, 2
LIGHT = ["ablate", "average", "compare", "correspond", "diagnose", "evolve", "invariance", "look", "mine-tiles"]
LIGHT += ["occlude-mined", "reproduce", "sanity", "train-digits", "transfer"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    return unpack(tmp_path_factory.mktemp("runs"), *LIGHT)


def told(kind: Kind, run: Run, *, draw: bool) -> bool:
    """Whether a run can be told and drawn; if not, one sentence says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind.table(run)
            if draw:
                for figure in kind.draw(run).values():
                    assert figure.get_size_inches().min() > 0
        except RunError as error:
            sentence = str(error)
        else:
            return True
    assert "\n" not in sentence
    assert len(sentence) < 800
    return False


@pytest.mark.parametrize("name", LIGHT)
def test_changed_records_are_read_or_refused(stored: Path, tmp_path: Path, name: str) -> None:
    old = Run.open(stored / name)
    kind = kind_of(old)
    run = Run.create(tmp_path / "run", old.kind, old.settings, old.inputs)
    kind.read(old).write(run)
    run.finish()
    for path in [*old.path.rglob("*.png"), *old.path.rglob("*.webp"), *old.path.rglob("index.json")]:
        target = run.path / path.relative_to(old.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    content = run.path / "record.json"
    numbers = run.path / "record.safetensors"
    text = content.read_text(encoding="utf-8")
    arrays = load_file(numbers) if numbers.is_file() else {}
    rng = random.Random(name)
    refused, drawn = 0, 0
    assert told(kind, run, draw=False)
    for number in range(CHANGES):
        content.write_text(text, encoding="utf-8")
        if arrays and number % 2:
            save_file(
                {key: np.ascontiguousarray(a) for key, a in mutations.change_arrays(arrays, rng).items()}, numbers
            )
        else:
            if arrays:
                save_file(arrays, numbers)
            changed = mutations.change_json(json.loads(text), rng)
            content.write_text(json.dumps(changed), encoding="utf-8")
        draw = drawn < DRAWN
        fine = told(kind, run, draw=draw)
        drawn += draw and fine
        refused += not fine
    assert refused > CHANGES // 4
    if arrays:
        save_file(arrays, numbers)
    for number, damaged in enumerate(mutations.texts(text)):
        content.write_text(damaged, encoding="utf-8")
        fine = told(kind, run, draw=False)
        assert not fine or number > 4  # a long number may stand in a text


@pytest.mark.parametrize("name", LIGHT)
def test_changed_files_of_schema_1_are_read_or_refused(stored: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(stored / name, place)
    own = [p for p in sorted(place.rglob("*")) if p.suffix in (".json", ".safetensors") and "manifest" not in p.name]
    if name in ("reproduce", "train-digits"):  # weights, and runs of their own, are not of the record
        own = [p for p in own if p.parent == place and "network" not in p.name]
    kind = kind_of(Run.open(place))
    rng = random.Random(name)
    for _ in range(CHANGES // 3):
        path = rng.choice(own)
        before = path.read_bytes()
        if path.suffix == ".json":
            mutations.rewrite_json(path, lambda content: mutations.change_json(content, rng))
        else:
            arrays = {k: np.ascontiguousarray(a) for k, a in mutations.change_arrays(load_file(path), rng).items()}
            save_file(arrays, path)
        told(kind, Run.open(place), draw=False)
        path.write_bytes(before)
    assert told(kind, Run.open(place), draw=False)


@pytest.mark.parametrize("name", LIGHT)
def test_a_manifest_of_other_forms_is_read_or_refused(stored: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(stored / name, place)
    manifest: dict[str, Any] = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    rng = random.Random(name)
    for _ in range(40):
        (place / "manifest.json").write_text(json.dumps(mutations.change_json(manifest, rng)), encoding="utf-8")
        try:
            run = Run.open(place)
            kind = kind_of(run)
        except RunError:
            continue
        told(kind, run, draw=False)


def test_the_figures_of_all_kinds_are_tried() -> None:
    assert {name.split("-")[0] for name in LIGHT} == {name.split("-")[0] for name in READABLE}


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "photograph", {}, {})
    with pytest.raises(RunError, match="there is no kind of run 'photograph'"):
        kind_of(run)


def test_a_record_that_is_missing_is_told(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "ablate", {}, {})
    with pytest.raises(RunError, match="is not finished and holds no record yet"):
        kind_of(run).read(run)
    write_json(run.path / "manifest.json", {**run.manifest, "finished": True})
    run = Run.open(run.path)
    with pytest.raises(RunError, match=r"is damaged \(record.json is missing\)"):
        kind_of(run).read(run)
