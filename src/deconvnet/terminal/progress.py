"""One progress bar for all commands: what is done, how fast, and how long it still takes."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from deconvnet.progress import ProgressReport


class ProgressBar:
    """A progress bar on stderr, which is called with reports; where stderr is no terminal, nothing is drawn.

    Parameters
    ----------
    what : str
        What is being done until the first report.
    prefix : str
        What stands before each report's own words.
    """

    def __init__(self, what: str = "", prefix: str = "") -> None:
        console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.prefix = prefix
        self._task = self._bar.add_task(prefix + what, total=None, note="")

    def __call__(self, report: ProgressReport) -> None:
        """Draw how far the work is."""
        words = self.prefix + report.what
        self._bar.update(self._task, description=words, completed=report.done, total=report.total, note=report.note)

    def begin(self, what: str) -> None:
        """Start with other work, of which nothing is known yet."""
        self._bar.reset(self._task, description=what, completed=0, total=None, note="")

    def print(self, line: str) -> None:
        """Print a line on stderr, above the bar where one is drawn."""
        self._bar.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
