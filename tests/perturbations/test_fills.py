"""What covers the photo, as pixels and as the network reads it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tests.conftest import noise

import deconvnet
from deconvnet.errors import OptionError
from deconvnet.perturbations.fills import make_fill


def fill(network, name, size=(20, 12), view=None):
    view = network.view(noise(80, 70, 1)) if view is None else view
    return make_fill(network, view, name, size)


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("grey", (127, 127, 127)),
        ("Gray", (127, 127, 127)),
        ("red", (255, 0, 0)),
        ("#0a0B0c", (10, 11, 12)),
        ("1, 20,255", (1, 20, 255)),
    ],
)
def test_a_colour_goes_through_the_preprocessing(small_network, name, colour):
    made, tensor = fill(small_network, name)
    assert made.picture.shape == (64, 64, 3)
    assert (made.picture == colour).all()
    assert str(colour) in made.about
    expected = np.array(colour, np.float64).reshape(3, 1, 1) - small_network.preprocessing.mean
    np.testing.assert_allclose(tensor.numpy(), np.broadcast_to(expected, (3, 64, 64)), rtol=1e-6)


def test_the_mean_is_zero_in_the_input(small_network):
    made, tensor = fill(small_network, "mean")
    assert tensor.shape == (3, 64, 64)
    assert not tensor.any()
    np.testing.assert_allclose(
        made.picture, np.broadcast_to(small_network.preprocessing.mean.transpose(1, 2, 0), (64, 64, 3)), atol=0.51
    )


def test_blur_is_a_gaussian_of_the_photo(small_network):
    view = small_network.view(noise(80, 70, 1))
    for name, sigma in (("blur", 3.0), ("blur:5", 5.0)):
        made, tensor = fill(small_network, name, (20, 12), view)
        assert f"sigma {sigma:g} px" in made.about
        expected = gaussian_filter(view.astype(float), (sigma, sigma, 0), mode="nearest")
        assert np.abs(made.picture - expected)[8:-8, 8:-8].max() < 3  # Pillow's Gaussian is three boxes, rounded
        np.testing.assert_array_equal(tensor, small_network.preprocessing.tensor([made.picture])[0])


def test_noise_follows_its_seed(small_network):
    pictures = [fill(small_network, name)[0].picture for name in ("noise", "noise:0", "noise:1")]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).mean() > 0.9
    assert pictures[0].min() < 5
    assert pictures[0].max() > 250
    assert (pictures[0][..., 0] != pictures[0][..., 1]).any()


def test_a_grey_network_gets_lightness():
    network = deconvnet.load("lenet5", weights=None)
    view = network.view(noise(28, 28, 0))
    made, tensor = fill(network, "#00ff00", (4, 4), view)
    assert (made.picture == 150).all()  # ITU-R 601: 0.587 * 255
    assert tensor.shape == (1, 32, 32)
    assert float(tensor[0, 0, 0]) == pytest.approx(-0.1 + 150 / 255 * 1.275, abs=1e-5)
    mixed, _ = fill(network, "noise", (4, 4), view)
    assert (mixed.picture[..., 0] == mixed.picture[..., 2]).all()
    assert not fill(network, "mean", (4, 4), view)[1].any()


@pytest.mark.parametrize(
    "name",
    ["", "blu", "#12", "1,2", "1,2,300", "blur:0", "blur:x", "blur:-3", "blur:nan", "noise:x", "noise:-1", "mean:3"],
)
def test_what_is_no_fill_is_refused(small_network, name):
    with pytest.raises(OptionError, match=r"is no fill.*give mean, grey, blur"):
        fill(small_network, name)
