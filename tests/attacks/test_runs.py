"""What a run from anywhere may not do: run a Python file that the user did not name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deconvnet
from deconvnet.errors import RunError
from deconvnet.experiments.top_nine import draw_top_nine, write_tiles
from deconvnet.reopening import reopen
from deconvnet.runs import Run

NET = """
from pathlib import Path
from torch import nn
Path(__file__).with_name("was-run").touch()
import torch
torch.manual_seed(1)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 15 * 15, 2))
net.input_size = 32
"""


@pytest.fixture
def mined(tmp_path: Path, two_classes: Path) -> Run:
    (tmp_path / "net.py").write_text(NET)
    network = deconvnet.load(f"{tmp_path}/net.py:net")
    deconvnet.mine(network, deconvnet.open_photos(two_classes), out=tmp_path / "run", layers=["0"])
    (tmp_path / "was-run").unlink()
    return Run.open(tmp_path / "run")


def test_a_run_does_not_make_us_run_a_file(mined: Run, tmp_path: Path) -> None:
    for open_it in (reopen, lambda run: draw_top_nine(run, "0", channels=[0]), write_tiles):
        with pytest.raises(
            RunError, match=r"no file is run that you did not name: name it with --network \(it was .*net\.py:net\)"
        ):
            open_it(mined)
    assert not (tmp_path / "was-run").exists()


def test_what_the_user_names_is_run(mined: Run, tmp_path: Path, command) -> None:
    answer = command("top", mined.path, "0", "--map", 0, "--network", f"{tmp_path}/net.py:net", "--out", "top.png")
    assert answer.code == 0, answer
    assert (tmp_path / "was-run").exists()
    (tmp_path / "net.py").write_text(NET.replace("manual_seed(1)", "manual_seed(2)"))
    with pytest.raises(RunError, match="are not those"):
        reopen(mined, network=f"{tmp_path}/net.py:net")


def test_a_network_made_in_python_is_given_as_it_is(mined: Run, tmp_path: Path) -> None:
    network = deconvnet.load(f"{tmp_path}/net.py:net")
    manifest = mined.path / "manifest.json"
    content = json.loads(manifest.read_text())
    content["inputs"]["network"] = "a network of mine"
    manifest.write_text(json.dumps(content))
    assert draw_top_nine(Run.open(mined.path), "0", channels=[0], network=network).axes
