"""Spectra, statistics, aliasing and shifts against slow loops in float64."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from torch import nn

from deconvnet.experiments.diagnosis.shifts import map_change, moved_views, shift_changes, shifted
from deconvnet.filter_statistics.activity import activity
from deconvnet.filter_statistics.aliasing import aliasing
from deconvnet.filter_statistics.places import Place, dense_response, places, strided
from deconvnet.filter_statistics.spectra import (
    beyond_nyquist,
    filter_spectra,
    grating_concentration,
    power,
    radial_power,
)
from deconvnet.filter_statistics.statistics import autocorrelation, duplicates, filter_rms, in_pixel_units, noise_limit
from deconvnet.networks.blurpool import BlurPool

RNG = np.random.default_rng(3)


def slow_power(filters: np.ndarray, side: int) -> np.ndarray:
    """|sum of w exp(-2 pi i (u y + v x) / side)|^2 / side^2, summed over channels."""
    out = np.zeros((len(filters), side, side))
    for o, kernel in enumerate(filters):
        for u in range(side):
            for v in range(side):
                for channel in kernel:
                    total = 0j
                    for (y, x), w in np.ndenumerate(channel):
                        total += float(w) * cmath.exp(-2j * math.pi * (u * y + v * x) / side)
                    out[o, u, v] += abs(total) ** 2 / side**2
    return out


def test_power_agrees_with_the_sum_of_exponentials() -> None:
    filters = RNG.standard_normal((2, 3, 5, 4))
    np.testing.assert_allclose(power(filters, 12), slow_power(filters, 12), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(power(filters, 12).sum((1, 2)), (filters**2).sum((1, 2, 3)), rtol=1e-12)  # Parseval


def test_bands_and_peak_agree_with_loops() -> None:
    filters = RNG.standard_normal((3, 1, 5, 5))
    found = filter_spectra(filters)
    spectrum = slow_power(filters, 64)
    for o in range(3):
        shares, strongest, peak = [0.0, 0.0, 0.0], -1.0, (0.0, 0.0)
        for u in range(64):
            for v in range(64):
                fu, fv = (i / 64 if i < 32 else i / 64 - 1 for i in (u, v))
                radius = math.hypot(fu, fv)
                shares[0 if radius < 1 / 8 else 1 if radius < 1 / 4 else 2] += spectrum[o, u, v]
                if spectrum[o, u, v] > strongest * (1 + 1e-9):
                    strongest, peak = spectrum[o, u, v], (fu, fv)
        np.testing.assert_allclose(found.bands[o], np.array(shares) / sum(shares), rtol=1e-9)
        assert found.peak[o] == pytest.approx(math.hypot(*peak))
        near = 0.0
        for u in range(64):
            for v in range(64):
                for sign in (1, -1):
                    du, dv = u / 64 - sign * peak[0], v / 64 - sign * peak[1]
                    if math.hypot(du - round(du), dv - round(dv)) <= 0.1:
                        near += spectrum[o, u, v]
                        break
        assert found.concentration[o] == pytest.approx(near / sum(shares), rel=1e-9)


@pytest.mark.parametrize(("frequency", "band"), [(0.03, 0), (0.18, 1), (0.4, 2)])
def test_a_grating_lies_in_its_band(frequency: float, band: int) -> None:
    wave = np.cos(2 * math.pi * frequency * np.arange(21))
    found = filter_spectra(np.tile(wave, (21, 1))[None, None])
    assert found.bands[0].argmax() == band
    assert found.bands[0, band] > 0.7
    assert found.peak[0] == pytest.approx(frequency, abs=0.02)


def test_concentration_tells_a_grating_from_noise() -> None:
    shape = (1, 1, 11, 11)
    wave = np.cos(2 * math.pi * 0.2 * np.arange(11))
    grating = filter_spectra(np.tile(wave, (11, 1))[None, None]).concentration[0] / grating_concentration(shape)
    noise = filter_spectra(RNG.standard_normal((20, 3, 11, 11))).concentration / grating_concentration(shape)
    assert grating > 0.9
    assert noise.max() < 0.3


def test_white_noise_has_equal_power_everywhere() -> None:
    np.testing.assert_allclose(radial_power(RNG.standard_normal((400, 3, 7, 7))), 1.0, atol=0.12)


def test_a_filter_of_zeros_has_no_spectrum() -> None:
    found = filter_spectra(np.zeros((1, 3, 7, 7)))
    assert found.bands.sum() == 0
    assert found.concentration[0] == 0


@pytest.mark.parametrize(("height", "width", "strides"), [(8, 8, (2, 2)), (7, 6, (2, 2)), (8, 9, (4, 2))])
def test_energy_beyond_nyquist_agrees_with_loops(height: int, width: int, strides: tuple[int, int]) -> None:
    maps = RNG.standard_normal((2, 2, height, width)) + 5
    beyond, total = beyond_nyquist(maps, strides)
    window = np.array(
        [
            [
                math.sin(math.pi * (y + 0.5) / height) ** 2 * math.sin(math.pi * (x + 0.5) / width) ** 2
                for x in range(width)
            ]
            for y in range(height)
        ]
    )
    for c in range(2):
        far, everything = 0.0, 0.0
        for n in range(2):
            values = (maps[n, c] - maps[n, c].mean()) * window
            values = values - values.sum() / window.sum() * window
            for u in range(height):
                for v in range(width):
                    total_uv = sum(
                        values[y, x] * cmath.exp(-2j * math.pi * (u * y / height + v * x / width))
                        for y in range(height)
                        for x in range(width)
                    )
                    fu, fv = min(u, height - u) / height, min(v, width - v) / width
                    everything += abs(total_uv) ** 2
                    if fu > 0.5 / strides[0] + 1e-9 or fv > 0.5 / strides[1] + 1e-9:
                        far += abs(total_uv) ** 2
        assert beyond[c] == pytest.approx(far, rel=1e-9)
        assert total[c] == pytest.approx(everything, rel=1e-9)


def test_folded_energy_of_waves() -> None:
    """A wave below the new Nyquist frequency is carried, one above is folded; a constant has nothing to fold."""
    x = np.arange(64)
    low, high = np.cos(2 * math.pi * 5 / 64 * x), np.cos(2 * math.pi * 20 / 64 * x)
    maps = np.stack([np.tile(w, (64, 1)) for w in (low, high, np.full(64, 3.0))])[None]
    beyond, total = beyond_nyquist(maps, (2, 2))
    np.testing.assert_allclose(beyond[:2] / total[:2], [0, 1], atol=1e-6)
    assert total[2] == pytest.approx(0, abs=1e-18)


def test_rms_and_pixel_units() -> None:
    filters = RNG.standard_normal((2, 3, 3, 3))
    slow = [math.sqrt(sum(float(w) ** 2 for w in f.ravel()) / 27) for f in filters]
    np.testing.assert_allclose(filter_rms(filters), slow)
    scaled = in_pixel_units(filters, (2.0, 4.0, 8.0))
    np.testing.assert_allclose(scaled[:, 2], filters[:, 2] / 8)
    np.testing.assert_allclose(in_pixel_units(filters, 58.0), filters / 58)


def test_duplicates_and_opposites_are_found() -> None:
    filters = RNG.standard_normal((6, 3, 5, 5))
    filters[4] = 3 * filters[1] + 0.01 * filters[0]
    filters[5] = -filters[2]
    found = duplicates(filters)
    assert [(i, j) for i, j, _ in found] == [(2, 5), (1, 4)]
    assert found[0][2] == pytest.approx(-1)
    assert found[1][2] > 0.999
    assert duplicates(np.zeros((3, 1, 3, 3))) == []


def test_noise_is_told_from_smooth_filters() -> None:
    noise = RNG.standard_normal((200, 3, 7, 7))
    share = (autocorrelation(noise) <= noise_limit(noise.shape)).mean()
    assert 0.94 < share < 1.0
    smooth = np.cumsum(np.cumsum(noise, 2), 3)
    assert (autocorrelation(smooth) > noise_limit(noise.shape)).all()
    assert np.isnan(autocorrelation(RNG.standard_normal((2, 3, 1, 1)))).all()
    assert np.isnan(autocorrelation(RNG.standard_normal((2, 3, 1, 7)))).all()
    assert math.isnan(noise_limit((2, 3, 2, 2)))


def keys(distance: float) -> float:
    """Keys's cubic kernel with a = -1/2."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("by", [0.25, 0.5, 1 / 3, 1.0])
