"""Diagnoses as runs of schema 1 hold them."""

from __future__ import annotations

import math
from typing import Any

from deconvnet.experiments.diagnosis.record import DiagnosesRecord, DiagnosisRecord, Finding, ShiftHealth
from deconvnet.filter_statistics.record import FilterHealth, MapHealth, StrideHealth
from deconvnet.runs.directory import Run

_FLOATS = ("share", "change", "unexplained", "noise_limit", "consistency")
_PARTS = {"filters": FilterHealth, "maps": MapHealth, "strided": StrideHealth, "shifts": ShiftHealth}
_PLAIN = ("network", "title", "input_size", "second_layer", "photos", "probed", "data")


def read(run: Run) -> DiagnosesRecord:
    """``0.json`` and ``0.safetensors`` for the first network, and so on."""
    return DiagnosesRecord(tuple(_one(run, str(number)) for number in range(len(run.settings["networks"]))))


def _one(run: Run, name: str) -> DiagnosisRecord:
    arrays, table = run.arrays(name), run.json(name)

    def entries(part: str) -> tuple[Any, ...]:
        made = []
        for number, row in enumerate(table[part]):
            start = f"{part}.{number}."
            own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
            made.append(_PARTS[part](**{key: _value(key, value) for key, value in row.items()}, **own))
        return tuple(made)

    content: dict[str, Any] = {key: table[key] for key in _PLAIN}
    content |= {part: entries(part) for part in _PARTS}
    content |= {key: arrays[key] for key in ("first", "second_channels", "second")}
    return DiagnosisRecord(
        **content,
        consistency=_value("consistency", table["consistency"]),
        findings=tuple(Finding(**row) for row in table["findings"]),
    )


def _value(key: str, value: Any) -> Any:
    if key in _FLOATS:
        return math.nan if value is None else value
    if key == "duplicates":
        return tuple(tuple(pair) for pair in value)
    return tuple(value) if key == "shape" else value
