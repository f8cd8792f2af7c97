"""Damage in a record is one sentence, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deconvnet.errors import RunError
from deconvnet.experiments.diagnosis.record import DiagnosesRecord
from deconvnet.runs import Run
from deconvnet.runs.record import from_json, telling


@pytest.mark.parametrize("error", [KeyError("x"), TypeError(), ValueError(), IndexError(), AttributeError()])
def test_what_goes_wrong_inside_is_told(tmp_path: Path, error: Exception) -> None:
    run = Run.create(tmp_path / "run", "some", {}, {})
    with pytest.raises(RunError, match=r"the record in .*run is damaged .*make it again"), telling(run):
        raise error


def test_a_run_of_another_kind(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "some", {}, {})
    with pytest.raises(RunError, match="is a run of kind 'some', and one of kind 'other' is needed"):
        run.check_kind("other")
    with pytest.raises(RunError, match="one of kind 'other' is needed"):
        Run.open(run.path, "other")


def test_a_damaged_diagnosis(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "diagnose", {}, {})
    run.save_json("record", {"networks": [{"network": "zfnet"}]})
    with pytest.raises(RunError, match="damaged"):
        DiagnosesRecord.read(run)


def test_lists_are_tuples() -> None:
    assert from_json([1, 2]) == (1, 2)
    assert from_json("ab") == "ab"
