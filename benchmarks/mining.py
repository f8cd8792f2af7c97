"""Mining every convolutional layer, against the bare forward pass of the same network through the same layers.

ZFNet at 224 px and ResNet-18 at 224 px, random weights, batches of 16, one thread, photos at hand as tensors. The bare
pass ends after the last layer that is mined (ZFNet's fc6 to fc8 are left out of both), in the same memory layout;
mining is measured twice: from the first photo on, when every photo enters the record, and after 1,000 photos, as almost
all of a dataset is.

Columns: CPU milliseconds a photo, bare and mined; the overhead in per cent of the bare pass, from the first photo on
and after 1,000; what mining measures of itself after 1,000. zennit-crp is not compared with: it is not a dependency,
and where it is missing the last line says so.

``python -m benchmarks.mining`` (about three minutes)
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from tests.torchvision_beside_cpu_torch import import_torchvision
from torch import Tensor, nn

from benchmarks.stopwatch import interleaved
from deconvnet.mining import Miner
from deconvnet.networks.zfnet import zfnet

BATCH = 16
SEEN = 1000
ROUNDS = 5


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"mining all convolutional layers, 224 px, batches of {BATCH}, one thread, CPU ms a photo")
    print(
        f"{'':12} {'layers':>6} {'maps':>6} {'bare':>7} {'mined':>7} {'first photos':>13} {'later':>7} {'measured':>9}"
    )
    network = zfnet(101, 224, 512).eval()
    _compare("zfnet", network, [f"conv{i}" for i in range(1, 6)])
    torchvision = import_torchvision()
    if torchvision is None:
        print("resnet18     left out: torchvision is not installed")
    else:
        network = torchvision.models.resnet18().eval()
        _compare("resnet18", network, [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)])
    if find_spec("crp") is None:
        print("zennit-crp is not installed, so its reference sampling was not run beside: pip install zennit-crp")


def _compare(title: str, network: nn.Module, layers: list[str]) -> None:
    photos = [_photos(number) for number in range(3)]
    last = network.get_submodule(layers[-1])

    def bare() -> None:
        handle = last.register_forward_hook(_stop)
        try:
            for batch in spare.pop():
                try:
                    with torch.no_grad():
                        network(batch)
                except _Reached:
                    pass
        finally:
            handle.remove()

    later = _experienced(network, layers, photos)
    new, spare = ([[_varied(batch) for batch in photos] for _ in range(ROUNDS + 1)] for _ in range(2))

    def first() -> None:
        miner = Miner(network, layers)
        for number, batch in enumerate(photos):
            miner.add(range(number * BATCH, (number + 1) * BATCH), batch)

    def after() -> None:
        for batch in new.pop():
            later.add(range(later.count, later.count + BATCH), batch)

    before = dict(later.seconds)
    seconds = interleaved({"bare": bare, "first": first, "after": after}, rounds=ROUNDS)
    count = BATCH * len(photos)
    each = {way: 1e3 * value / count for way, value in seconds.items()}
    told = (later.seconds["mining"] - before["mining"]) / (later.seconds["forward"] - before["forward"])
    maps = sum(top.channels for top in later.result().layers.values())
    print(
        f"{title:12} {len(layers):6} {maps:6} {each['bare']:7.2f} {each['after']:7.2f} "
        f"{100 * (each['first'] / each['bare'] - 1):12.1f}% {100 * (each['after'] / each['bare'] - 1):6.1f}% "
        f"{100 * told:8.1f}%",
        flush=True,
    )


def _experienced(network: nn.Module, layers: list[str], photos: list[Tensor]) -> Miner:
    """A miner that has seen a thousand photos: variants of a few, so that it takes seconds."""
    miner = Miner(network, layers)
    while miner.count < SEEN:
        batch = photos[miner.count // BATCH % len(photos)]
        miner.add(range(miner.count, miner.count + BATCH), _varied(batch))
    return miner


def _varied(batch: Tensor) -> Tensor:
    return batch + 0.01 * torch.randn_like(batch)


def _photos(seed: int) -> Tensor:
    """Smooth random pictures in the networks' usual range, channels last: (BATCH, 3, 224, 224)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(BATCH, 3, 28, 28, generator=generator)
    pictures = nn.functional.interpolate(coarse, size=(224, 224), mode="bilinear")
    return pictures.contiguous(memory_format=torch.channels_last)


class _Reached(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _Reached


if __name__ == "__main__":
    main()
