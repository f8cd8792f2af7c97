"""Weights kept during training: by a loop of one's own, by ours, and read again as networks that can be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import noise
from torch import nn

from deconvnet.data import open_photos
from deconvnet.errors import OptionError, RunError, WeightsError
from deconvnet.networks import load
from deconvnet.progress import only
from deconvnet.runs import Run
from deconvnet.training import RECIPES, EpochReport, PhotoDataset, Stage, resample_fc6, snapshot, train
from deconvnet.training.snapshots import alike, epochs_to_keep, find_snapshots, load_snapshots

PLAN = dataclasses.replace(
    RECIPES["caltech101"],
    stages=(Stage(64, 2, 0.1), Stage(80, 1, 0.1)),
    options={"fc_width": 8, "widths": (8, 8, 8)},
    batch_size=8,
    balance=None,
    snapshots=epochs_to_keep([1, 2, 3], 3),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loop(module: nn.Module, folder: Path | None) -> list[dict[str, torch.Tensor]]:
    """A plain training loop with dropout, and the weights after each epoch."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    module.train()
    after = []
    for epoch in range(1, 4):
        scores = nn.functional.dropout(module(torch.randn(4, 3, 32, 32)), 0.5)
        loss = nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if folder is not None:
            snapshot(module, folder, epoch)
        after.append({name: value.clone() for name, value in module.state_dict().items()})
    return after


@pytest.fixture(scope="module")
def resnet(torchvision) -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=3)


def test_a_plain_loop_keeps_torchvisions_weights_and_runs_as_without(torchvision, resnet, tmp_path) -> None:
    start = {name: value.clone() for name, value in resnet.state_dict().items()}
    kept = loop(resnet, tmp_path / "kept")
    assert resnet.training
    found = find_snapshots(tmp_path / "kept")
    assert (found.labels, found.axis) == (("1", "2", "3"), "epoch")
    networks = load_snapshots(found, "torchvision:resnet18", num_classes=3, input_size=32)
    for network, expected in zip(networks, kept, strict=True):
        assert not network.module.training
        state = network.module.state_dict()
        assert all(torch.equal(state[name], value) for name, value in expected.items())
    resnet.load_state_dict(start)
    without = loop(resnet, None)
    assert all(torch.equal(kept[-1][name], value) for name, value in without[-1].items())


def test_files_of_torch_save_are_read_and_ordered_by_their_numbers(torchvision, tmp_path) -> None:
    module = torchvision.models.squeezenet1_1(num_classes=3)
    for epoch in (2, 10, 9):
        with torch.no_grad():
            module.classifier[1].bias.fill_(epoch)
        state = {f"module.{name}": value for name, value in module.state_dict().items()}
        torch.save({"state_dict": state, "epoch": epoch}, tmp_path / f"run1-checkpoint{epoch}.pt")
    paths = [tmp_path / f"run1-checkpoint{epoch}.pt" for epoch in (10, 2, 9)]
    for sources in (paths, tmp_path):
        found = find_snapshots(sources)
        assert found.labels == ("2", "9", "10")
        networks = load_snapshots(found, "torchvision:squeezenet1_1", num_classes=3)
        assert [network.module.classifier[1].bias[0].item() for network in networks] == [2, 9, 10]
    names = ("start.pt", "end.pt")
    for path, name in zip(paths, names, strict=False):
        path.rename(tmp_path / name)
    found = find_snapshots([tmp_path / name for name in names])
    assert (found.labels, found.axis) == (("start", "end"), "file")


