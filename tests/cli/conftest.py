"""Running the command line inside the test's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.sweep_command import main as sweep

from deconvnet.cli.app import run


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``deconvnet ARGUMENTS`` in an empty folder; paths and numbers may be given as they are."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        words = [str(a) for a in arguments]
        code = sweep(words[1:]) if words[:1] == ["sweep"] else run(words)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must be refused: one sentence on stderr, exit code 2, no file made or changed."""

    def call(*arguments: object) -> str:
        before = tree(tmp_path)
        answer = command(*arguments)
        assert answer.code == 2, answer
        lines = answer.err.strip().splitlines()
        assert len(lines) == 1, answer.err
        assert lines[0].startswith("deconvnet: ")
        assert lines[0][-1] in ".?)"
        assert tree(tmp_path) == before
        return lines[0]

    return call


def tree(folder: Path) -> dict[Path, bytes | None]:
    """Everything in a folder: files with their content, folders with ``None``."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
