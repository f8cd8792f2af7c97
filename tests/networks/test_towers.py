"""AlexNet's two towers on two devices equal the one network, and normalisation does not cross their border."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from deconvnet.errors import ModelError, OptionError
from deconvnet.networks import build, split_towers

SIZE = 80
DEVICES = [("cpu", "cpu"), pytest.param(("cuda:0", "cuda:0"), marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here"
))]  # fmt: skip


def lively(**options: object) -> nn.Module:
    """A network whose layers all respond (torch's start lets signals die)."""
    torch.manual_seed(0)
    network = build("alexnet", input_size=SIZE, **{"fc_width": 18, "num_classes": 6, **options}).eval()
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                part.bias.uniform_(-0.1, 0.1)
    return network


def photos(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 60 * torch.randn(2, 3, SIZE, SIZE, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("options", [{}, {"num_classes": 7, "fc_width": 15}, {"num_classes": 3}, {"remove": (3, 4)},
                                     {"remove": (6, 7)}, {"lrn": False}], ids=str)  # fmt: skip
@torch.no_grad()
def test_two_devices_equal_one(devices: tuple[str, str], options: dict) -> None:
    network, x = lively(**options), photos()
    expected = network(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(split_towers(network, devices)(x).cpu(), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_two_devices_equal_one_in_double_precision() -> None:
    network, x = lively(num_classes=7).double(), photos(torch.float64)
    split = split_towers(network, ("cpu", "cpu"))
    assert {p.dtype for p in split.parameters()} == {torch.float64}
    expected = network(x)
    assert (split(x) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_gradients_equal_while_training() -> None:
    network, x = lively(dropout=0.0).double().train(), photos(torch.float64)
    split = split_towers(network, ("cpu", "cpu"))
    assert split.training
    network(x).square().sum().backward()
    split(x).square().sum().backward()
    for name in ("conv1", "conv2", "conv3", "fc6", "fc8"):
        whole = network.get_submodule(name).weight.grad
        halves = torch.cat([tower.get_submodule(name).weight.grad for tower in split.towers])
        torch.testing.assert_close(halves, whole, rtol=1e-9, atol=0)


def test_maps_cross_only_where_the_paper_lets_them() -> None:
    """Before conv3 a tower depends on its own filters only."""
    split = split_towers(lively(), ("cpu", "cpu"))
    shapes = {name: tuple(split.towers[0].get_submodule(name).weight.shape) for name in split.order
              if name.startswith(("conv", "fc"))}  # fmt: skip
    assert shapes == {
        "conv1": (48, 3, 11, 11),
        "conv2": (128, 48, 5, 5),
        "conv3": (192, 256, 3, 3),
        "conv4": (192, 192, 3, 3),
        "conv5": (128, 192, 3, 3),
        "fc6": (9, 1024),
        "fc7": (9, 18),
        "fc8": (3, 18),
    }


@torch.no_grad()
def test_normalisation_stays_in_its_tower() -> None:
    norm = build("alexnet", input_size=SIZE, fc_width=2).get_submodule("norm1").eval()
    x = torch.rand(1, 96, 3, 3) * 100
    other = x.clone()
    other[:, 48:] += 300
    first, second = norm(x), norm(other)
    assert torch.equal(first[:, :48], second[:, :48])
    assert not torch.equal(first[:, 48:], second[:, 48:])
    torch.testing.assert_close(first[:, 48:], nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x[:, 48:]))
    leaking = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x)
    assert not torch.allclose(first[:, 46:50], leaking[:, 46:50])


def test_the_network_is_left_as_it_is() -> None:
    network = lively()
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(3)
    follows = torch.rand(1)
    torch.manual_seed(3)
    split = split_towers(network, ("cpu", "cpu"))
    assert torch.equal(torch.rand(1), follows)  # no random number was drawn
    assert not split.training
    assert not any(part.training for part in split.modules())
    split.train()
    with torch.no_grad():
        for p in split.parameters():
            p.zero_()
    assert not any(part.training for part in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["alexnet-dense", "zfnet", "lenet5"])
def test_one_tower_is_refused(name: str) -> None:
    with torch.device("meta"):
        network = build(name)
    with pytest.raises(ModelError, match="only a network of two towers"):
        split_towers(network, ("cpu", "cpu"))


def test_anything_but_two_devices_is_refused() -> None:
    with pytest.raises(OptionError, match="need two devices"):
        split_towers(lively(), ("cpu",))  # type: ignore[arg-type]
