"""The anti-aliased variants: sizes, weights and behaviour under shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import deconvnet
from deconvnet.errors import OptionError
from deconvnet.networks import build, load, split_towers
from deconvnet.networks.blurpool import BlurPool
from deconvnet.networks.layers import layer_table

NAMES = ("zfnet", "zfnet-wide", "alexnet", "alexnet-dense")


def ghost(name: str, **options) -> nn.Module:
    with torch.device("meta"):
        return build(name, **options)


def test_blur_agrees_with_loops() -> None:
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    framed = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    wanted = np.zeros((2, 3, 3, 4))
    for row in range(3):
        for column in range(4):
            window = framed[:, :, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
            wanted[:, :, row, column] = np.einsum("ncij,i,j->nc", window, taps, taps)
    np.testing.assert_allclose(BlurPool(5)(x).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("options", [{"taps": 2}, {"taps": 1}, {"taps": 4}, {"stride": 0}])
def test_bad_blurs_are_refused(options: dict) -> None:
    with pytest.raises(OptionError, match=r"must be at least 1|odd number of taps"):
        BlurPool(**options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [224, 128, 127, 97, 64])
def test_maps_and_weights_are_those_without_blur(name: str, size: int) -> None:
    plain, blurred = (ghost(name, input_size=size, blurpool=blur, num_classes=7) for blur in (False, True))
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in blurred.state_dict().items()}
    sizes = [{row.name: row.output for row in layer_table(net, (3, size, size))} for net in (plain, blurred)]
    assert sizes[0]["conv1"] == sizes[1]["blur1"]
    for i in (1, 2, 5):
        assert sizes[0][f"pool{i}"] == sizes[1][f"poolblur{i}"]
    assert sizes[0]["conv5"] == sizes[1]["conv5"]


def test_order_of_the_blurred_layers() -> None:
    zfnet = [n for n, _ in ghost("zfnet", blurpool=True).named_children() if "pad" not in n]
    first = ["conv1", "relu1", "blur1", "pool1", "poolblur1", "norm1", "conv2", "relu2", "blur2", "pool2", "poolblur2"]
    assert zfnet[:11] == first
    alexnet = ghost("alexnet", blurpool=True)
    names = [n for n, _ in alexnet.named_children() if "pad" not in n]
    assert names[:6] == ["conv1", "relu1", "blur1", "norm1", "pool1", "poolblur1"]
    assert names[6:11] == ["conv2", "relu2", "norm2", "pool2", "poolblur2"]
    assert alexnet.get_submodule("conv1").stride == (2, 2)  # and the blur's 2: 4 in all
    assert ghost("zfnet", blurpool=True).get_submodule("conv2").stride == (1, 1)


def test_dense_layers_at_the_kept_positions_are_the_plain_ones() -> None:
    """Without the blur's averaging, taking every second position gives exactly the network without it."""
    torch.manual_seed(0)
    size = 65  # where pool windows overhang
    plain = build("zfnet", input_size=size, num_classes=3, fc_width=8).eval()
    blurred = build("zfnet", input_size=size, num_classes=3, fc_width=8, blurpool=True).eval()
    blurred.load_state_dict(plain.state_dict())
    for part in blurred.modules():
        if isinstance(part, BlurPool):
            part.filter.zero_()
            part.filter[0, 0, 1, 1] = 1
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), blurred(x), rtol=1e-5, atol=1e-6)


def test_a_blurred_network_moves_less_under_a_shift() -> None:
    torch.manual_seed(0)
    plain = build("zfnet", input_size=64, num_classes=3, fc_width=8).eval()
    blurred = build("zfnet", input_size=64, num_classes=3, fc_width=8, blurpool=True).eval()
    blurred.load_state_dict(plain.state_dict())
    noise = torch.randn(1, 3, 64, 66)
    changes = []
    for network, last in ((plain, "pool1"), (blurred, "poolblur1")):
        maps = []
        for shift in (0, 1):
            x = noise[..., shift : shift + 64]
            for name, part in network.named_children():
                x = part(x)
                if name == last:
                    break
            maps.append(x.detach())
        changes.append(float((maps[0] - maps[1]).norm() / maps[0].norm()))
    assert changes[1] < 0.8 * changes[0]


def test_saved_and_loaded_again(tmp_path) -> None:
    network = load("alexnet-dense", weights=None, input_size=64, num_classes=3, fc_width=8, blurpool=True)
    again = load(str(network.save(tmp_path / "blurred.safetensors")))
    assert again.options["blurpool"] is True
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again.module(x), network.module(x))
    assert not [key for key in again.module.state_dict() if "blur" in key]


def test_two_towers_with_blur() -> None:
    torch.manual_seed(0)
    network = build("alexnet", input_size=64, num_classes=3, fc_width=8, blurpool=True).eval()
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(split_towers(network, ("cpu", "cpu"))(x), network(x), rtol=1e-4, atol=1e-5)


def test_projections_pass_the_blur() -> None:
    """From the blurred map: the blur's transpose (positive, so that rectifying changes nothing), then conv1's."""
    torch.manual_seed(0)
    network = build("zfnet", input_size=64, num_classes=3, fc_width=8, blurpool=True, lrn=False).eval()
    x = torch.randn(1, 3, 64, 64)
    found = deconvnet.project(network, x, ["blur1:3@8,9"])
    y = x.clone().requires_grad_()
    maps = network.get_submodule("conv1")(network.get_submodule("pad1")(y))
    unit = network.get_submodule("blur1")(maps.relu())[0, 3, 8, 9]
    one = torch.zeros_like(network.get_submodule("blur1")(maps.relu()))
    one[0, 3, 8, 9] = unit.detach()
    blurred = torch.nn.functional.conv_transpose2d(
        one, network.get_submodule("blur1").filter.expand(96, 1, 3, 3), stride=2, padding=1, groups=96
    )
    assert blurred.shape == maps.shape
    (wanted,) = torch.autograd.grad(maps, y, blurred)
    got = torch.as_tensor(found.pixels[0])
    torch.testing.assert_close(got, wanted[0], rtol=1e-4, atol=1e-5)
