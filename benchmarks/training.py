"""One training step of ZFNet at 128 px: the fast normalisation and the memory layout against torch's defaults.

``python -m benchmarks.training`` (about a minute)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.stopwatch import interleaved
from deconvnet.networks.zfnet import zfnet


def main(batch: int = 32) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.randn(batch, 3, 128, 128)
    labels = torch.randint(101, (batch,))

    def step(fast: bool, layout: torch.memory_format):  # type: ignore[no-untyped-def]
        network = zfnet(101, 128, 1024).to(memory_format=layout).train()  # type: ignore[call-overload]
        if not fast:
            for name in ("norm1", "norm2"):
                setattr(network, name, nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0))
        inputs = x.contiguous(memory_format=layout)

        def run() -> None:
            network.zero_grad()
            F.cross_entropy(network(inputs), labels).backward()

        return run

    seconds = interleaved(
        {
            "torch's LRN, NCHW": step(False, torch.contiguous_format),
            "torch's LRN, channels_last": step(False, torch.channels_last),
            "fast LRN, channels_last": step(True, torch.channels_last),
        }
    )
    base = seconds["torch's LRN, NCHW"]
    print(f"one training step of zfnet, 128 px, batch {batch}, one thread (CPU seconds)")
    print(f"{'':28} {'img/s':>7} {'ratio':>6}")
    for name, value in seconds.items():
        print(f"{name:28} {batch / value:7.1f} {base / value:6.2f}")


if __name__ == "__main__":
    main()
