"""The headings under which ``deconvnet --help`` lists the commands, each with one whole sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

LOOK = "Look inside a network"
PAPER = "The paper's experiments"
TRAIN = "Train and measure networks"
RUNS = "Runs"
PANELS = (LOOK, PAPER, TRAIN, RUNS)

OLD_SPELLINGS = {"demo": "look", "activations": "nonlinearities"}


def today(spelling: str) -> str:
    """The spelling that an old spelling of a command or an option has today."""
    return OLD_SPELLINGS.get(spelling, spelling)


class PanelGroup(TyperGroup):
    """A group of commands whose help lists them by panel, in alphabetical order."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the panels; a sentence that is too long for one line goes on in the next."""
        listed: dict[str, list[tuple[str, str]]] = {panel: [] for panel in PANELS}
        for name in sorted(self.commands):
            command = self.commands[name]
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                listed.setdefault(panel if isinstance(panel, str) else "Commands", []).append((name, summary(command)))
        for panel, rows in listed.items():
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)


def summary(command: Any) -> str:
    """The first sentence of a command's help."""
    paragraph = (command.help or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split())
