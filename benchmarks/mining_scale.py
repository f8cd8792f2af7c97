"""Time and memory of mining over 1,000, 10,000 and 100,000 photos: they must grow with the photos, and not at all.

LeNet-5 at 32 px over MNIST's training digits, each photo an array at hand, repeated to the number wanted; batches of
100, one thread. Columns: photos, seconds, microseconds a photo, largest resident memory of the process (each size in a
process of its own), and the size of the state that a killed run goes on from.

``python -m benchmarks.mining_scale FOLDER`` with the folder of MNIST's four files (about two minutes)
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time

import torch
from safetensors.numpy import save

from deconvnet.data import load_mnist
from deconvnet.mining import Miner
from deconvnet.networks import load

SIZES = (1_000, 10_000, 100_000)
BATCH = 100


def main(data: str) -> None:
    print("mining all layers with maps of lenet5 over MNIST, batches of 100, one thread")
    print(f"{'photos':>8} {'seconds':>8} {'us a photo':>11} {'memory':>9} {'state':>9}")
    context = multiprocessing.get_context("spawn")
    for size in SIZES:
        with context.Pool(1) as pool:
            seconds, memory, state = pool.apply(_run, (size, data))
        print(f"{size:8} {seconds:8.1f} {1e6 * seconds / size:11.0f} {memory:6.0f} MB {state:6.2f} MB", flush=True)


def _run(size: int, data: str) -> tuple[float, float, float]:
    torch.set_num_threads(1)
    network = load("lenet5")
    digits = load_mnist(data)
    p = network.preprocessing
    images, labels = digits.train_images, digits.train_labels
    layers = [name for name, part in network.module.named_children() if list(part.parameters())]
    miner = Miner(network.module, layers, classes=10)
    began = time.perf_counter()
    for first in range(0, size, BATCH):
        places = [index % len(images) for index in range(first, min(first + BATCH, size))]
        batch = p.tensor([p.view(images[place]) for place in places])
        miner.add(range(first, first + len(places)), batch, labels[places])
    seconds = time.perf_counter() - began
    state = len(save(miner.result().to_arrays())) / 1e6
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, state


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
