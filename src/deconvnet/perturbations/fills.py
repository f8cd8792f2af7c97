"""What covers a part of a photo: a colour, the mean, the blurred photo, or noise."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageColor, ImageFilter
from torch import Tensor

from deconvnet.errors import OptionError
from deconvnet.networks import Network
from deconvnet.perturbations.record import Fill

GREY = 127
_WAYS = "give mean, grey, blur, blur:SIGMA, noise, noise:SEED, or a colour such as red, #7f7f7f or 127,127,127."


def make_fill(network: Network, view: npt.NDArray[np.uint8], name: str, size: tuple[int, int]) -> tuple[Fill, Tensor]:
    """A fill as pixels and as the network reads it.

    Parameters
    ----------
    network : Network
        Its preprocessing turns pixels into inputs.
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network sees.
    name : str
        ``"mean"``: the mean that the network's preprocessing subtracts, so 0 in its input; ``"grey"``: 127 in each
        channel; ``"blur"`` or ``"blur:SIGMA"``: the photo blurred by a Gaussian (Pillow's), whose sigma in pixels is a
        quarter of the square's shorter side unless given; ``"noise"`` or ``"noise:SEED"``: each pixel and channel
        drawn evenly from 0 to 255, by seed 0 unless given; or a colour: ``"red"``, ``"#ff0000"``, ``"255,0,0"``.
        A network that sees grey gets a colour's lightness.
    size : (int, int)
        Height and width of the square.

    Returns
    -------
    Fill, Tensor of float32 (C, H, W)

    Raises
    ------
    OptionError
        If ``name`` is no fill.
    """
    kind, _, argument = name.strip().lower().partition(":")
    if kind == "mean" and not argument:
        return _mean(network, view.shape[:2], name)
    if kind == "blur":
        sigma = _number(name, argument, min(size) / 4)
        blurred = Image.fromarray(view).filter(ImageFilter.GaussianBlur(sigma))
        fill = Fill(name, f"photo blurred, sigma {sigma:g} px", np.asarray(blurred))
    elif kind == "noise":
        if argument and not argument.isdecimal():
            raise OptionError(f"{name!r} is no fill, since a seed is a whole number: {_WAYS}")
        fill = Fill(
            name, f"noise 0 to 255, seed {int(argument or 0)}", _noise(network, view.shape[:2], int(argument or 0))
        )
    else:
        colour = _colour(network, name)
        picture = np.broadcast_to(np.array(colour, np.uint8), view.shape)
        words = "grey" if len(set(colour)) == 1 else "RGB"
        fill = Fill(name, f"{words} ({', '.join(map(str, colour))})", np.ascontiguousarray(picture))
    return fill, network.preprocessing.tensor([fill.picture])[0]


def _mean(network: Network, shape: tuple[int, ...], name: str) -> tuple[Fill, Tensor]:
    mean = np.broadcast_to(network.preprocessing.mean, (network.preprocessing.channels, *shape))
    picture = np.rint(np.broadcast_to(mean, (3, *shape))).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    colour = ", ".join(f"{value:.0f}" for value in mean.reshape(len(mean), -1).mean(1))
    return Fill(name, f"mean ({colour})", np.ascontiguousarray(picture)), torch.zeros(mean.shape)


def _noise(network: Network, shape: tuple[int, ...], seed: int) -> npt.NDArray[np.uint8]:
    drawn = np.random.default_rng(seed).integers(0, 256, (*shape, network.preprocessing.channels), dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(drawn, (*shape, 3)))


def _number(name: str, argument: str, default: float) -> float:
    if not argument:
        return default
    try:
        value = float(argument)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1e4:
        raise OptionError(f"{name!r} is no fill, since sigma is a number of pixels above 0: {_WAYS}")
    return value


def _colour(network: Network, name: str) -> tuple[int, int, int]:
    text = name.strip().lower()
    if text in ("grey", "gray"):
        return GREY, GREY, GREY
    triple = re.fullmatch(r"(\d{1,3}) *, *(\d{1,3}) *, *(\d{1,3})", text)
    if triple and max(map(int, triple.groups())) <= 255:
        red, green, blue = map(int, triple.groups())
    else:
        try:
            red, green, blue = ImageColor.getrgb(text)[:3]
        except ValueError as error:
            raise OptionError(f"{name!r} is no fill: {_WAYS}") from error
    if network.preprocessing.channels == 1:
        light = Image.new("RGB", (1, 1), (red, green, blue)).convert("L").getpixel((0, 0))
        assert isinstance(light, int)
        return light, light, light
    return red, green, blue
