"""Photos and digits: folders, archives, MNIST, sample photos, pixels at hand."""

from deconvnet.data.batches import PhotoBatch, PhotoBatches, UnreadablePhoto, none_readable
from deconvnet.data.decoding import read_photo
from deconvnet.data.mnist import Mnist, load_mnist
from deconvnet.data.opening import PhotosLike, as_photos, open_photos
from deconvnet.data.photos import Photos, read_many
from deconvnet.data.pixels import Photo
from deconvnet.data.samples import SamplePhoto, sample_photos
from deconvnet.data.splits import split, split_by_folders

__all__ = [
    "Mnist",
    "Photo",
    "PhotoBatch",
    "PhotoBatches",
    "Photos",
    "PhotosLike",
    "SamplePhoto",
    "UnreadablePhoto",
    "as_photos",
    "load_mnist",
    "none_readable",
    "open_photos",
    "read_many",
    "read_photo",
    "sample_photos",
    "split",
    "split_by_folders",
]
