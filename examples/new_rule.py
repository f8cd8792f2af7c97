"""A rule of one's own for what passes a ReLU on the way down: ``python examples/new_rule.py [PHOTO]``."""

import sys

from torch import Tensor

import deconvnet
from deconvnet.figures import save_figure


def scaled(signal: Tensor, forward_input: Tensor) -> Tensor:
    """The signal rectified, weighted by how far the forward input was above zero."""
    weight = forward_input.clamp(min=0)
    return signal.clamp(min=0) * weight / (1 + weight)


def main(photo: str = "", network: str = "zfnet", out: str = "new_rule.png") -> deconvnet.Projections:
    pixels = deconvnet.read_photo(photo) if photo else deconvnet.sample_photos()[0].pixels
    found = deconvnet.load(network)
    units = deconvnet.strongest_units(found, found.view(pixels), ["conv3"], 4)
    shown = deconvnet.project(found, [pixels], units, rule=scaled)
    save_figure(shown.plot(title=f"{found.title} by the rule {scaled.__name__}"), out)
    return shown


if __name__ == "__main__":
    main(*sys.argv[1:])
