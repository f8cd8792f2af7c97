"""The scripts of ``examples`` run, and give what they say."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from tests.conftest import noise

import deconvnet
from examples import new_experiment, new_rule


def test_new_rule(small_weights, tmp_path):
    Image.fromarray(noise(70, 90, 4) + 80).save(tmp_path / "cat.png")
    shown = new_rule.main(str(tmp_path / "cat.png"), str(small_weights), str(tmp_path / "out.png"))
    network, photo = deconvnet.load(str(small_weights)), deconvnet.read_photo(tmp_path / "cat.png")
    plain = deconvnet.project(network, [photo], list(shown.units))
    assert len(shown.units) == 4
    assert shown.pixels.any()
    assert np.abs(shown.pixels).max() < np.abs(plain.pixels).max()  # every weight is below 1
    assert (tmp_path / "out.png").is_file()


def test_new_experiment(small_weights, tmp_path):
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for seed, path in enumerate(paths):
        Image.fromarray(noise(70, 90, seed) + 80).save(path)
    record = new_experiment.main(paths, str(small_weights), str(tmp_path / "run"))
    network = deconvnet.load(str(small_weights))
    with torch.no_grad():
        conv1 = torch.nn.Sequential(*list(network.module.children())[:2])(
            network.preprocess([deconvnet.read_photo(p) for p in paths])
        )
    np.testing.assert_allclose(record.shares[0], (conv1 > 0).double().mean((1, 2, 3)).numpy(), atol=1e-3)
    assert deconvnet.Run.open(tmp_path / "run", "density").json("density")["layers"] == list(record.layers)
    assert (tmp_path / "run" / "density.png").is_file()
