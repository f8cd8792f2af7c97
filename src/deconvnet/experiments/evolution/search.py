"""Each feature map's strongest photo in every snapshot of a training (Fig. 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deconvnet.data import Photos, UnreadablePhoto
from deconvnet.errors import DataError
from deconvnet.mining import Miner
from deconvnet.mining.record import LayerTop
from deconvnet.networks import Network

Pixels = npt.NDArray[np.uint8]


class Search:
    """One pass over the photos, each decoded once and shown to every snapshot.

    Parameters
    ----------
    networks : sequence of Network
        With the same preprocessing.
    layers : sequence of str
    photos : Photos
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
        self, networks: Sequence[Network], layers: Sequence[str], photos: Photos, batch_size: int, threads: int
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
        network = self._networks[-1]

        def prepared(views: list[Pixels]) -> Tensor:
            # Channels last: faster through most convolutions, with the module left as it is.
            return network.preprocessing.tensor(views).contiguous(memory_format=torch.channels_last)

        reading = self._photos.batches(
            network.view, self._batch_size, stack=prepared, threads=self._threads, progress=progress
        )
        for batch in reading:
            began = time.perf_counter()
            for miner in miners:
                miner.add(batch.indices, batch.views)
            self.seconds += time.perf_counter() - began
            self.any_photo = batch.indices[0]
        self.count, self.skipped = reading.count, reading.unreadable
        return [miner.result().layers for miner in miners]

    def view(self, index: int) -> Pixels:
        """The pixels of a photo that the networks see."""
        return self._networks[-1].view(self._photos.read(index))
