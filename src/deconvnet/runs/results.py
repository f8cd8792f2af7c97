"""What results of experiments have in common: a picture for notebooks, and a run of their own."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from deconvnet.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NotebookFigure:
    """A result that a notebook shows by its figure."""

    @abstractmethod
    def plot(self) -> Figure:
        """The figure."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png")
        return picture.getvalue()


class RunResult(NotebookFigure):
    """A result that is written as a run of its own kind.

    The record that it extends brings ``write(run)``; the class says the kind and what the manifest tells.
    """

    kind: ClassVar[str]

    @abstractmethod
    def write(self, run: Run) -> None:
        """Store the record in a run."""

    @abstractmethod
    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings and inputs of the run's manifest."""

    def save(
        self, out: str | os.PathLike[str], *, inputs: dict[str, Any] | None = None, overwrite: bool = False
    ) -> Run:
        """Write a run of this ``kind``.

        Parameters
        ----------
        out : path
        inputs : dict, optional
            What else the run's manifest should say about where photos and weights came from.
        overwrite : bool
            Replace an earlier run of this kind.

        Raises
        ------
        RunError
            If ``out`` holds something else.
        """
        settings, given = self._told()
        run = Run.create(out, self.kind, settings, {**given, **(inputs or {})}, overwrite=overwrite)
        self.write(run)
        run.finish()
        return run
