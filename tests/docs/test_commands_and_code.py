"""What README and the pages of ``docs`` tell to type: command lines, Python blocks, doctests."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
import typer
from PIL import Image

import deconvnet
from deconvnet.cli.app import app
from deconvnet.terminal.panels import today

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SOURCES = [path for path in sorted((ROOT / "src").rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]

# Pages whose lines are run, one after the other.
TYPED = ("README.md", "maps.md")
# Lines of those that are only parsed: they need what no test can have, or train for hours.
PARSED = {
    "torchvision:": "downloaded weights, or minutes of work",
}  # fmt: skip
# Words that make a long line short; all of them are documented options.
SHORT = {
    "train": "--epochs 1 --size 64 --fc-width 16 --batch-size 4 --threads 1",
    "invariance": "--layer conv1 --transform scale",
    "sanity": "--layer conv2",
}
# Python blocks that are run; of all others only the imports and the names in ``deconvnet`` are tried.
RUN = ("README.md", "projection.md", "invariance.md", "diagnosis.md")


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a page that are in a language; "" is for command lines."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    yield from (block for named, block in fences if named == language)


def lines(page: Path) -> list[str]:
    """The command lines of a page, without remarks; an indented line goes on with the one before."""
    whole = [re.sub(r"\n +", " ", block) for block in blocks(page, "")]
    told = [line.split(" #")[0].strip() for block in whole for line in block.splitlines()]
    return [line for line in told if line.startswith("deconvnet ")]


def is_pattern(line: str) -> bool:
    """Whether a line is a pattern, with places to fill in, such as ``NETWORK PHOTO... [--layer NAME]``."""
    return "[" in line or "..." in line or re.search(r"\b(NETWORK|RUN|FILE|RECIPE)\b", line) is not None


ALL = [(page.name, line) for page in PAGES for line in lines(page)]
WHOLE = [(page, line) for page, line in ALL if not is_pattern(line)]
PATTERNS = [line for _, line in ALL if is_pattern(line)]


def found_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command of a line's words, down through groups, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    words = [today(word) for word in words]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, ["--" + today(word[2:]) if word.startswith("--") else word for word in words]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: cat.jpg, dog.jpg, a.jpg, b.jpg, and photos/CLASS/*.jpg."""
    folder = tmp_path_factory.mktemp("reader")
    samples = {photo.name: photo.pixels for photo in deconvnet.sample_photos()}
    for name, sample in (("cat", "chelsea"), ("dog", "astronaut"), ("a", "coffee"), ("b", "rocket")):
        Image.fromarray(samples[sample]).save(folder / f"{name}.jpg")
    for name in ("chelsea", "coffee"):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(samples[name][10 * i : 10 * i + 150, 20 * i : 20 * i + 150]).save(
                folder / "photos" / name / f"{i}.jpg"
            )
    return folder


@pytest.fixture(scope="module")
def network(place: Path) -> deconvnet.Network:
    """A ZFNet for 128 px in place of the shipped one, so that the lines take seconds; also in a file."""
    torch.manual_seed(0)
    small = deconvnet.load("zfnet", weights=None, num_classes=2, input_size=128, fc_width=16)
    return deconvnet.load(str(small.save(place / "small.safetensors")))


def test_the_lines_are_found():
    assert len([line for page, line in ALL if page == "README.md"]) >= 14
    assert len(PATTERNS) >= 10


@pytest.mark.parametrize("line", [line for page, line in WHOLE if page not in TYPED])
def test_every_line_can_be_read(line):
    """Lines of pages whose commands the tests of the experiments run: only that each option and value is known."""
    words = shlex.split(line)[1:]
    command, rest = found_command(words)
    command.make_context(words[0], rest)


@pytest.mark.parametrize("page", TYPED)
def test_every_line_runs(page, command, place, network, monkeypatch):
    """The lines of a page, one after the other in one folder, as a reader types them."""
    monkeypatch.chdir(place)
    for found, line in WHOLE:
        words = shlex.split(line)[1:]
        if found != page:
            continue
        chosen, rest = found_command(words)
        if any(part in line for part in PARSED):
            chosen.make_context(words[0], rest)
            continue
        shown = ["small.safetensors" if word == "zfnet" else word for word in words]
        again = ["--overwrite"] if "--out" in line and any(o.name == "overwrite" for o in chosen.params) else []
        answer = command(*shown, *shlex.split(SHORT.get(words[0], "")), *again)
        assert answer.code == 0, (line, answer.err)


@pytest.mark.parametrize("line", PATTERNS)
def test_every_pattern_names_options_that_exist(line):
    words = line.replace("[", " ").replace("]", " ").replace("|", " ").split()[1:]
    command, rest = found_command(words)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in rest:
        if word.startswith("-"):
            assert word.rstrip(".") in known


@pytest.mark.parametrize(
    "page", [page for page in PAGES if next(blocks(page, "python"), "")], ids=lambda page: page.name
)
def test_python_blocks(page, place, network, torchvision, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr(deconvnet, "load", lambda *_, **__: network)
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        if page.name in RUN:
            exec(compile(tree, page.name, "exec"), given(page, network, place, torchvision.models.resnet18))
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    assert getattr(importlib.import_module(str(node.module)), alias.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "deconvnet":
                assert getattr(deconvnet, node.attr)


def given(
    page: Path, network: deconvnet.Network, place: Path, resnet18: Callable[[], torch.nn.Module]
) -> dict[str, Any]:
    """What a block takes for granted."""
    photos = [deconvnet.read_photo(place / "cat.jpg")]
    names: dict[str, Any] = {"deconvnet": deconvnet, "network": network, "folder": place / "photos"}
    if page.name == "README.md":
        return names | {"model": resnet18().eval(), "tensor": torch.rand(1, 3, 96, 96)}
    if page.name == "projection.md":
        return names | {"model": network.module, "photos": network.preprocessing.tensor([network.view(photos[0])])}
    return names | {"photos": photos, "names": ["cat"]}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_doctests(path):
    """What the examples of docstrings print."""
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0
    assert outcome.attempted > 0
