"""The commands on networks of other packages and of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import deconvnet

NET = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    input_size = 32
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 5, 3)
        self.head = nn.Linear(5, 3)
    def forward(self, x):
        maps = self.second(F.max_pool2d(F.relu(self.first(x)), 2)).relu()
        return self.head(maps.amax((2, 3)))

class Maps(Net):
    def forward(self, x):
        return [self.second(self.first(x).relu())]

def plain(channels=3): return nn.Sequential(nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3))
def double(): return plain().double()
def half(): return plain().half()
def scripted(): return torch.jit.script(plain())
def compiled(): return torch.compile(plain())
def flat(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, 2))
def empty(): return nn.Sequential()
def dead():
    net = plain()
    nn.init.zeros_(net[2].weight)
    return net
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (80, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return "net.py:Net"


def test_layers(command, torchvision):
    answer = command("layers", "torchvision:resnet18", "--input-size", 64, "--classes", 7)
    assert answer.code == 0, answer.err
    rows = {words[0]: words for line in answer.out.splitlines() if (words := line.split())}
    assert rows["conv1"][:6] == ["conv1", "conv", "7x7", "2", "3", "64x32x32"]
    assert rows["conv1"][-4:] == ["7", "px", "2", "px"]
    assert rows["layer4.1"][-4:-2] == ["435", "px"]
    assert rows["fc"][-1] == "all"
    assert f"{11_689_512 - 993 * 513:,} parameters" in answer.out


def test_layers_of_a_file(command, net):
    answer = command("layers", net)
    assert answer.code == 0, answer.err
    assert [line.split()[0] for line in answer.out.splitlines()[1:4]] == ["first", "second", "head"]


def test_project(command, torchvision, photos, tmp_path):
    answer = command("project", "torchvision:resnet18", photos / "0.png", "--layer", "layer2.1.conv2", "--top", 2)
    assert answer.code == 0, answer.err
    assert "torchvision:resnet18, random weights says" in answer.out
    assert len([line for line in answer.out.splitlines() if line.startswith("layer2.1.conv2:")]) == 2
    assert Image.open(tmp_path / "projection.png").size > (100, 100)
    assert "layer4.1.conv2:" in command("project", "torchvision:resnet18", photos / "0.png", "--top", 1).out


def test_project_with_a_weights_file(command, net, photos, tmp_path):
    donor = deconvnet.load(f"{tmp_path / 'net.py'}:Net", weights=None)
    torch.save({"state_dict": donor.module.state_dict()}, tmp_path / "net.pth")
    answer = command("project", net, photos / "0.png", "--unit", "second:1", "--weights", "net.pth")
    assert answer.code == 0, answer.err
    assert "random" not in answer.out
    shown = deconvnet.project(donor, deconvnet.read_photo(photos / "0.png"), "second:1")
    assert f"{float(shown.activations[0]):.4f}" in answer.out
    assert (
        f"{float(shown.activations[0]):.4f}" not in command("project", net, photos / "0.png", "--unit", "second:1").out
    )


def test_project_without_class_scores(command, net, photos):
    answer = command("project", "net.py:Maps", photos / "0.png", "--unit", "second:1")
    assert answer.code == 0, answer.err
    assert " says " not in answer.out


def test_mine_and_top(command, torchvision, photos, tmp_path):
    mined = ("mine", "torchvision:resnet18", "--data", photos, "--layer", "layer1.0.conv1", "--out", "runs", "--k", 2)
    answer = command(*mined)
    assert answer.code == 0, answer.err
    assert "random weights" in answer.out
    answer = command("top", "runs", "layer1.0.conv1", "--map", 3)
    assert answer.code == 0, answer.err
    assert (tmp_path / "runs" / "layer1.0.conv1.png").is_file()


def test_top_finds_a_files_network_from_another_folder(command, net, photos, tmp_path, monkeypatch):
    assert command("mine", net, "--data", photos, "--out", "runs").code == 0
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    answer = command("top", tmp_path / "runs", "second", "--maps", 2)
    assert answer.code == 2  # no file is run that the user did not name
    assert "name it with --network" in answer.err
    typed = ("--network", f"{tmp_path / 'net.py'}:{net.partition(':')[2]}")
    answer = command("top", tmp_path / "runs", "second", "--maps", 2, *typed)
    assert answer.code == 0, answer.err
    code = (tmp_path / "net.py").read_text()
    (tmp_path / "net.py").write_text(code.replace("bias=False", "bias=True"))
    answer = command("top", tmp_path / "runs", "second", "--maps", 2, *typed)
    assert answer.code == 2
    assert "mine again" in answer.err


def test_demo(command, torchvision, photos, tmp_path):
    answer = command("demo", "--network", "torchvision:resnet18", "--photos", photos, "--limit", 1, "--top", 1)
    assert answer.code == 0, answer.err
    assert "torchvision:resnet18, random weights" in answer.out
    (page,) = (tmp_path / "runs" / "look").glob("*.html")
    text = page.read_text()
    assert "random weights" in text
    assert "layer4.1.conv2" in text
    assert "nothing was trained" in text


def test_demo_of_a_file(command, net, photos, tmp_path):
    for name in (net, "net.py:Maps"):
        answer = command("demo", "--network", name, "--photos", photos, "--limit", 1, "--top", 2)
        assert answer.code == 0, answer.err
        assert list((tmp_path / "runs" / "look").glob("*.html"))


@pytest.mark.parametrize("name", ["timm:efficientnet_b0"])
def test_a_network_with_other_activations_is_refused_by_name(refused, timm, photos, name):
    said = refused("project", name, photos / "0.png", "--unit", "blocks.1.0.conv_dw:3")
    assert "silu" in said
    assert "activations='gradient'" in said


def test_the_choice_that_a_refusal_offers(command, timm, photos):
    chosen = ("--activations", "gradient")
    name = "timm:mobilenetv3_small_050"
    answer = command("project", name, photos / "0.png", "--unit", "blocks.1.0.conv_dw:3", *chosen)
    assert answer.code == 0, answer.err
    answer = command("demo", "--network", name, "--photos", photos, "--limit", 1, "--top", 1, *chosen)
    assert answer.code == 0, answer.err
    assert command("mine", name, "--data", photos, "--layer", "blocks.1.0.conv_dw", "--out", "mined").code == 0
    assert command("top", "mined", "blocks.1.0.conv_dw", "--map", 3, *chosen).code == 0


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("none.py:build", "there is no file none.py"),
        ("net.py:build", "there is no function or model in net.py named 'build'"),
        ("torchvision:resnet", "there is no network of torchvision 'resnet': did you mean resnet"),
        ("tensorflow:resnet", "there is no source of networks 'tensorflow'"),
        ("resnet18", "torchvision:NAME"),
    ],
)
@pytest.mark.parametrize("command_name", ["layers", "project"])
def test_refused(refused, torchvision, net, photos, name, part, command_name):
    assert part in refused(command_name, name, *([photos / "0.png"] if command_name == "project" else []))


@pytest.mark.parametrize("precision", ["double", "half"])
def test_networks_of_another_precision(command, net, photos, precision):
    answer = command("project", f"net.py:{precision}", photos / "0.png", "--top", 2)
    assert answer.code == 0, answer.err
    assert answer.out.count("2:") == 2


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (("project", "net.py:flat"), "net.py:flat has no convolutional layer that ran"),
        (("project", "net.py:scripted"), "the model is scripted or traced"),
        (("project", "net.py:compiled"), "the model is compiled"),
        (("sanity", "net.py:dead"), "the deconvnet pictures of 2 are all empty"),
        (("sanity", "net.py:plain", "--out", "net.py"), "net.py is a file, and a run needs a folder"),
    ],
)
def test_networks_of_which_nothing_can_be_shown(refused, net, photos, given, part):
    name, *rest = given
    assert part in refused(name, rest[0], photos / "0.png", *rest[1:])


def test_a_network_without_layers(refused, net):
    assert "net.py:empty has no layer that gives a tensor" in refused("layers", "net.py:empty")


def test_sweep(command, timm, tmp_path, monkeypatch):
    from benchmarks import sweep

    monkeypatch.setattr(sweep, "SIDE", 64)
    answer = command("sweep", "timm:resnet10t", "--record", "sweep.jsonl", "--table", "sweep.md")
    assert answer.code == 0, answer.err
    assert "1 networks, 1 right, 0 wrong or failed" in answer.out
    assert "| timm:resnet10t | 64 | right |" in (tmp_path / "sweep.md").read_text()
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 1


def test_sweep_refuses_a_place_that_does_not_exist(refused):
    assert "there is no folder" in refused("sweep", "timm:resnet10t", "--table", "none/sweep.md")
