"""Feature evolution against the bare forward passes that it needs: three snapshots of ZFNet, 512 photos, one thread.

The bare passes end after conv5, on photos at hand as tensors. CPU seconds of: the bare passes; the search for each
map's strongest photo, resizing included; the whole experiment with its 24 maps a layer, whose projections cost the same
for any number of photos.

``python -m benchmarks.evolution`` (about half a minute)
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import torch

from deconvnet.data import sample_photos
from deconvnet.experiments.evolution import evolve
from deconvnet.experiments.evolution.search import Search
from deconvnet.networks import Network, load
from deconvnet.networks.controls import with_weight_noise

COUNT, BATCH, SIZE = 512, 32, 64
LAYERS = [f"conv{i}" for i in range(1, 6)]


def main() -> None:
    torch.set_num_threads(1)
    network = load("zfnet")
    network = dataclasses.replace(
        network, preprocessing=dataclasses.replace(network.preprocessing, input_size=SIZE, resize=SIZE * 9 // 8)
    )
    snapshots = [with_weight_noise(network, 0.8), with_weight_noise(network, 0.9), network]
    rng = np.random.default_rng(0)
    shown = sample_photos()
    photos = []
    for number in range(COUNT):
        pixels = shown[number % len(shown)].pixels
        top, left = (int(rng.integers(side - 240)) for side in pixels.shape[:2])
        photos.append(pixels[top : top + 220, left : left + 240])
    views = [network.view(photo) for photo in photos]
    batches = [network.preprocessing.tensor(views[i : i + BATCH]) for i in range(0, COUNT, BATCH)]
    batches = [batch.contiguous(memory_format=torch.channels_last) for batch in batches]
    _bare(snapshots, batches)  # warm
    bare = _seconds(lambda: _bare(snapshots, batches))
    search = _seconds(lambda: Search(snapshots, LAYERS, photos, BATCH, 2).run(None))
    whole = _seconds(lambda: evolve(snapshots, photos, layers=LAYERS, batch_size=BATCH))
    print(f"{COUNT} photos of {SIZE} px, {len(snapshots)} snapshots, CPU seconds")
    print(f"bare passes {bare:.2f}   search {search:.2f} ({search / bare:.2f} x)   with projections {whole:.2f}")


@torch.inference_mode()
def _bare(snapshots: list[Network], batches: list[torch.Tensor]) -> None:
    for batch in batches:
        for network in snapshots:
            x = batch
            for name, part in network.module.named_children():
                x = part(x)
                if name == LAYERS[-1]:
                    break


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
