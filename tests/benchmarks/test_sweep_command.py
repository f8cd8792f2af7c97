"""``python -m benchmarks.sweep_command``: what is told, and when the exit code says that something is amiss."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from benchmarks.sweep import SweepRow


@pytest.fixture
def record(tmp_path: Path):
    """A record that holds every answer, so that no network is run."""

    def write(*rows: SweepRow) -> Path:
        path = tmp_path / "sweep.jsonl"
        path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
        return path

    return write


def test_right_and_refused_are_both_well(command, record, tmp_path):
    path = record(SweepRow("timm:a", "right"), SweepRow("timm:b", "refused", "layer 'x' applies gelu"))
    answer = command("sweep", "timm:a", "timm:b", "--record", path, "--table", tmp_path / "table.md")
    assert answer.code == 0, answer
    assert "2 networks, 1 right, 0 wrong or failed." in answer.out
    assert "| timm:a |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("outcome", ["wrong", "failed"])
def test_a_wrong_picture_is_an_error(command, record, outcome):
    answer = command(
        "sweep", "timm:a", "timm:b", "--record", record(SweepRow("timm:a", "right"), SweepRow("timm:b", outcome))
    )
    assert answer.code == 2
    assert "wrong or fails on timm:b: please report it." in answer.err


def test_a_network_that_cannot_be_loaded_is_an_error(command, record, tmp_path):
    path = record(SweepRow("timm:a", "right"))
    answer = command("sweep", "timm:a", "none.py:net", "--record", path)
    assert answer.code == 2
    assert "2 networks, 1 right, 0 wrong or failed, 1 not run." in answer.out
    assert "none.py:net could not be built or run, so nothing is known of them (" in answer.err
    assert "none.py" in answer.err.split("(", 1)[1]
    assert len(answer.err.strip().splitlines()) == 1
    assert json.loads(path.read_text().splitlines()[1])["outcome"] == "not run"


def test_a_table_without_a_folder_is_refused(refused, tmp_path):
    assert "there is no folder" in refused("sweep", "timm:a", "--table", tmp_path / "none" / "table.md")