def test_moving_maps_agrees_with_loops(axis: int, by: float) -> None:
    maps = torch.from_numpy(RNG.standard_normal((2, 6, 7)))
    found = shifted(maps, axis, by).numpy()
    length = maps.shape[axis]
    for index in np.ndindex(*maps.shape):
        wanted = 0.0
        for tap in range(-3, length + 3):
            at = list(index)
            at[axis] = min(max(tap, 0), length - 1)
            wanted += float(maps[tuple(at)]) * keys(index[axis] - by - tap)
        assert found[index] == pytest.approx(wanted, abs=1e-12)


def test_map_change_agrees_with_loops_and_sees_mere_motion() -> None:
    still = torch.from_numpy(RNG.standard_normal((2, 9, 9)))
    moved = torch.roll(still, 1, 2)
    change, unexplained = map_change(still, moved, 2, 1)
    squares = sum((float(a) - float(b)) ** 2 for a, b in zip(still.flatten(), moved.flatten(), strict=True))
    assert change == pytest.approx(math.sqrt(squares / sum(float(a) ** 2 for a in still.flatten())))
    assert unexplained == pytest.approx(0, abs=1e-12)  # a stride of 1: the map moved by one whole cell
    assert map_change(still, moved, 1, 1)[1] > 0.5  # moved along the other axis
    assert np.isnan(map_change(torch.zeros(1, 9, 9), torch.ones(1, 9, 9), 1, 2)).all()
    assert np.isnan(map_change(still[:, :4, :4], moved[:, :4, :4], 1, 2)[1])


