"""A small network with weights on the disk, and a few photos: what the commands and experiments are tried on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from benchmarks.sweep_command import main as sweep
from PIL import Image
from tests.torchvision_beside_cpu_torch import import_torchvision

import deconvnet
from deconvnet.cli.app import run

CLASSES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZFNet for 64 px and five classes with random weights, saved."""
    torch.manual_seed(0)
    network = deconvnet.load("zfnet", weights=None, num_classes=5, input_size=64, fc_width=16)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return dataclasses.replace(network, classes=CLASSES).save(path)


@pytest.fixture(scope="session")
def small_network(small_weights: Path) -> deconvnet.Network:
    return deconvnet.load(str(small_weights))


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    found = import_torchvision()
    if found is None:
        pytest.skip("torchvision is not installed")
    return found


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    return pytest.importorskip("timm")


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos each of "red" and of "other", of which only a half differs from red: not all can be told apart."""
    root = tmp_path_factory.mktemp("photos") / "two"
    for name in ("red", "other"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            pixels = noise(70, 80, i + 100 * (name == "red"))
            pixels[..., 2 if name == "other" and i % 2 else 0] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.jpg")
    return root


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Dark random pixels, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 60, (height, width, 3)).astype(np.uint8)


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
