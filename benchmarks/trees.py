"""Two source trees of deconvnet against each other, in turns: ``python -m benchmarks.trees OLD NEW [CASE ...]``.

OLD and NEW are checkouts (folders that hold ``src/deconvnet``). Each works in a process of its own, one thread, and
both are asked in turn, so that a busy machine slows both alike; CPU seconds, the least of the rounds. Takes some
minutes. Name one tree twice, by a link, to see how much of a difference is noise; name cases to run these
alone, five times as often.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

ROUNDS = 7
CASES = ("conv3, 64 units", "conv5, 64 units", "conv5, 90 photos", "occlude 50/8", "occlude 16/8", "mine 32 photos")
COMMANDS = ("project", "demo")


def cases() -> dict[str, Callable[[], Any]]:
    """The work by name; only what both trees have in common is called."""
    import torch

    from deconvnet.incremental import prepare
    from deconvnet.mining import mine
    from deconvnet.networks import build
    from deconvnet.projection import project

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = build("zfnet", num_classes=100).eval()
    photos = torch.randn(90, 3, 224, 224)
    windows = {
        size: [(top, left, top + size, left + size) for top in range(0, 224 - size, 8) for left in range(0, 160, 8)]
        for size in (50, 16)
    }

    def units(layer: str, count: int) -> list[str]:
        middle = 6 if layer == "conv5" else 5
        return [f"{layer}:{channel}@{middle},{middle}" for channel in range(count)]

    return {
        "conv3, 64 units": lambda: project(module, photos[:1], units("conv3", 64)),
        "conv5, 64 units": lambda: project(module, photos[:1], units("conv5", 64)),
        "conv5, 90 photos": lambda: project(module, photos, units("conv5", 90), photos=list(range(90))),
        "occlude 50/8": lambda: prepare(module, photos[0]).run(windows[50], fill=0.0),
        "occlude 16/8": lambda: prepare(module, photos[0]).run(windows[16], fill=0.0),
        "mine 32 photos": lambda: mine(module, [(list(range(32)), photos[:32])], ["conv1", "conv3", "conv5"], k=9),
    }


def work() -> None:
    """Answer case names on standard input with CPU seconds, until it ends."""
    known = cases()
    for line in sys.stdin:
        started = process_time()
        known[json.loads(line)]()
        print(json.dumps(process_time() - started), flush=True)


def environment(tree: Path) -> dict[str, str]:
    """One thread, and the tree's own code."""
    own = os.pathsep.join((str(tree / "src"), str(Path(__file__).resolve().parents[1])))
    return {**os.environ, "PYTHONPATH": own, "OMP_NUM_THREADS": "1"}


def command_seconds(tree: Path, command: str, photo: Path) -> float:
    """CPU seconds of one whole command, start included."""
    words = {"project": ["project", "zfnet", str(photo), "--top", "9", "--layer", "conv3", "--layer", "conv5"]}
    with tempfile.TemporaryDirectory() as folder:
        out = "picture.png" if command == "project" else "page"
        line = [sys.executable, "-m", "deconvnet", *words.get(command, [command]), "--out", f"{folder}/{out}"]
        before = os.times()
        subprocess.run(line, env=environment(tree), check=True, capture_output=True)
        after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main(old: Path, new: Path, chosen: Sequence[str] = ()) -> None:
    """Print the table."""
    times = 5 * ROUNDS if chosen else ROUNDS
    line = [sys.executable, "-m", "benchmarks.trees", "--work"]
    workers = {
        tree: subprocess.Popen(line, env=environment(tree), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for tree in (old, new)
    }

    def ask(tree: Path, case: str) -> float:
        worker = workers[tree]
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(case) + "\n")
        worker.stdin.flush()
        return float(worker.stdout.readline())

    print(f"CPU seconds, one thread, least and median of {times} (whole commands: of 3)")
    print(f"{'':20}{'old':>9}{'new':>9}{'new/old':>9}{'medians':>18}{'new/old':>9}")
    for case in chosen or CASES:
        rounds = [[ask(tree, case) for tree in (old, new)] for _ in range(times + 1)][1:]
        tell(case, rounds)
    for worker in workers.values():
        worker.terminate()
    if chosen:
        return
    with tempfile.TemporaryDirectory() as folder:
        from PIL import Image

        from deconvnet.data import sample_photos

        photo = Path(folder) / "photo.png"
        Image.fromarray(next(iter(sample_photos())).pixels).save(photo)
        for command in COMMANDS:
            tell(f"deconvnet {command}", [[command_seconds(t, command, photo) for t in (old, new)] for _ in range(3)])


def tell(case: str, rounds: list[list[float]]) -> None:
    """One line of the table."""
    line = f"{case:20}"
    for measure in (min, median):
        before, after = (measure(column) for column in zip(*rounds, strict=True))
        line += f"{before:9.3f}{after:9.3f}{after / before:9.2f}"
    print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--work"]:
        work()
    else:
        main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), sys.argv[3:])
