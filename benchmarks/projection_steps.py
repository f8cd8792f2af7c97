"""Where the time of the top nine's projections goes: conv5 of ZFNet at 224 px, each unit for a photo of its own.

One thread. CPU milliseconds a unit by kind of step, forward (on windows) and backward, by a clock around every
step; then the windows' multiply-adds of the convolutions, beside the whole maps'.

``python -m benchmarks.projection_steps`` (a minute)
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import torch

from benchmarks.projection import strongest
from deconvnet.networks.zfnet import zfnet
from deconvnet.projection import _chooser as engine
from deconvnet.projection import _steps as steps
from deconvnet.projection import _windows as windows
from deconvnet.projection import project


def main(photos: int = 9 * 64) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = zfnet(101, 224, 512).eval()
    images = torch.randn(photos, 3, 224, 224)
    units = strongest(network, images, "conv5")
    seconds: Counter[str] = Counter()
    for kind in (steps.ConvolutionStep, steps.NormalizationStep, steps.UnpoolingStep, steps.RectificationStep):
        for direction in ("forward", "backward"):
            _timed(kind, direction, seconds)
    work: list[tuple[int, int]] = []
    original = windows.forward_and_backward

    def counted(plan: Any, group: Any, *rest: Any) -> Any:
        work.append((len(group.starts) * plan.work(group.rows[0], group.columns[0]), plan.work()))
        return original(plan, group, *rest)

    engine.forward_and_backward = counted
    for _ in range(2):  # the first time warms up
        seconds.clear()
        work.clear()
        started = time.process_time()
        project(network, images, units, photos=range(photos), lrn="grad", seed="one")
        total = time.process_time() - started
    for name, spent in seconds.most_common():
        print(f"{name:24} {1e3 * spent / photos:6.2f} ms")
    print(f"{'all':24} {1e3 * total / photos:6.2f} ms")
    each = sum(done for done, _ in work) / (photos - 1)  # the first photo goes through whole maps
    print(f"multiply-adds each way: {each / 1e6:.0f} million on windows, {work[0][1] / 1e6:.0f} on whole maps")


def _timed(kind: type[steps.WindowStep], direction: str, seconds: Counter[str]) -> None:
    method = getattr(kind, direction)

    def timed(self: Any, *arguments: Any) -> Any:
        started = time.process_time()
        answer = method(self, *arguments)
        seconds[f"{kind.__name__} {direction}"] += time.process_time() - started
        return answer

    setattr(kind, direction, timed)


if __name__ == "__main__":
    main()
