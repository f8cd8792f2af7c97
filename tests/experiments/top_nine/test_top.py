"""Mining photos and drawing Figure 2, from Python."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.errors import OptionError, RunError, WeightsError
from deconvnet.mining.run_record import MiningRecord


@pytest.fixture(scope="module")
def half_dead(small_network, tmp_path_factory):
    """A copy of the small network, on the disk, whose map 0 of conv1 never answers."""
    path = small_network.save(tmp_path_factory.mktemp("half-dead") / "net.safetensors")
    network = deconvnet.load(str(path))
    conv1 = network.module.get_submodule("conv1")
    with torch.no_grad():
        conv1.weight[0].zero_()
        conv1.bias[0] = -1
    network.save(path)
    return path


@pytest.fixture(scope="module")
def run(half_dead, two_classes, tmp_path_factory):
    return deconvnet.mine(
        deconvnet.load(str(half_dead)),
        deconvnet.open_photos(two_classes),
        tmp_path_factory.mktemp("run") / "run",
        layers=["conv1"],
        k=12,
        weights=str(half_dead),
    )


def words(figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


def test_dead_maps_are_titled(run):
    assert 0 in MiningRecord.read(run).mined.dead("conv1")
    alive = next(c for c in range(96) if c not in MiningRecord.read(run).mined.dead("conv1"))
    said = words(deconvnet.draw_top_nine(run, "conv1", channels=[0, alive]))
    assert {"conv1:0 (dead)", f"conv1:{alive}", "zfnet conv1"} <= said
    note = next(text for text in said if text.startswith("2 of 96 maps"))
    assert "top 9 of 20 photos" in note  # 12 were kept, 9 are drawn
    assert "dead on these photos" in note


def test_the_random_subset_follows_the_seed(run):
    def titles(seed):
        return {word.split(" ")[0] for word in words(deconvnet.draw_top_nine(run, "conv1", maps=3, seed=seed))}

    drawn = [sorted(t for t in titles(seed) if t.startswith("conv1:")) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(drawn[0]) == 3


def test_a_run_names_weights_that_can_be_found_again(small_network, half_dead, two_classes, tmp_path):
    photos = deconvnet.open_photos(two_classes)
    with pytest.raises(WeightsError, match="not those of the given zfnet"):
        deconvnet.mine(small_network, photos, tmp_path / "run", weights=str(half_dead))
    with pytest.raises(WeightsError):  # none, or others, come with the package
        deconvnet.mine(small_network, photos, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_weights_are_refused(small_network, two_classes, tmp_path):
    path = small_network.save(tmp_path / "net.safetensors")
    photos = deconvnet.open_photos(two_classes).subset([3, 1])
    run = deconvnet.mine(small_network, photos, tmp_path / "run", layers=["conv1"], weights=str(path))
    deconvnet.draw_top_nine(run, "conv1", channels=[1])  # a subset is found again in the folder
    other = deconvnet.load(str(path))
    with torch.no_grad():
        other.module.get_submodule("fc8").bias[0] += 1
    other.save(path)
    with pytest.raises(RunError, match=r"are not those that .* was mined with"):
        deconvnet.draw_top_nine(run, "conv1", channels=[1])
    path.unlink()
    with pytest.raises(WeightsError, match="there is no weights file"):
        deconvnet.draw_top_nine(run, "conv1", channels=[1])


def test_photos_in_the_runs_own_folder_are_not_cleared(small_network, small_weights, two_classes, tmp_path):
    photos = shutil.copytree(two_classes, tmp_path / "run" / "photos")
    with pytest.raises(OptionError, match="lie in the run's own folder"):
        deconvnet.mine(
            small_network, deconvnet.open_photos(photos), tmp_path / "run", weights=str(small_weights), overwrite=True
        )
    assert len(deconvnet.open_photos(photos)) == 20


def test_the_hash_is_of_the_weights_alone(small_network, small_weights):
    assert small_network.fingerprint == deconvnet.load(str(small_weights)).fingerprint
    renamed = dataclasses.replace(small_network, classes=tuple("abcde"))
    assert renamed.fingerprint == small_network.fingerprint
    torch.manual_seed(1)
    fresh = deconvnet.load("zfnet", weights=None, num_classes=5, input_size=64, fc_width=16)
    assert fresh.fingerprint != small_network.fingerprint
    assert np.isfinite(next(fresh.module.parameters()).detach().numpy()).all()


def test_mining_in_memory_gives_what_a_run_holds(small_network, small_weights, two_classes, tmp_path):
    photos = deconvnet.open_photos(two_classes)
    run = deconvnet.mine(small_network, photos, tmp_path / "run", layers=["conv2"], weights=str(small_weights))
    whole = MiningRecord.read(run).mined["conv2"]
    told = []
    for given in (photos, [photos.read(i) for i in range(len(photos))]):
        top = deconvnet.mine(small_network, given, layers=["conv2"], progress=told.append)["conv2"]
        np.testing.assert_array_equal(top.photos, whole.photos)
        np.testing.assert_allclose(top.values, whole.values, rtol=1e-5)
    assert (told[-1].done, told[-1].total) == (len(photos), len(photos))
    inputs = small_network.preprocess([photos.read(i) for i in range(len(photos))])
    top = deconvnet.mine(small_network.module, inputs, layers=["conv2"])["conv2"]
    np.testing.assert_array_equal(top.photos, whole.photos)
    with pytest.raises(OptionError, match="a module takes a tensor"):
        deconvnet.mine(small_network.module, photos, layers=["conv2"])
    with pytest.raises(OptionError, match="a run names its network"):
        deconvnet.mine(small_network.module, inputs, tmp_path / "other", layers=["conv2"])
