"""What records have in common: they are written and read in one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from deconvnet.errors import DeconvnetError, RunError
from deconvnet.runs.codec import NAME, RecordError, checked, damaged, read_record, write_record
from deconvnet.runs.directory import Run

WRONG = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    AssertionError,
)
"""What Python raises where content is not as it should be."""


class Record:
    """What an experiment found, as a frozen dataclass: see `deconvnet.runs.codec`.

    A class that extends it directly names its ``kind`` of run. What extends that class further (a result with a figure)
    is written and read as that class.
    """

    kind: ClassVar[str]

    def table(self) -> str:
        """The numbers as text."""
        raise NotImplementedError

    def write(self, run: Run) -> None:
        """Store it in a run: ``record.json`` and ``record.safetensors``."""
        write_record(run, self, _base(type(self)))
        run.adopt_schema()

    @classmethod
    def read(cls, run: Run) -> Self:
        """The record of a run, of this schema or of schema 1.

        Raises
        ------
        RunError
            If the run is of another kind, or its record is missing or damaged.
        """
        run.check_kind(cls.kind)
        base: Any = _base(cls)
        found = read_record(run, base) if run.has(NAME) else _schema1(run, base)
        if cls is base:
            return found
        return cls(**{field.name: getattr(found, field.name) for field in fields(base)})


def _base(cls: type) -> type:
    """The class that extends `Record` directly."""
    return next(each for each in cls.__mro__ if Record in each.__bases__)


def _schema1(run: Run, base: type) -> Any:
    """The record of a run that was written when each kind had its own files."""
    reader = f"{base.__module__.rpartition('.')[0]}.schema1"
    if find_spec(reader) is None or run.manifest["schema"] > 1:
        raise unfinished(run)
    with telling(run):
        return checked(import_module(reader).read(run), base)


def unfinished(run: Run) -> RunError:
    """The error that tells of a run without a record."""
    if run.finished:
        return RunError(f"the record in {run.path} is damaged ({NAME}.json is missing): make it again.")
    return RunError(f"{run.path} is not finished and holds no record yet: go on with it, or make it again.")


@contextmanager
def telling(run: Run, words: str = "") -> Iterator[None]:
    """What does not fit together inside is told as one sentence.

    Raises
    ------
    RunError
        In place of what Python raises, and of refusals that are not of the run.
    """
    try:
        yield
    except RunError:
        raise
    except RecordError as error:
        raise damaged(run, error) from error
    except DeconvnetError as error:
        raise RunError(f"the record in {run.path} {words or 'is damaged: '}{error}") from error
    except WRONG as error:
        told = f"{type(error).__name__}: {error}"
        told = told if len(told) <= 160 else told[:157] + "..."
        if words:
            raise RunError(f"the record in {run.path} is damaged ({words}{told}): make it again.") from error
        raise RunError(f"the record in {run.path} is damaged ({told}): make it again.") from error


def from_json(value: Any) -> Any:
    """A value from JSON as records hold it: a list is a tuple."""
    return tuple(value) if isinstance(value, list) else value
