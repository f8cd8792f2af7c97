"""AlexNet (Krizhevsky, Sutskever & Hinton, NIPS 2012: "ImageNet Classification with Deep Convolutional Neural
Networks").

Sec. 3.5 and Fig. 2: layers 1 and 2 are convolved, rectified, normalised and then max-pooled (3 x 3, stride 2); layers
2, 4 and 5 see only the maps of their own tower (groups of 2), layer 3 sees both; dropout 0.5 in layers 6 and 7.

===== ============================== ====== =============== =====================
layer filters                        stride then            224 px -> map
===== ============================== ====== =============== =====================
conv1 96 of 11 x 11 x 3              4      ReLU, LRN, pool 55 x 55, 27 x 27
conv2 256 of 5 x 5 x 48, padding 2   1      ReLU, LRN, pool 27 x 27, 13 x 13
conv3 384 of 3 x 3 x 256, padding 1  1      ReLU            13 x 13
conv4 384 of 3 x 3 x 192, padding 1  1      ReLU            13 x 13
conv5 256 of 3 x 3 x 192, padding 1  1      ReLU, pool      13 x 13, 6 x 6
fc6   4096                                  ReLU, dropout
fc7   4096                                  ReLU, dropout
fc8   classes
===== ============================== ====== =============== =====================

Parameters with 1000 classes: ``alexnet`` (two towers) 60,965,224, ``alexnet-dense`` (one tower, every layer sees every
map) 62,378,344. The 224-pixel input overhangs to 227, as in cuda-convnet; normalisation stays inside each tower, as on
the paper's two GPUs.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from deconvnet.errors import ModelError, OptionError
from deconvnet.networks.eight_layers import POOL, ConvLayer, EightLayerNet, Normalization, eight_layers, three_widths
from deconvnet.networks.normalization import LocalResponseNorm


def alexnet(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    lrn: bool = True,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (384, 384, 256),
    dropout: float = 0.5,
    blurpool: bool = False,
) -> EightLayerNet:
    """The paper's network: two towers that meet in conv3 and in the fully connected layers.

    Options as in :func:`deconvnet.networks.zfnet.zfnet`; with ``blurpool``, conv1 has stride 2 and its ReLU a blur by
    2 (half of the stride of 4 stays unguarded), at four times its cost. :func:`split_towers` puts the towers on two
    devices.
    """
    return _alexnet(2, num_classes, input_size, fc_width, lrn, remove, widths, dropout, blurpool)


def alexnet_dense(
    num_classes: int = 1000,
    input_size: int = 224,
    fc_width: int = 4096,
    lrn: bool = True,
    remove: Collection[int] = (),
    widths: tuple[int, int, int] = (384, 384, 256),
    dropout: float = 0.5,
    blurpool: bool = False,
) -> EightLayerNet:
    """AlexNet as one tower: the network that Zeiler & Fergus start from (Sec. 3). Options as in :func:`alexnet`."""
    return _alexnet(1, num_classes, input_size, fc_width, lrn, remove, widths, dropout, blurpool)


def _alexnet(
    towers: int,
    num_classes: int,
    input_size: int,
    fc_width: int,
    lrn: bool,
    remove: Collection[int],
    widths: tuple[int, int, int],
    dropout: float,
    blurpool: bool,
) -> EightLayerNet:
    norm = Normalization(groups=towers) if lrn else None
    three, four, five = three_widths(widths)
    return eight_layers(
        (
            ConvLayer(96, 11, stride=4, pool=POOL, norm=norm),
            ConvLayer(256, 5, padding=2, groups=towers, pool=POOL, norm=norm),
            ConvLayer(three, 3, padding=1),
            ConvLayer(four, 3, padding=1, groups=towers),
            ConvLayer(five, 3, padding=1, groups=towers, pool=POOL),
        ),
        num_classes=num_classes,
        input_size=input_size,
        fc_width=fc_width,
        remove=remove,
        dropout=dropout,
        norm_first=True,
        blurpool=blurpool,
    )


class TwoDeviceAlexNet(nn.Module):
    """A two-tower AlexNet with one tower on each of two devices, as the paper trained it (Sec. 3.5, Fig. 2).

    Feature maps cross between the devices only before conv3 and before each fully connected layer, whose units are
    halved between the devices. The scores come back on the first device and equal the one-device network's.
    """

    def __init__(self, network: EightLayerNet, devices: tuple[torch.device | str, torch.device | str]) -> None:
        super().__init__()
        self.devices = tuple(torch.device(d) for d in devices)
        if len(self.devices) != 2:
            raise OptionError(f"the two towers need two devices (the same one twice is allowed), not {len(devices)}.")
        self.towers = nn.ModuleList(
            nn.ModuleDict({name: _half(name, part, tower) for name, part in network.named_children()}).to(device)
            for tower, device in enumerate(self.devices)
        )
        self.order = tuple(name for name, _ in network.named_children())
        self.train(network.training)

    def forward(self, input: Tensor) -> Tensor:
        """N x 3 x H x W -> N x classes, on the first device."""
        halves = [input.to(device) for device in self.devices]
        for name in self.order:
            if name == "conv3" or name.startswith("fc"):  # where the paper's GPUs talk
                halves = [torch.cat([half.to(device) for half in halves], dim=1) for device in self.devices]
            halves = [tower.get_submodule(name)(half) for tower, half in zip(self.towers, halves, strict=True)]
        return torch.cat([half.to(self.devices[0]) for half in halves], dim=1)


def split_towers(network: EightLayerNet, devices: tuple[torch.device | str, torch.device | str]) -> TwoDeviceAlexNet:
    """Put the towers of ``alexnet`` on two devices.

    Parameters
    ----------
    network : EightLayerNet
        A network built by :func:`alexnet`; it is left as it is (the weights are copied).
    devices : (device, device)
        Where each tower goes; the same device twice is allowed.

    Returns
    -------
    TwoDeviceAlexNet
        In the network's mode (training or evaluation) and precision.

    Raises
    ------
    ModelError
        If the network has no two towers (``alexnet-dense``, ZFNet).
    OptionError
        If there are not two devices.
    """
    conv2 = dict(network.named_children()).get("conv2")
    if getattr(conv2, "groups", 1) != 2:
        raise ModelError("only a network of two towers can be split over two devices: build it as 'alexnet'.")
    return TwoDeviceAlexNet(network, devices)


def _half(name: str, part: nn.Module, tower: int) -> nn.Module:
    """One tower's share of a layer: half of its outputs, and of its inputs where it is grouped."""
    if isinstance(part, nn.Conv2d):
        maps = part.out_channels // 2
        inputs = part.in_channels // part.groups
        shape = (inputs, maps, part.kernel_size, part.stride, part.padding)
        half = nn.utils.skip_init(nn.Conv2d, *shape, dtype=part.weight.dtype, device=part.weight.device)
    elif isinstance(part, nn.Linear):
        share = part.out_features // 2  # an odd number of units: the second device takes one more
        maps = share if tower == 0 else part.out_features - share
        shape = (part.in_features, maps)
        half = nn.utils.skip_init(nn.Linear, *shape, dtype=part.weight.dtype, device=part.weight.device)
    elif isinstance(part, LocalResponseNorm):
        return LocalResponseNorm(part.size, part.alpha, part.beta, part.k)
    else:
        return copy.deepcopy(part)  # a tower of its own: its mode may change without the network's
    first = 0 if tower == 0 else part.weight.shape[0] - maps
    with torch.no_grad():
        half.weight.copy_(part.weight[first : first + maps])  # type: ignore[union-attr]
        half.bias.copy_(part.bias[first : first + maps])  # type: ignore[union-attr, index]
    return half
