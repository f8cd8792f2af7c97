"""The stored runs of schema 1, unpacked (tests/fixtures/runs-1/README.md says how they were made)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "fixtures" / "runs-1"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
RUNS = sorted(name for name, told in EXPECTED.items() if told["kind"])
FINISHED = [name for name in RUNS if EXPECTED[name]["finished"]]
READABLE = [*FINISHED, "train-interrupted"]
"""Runs with a record; a mining run has one once it is finished."""


def unpack(place: Path, *names: str) -> Path:
    """Unpack some of the archives into one folder."""
    for name in names:
        with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
            archive.extractall(place)
    return place
