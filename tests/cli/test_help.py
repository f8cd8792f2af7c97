"""``deconvnet --help``: every command in a panel, with one whole sentence; old spellings go on."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import deconvnet
from deconvnet.cli.app import app, command_modules
from deconvnet.terminal.panels import PANELS


def panels(text: str) -> dict[str, dict[str, str]]:
    """Panel, command and sentence, read from the printed help."""
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"\n(?=\S)", text):
        title, *rows = block.rstrip().splitlines()
        if title.rstrip(":") not in PANELS:
            continue
        entries = re.split(r"\n(?=\S)", textwrap.dedent("\n".join(rows)))
        found[title.rstrip(":")] = {
            name: " ".join(sentence.split()) for name, sentence in (entry.split(maxsplit=1) for entry in entries)
        }
    return found


def test_help_lists_every_command_once_with_a_whole_sentence(command):
    said = command("--help").out
    listed = panels(said)
    assert tuple(listed) == PANELS
    rows = [row for panel in listed.values() for row in panel.items()]
    names = [each.name for each in app.registered_commands] + [each.name for each in app.registered_groups]
    assert sorted(name for name, _ in rows) == sorted(str(name) for name in names)
    for name, sentence in rows:
        assert sentence[0].isupper(), name
        assert sentence.endswith("."), f"{name}: {sentence}"
        assert ". " not in sentence, f"{name}: {sentence}"
    assert "..." not in said.partition("Options:")[2]
    assert max(map(len, said.splitlines())) <= 80


def test_the_experiments_are_found_by_their_folders():
    folder = Path(deconvnet.__file__).parent / "experiments"
    found = {module.__name__ for module in command_modules()}
    for path in folder.glob("*/command.py"):
        assert f"deconvnet.experiments.{path.parent.name}.command" in found
    assert "deconvnet.reproduction.command" in found


def test_old_spellings_go_on_and_are_not_shown(command):
    assert command("demo", "--help").out == command("look", "--help").out
    shown = command("project", "--help").out
    assert "--nonlinearities" in shown
    assert "--activations" not in shown
    assert "demo" not in command("--help").out
    answer = command("project", "zfnt", "cat.jpg", "--activations", "gradient")
    assert answer.code == 2
    assert "no such option" not in answer.err.lower()
