"""Records changed at random as hostile or damaged files would have them; every change follows from a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    2**62,
    2**63,
    10**400,
    0.5,
    -1e300,
    float("nan"),
    float("inf"),
    "",
    "NaN",
    "x" * 5000,
    "$\\frac{",
    "../../etc/passwd",
    "conv1:99999999999999999999",
    "\x00\ud800",
    [],
    [[]],
    [1, 2, 3],
    {},
    {"a": 1},
)


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value, as its container and the key in it."""
    found: list[tuple[Any, Any]] = []
    pending = [content]
    while pending:
        here = pending.pop()
        keys = here.keys() if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            pending.append(here[key])
    return found


def change_json(content: Any, rng: random.Random) -> Any:
    """One change somewhere in a JSON value."""
    changed = copy.deepcopy(content)
    spots = places(changed)
    if not spots or rng.random() < 0.02:
        return rng.choice(HOSTILE)
    container, key = rng.choice(spots)
    kind = rng.randrange(6)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(["unknown", "", "2", "0", "x/y"])] = copy.deepcopy(container[key])
    elif kind == 1:
        container.insert(key, copy.deepcopy(container[key]))
    elif kind == 2 and isinstance(container[key], int | float) and not isinstance(container[key], bool):
        container[key] = rng.choice(
            [-container[key], container[key] * 1000 + 1, container[key] + 1, container[key] - 1]
        )
    elif kind == 3:
        other, name = rng.choice(spots)
        container[key] = copy.deepcopy(other[name])
    else:
        container[key] = rng.choice(HOSTILE)
    return changed


def change_arrays(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, np.ndarray]:
    """One change in one array, or in which there are."""
    changed = dict(arrays)
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    kind = rng.randrange(9)
    if kind == 0:
        del changed[name]
    elif kind == 1:
        changed[rng.choice(["unknown", name + "/x"])] = array
    elif kind == 2 and array.ndim and len(array):
        changed[name] = array[:-1]
    elif kind == 3:
        changed[name] = array[None]
    elif kind == 4:
        changed[name] = array.ravel()[:0]
    elif kind == 5:
        changed[name] = array.astype(
            rng.choice([np.float16, np.int8, np.float64, np.bool_, np.uint8]), casting="unsafe"
        )
    elif kind == 6:
        other = arrays[rng.choice(sorted(arrays))]
        changed[name] = other
    else:
        values = [0, -1, 1, 127] if array.dtype.kind in "iub" else [np.nan, np.inf, -np.inf, 0, -1e30, 1e300]
        with np.errstate(all="ignore"):
            changed[name] = np.full_like(array, np.array(rng.choice(values)).astype(array.dtype))
            if array.dtype.kind in "iu" and rng.random() < 0.5:
                changed[name] = np.full_like(array, np.iinfo(array.dtype).max)
    return changed


def texts(text: str) -> Iterator[str]:
    """A JSON text damaged as a text."""
    yield ""
    yield text[: len(text) // 2]
    yield "[" * 100_000 + "]" * 100_000
    yield '{"a":' * 900 + "1" + "}" * 900
    yield "1" + "0" * 5000
    yield text.replace("1", "1" + "0" * 400, 1)
    yield text.replace(":", ": NaN, ", 1)
    yield text.replace('"', "'")


def rewrite_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Write a JSON file again, changed."""
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
