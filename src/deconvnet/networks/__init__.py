"""The built-in networks, LeNet-5, AlexNet, ZFNet and their variants, with weights; and anyone's networks by name."""

from deconvnet.networks.alexnet import split_towers
from deconvnet.networks.external import is_external
from deconvnet.networks.layers import LayerRow, layer_table
from deconvnet.networks.network import Network, lenet_preprocessing, load
from deconvnet.networks.preprocessing import Preprocessing
from deconvnet.networks.registry import NetworkEntry, build, entry, names
from deconvnet.networks.weights import Weights, read_weights, save_weights

__all__ = [
    "LayerRow",
    "Network",
    "NetworkEntry",
    "Preprocessing",
    "Weights",
    "build",
    "entry",
    "is_external",
    "layer_table",
    "lenet_preprocessing",
    "load",
    "names",
    "read_weights",
    "save_weights",
    "split_towers",
]
