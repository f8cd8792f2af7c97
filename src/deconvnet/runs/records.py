"""Reading a run's record: of the right kind, and damage told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deconvnet.errors import RunError
from deconvnet.runs.directory import Run


@contextmanager
def reading(run: Run, kind: str | None = None) -> Iterator[None]:
    """What is missing in a record that is read inside, or does not fit together, is told as one error.

    Parameters
    ----------
    run : Run
    kind : str, optional
        Refuse a run of another kind.

    Raises
    ------
    RunError
        If the run is of another kind, or its record is damaged.
    """
    if kind is not None:
        run.check_kind(kind)
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RunError(f"the record in {run.path} is damaged ({error!r}): make it again.") from error


def from_json(value: Any) -> Any:
    """A value from JSON as records hold it: a list is a tuple."""
    return tuple(value) if isinstance(value, list) else value
