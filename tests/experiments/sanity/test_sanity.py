"""Do projections come from the weights? The tests are tested."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import noise
from torch import nn

from deconvnet.errors import DataError, ModelError, OptionError, UnknownNameError
from deconvnet.experiments.sanity import measure as module
from deconvnet.experiments.sanity.measure import Sanity, check_sanity, similarity
from deconvnet.figures import save_figure
from deconvnet.projection import project
from deconvnet.runs import Run


@pytest.fixture(scope="module")
def pair():
    stripes = (np.indices((64, 64)).sum(0)[..., None] // 16 % 2 * 100).astype(np.uint8)
    return [noise(64, 64, seed) + stripes for seed in (1, 2)]


@pytest.fixture(scope="module")
def result(small_network, pair) -> Sanity:
    return check_sanity(small_network, pair, names=["a.png", "b.png"], units=2)


def test_all_tests_of_all_rules_from_the_scores_down(small_network, result):
    assert result.layer == "fc8"
    assert result.stages == tuple(
        (name,) for name in ("fc8", "fc7", "fc6", "conv5", "conv4", "conv3", "conv2", "conv1")
    )
    assert result.photos == (0, 0, 1, 1)
    assert {unit.layer for unit in result.units} == {"fc8"}
    assert list(result.similarities) == ["deconvnet", "guided", "gradient"]
    for tests in result.similarities.values():
        assert {test: values.shape for test, values in tests.items()} == {
            "cascade": (8, 4, 3),
            "alone": (8, 4, 3),
            "other map": (1, 4, 3),
            "other photo": (1, 4, 3),
            "noise": (1, 4, 3),
        }
        assert np.array_equal(tests["cascade"][0], tests["alone"][0])  # the same shuffled layer
        assert all(np.abs(values).max() <= 1 for values in tests.values())
        assert all((values[..., 0] < 0.999).any() for values in tests.values())
    assert all(len(pictures) == 9 for pictures in result.pictures.values())
    before, after = result.mean("guided", "cascade")[3, 0], result.mean("guided", "other photo")[0, 0]
    assert "upper 4 of 8 layers (fc8 down to conv5)" in result.finding()
    assert f"guided {before:.2f} ({after:.2f})" in result.finding()


def test_a_step_of_the_cascade_by_hand(small_network, pair, result):
    """The first photo's first unit, with fc8 and fc7 shuffled as the seed says."""
    generator = torch.Generator().manual_seed(0)
    [torch.randint(4, (), generator=generator) for _ in result.units]  # the other maps are drawn first
    ghost = copy.deepcopy(small_network.module)
    x = small_network.preprocess(pair)
    options = {"photos": [0], "seed": "one", "inactive": "project"}
    clean = project(ghost, x, result.units[:1], **options).pixels[0]
    with torch.no_grad():
        for name in ("fc8", "fc7"):
            for value in ghost.get_submodule(name).parameters():
                value.copy_(value.flatten()[torch.randperm(value.numel(), generator=generator)].view_as(value))
    changed = project(ghost, x, result.units[:1], **options).pixels[0]
    assert np.allclose(result.pictures["deconvnet"][2], changed, atol=1e-6 * np.abs(changed).max())
    assert result.similarities["deconvnet"]["cascade"][1, 0] == pytest.approx(similarity(clean, changed), abs=1e-4)


def test_the_network_stays_as_it_was(small_network, pair):
    before, mode = small_network.fingerprint, small_network.module.training
    small_network.module.train()
    try:
        check_sanity(small_network, pair[0], layer="conv2", units=1, rules=["deconvnet"])
        assert small_network.module.training
    finally:
        small_network.module.train(mode)
    assert small_network.fingerprint == before


def test_filters_alone_do_not_depend_on_the_photo(small_network, pair):
    found = check_sanity(small_network, pair, layer="conv1", units=2, rules=["deconvnet"]).similarities["deconvnet"]
    for test in ("other photo", "noise"):
        assert found[test] == pytest.approx(1, abs=1e-4)
    for test in ("cascade", "alone", "other map"):
        assert (found[test][..., 0] < 0.9).all()


def test_a_layer_without_weights_and_a_single_photo(small_network, pair):
    found = check_sanity(small_network, pair[0], layer="pool2", units=1, stages=1, rules=["gradient"])
    assert found.stages == (("conv2", "conv1"),)
    assert found.stage_names == ("conv2 +1",)
    assert "other photo" not in found.similarities["gradient"]
    assert "what noise gives" in found.finding()
    shape = found.pictures["gradient"][0].shape
    assert shape[1] <= 64
    assert found.pictures["gradient"][1].shape == shape


def test_units_that_fall_silent_are_compared_all_the_same(small_network, pair):
    """With biases far below zero nothing is active, and every picture is there."""
    silent = copy.deepcopy(small_network)
    with torch.no_grad():
        silent.module.get_submodule("fc8").get_parameter("bias").fill_(-1e6)
    found = check_sanity(silent, pair[0], units=2, rules=["deconvnet"])
    assert len(found.units) == 2
    assert found.blank("deconvnet", "cascade") == 0
    assert found.pictures["deconvnet"][0].any()


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.head, self.score = nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        self.side(x)
        return self.score(self.head(x).relu().mean((2, 3)))


