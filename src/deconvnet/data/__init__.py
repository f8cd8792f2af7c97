"""Photos and digits: folders, archives, MNIST, sample photos."""

from deconvnet.data.decoding import read_photo
from deconvnet.data.mnist import Mnist, load_mnist
from deconvnet.data.opening import open_photos
from deconvnet.data.photos import Photos, UnreadablePhoto, read_many
from deconvnet.data.samples import SamplePhoto, sample_photos
from deconvnet.data.splits import split, split_by_folders

__all__ = [
    "Mnist",
    "Photos",
    "SamplePhoto",
    "UnreadablePhoto",
    "load_mnist",
    "open_photos",
    "read_many",
    "read_photo",
    "sample_photos",
    "split",
    "split_by_folders",
]
