"""Write the part of docs/run-format.md that tells of each kind's record, from the records' own docstrings.

``python tools/run_format.py`` writes it anew; ``--check`` only says whether it is as it should be.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from deconvnet.runs.kinds import kinds

PAGE = Path(__file__).parents[1] / "docs" / "run-format.md"
BEGIN, END = "<!-- records: begin -->", "<!-- records: end -->"


def records() -> str:
    """The records of all kinds, as Markdown."""
    parts: list[str] = []
    told: set[type] = set()
    for kind in sorted(kinds().values(), key=lambda each: each.name):
        parts.append(f"### Kind {kind.name}\n")
        for number, each in enumerate(_with_parts(kind.record_class)):
            if number and each in told:
                continue
            told.add(each)
            parts.append(f"**{each.__name__}**{' (the record)' if not number else ''}\n")
            parts.append(f"```text\n{_words(each)}\n```\n")
    return "\n".join(parts)


def page(text: str) -> str:
    """The page with its records as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{records()}\n{END}{after}"


def _with_parts(kind: type) -> Iterator[type]:
    """A class, and those that its fields hold, each once."""
    found: dict[type, None] = {}
    pending = [kind]
    while pending:
        each = pending.pop(0)
        if each in found:
            continue
        found[each] = None
        for hint in typing.get_type_hints(each, include_extras=False).values():
            pending += [inner for inner in _inside(hint) if inner not in found]
    yield from found


def _inside(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and (is_dataclass(hint) or typing.is_typeddict(hint)):
        yield hint
    for inner in typing.get_args(hint):
        yield from _inside(inner)


def _words(kind: type) -> str:
    """A class's docstring, and the lengths and types that its annotations state."""
    lines = [re.sub(r"\n{3,}", "\n\n", inspect.getdoc(kind) or "").strip(), ""]
    module = sys.modules[kind.__module__]
    source = {name: note for name, note in vars(kind).get("__annotations__", {}).items() if "ClassVar" not in str(note)}
    assert module is not None
    lines += [f"{name}: {note if isinstance(note, str) else _name(note)}" for name, note in source.items()]
    return "\n".join(lines)


def _name(note: Any) -> str:
    return getattr(note, "__forward_arg__", None) or getattr(note, "__name__", str(note))


def main(arguments: list[str]) -> int:
    """Write the page, or check it; 1 if it is not as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    now = page(text)
    if arguments == ["--check"]:
        if now != text:
            print(f"{PAGE} does not tell of the records as they are: run python tools/run_format.py.")
        return int(now != text)
    PAGE.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
