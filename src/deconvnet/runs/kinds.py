"""The kinds of runs: each experiment's door declares one, and here they are found, read, told and drawn. No torch.

A door (``experiments/NAME/__init__.py``) says ``KIND = Kind("ablate", __name__, "record:AblationRecord")``. Beside it
lie

- the record, a `Record`, with ``table()``: its numbers as text;
- ``figure.py`` with ``figures(record, run)``: the run's figures by name;
- ``schema1.py`` with ``read(run)``, if runs of this kind were written before there was one form for all records.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from deconvnet.errors import RunError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deconvnet.runs.directory import Run
    from deconvnet.runs.record import Record

EXPERIMENTS = "deconvnet.experiments"
OTHERS = ("deconvnet.reproduction", "deconvnet.training")


@dataclass(frozen=True)
class Kind:
    """One kind of run.

    Attributes
    ----------
    name : str
        As manifests bear it: ``"ablate"``.
    package : str
        Where its modules lie: ``"deconvnet.experiments.ablation"``.
    record : str
        Module and class of its record: in the package, ``"record:AblationRecord"``, or with the whole path.
    figures : str
        Module and function that draws it.
    """

    name: str
    package: str
    record: str
    figures: str = "figure:figures"

    @property
    def record_class(self) -> type[Record]:
        """The class of its record."""
        return self._find(self.record)

    def read(self, run: Run) -> Record:
        """The record of a run; `RunError` if it is missing or damaged."""
        return self.record_class.read(run)

    def draw(self, run: Run) -> Mapping[str, Figure]:
        """The figures of a run, by name.

        Raises
        ------
        RunError
            If the record is missing, damaged, or holds what cannot be drawn.
        """
        from deconvnet.runs.record import telling

        record = self.read(run)
        with telling(run, "cannot be drawn: "):
            return self._find(self.figures)(record, run)

    def table(self, run: Run) -> str:
        """The numbers of a run as text; raises `RunError` as `draw` does."""
        from deconvnet.runs.record import telling

        record = self.read(run)
        with telling(run, "cannot be told: "):
            return record.table()

    def _find(self, address: str) -> Any:
        module, _, name = address.partition(":")
        return getattr(import_module(module if "." in module else f"{self.package}.{module}"), name)


@cache
def kinds() -> dict[str, Kind]:
    """All kinds by name: what the doors of the experiments, of the reproduction and of training declare."""
    folder = import_module(EXPERIMENTS).__path__
    doors = [f"{EXPERIMENTS}.{module.name}" for module in pkgutil.iter_modules(folder) if module.ispkg]
    found = (vars(import_module(door)).get("KIND") for door in (*doors, *OTHERS))
    return {kind.name: kind for kind in found if isinstance(kind, Kind)}


def kind_of(run: Run) -> Kind:
    """The kind of a run.

    Raises
    ------
    RunError
        If this deconvnet does not know it.
    """
    known = kinds()
    if run.kind not in known:
        error = UnknownNameError("kind of run", run.kind[:80], known)
        raise RunError(f"{run.path} cannot be read: {error}")
    return known[run.kind]
