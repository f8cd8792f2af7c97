"""A look into a network from Python."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

import deconvnet
from deconvnet.errors import DataError, OptionError, UnknownNameError
from deconvnet.experiments.look.measure import LookPhoto, Skip, network_record
from deconvnet.experiments.look.record import Look
from deconvnet.figures import display


@pytest.fixture(scope="module")
def photo(two_classes):
    return LookPhoto("red/2.jpg", "me", deconvnet.read_photo(two_classes / "red" / "2.jpg"))


def test_the_record_says_what_the_engine_says(small_network, photo, tmp_path):
    seen = []
    run = deconvnet.look(
        small_network, [photo], tmp_path / "run", layers=["conv4"], top=2, unpool="place", progress=seen.append
    )
    (result,) = (report.result for report in seen)
    record = Look.read(run)
    (layer,) = record.photos[0].layers
    assert [entry.unit for entry in layer.maps] == [str(unit) for unit in result.units]
    assert record.settings["unpool"] == "place"
    assert record.photos[0].source == "me"
    plain = deconvnet.project(small_network, photo.pixels, list(result.units), unpool="place")
    for i, entry in enumerate(layer.maps):
        assert entry.activation == pytest.approx(float(plain.activations[i]))
        name = entry.projection.removesuffix(".png")
        assert (run.image(name) == display(plain.projection(i))).all()
        assert (run.image(entry.patch.removesuffix(".png")) == plain.patch(i)).all()
    probabilities = small_network.probabilities([photo.pixels])[0]
    guesses = record.photos[0].predictions
    assert guesses[0][0] == small_network.classes[int(probabilities.argmax())]
    assert [probability for _, probability in guesses] == sorted(map(float, probabilities), reverse=True)
    deconvnet.write_look_page(run)


def test_a_photo_in_which_no_map_is_active(small_network, photo, tmp_path):
    module = copy.deepcopy(small_network.module)
    with torch.no_grad():
        module.get_submodule("conv1").weight.zero_()
        module.get_submodule("conv1").bias.fill_(-1)
    silent = dataclasses.replace(small_network, module=module)
    seen = []
    run = deconvnet.look(silent, [photo], tmp_path / "run", layers=["conv1"], progress=seen.append)
    assert seen[0].result.units == ()
    assert seen[0].result.projections is None
    assert Look.read(run).photos[0].layers[0].maps == ()
    assert deconvnet.write_look_page(run).is_file()


def test_nothing_is_written_for_what_cannot_work(small_network, photo, tmp_path):
    out = tmp_path / "run"
    bad = Skip("x.jpg", "it is a text")
    with pytest.raises(DataError, match=r"no photo could be read \(x.jpg: it is a text\)"):
        deconvnet.look(small_network, [bad], out)
    with pytest.raises(DataError, match="there was none"):
        deconvnet.look(small_network, [], out)
    with pytest.raises(UnknownNameError, match="did you mean conv1"):
        deconvnet.look(small_network, [photo], out, layers=["cnov1"])
    with pytest.raises(OptionError, match="top must be"):
        deconvnet.look(small_network, [photo], out, top=0)
    with pytest.raises(OptionError, match="magic"):
        deconvnet.look(small_network, [photo], out, rule="magic")
    assert not out.exists()


def test_the_card_in_words(small_network):
    assert network_record(small_network).accuracy == ""
    facts = {"held_out_top1": 0.5, "held_out_per_class": 0.25, "held_out_photos": 8}
    trained = dataclasses.replace(small_network, card=facts)
    assert network_record(trained).accuracy == "top-1 50.0%, mean over classes 25.0%, on 8 held-out photos"
    stated = dataclasses.replace(small_network, card={**facts, "accuracy": "as stated"})
    assert network_record(stated).accuracy == "as stated"
    assert network_record(small_network).parameters == small_network.parameters
    assert np.prod(network_record(small_network).input_size) == 64 * 64
