"""Photos and digits: folders, archives, MNIST, sample photos."""

from deconvnet.data.mnist import Mnist, load_mnist
from deconvnet.data.photos import Photos, UnreadablePhoto, open_photos, read_many, read_photo, split
from deconvnet.data.samples import SamplePhoto, sample_photos

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
]
