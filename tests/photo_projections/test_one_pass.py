"""A photo is resized once and goes through the network once, whatever is asked of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

import deconvnet
from deconvnet.experiments.look.measure import LookPhoto
from deconvnet.networks.preprocessing import Preprocessing
from deconvnet.photo_projections.project import prepare


class Counts:
    """Inputs that reached a first convolution (not those without values, of which only shapes are asked), and views."""

    def __init__(self) -> None:
        self.passes: list[torch.Tensor] = []
        self.resizes = 0

    def see(self, module: nn.Module, inputs: tuple) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and not inputs[0].is_meta:
            self.passes.append(inputs[0].detach().clone())


@pytest.fixture
def counts(monkeypatch):
    found, view = Counts(), Preprocessing.view

    def counted(self, photo):
        found.resizes += 1
        return view(self, photo)

    monkeypatch.setattr(Preprocessing, "view", counted)
    handle = register_module_forward_pre_hook(found.see)
    yield found
    handle.remove()


@pytest.mark.parametrize(
    "options",
    [
        ["--top", 9, "--layer", "conv2", "--layer", "conv5"],
        ["--top", 3],
        ["--unit", "conv3:7", "--unit", "conv5:17", "--unit", "conv1:2@3,4"],
    ],
)
def test_the_command_makes_one_pass(command, small_weights, two_classes, counts, options):
    answer = command("project", small_weights, two_classes / "red" / "0.jpg", *options)
    assert answer.code == 0, answer
    assert "zfnet says" in answer.out
    assert len(counts.passes) == 1
    assert len(counts.passes[0]) == 1
    assert counts.resizes == 1


def test_the_look_makes_one_pass_a_photo(small_network, two_classes, counts, tmp_path):
    photos = [
        LookPhoto(name, "", deconvnet.read_photo(two_classes / name / "1.jpg")) for name in ("red", "other", "red")
    ]
    deconvnet.look(small_network, photos, tmp_path / "run", top=3)
    assert [len(each) for each in counts.passes] == [1, 1, 1]
    assert counts.resizes == 3
    assert torch.equal(counts.passes[0], counts.passes[2])
    assert not torch.equal(counts.passes[0], counts.passes[1])


def test_the_demo_makes_one_pass_a_photo(command, small_weights, two_classes, counts, tmp_path):
    answer = command(
        "demo", "--network", small_weights, "--photos", two_classes / "red", "--limit", 2, "--top", 2, "--out", "run"
    )
    assert answer.code == 0, answer
    assert [len(each) for each in counts.passes] == [1, 1]
    assert counts.resizes == 2


def test_one_pass_says_what_three_said(small_network, two_classes):
    photos = [deconvnet.read_photo(two_classes / name / "3.jpg") for name in ("red", "other")]
    layers = ["conv2", "fc7", "conv5"]
    prepared = prepare(small_network, photos, layers, unpool="place")
    assert (small_network.probabilities_of(prepared.output) == small_network.probabilities(photos)).all()
    for number, photo in enumerate(photos):
        view = small_network.view(photo)
        assert (prepared.views[number] == view).all()
        for active in (True, False):
            every = deconvnet.strongest_units(small_network, view, layers, 300, active)
            for layer in layers:
                found = prepared.strongest(layer, 300, number, active=active)
                assert found == [unit for unit in every if unit.layer == layer]
                assert len(found) > 3
        alone = deconvnet.project(small_network, photo, every[:3], unpool="place")
        ours = prepared.project(every[:3], photos=[number] * 3)
        np.testing.assert_allclose(ours.pixels, alone.pixels, rtol=1e-4, atol=1e-6)
        assert ours.patch(0).tolist() == alone.patch(0).tolist()


def test_a_tensor_has_no_photo_to_draw(small_network, two_classes):
    x = small_network.preprocess([deconvnet.read_photo(two_classes / "red" / "1.jpg")])
    found = deconvnet.project(small_network.module, x, "conv3:7")
    assert found.views == ()
    assert found._repr_png_() is None
    for draw in (found.plot, lambda: found.patch(0)):
        with pytest.raises(deconvnet.DeconvnetError, match="no photo to show beside them"):
            draw()


def test_the_signal_starts_with_one(small_network, two_classes):
    photo = deconvnet.read_photo(two_classes / "red" / "1.jpg")
    own = deconvnet.project(small_network, photo, "conv3:7")
    one = deconvnet.project(small_network, photo, "conv3:7", start="one")
    assert (own.seed, one.seed) == ("activation", "one")
    np.testing.assert_allclose(one.pixels * own.activations[0], own.pixels, rtol=1e-4, atol=1e-6)
    with pytest.raises(TypeError, match="seed"):
        deconvnet.project(small_network, photo, "conv3:7", seed="one")  # type: ignore[call-arg]
