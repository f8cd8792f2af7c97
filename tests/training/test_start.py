"""Beginning with trained weights, and blending photos in pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deconvnet.data import open_photos
from deconvnet.errors import OptionError, RunError
from deconvnet.networks import Network, load
from deconvnet.training import RECIPES, PhotoDataset, Stage, train

PLAN = replace(
    RECIPES["caltech101-finish"],
    stages=(Stage(96, 1, 0.1),),
    options={"fc_width": 16},
    batch_size=8,
    balance=(8, 8),
)


@pytest.fixture
def start(small_network: Network) -> Network:
    """Random weights that stand for trained ones: other classes, 64 px."""
    return small_network


def run(plan, folder: Path, out: Path, **options):  # type: ignore[no-untyped-def]
    torch.set_num_threads(1)
    return train(plan, PhotoDataset(open_photos(folder), plan.held_out, plan.seed), out, **options)


def test_without_a_rate_the_weights_stay_what_they_were(start: Network, two_classes: Path, tmp_path: Path) -> None:
    still = replace(PLAN, learning_rate=0.0, stages=(Stage(64, 1, 0.1),))
    _, network, _ = run(still, two_classes, tmp_path / "run", start=start)
    before, after = start.module.state_dict(), network.module.state_dict()
    for name in before:
        if not name.startswith("fc8"):
            assert torch.equal(before[name], after[name]), name
    assert after["fc8.weight"].shape[0] == 2  # other classes: a fresh last layer
    assert np.array_equal(network.preprocessing.mean, start.preprocessing.mean)


def test_it_goes_on_at_another_size(start: Network, two_classes: Path, tmp_path: Path) -> None:
    run_, network, _ = run(PLAN, two_classes, tmp_path / "run", start=start)
    assert network.preprocessing.input_size == 96
    assert run_.inputs["start"] == start.fingerprint
    kept = torch.nn.functional.cosine_similarity(
        start.module.get_parameter("conv1.weight").flatten(1), network.module.get_parameter("conv1.weight").flatten(1)
    )
    assert kept.median() > 0.9


def test_another_start_in_the_same_folder_is_refused(start: Network, two_classes: Path, tmp_path: Path) -> None:
    small = replace(PLAN, stages=(Stage(64, 1, 0.1),))
    run(small, two_classes, tmp_path / "run", start=start)
    with pytest.raises(RunError, match="start"):
        run(small, two_classes, tmp_path / "run", resume=True)


def test_weights_of_another_network_are_refused(two_classes: Path, tmp_path: Path) -> None:
    other = load("alexnet-dense", weights=None, num_classes=2, input_size=96, fc_width=16)
    with pytest.raises(OptionError, match="alexnet-dense"):
        run(PLAN, two_classes, tmp_path / "run", start=other)
    wide = load("zfnet", weights=None, num_classes=2, input_size=96, fc_width=16, remove=(7,))
    with pytest.raises(OptionError, match="options"):
        run(PLAN, two_classes, tmp_path / "other", start=wide)


def test_blending_changes_what_is_learned_and_repeats_itself(start: Network, two_classes: Path, tmp_path: Path) -> None:
    weights = []
    for name, mixup in (("a", 0.2), ("b", 0.2), ("c", 0.0)):
        _, network, _ = run(
            replace(PLAN, mixup=mixup, stages=(Stage(64, 1, 0.1),)), two_classes, tmp_path / name, start=start
        )
        weights.append(network.module.get_parameter("conv1.weight"))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