def test_moved_views_are_the_photo_moved(small_network) -> None:
    photo = RNG.integers(0, 256, (90, 100, 3)).astype(np.uint8)
    still, down, right = moved_views(small_network, photo)
    np.testing.assert_array_equal(still, small_network.view(photo))
    np.testing.assert_array_equal(down[1:], still[:-1])
    np.testing.assert_array_equal(right[:, 1:], still[:, :-1])


def test_a_convolution_without_stride_only_moves(small_network) -> None:
    """conv1 at stride 1 answers a shift with a shift; with its stride of 2 it does not."""
    photo = RNG.integers(0, 256, (90, 100, 3)).astype(np.uint8)
    places_ = [Place("conv1", "relu1", 0, True)]
    at_two, _ = shift_changes(small_network, [photo], places_, {"conv1": 2})
    conv1 = small_network.module.get_submodule("conv1")
    conv1.stride = (1, 1)
    try:
        x = small_network.preprocessing.tensor(moved_views(small_network, photo))
        with torch.no_grad():
            still, down, _ = conv1(x).relu().double()
        at_one = map_change(still, down, 1, 1)
    finally:
        conv1.stride = (2, 2)
    assert at_one[1] < 1e-5
    assert at_two[0].unexplained > 0.05


def test_activity_agrees_with_loops() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        net[0].bias.copy_(torch.tensor([-9.0, 9.0, 0.0, 0.0]))  # dead, saturated, alive, alive
    x = torch.randn(5, 3, 6, 6)
    where = places(net, x[:1])
    assert where == [Place("0", "1", 0, True)]
    (found,) = activity(net, x.split(2), where)
    maps = net(x).detach().numpy()
    for c in range(4):
        photos = sum(bool((maps[n, c] > 0).any()) for n in range(5)) / 5
        positions = sum(float(v) > 0 for v in maps[:, c].ravel()) / maps[:, c].size
        assert found.photos[c] == pytest.approx(photos)
        assert found.positions[c] == pytest.approx(positions)
    assert found.dead.tolist() == [0]
    assert found.saturated.tolist() == [1]


def test_places_follow_a_residual_block() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += x
            return self.relu(out)

    found = places(Block().eval(), torch.randn(1, 3, 8, 8))
    assert found == [Place("conv1", "relu", 0, True), Place("relu (2)", "relu", 1, True)]


def test_places_without_relu_modules() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).relu()

    assert places(Functional().eval(), torch.randn(1, 3, 8, 8)) == [Place("conv", "conv", 0, True)]
    tanh = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Tanh()).eval()
    assert places(tanh, torch.randn(1, 3, 8, 8)) == [Place("0", "0", 0, False)]


@pytest.mark.parametrize(
    "part", [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.MaxPool2d(3, 2), nn.AvgPool2d(2), BlurPool(3)]
)
def test_the_dense_answer_holds_the_strided_one(part: nn.Module) -> None:
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        dense, sparse = dense_response(part, x), part(x)
    torch.testing.assert_close(dense[..., ::2, ::2][..., : sparse.shape[2], : sparse.shape[3]], sparse)
    assert dense.shape[2] > sparse.shape[2]


def test_aliasing_of_layers_made_to_fold() -> None:
    """A plain subsampling folds the photo's fine wave; behind a blur it folds less."""
    x = torch.cos(2 * math.pi * 0.4 * torch.arange(32.0)).expand(1, 3, 32, 32).contiguous()
    plain = nn.Sequential(nn.Conv2d(3, 1, 1, stride=2))
    nn.init.ones_(plain[0].weight)
    assert [each.layer for each in strided(plain)] == ["0"]
    (found,) = aliasing(plain, [x])
    assert found.share > 0.99
    assert (found.kind, found.stride) == ("conv", 2)
    mixed = x + torch.cos(2 * math.pi * 0.06 * torch.arange(32.0))
    blurred = nn.Sequential(nn.Conv2d(3, 1, 1), BlurPool(5))
    nn.init.ones_(blurred[0].weight)
    (before,) = aliasing(plain, [mixed])
    (after,) = aliasing(blurred, [mixed])
    assert after.kind == "blur"
    assert after.share < before.share / 20


def test_watching_leaves_no_hooks(small_network) -> None:
    module = small_network.module
    places(module, torch.zeros(1, 3, 64, 64))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
