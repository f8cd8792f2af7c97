"""The fast way against full forward passes, for every kind of network and every border case."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import deconvnet
from deconvnet.incremental import Responses, plain, prepare

FAMILIES = [
    "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "googlenet", "inception_v3", "densenet121",
    "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "efficientnet_b0",
    "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny",
]  # fmt: skip
WHOLE = {"mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf"}  # gates: global pooling inside blocks


def windows(height: int, width: int, count: int = 8, seed: int = 0) -> np.ndarray:
    """Some of each kind: small, large, across every border, one pixel, beyond the photo, the whole photo."""
    rng = np.random.default_rng(seed)
    tops, lefts = rng.integers(-6, height - 2, count), rng.integers(-6, width - 2, count)
    sizes = rng.integers(1, max(3, height // 2), (count, 2))
    some = np.stack([tops, lefts, tops + sizes[:, 0], lefts + sizes[:, 1]], 1)
    edges = [
        (0, 0, height, width),
        (-9, -9, height + 9, width + 9),
        (-9, -9, -1, -1),
        (height - 1, width - 1, height, width),
        (0, 0, 1, width),
    ]
    return np.concatenate([some, np.array(edges)])


def agree(found: Responses, expected: Responses, bound: float = 1e-5, maps: Sequence[str] = ()) -> None:
    assert set(found.sums) == set(found.maxima) == set(expected.sums) == set(maps)
    assert found.outputs.shape == expected.outputs.shape
    assert difference(found.outputs, expected.outputs) < bound
    for name in expected.sums:
        assert difference(found.sums[name], expected.sums[name]) < bound
        assert difference(found.maxima[name], expected.maxima[name]) < bound


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    assert np.isfinite(expected).all()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def random_photo(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["lenet5", "lenet5-1998", "alexnet", "alexnet-dense", "zfnet", "zfnet-wide"])
def test_built_in_networks(name: str) -> None:
    torch.manual_seed(1)
    options = {} if name.startswith("lenet") else {"num_classes": 7, "input_size": 128, "fc_width": 32}
    try:
        network = deconvnet.load(name, weights=None, **options)
    except deconvnet.DeconvnetError:
        network = deconvnet.load(name, weights=None, num_classes=7)
    photo = random_photo(*network.input_shape) * 50
    boxes = windows(*photo.shape[1:])
    maps = ["c1", "c3"] if name == "lenet5-1998" else ["conv1", "conv2"]
    found = prepare(network.module, photo, maps=maps).run(boxes, -3.0)
    agree(found, plain(network.module, photo, boxes, -3.0, maps=maps), maps=maps)


@pytest.mark.parametrize("name", FAMILIES)
def test_torchvision_families(torchvision: ModuleType, name: str) -> None:
    torch.manual_seed(1)
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, num_classes=5, **options).eval()
    photo = random_photo(3, 80, 80)
    boxes = windows(80, 80, 2)
    prepared = prepare(model, photo)
    agree(prepared.run(boxes, 0.5), plain(model, photo, boxes, 0.5, batch_size=3))
    assert bool(prepared.notes) == (name in WHOLE)


class Strange(nn.Module):
    """What the families do not have: odd strides, dilation, asymmetric kernels and padding, pools of every kind."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(channels, 8, (5, 3), stride=(3, 2), padding=(2, 0), dilation=(1, 2))
        self.b = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.c = nn.Conv2d(8, 12, 3, padding=2, dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.d = nn.Conv2d(8, 8, (1, 7), padding=(0, 3))
        self.slopes = nn.PReLU(8)
        self.line = nn.Linear(20, 6)
        self.layer_norm = nn.LayerNorm(20)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slopes(self.a(x))
        y = F.relu(self.b(x), inplace=True)
        y += x
        z = torch.cat([F.leaky_relu(self.norm(self.c(y))), torch.tanh(self.d(y)).clamp(min=-0.5)], 1)
        z = F.max_pool2d(z, 3, stride=2, padding=1, ceil_mode=True, dilation=1)
        z = z - F.avg_pool2d(z, 3, stride=1, padding=1, count_include_pad=False)
        z = F.avg_pool2d(F.pad(z, (1, 0, 2, 1)), (2, 3), stride=(1, 2), ceil_mode=True)
        z = self.layer_norm(z.permute(0, 2, 3, 1))
        z = F.gelu(self.line(z)).permute(0, 3, 1, 2)
        z = z.reshape(len(z), 2, 3, *z.shape[2:]).transpose(1, 2).flatten(1, 2)
        first, second = z.chunk(2, 1)
        z = torch.cat([first * 2, torch.maximum(second, first)], 1)
        return self.head(z.amax((2, 3)))


@pytest.mark.parametrize("shape", [(3, 41, 64), (3, 70, 33), (1, 50, 50)])
@pytest.mark.parametrize("fill", ["number", "colour", "picture"])
def test_every_operation_on_odd_sizes(shape: tuple[int, int, int], fill: str) -> None:
    torch.manual_seed(2)
    model = Strange(shape[0]).eval()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    photo = random_photo(*shape)
    fills = {"number": 2.5, "colour": random_photo(shape[0], seed=1), "picture": random_photo(*shape, seed=2)}
    boxes = windows(*shape[1:], count=20)
    maps = ["a", "b", "c", "slopes"]
    prepared = prepare(model, photo, maps=maps)
    agree(prepared.run(boxes, fills[fill]), plain(model, photo, boxes, fills[fill], maps=maps), maps=maps)
    assert len(prepared._plan.kernels) > 20  # all but the head works on windows


def test_local_response_norms_of_every_size() -> None:
    for size, beta in ((5, 0.75), (4, 0.75), (3, 0.5), (2, 1.0)):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(size, 0.3, beta, 1.5), nn.Flatten(), nn.LazyLinear(3)
        )
        photo = random_photo(3, 20, 20)
        model(photo[None])
        boxes = windows(20, 20)
        agree(prepare(model, photo).run(boxes, 1.0), plain(model, photo, boxes, 1.0))