def test_tied_weights_half_size_and_a_network_of_ours(small_network, tmp_path) -> None:
    tied = nn.Sequential(nn.Linear(2000, 30, bias=False), nn.Linear(2000, 30, bias=False))
    tied[1].weight = tied[0].weight
    whole, half = snapshot(tied, tmp_path / "a", 0), snapshot(tied, tmp_path / "b", 0, half=True)
    assert whole.name == "epoch-0000.safetensors"
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert tied[1].weight is tied[0].weight
    own = load(str(snapshot(small_network, tmp_path / "c", 7)))
    assert own.classes == small_network.classes
    with pytest.raises(OptionError, match="epoch"):
        snapshot(tied, tmp_path, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "two"
    for name, channel in (("blue", 2), ("red", 0)):
        (root / name).mkdir(parents=True)
        for i in range(10):
            pixels = noise(90, 100, i + 50 * channel)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(PLAN, PhotoDataset(open_photos(folder), 0.2, 0), out)
    return out


def test_our_loop_keeps_the_epochs_asked_for_also_when_killed(whole, folder, tmp_path) -> None:
    names = sorted(path.name for path in (whole / "snapshots").iterdir())
    assert names == [f"epoch-000{epoch}.safetensors" for epoch in (1, 2, 3)]

    class Killed(Exception):
        pass

    def stop(report) -> None:
        if report.metrics["epoch"] == 2:
            raise Killed

    dataset = PhotoDataset(open_photos(folder), 0.2, 0)
    with pytest.raises(Killed):
        train(PLAN, dataset, tmp_path / "out", progress=only(EpochReport, stop))
    train(PLAN, PhotoDataset(open_photos(folder), 0.2, 0), tmp_path / "out", resume=True)
    for name in names:
        here, there = (load(str(out / "snapshots" / name)).module.state_dict() for out in (tmp_path / "out", whole))
        assert all(torch.equal(here[key], value) for key, value in there.items())
    assert Path(Run.open(whole).place("photos") or "") == folder


def test_snapshots_of_two_input_sizes_are_brought_to_the_last_ones(whole) -> None:
    networks = load_snapshots(find_snapshots(whole))
    assert [n.preprocessing.input_size for n in networks] == [64, 64, 80]
    same = alike(networks)
    assert same[-1] is networks[-1]
    shape = networks[-1].module.state_dict()["fc6.weight"].shape
    for before, after in zip(networks[:2], same[:2], strict=True):
        assert after.preprocessing is networks[-1].preprocessing
        state = after.module.state_dict()
        expected = resample_fc6(before.module.state_dict(), networks[-1].module.state_dict())
        assert state["fc6.weight"].shape == shape
        assert before.module.state_dict()["fc6.weight"].shape != shape
        assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_snapshots_of_different_networks(small_network, tmp_path) -> None:
    other = load("zfnet", weights=None, num_classes=5, input_size=64, fc_width=8)
    dense = load("alexnet-dense", weights=None, num_classes=5, input_size=64, fc_width=16)
    scale = dataclasses.replace(small_network.preprocessing, scale=58.0)
    mean = dataclasses.replace(small_network.preprocessing, mean=np.zeros((3, 1, 1), np.float32))
    for odd, why in (
        (dense, "of alexnet-dense and .* of zfnet"),
        (dataclasses.replace(other, classes=small_network.classes), "fc_width"),
        (dataclasses.replace(small_network, classes=("a", "b", "c", "d", "e")), "classes"),
        (dataclasses.replace(small_network, preprocessing=scale), "prepared in different ways"),
        (dataclasses.replace(small_network, preprocessing=mean), "prepared in different ways"),
    ):
        with pytest.raises(WeightsError, match=why):
            alike([odd, small_network])
    dense.save(tmp_path / "1.safetensors")
    small_network.save(tmp_path / "2.safetensors")
    with pytest.raises(WeightsError, match=r"1\.safetensors is of alexnet-dense"):
        load_snapshots(find_snapshots(tmp_path))
    with pytest.raises(WeightsError, match="not of lenet5"):
        load_snapshots(find_snapshots(tmp_path), "lenet5")
    with pytest.raises(OptionError, match="num_classes"):
        load_snapshots(find_snapshots(tmp_path), num_classes=3)


def test_what_is_no_set_of_snapshots(whole, resnet, tmp_path) -> None:
    first = snapshot(resnet, tmp_path / "one", 1)
    with pytest.raises(OptionError, match="single snapshot"):
        find_snapshots(first)
    with pytest.raises(OptionError, match="single snapshot"):
        find_snapshots(tmp_path / "one")
    with pytest.raises(OptionError, match="twice"):
        find_snapshots([first, first])
    with pytest.raises(WeightsError, match="there is no weights file"):
        find_snapshots([first, tmp_path / "none.pt"])
    with pytest.raises(WeightsError, match="is a folder"):
        find_snapshots([first, whole])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no weights files"):
        find_snapshots(tmp_path / "empty")
    bare = Run.create(tmp_path / "bare", "train", {}, {})
    with pytest.raises(RunError, match="no epoch is done yet"):
        find_snapshots(bare.path)
    Run.create(tmp_path / "mined", "mine", {}, {})
    with pytest.raises(RunError, match="of kind 'mine'"):
        find_snapshots(tmp_path / "mined")
    with pytest.raises(OptionError, match="name it with --network"):
        load_snapshots(find_snapshots([first, snapshot(resnet, tmp_path / "two", 2)]))
    with pytest.raises(OptionError, match="epochs are 1 to 4"):
        epochs_to_keep([5], 4)