def test_layers_that_play_no_part_are_left_alone():
    x = torch.randn(1, 3, 12, 12)
    assert module._weighted_below(Branches(), None, x) == ("score", ["score", "head", "stem"], 3)
    assert module._weighted_below(Branches(), "side", x) == ("side", ["side", "stem"], 4)
    with pytest.raises(ModelError, match="no layer with weights lies between '0' and the pixels"):
        module._weighted_below(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, 1)), "0", x)
    with pytest.raises(ModelError, match="no convolution or fully connected layer"):
        module._weighted_below(nn.Sequential(nn.ReLU()), None, x)


def test_groups_of_consecutive_layers():
    layers = [str(i) for i in range(21)]
    groups = module._groups(layers, 8)
    assert [name for group in groups for name in group] == layers
    assert Counter(len(group) for group in groups) == {3: 5, 2: 3}
    assert module._groups(layers[:3], 8) == [["0"], ["1"], ["2"]]


def test_shuffling_keeps_every_number():
    state = {"weight": torch.randn(4, 3, 2), "bias": torch.randn(5)}
    other = module._shuffled(state, torch.Generator().manual_seed(1))
    for key, value in state.items():
        assert torch.equal(value.flatten().sort().values, other[key].flatten().sort().values)
        assert not torch.equal(value, other[key])


def test_similarity_of_known_pictures():
    rng = np.random.default_rng(0)
    picture, other = rng.normal(size=(2, 3, 12, 12))
    assert similarity(picture, 5 * picture) == pytest.approx((1, 1, 1))
    assert similarity(picture, -picture)[1:] == pytest.approx((-1, 1))
    assert similarity(picture, -picture)[0] < 0.5
    assert similarity(picture, np.zeros_like(picture)) == (0, 0, 0)
    assert similarity(picture[:, :2, :2], picture[:, :2, :2]) == pytest.approx((1, 1, 1))
    assert similarity(np.ones((1, 2, 2)), picture[:1, :2, :2])[1] == 0
    # Spearman's formula for ranks without ties: 1 - 6 sum d^2 / (n (n^2 - 1))
    ranks = [np.argsort(np.argsort(each.ravel())) for each in (picture, other)]
    n = picture.size
    expected = 1 - 6 * ((ranks[0] - ranks[1]).astype(float) ** 2).sum() / (n * (n**2 - 1))
    assert similarity(picture, other)[1] == pytest.approx(expected)
    with pytest.raises(OptionError, match="cannot be compared"):
        similarity(picture, other[:, :5])


def test_a_run_is_read_back_and_drawn(result, tmp_path: Path):
    run = result.save(tmp_path / "run")
    assert Run.open(run.path, "sanity").finished
    assert run.inputs["photos"] == ["a.png", "b.png"]
    again = Sanity.open(run.path)
    assert again.finding() == result.finding()
    assert (again.units, again.photos, again.stages) == (result.units, result.photos, result.stages)
    for rule, tests in result.similarities.items():
        for test, values in tests.items():
            assert np.array_equal(again.similarities[rule][test], values)
        assert all(np.array_equal(a, b) for a, b in zip(again.pictures[rule], result.pictures[rule], strict=True))
    assert save_figure(again.plot(), tmp_path / "sanity.png").stat().st_size > 20_000
    assert "Sanity(4 units of fc8 in 2 photos: with random weights" in repr(again)
    assert again._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"units": 0}, OptionError, "units must be at least 1"),
        ({"stages": 0}, OptionError, "stages must be at least 1"),
        ({"seed": -1}, OptionError, "seed must be at least 0"),
        ({"rules": []}, OptionError, "there is no rule to test"),
        ({"rules": ["deconv"]}, OptionError, "there is no rule 'deconv'"),
        ({"layer": "conv9"}, UnknownNameError, "did you mean conv"),
        ({"layer": "pad1"}, ModelError, "no layer with weights lies between 'pad1' and the pixels"),
        ({"unpool": "max"}, OptionError, "unpool='max' is not known"),
    ],
)
def test_refusals(small_network, pair, options, error, message):
    with pytest.raises(error, match=message):
        check_sanity(small_network, pair, **options)


def test_no_photo(small_network):
    with pytest.raises(DataError, match="there is no photo to test with"):
        check_sanity(small_network, [])


def test_a_network_of_others(torchvision, pair):
    import deconvnet

    network = deconvnet.load("torchvision:resnet18", input_size=64)
    found = check_sanity(network, pair, units=1, stages=3, rules=["deconvnet", "gradient"])
    assert found.layer == "fc"
    assert sum(map(len, found.stages)) == 21
    assert found.mean("deconvnet", "cascade")[0, 0] > found.mean("gradient", "cascade")[0, 0]