def test_a_first_step_on_pixels() -> None:
    model = nn.Sequential(nn.GELU(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    photo = random_photo(3, 12, 12)
    model(photo[None])
    boxes = windows(12, 12)
    agree(prepare(model, photo).run(boxes, 1.0), plain(model, photo, boxes, 1.0))


def test_a_map_as_the_output() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    photo = random_photo(3, 15, 18)
    boxes = windows(15, 18)
    agree(prepare(model, photo, maps=["1"]).run(boxes, 1.0), plain(model, photo, boxes, 1.0, maps=["1"]), maps=["1"])


def test_attention_and_upsampling_go_over_whole_maps(torchvision: ModuleType) -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.last = nn.Conv2d(8, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = F.interpolate(self.conv(x).relu(), scale_factor=0.5, mode="bilinear")
            seen = x.flatten(2).transpose(1, 2)
            mixed = self.attention(seen, seen, seen, need_weights=False)[0].transpose(1, 2)
            return self.last(mixed.reshape(x.shape)).mean((2, 3))

    torch.manual_seed(0)
    model = Attending().eval()
    photo = random_photo(3, 24, 24)
    boxes = windows(24, 24)
    prepared = prepare(model, photo)
    agree(prepared.run(boxes, 1.0), plain(model, photo, boxes, 1.0))
    assert "mixes positions" in prepared.notes[0]


def test_double_precision_is_kept() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU(), nn.Conv2d(40, 40, 3), nn.Flatten(), nn.LazyLinear(3)).double()
    photo = random_photo(3, 20, 20).double()
    model(photo[None])
    boxes = windows(20, 20)
    agree(prepare(model, photo).run(boxes, 1.0), plain(model, photo, boxes, 1.0), 1e-6)  # the answer is float32
