"""Initial weights: the paper's, He's, and a spatially smooth start calibrated on photos."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.errors import OptionError

SMOOTHING = {3: 0.7, 5: 0.8, 7: 1.0, 11: 1.5}  # standard deviation of the low-pass, in cells, by kernel size


@torch.no_grad()
def initialize(module: nn.Module, kind: str, sample: Tensor) -> None:
    """Set all weights of convolutional and fully connected layers, and their biases.

    Parameters
    ----------
    module : nn.Module
        The network; for ``"smooth"`` its children must run in order.
    kind : {"he", "paper", "smooth", "own"}
        ``"paper"``: N(0, 0.01**2), biases 0 (Zeiler & Fergus, Sec. 3). ``"he"``: N(0, 2/fan_in), biases 0.
        ``"smooth"``: see :func:`smooth_start`. ``"own"``: leave what the network came with.
    sample : Tensor, (N, C, H, W)
        Preprocessed photos for the calibration of ``"smooth"``.
    """
    if kind == "own":
        return
    if kind not in ("he", "paper", "smooth"):
        raise OptionError(f"there is no initialization {kind!r}: choose he, paper, smooth or own.")
    if kind == "smooth":
        smooth_start(module, sample)
        return
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            if kind == "paper":
                part.weight.normal_(0, 0.01)
            else:
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                part.bias.zero_()


@torch.no_grad()
def smooth_start(module: nn.Module, sample: Tensor) -> None:
    """Filters of low-passed noise; every map of every layer scaled and shifted to mean 0, deviation 1 on a sample.

    White noise in a filter is unlearned only by long training with decay, and on few photos it stays: the network
    classifies, but its filters look like noise. Starting from low-passed noise leaves nothing grainy to unlearn. The
    calibration (a data-dependent start, in the manner of batch normalisation's first step) takes the place of He's
    variance, which assumes uncorrelated weights.

    Parameters
    ----------
    module : nn.Module
        A network whose children run in order; the last linear layer starts at a tenth.
    sample : Tensor, (N, C, H, W)
        Preprocessed photos, about a hundred; at least two.

    Raises
    ------
    OptionError
        If there are fewer than two photos: a deviation over photos needs two.
    """
    if len(sample) < 2:
        raise OptionError("the smooth start is calibrated on at least two photos: choose the initialization 'he'.")
    linear = [part for part in module.children() if isinstance(part, nn.Linear)]
    was_training = module.training
    module.eval()
    x = sample
    for part in module.children():
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            if isinstance(part, nn.Conv2d):
                part.weight.copy_(smooth_noise(tuple(part.weight.shape), SMOOTHING.get(part.kernel_size[0], 1.0)))
            else:
                part.weight.normal_(0, math.sqrt(2 / part.in_features))
            part.bias.zero_()
            y = part(x)
            over = (0, 2, 3) if y.ndim == 4 else (0,)
            target = 0.1 if linear and part is linear[-1] else 1.0
            deviation, mean = y.std(over).clamp_min(1e-6) / target, y.mean(over)
            part.weight.div_(deviation.view(-1, *[1] * (part.weight.ndim - 1)))
            part.bias.copy_(-mean / deviation)
        x = part(x)
    module.train(was_training)


def smooth_noise(shape: tuple[int, ...], sigma: float) -> Tensor:
    """Gaussian noise low-passed in space, unit RMS.

    Parameters
    ----------
    shape : (O, I, k, k)
    sigma : float
        Standard deviation of the Gaussian low-pass, in cells.
    """
    maps, inputs, height, width = shape
    reach = max(3, math.ceil(3 * sigma))
    noise = torch.randn(maps * inputs, 1, height + 2 * reach, width + 2 * reach)
    taps = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma**2))
    taps = taps / taps.sum()
    filtered = F.conv2d(noise, (taps[:, None] * taps)[None, None])
    return (filtered / filtered.square().mean().sqrt()).view(maps, inputs, height, width)


@torch.no_grad()
def renormalize_filters(module: nn.Module, radius: float) -> None:
    """Bring convolution filters whose RMS exceeds ``radius`` back to it (Sec. 3: radius 0.1)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            rms = part.weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            part.weight.mul_((radius / rms.clamp_min(1e-12)).clamp_max(1.0))


def spatial_autocorrelation(weight: Tensor) -> Tensor:
    """Lag-1 autocorrelation in space of each filter: near 0 for white noise, towards 1 for smooth filters.

    Each filter is centred in every input channel; products of horizontal and of vertical neighbours, summed over
    channels, are averaged, divided by the energy and corrected by k/(k-1) for the fewer neighbours.

    Parameters
    ----------
    weight : Tensor, (O, I, k, k)

    Returns
    -------
    Tensor, (O,)
    """
    w = weight.detach() - weight.detach().mean((2, 3), keepdim=True)
    k = w.shape[-1]
    across = (w[..., 1:] * w[..., :-1]).sum((1, 2, 3))
    down = (w[..., 1:, :] * w[..., :-1, :]).sum((1, 2, 3))
    energy = w.square().sum((1, 2, 3)).clamp_min(1e-12)
    return (across + down) / 2 / energy * k / (k - 1)
