"""Occlusion by incremental inference, against Captum's ``Occlusion`` and against a well-batched plain loop.

Five networks with random weights, one photo of 224 px, a grey square at every position of a grid, wall time, two
threads. Captum gets one target and its best setting: channels-last memory, and the best of several numbers of
perturbations an evaluation, chosen on some of the positions. We compute all outputs. The plain loop is
:func:`deconvnet.incremental.plain`, channels last, the best of several batch sizes, all outputs.

Columns: milliseconds a position of Captum, of the plain loop and of ours; how many times faster than Captum and than
the loop ours is; the largest difference of the outputs from those of the loop, relative to the largest of them. Ours
is measured over the whole grid; the other two, whose time is the same at every position, over a part of it, taking
turns. The time that :func:`deconvnet.incremental.prepare` takes is told on its own line.

``python -m benchmarks.occlusion`` (about ten minutes)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from captum.attr import Occlusion
from tests.torchvision_beside_cpu_torch import import_torchvision
from torch import Tensor, nn

from deconvnet.incremental import plain, prepare
from deconvnet.networks.alexnet import alexnet_dense
from deconvnet.networks.zfnet import zfnet

CASES = (
    ("zfnet", 50, 8), ("zfnet", 16, 8), ("alexnet", 16, 8), ("vgg16", 16, 8), ("resnet18", 16, 8),
)  # fmt: skip
EVALUATIONS = (4, 8, 16)


def main(cases: Sequence[tuple[str, int, int]] = CASES, threads: int = 2, some: int = 36, rounds: int = 2) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    print(f"occlusion, 224 px, {threads} threads, wall ms a position; in brackets the error relative to the loop")
    print(
        f"{'':10} {'square':>7} {'positions':>9} {'Captum':>7} {'loop':>7} {'ours':>6} "
        f"{'over Captum':>13} {'over the loop':>13}"
    )
    for name, size, stride in cases:
        _case(name, size, stride, some, rounds)


def _case(name: str, size: int, stride: int, some: int, rounds: int) -> None:
    torch.manual_seed(0)
    model, photo = _model(name), torch.randn(3, 224, 224)
    places = range(0, 224 - size + 1, stride)
    grid = [(y, x, y + size, x + size) for y in places for x in places]
    part = [grid[i] for i in np.random.default_rng(0).permutation(len(grid))[:some]]
    started = time.perf_counter()
    prepared = prepare(model, photo)
    preparing = time.perf_counter() - started
    evaluations = min(EVALUATIONS, key=lambda n: _seconds(lambda: _captum(model, photo, n)))
    together = min(EVALUATIONS, key=lambda n: _seconds(lambda: plain(model, photo, part[:16], batch_size=n)))
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "captum": (lambda: _captum(model, photo, evaluations), 25),
        "loop": (lambda: plain(model, photo, part, batch_size=together), len(part)),
        "ours": (lambda: prepared.run(grid), len(grid)),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for way, (run, count) in ways.items():
            best[way] = min(best[way], 1e3 * _seconds(run) / count)
    expected = plain(model, photo, part).outputs
    error = np.abs(prepared.run(part).outputs - expected).max() / np.abs(expected).max()
    ratios = [f"{best[base] / best['ours']:.1f}" for base in ("captum", "loop")]
    print(
        f"{name:10} {f'{size}/{stride}':>7} {len(grid):9} {best['captum']:7.1f} {best['loop']:7.1f} "
        f"{best['ours']:6.2f} {ratios[0]:>13} {ratios[1]:>13}   "
        f"({error:.0e}; prepared in {preparing:.1f} s; Captum {evaluations}, "
        f"loop {together} at a time)",
        flush=True,
    )


def _model(name: str) -> nn.Module:
    if name == "zfnet":
        return zfnet(1000, 224).eval()
    if name == "alexnet":
        return alexnet_dense(1000, 224).eval()
    torchvision = import_torchvision()
    assert torchvision is not None
    return torchvision.models.get_model(name, weights=None).eval()


@torch.no_grad()
def _captum(model: nn.Module, photo: Tensor, evaluations: int) -> None:
    """Squares of 45 px side by side, 25 of them: Captum's time at a position does not depend on the square."""
    Occlusion(model.to(memory_format=torch.channels_last)).attribute(
        photo[None].contiguous(memory_format=torch.channels_last),
        sliding_window_shapes=(3, 45, 45),
        strides=(3, 45, 45),
        target=1,
        baselines=0,
        perturbations_per_eval=evaluations,
    )


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
