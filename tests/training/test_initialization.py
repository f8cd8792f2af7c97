"""Initial weights, the filters' radius, and the measure of smoothness."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from deconvnet.errors import OptionError
from deconvnet.networks import build
from deconvnet.training import initialize, spatial_autocorrelation
from deconvnet.training.initialization import renormalize_filters, smooth_noise


def network() -> nn.Module:
    return build("zfnet", input_size=64, fc_width=16, num_classes=4, widths=(32, 32, 32))


@pytest.fixture
def sample() -> torch.Tensor:
    return 2 * torch.randn(24, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def layers(module: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def test_the_papers_start(sample: torch.Tensor) -> None:
    torch.manual_seed(0)
    module = network()
    initialize(module, "paper", sample)
    for part in layers(module):
        if part.weight.numel() > 5000:
            assert part.weight.std().item() == pytest.approx(0.01, rel=0.05)
            assert abs(part.weight.mean().item()) < 1e-3
        assert not part.bias.any()


def test_hes_start(sample: torch.Tensor) -> None:
    torch.manual_seed(0)
    module = network()
    initialize(module, "he", sample)
    for part in layers(module):
        fan_in = part.weight[0].numel()
        if part.weight.numel() > 5000:
            assert part.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
        assert not part.bias.any()


def test_own_leaves_everything() -> None:
    module = network()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    initialize(module, "own", torch.empty(0))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_the_smooth_start_is_smooth_and_calibrated(sample: torch.Tensor) -> None:
    torch.manual_seed(0)
    module = network().train()
    initialize(module, "smooth", sample)
    assert module.training
    assert spatial_autocorrelation(module.get_submodule("conv1").weight).median() > 0.5
    assert spatial_autocorrelation(module.get_submodule("conv2").weight).median() > 0.4
    module.eval()
    x = sample
    with torch.no_grad():
        for name, part in module.named_children():
            x = part(x)
            if isinstance(part, nn.Conv2d | nn.Linear):
                over = (0, 2, 3) if x.ndim == 4 else (0,)
                target = 0.1 if name == "fc8" else 1.0
                torch.testing.assert_close(x.std(over), torch.full(x.shape[1:2], target), rtol=1e-2, atol=0)
                torch.testing.assert_close(x.mean(over), torch.zeros(x.shape[1]), rtol=0, atol=1e-2)


def test_the_smooth_start_needs_two_photos(sample: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="at least two photos"):
        initialize(network(), "smooth", sample[:1])


def test_an_unknown_start_is_refused(sample: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="no initialization 'xavier': choose he, paper, smooth or own"):
        initialize(network(), "xavier", sample)


def test_smooth_noise_has_unit_rms() -> None:
    torch.manual_seed(0)
    noise = smooth_noise((64, 8, 5, 5), 0.8)
    assert noise.shape == (64, 8, 5, 5)
    assert noise.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-5)
    # neighbours of noise under a Gaussian low-pass of deviation s are correlated by exp(-1 / (4 s**2))
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean()
    assert neighbours.item() == pytest.approx(math.exp(-1 / (4 * 0.8**2)), abs=0.05)


def test_filters_beyond_the_radius_come_back_to_it() -> None:
    """Sec. 3: each filter of a convolution whose RMS exceeds 0.1 is brought to 0.1; the others stay."""
    torch.manual_seed(0)
    module = network()
    conv, linear = module.get_submodule("conv2"), module.get_submodule("fc6")
    with torch.no_grad():
        conv.weight.normal_(0, 0.05)
        conv.weight[3] *= 10
        linear.weight.fill_(7)
    before = conv.weight.detach().clone()
    renormalize_filters(module, 0.1)
    for index in range(conv.out_channels):
        rms = math.sqrt(sum(float(w) ** 2 for w in before[index].flatten()) / before[index].numel())
        factor = 0.1 / rms if rms > 0.1 else 1.0
        torch.testing.assert_close(conv.weight[index], before[index] * factor, rtol=1e-5, atol=0)
    assert conv.weight[3].square().mean().sqrt().item() == pytest.approx(0.1, rel=1e-5)
    assert torch.equal(conv.weight[:3], before[:3])
    assert (linear.weight == 7).all()


def test_autocorrelation_of_white_noise_is_about_zero() -> None:
    torch.manual_seed(0)
    for k in (3, 5, 7, 11):
        found = spatial_autocorrelation(torch.randn(400, 16, k, k))
        assert found.shape == (400,)
        assert -2 / k**2 < found.mean() < 0.02  # taking the mean out makes it a little negative


def test_autocorrelation_of_smooth_filters_is_high_and_of_a_chequerboard_negative() -> None:
    rows = torch.arange(11.0)
    wave = torch.sin(2 * math.pi * (rows[:, None] + 0.5 * rows) / 11).expand(2, 3, 11, 11)
    assert (spatial_autocorrelation(wave) > 0.75).all()
    chequer = ((rows[:, None] + rows) % 2 * 2 - 1).expand(1, 3, 11, 11)
    torch.testing.assert_close(spatial_autocorrelation(chequer), torch.tensor([-1.0]), rtol=0, atol=0.02)


def test_autocorrelation_against_loops() -> None:
    torch.manual_seed(0)
    weight = torch.randn(2, 3, 4, 4)
    for index, found in enumerate(spatial_autocorrelation(weight)):
        products, pairs, energy = 0.0, 0, 0.0
        for channel in weight[index]:
            w = (channel - channel.mean()).tolist()
            for y in range(4):
                for x in range(4):
                    energy += w[y][x] ** 2
                    for y2, x2 in ((y + 1, x), (y, x + 1)):
                        if y2 < 4 and x2 < 4:
                            products += w[y][x] * w[y2][x2]
                            pairs += 1
        assert found.item() == pytest.approx(products / pairs / (energy / (3 * 16)), abs=1e-5)
