"""Each feature map's strongest photo in every snapshot of a training (Fig. 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from deconvnet.data import Photos, UnreadablePhoto, read_many
from deconvnet.errors import DataError
from deconvnet.mining import Miner
from deconvnet.mining.record import LayerTop
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import Photo

Pixels = npt.NDArray[np.uint8]


class Search:
    """One pass over the photos, each decoded once and shown to every snapshot.

    Parameters
    ----------
    networks : sequence of Network
        With the same preprocessing.
    layers : sequence of str
    photos : Photos, or sequence of PIL images or uint8 arrays
    batch_size, threads : int
        Photos a pass, and threads that decode them.

    Attributes
    ----------
    count : int
        Photos seen.
    any_photo : int
        Index of one that can be read.
    skipped : list of UnreadablePhoto
        Photos that cannot.
    seconds : float
        In the networks and in keeping the strongest.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        layers: Sequence[str],
        photos: Photos | Sequence[Photo],
        batch_size: int,
        threads: int,
    ) -> None:
        if not len(photos):
            raise DataError("there is no photo to look for activations in: give at least one.")
        self._networks, self._layers, self._photos = networks, layers, photos
        self._batch_size, self._threads = batch_size, threads
        self.skipped: list[UnreadablePhoto] = []
        self.seconds = 0.0
        self.count, self.any_photo = 0, 0

    def run(self, progress: Callable[[int, int], None] | None) -> list[Mapping[str, LayerTop]]:
        """For each snapshot the strongest activation of every map, by layer."""
        miners = [Miner(network.module, self._layers, k=1) for network in self._networks]
        for indices, views in self._batches():
            # Channels last: faster through most convolutions, with the module left as it is.
            tensor = self._networks[-1].preprocessing.tensor(views).contiguous(memory_format=torch.channels_last)
            began = time.perf_counter()
            for miner in miners:
                miner.add(indices, tensor)
            self.seconds += time.perf_counter() - began
            self.count, self.any_photo = self.count + len(indices), indices[0]
            if progress is not None:
                progress(self.count + len(self.skipped), len(self._photos))
        if not self.count:
            first = self.skipped[0]
            raise DataError(
                f"none of the {len(self._photos)} photos can be read ({first.name}: {first.why}): give others."
            )
        return [miner.result().layers for miner in miners]

    def _batches(self) -> Iterator[tuple[list[int], list[Pixels]]]:
        indices: list[int] = []
        views: list[Pixels] = []
        for index, view in self._views():
            if isinstance(view, UnreadablePhoto):
                self.skipped.append(view)
                continue
            indices.append(index)
            views.append(view)
            if len(indices) == self._batch_size:
                yield indices, views
                indices, views = [], []
        if indices:
            yield indices, views

    def _views(self) -> Iterator[tuple[int, Pixels | UnreadablePhoto]]:
        see = self._networks[-1].view
        if isinstance(self._photos, Photos):
            every = range(len(self._photos))
            yield from read_many(
                self._photos, every, threads=self._threads, ahead=2 * self._batch_size, then=lambda photo: see(photo)
            )
        else:
            for index, photo in enumerate(self._photos):
                yield index, see(photo)

    def view(self, index: int) -> Pixels:
        """The pixels of a photo that the networks see."""
        photos = self._photos
        return self._networks[-1].view(photos.read(index) if isinstance(photos, Photos) else photos[index])

    def name(self, index: int) -> str:
        """A photo's name."""
        return self._photos.names[index] if isinstance(self._photos, Photos) else f"photo {index + 1}"
