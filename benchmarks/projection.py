"""Many units of one photo projected, against Captum's one unit a call. ZFNet, 224 px, one thread.

Captum differentiates LRN, so both do here (``lrn="grad"``); the largest difference is printed beside the ratio.

``python -m benchmarks.projection`` (about two minutes)
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from captum.attr import NeuronDeconvolution

from benchmarks.stopwatch import interleaved
from deconvnet.networks.zfnet import zfnet
from deconvnet.projection import project
from deconvnet.runs import Unit

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


def main(units: int = 32, captum_units: int = 4) -> None:
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = zfnet(101, 224, 512).eval()
    x = torch.randn(1, 3, 224, 224)
    print(f"{units} units of one photo, zfnet 224 px, one thread, units a CPU second with the forward pass")
    print(f"{'layer':6} {'Captum':>8} {'deconvnet':>10} {'ratio':>6} {'difference':>11}")
    for layer in LAYERS:
        captum = NeuronDeconvolution(network, network.get_submodule(layer))
        side = _side(network, x, layer)
        middle = side // 2

        def one_by_one(captum=captum, middle=middle):  # type: ignore[no-untyped-def]
            return [captum.attribute(x.clone().requires_grad_(), (c, middle, middle)) for c in range(captum_units)]

        def together(layer=layer, middle=middle):  # type: ignore[no-untyped-def]
            addresses = [Unit(layer, c, (middle, middle)) for c in range(units)]
            return project(network, x, addresses, lrn="grad", seed="one")

        seconds = interleaved({"captum": one_by_one, "deconvnet": together}, rounds=2)
        theirs = torch.cat(one_by_one()).detach().numpy()
        ours = together()
        shown = [i for i in range(captum_units) if ours.active[i]]
        difference = max(
            (np.abs(ours.pixels[i] - theirs[i]).max() / max(np.abs(theirs[i]).max(), 1e-12) for i in shown),
            default=float("nan"),
        )
        speeds = captum_units / seconds["captum"], units / seconds["deconvnet"]
        print(f"{layer:6} {speeds[0]:8.1f} {speeds[1]:10.1f} {speeds[1] / speeds[0]:6.1f} {difference:11.1e}")


def _side(network: torch.nn.Module, x: torch.Tensor, layer: str) -> int:
    for name, part in network.named_children():
        x = part(x)
        if name == layer:
            return x.shape[-1]
    raise LookupError(layer)


if __name__ == "__main__":
    main()
