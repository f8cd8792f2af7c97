"""Mining a whole dataset into a run: photos in, each map's strongest activations out; killed and resumed at will.

Commands: ``deconvnet mine NETWORK --data PHOTOS --out RUN``, ``torchrun --nproc-per-node 2 -m deconvnet mine ...``.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor, nn

from deconvnet.data import PhotoBatches, Photos, PhotosLike, as_photos
from deconvnet.errors import OptionError, RunError, WeightsError
from deconvnet.experiments.top_nine import shards
from deconvnet.experiments.top_nine.memory import mine_in_memory
from deconvnet.experiments.top_nine.shards import State, Worker
from deconvnet.mining import Miner, TopActivations, merge
from deconvnet.mining.record import SCORES
from deconvnet.mining.run_record import MINE, MiningRecord, SkippedPhoto
from deconvnet.networks import Network, load
from deconvnet.networks.layers import check_layers, convolutions
from deconvnet.progress import Progress, report
from deconvnet.runs import Run, places

KIND = MINE
Seconds = defaultdict[str, float]


@overload
def mine(
    network: Network | nn.Module,
    photos: PhotosLike | Tensor,
    out: None = None,
    *,
    layers: Sequence[str] | None = None,
    k: int = 9,
    score: str = "max",
    batch_size: int = 16,
    seed: int = 0,
    threads: int = 2,
    progress: Progress | None = None,
) -> TopActivations: ...


@overload
def mine(
    network: Network,
    photos: PhotosLike,
    out: Path | str,
    *,
    layers: Sequence[str] | None = None,
    k: int = 9,
    score: str = "max",
    batch_size: int = 16,
    weights: str = "shipped",
    seed: int = 0,
    threads: int = 2,
    state_every: int = 10_000,
    overwrite: bool = False,
    resume: bool = False,
    worker: Worker | None = None,
    progress: Progress | None = None,
) -> Run: ...


def mine(
    network: Network | nn.Module,
    photos: PhotosLike | Tensor,
    out: Path | str | None = None,
    *,
    layers: Sequence[str] | None = None,
    k: int = 9,
    score: str = "max",
    batch_size: int = 16,
    weights: str = "shipped",
    seed: int = 0,
    threads: int = 2,
    state_every: int = 10_000,
    overwrite: bool = False,
    resume: bool = False,
    worker: Worker | None = None,
    progress: Progress | None = None,
) -> Run | TopActivations:
    """Find the strongest activations of every feature map over photos.

    With ``out`` a run is written. The photos are cut into batches on a fixed grid: a run that was killed at any moment
    and resumed, or divided among several processes, gives bit for bit what one uninterrupted process gives (on one kind
    of machine, and as far as the network's arithmetic does not depend on the number of threads).

    Parameters
    ----------
    network : Network or nn.Module
        A run needs a network.
    photos : photos, or Tensor
        A folder or an archive, what :func:`deconvnet.open_photos` returns, or pictures; a run needs one that it can
        find again. Without ``out`` also float inputs (N, C, H, W), which a module takes too.
    out : path, optional
        Folder of the run; one that all processes see. Nothing is written unless given.
    layers : sequence of str, optional
        Layers to mine; all convolutional ones of a network unless given.
    k : int
        Photos to keep for each map.
    score : {"max", "sum", "mean"}
        What ranks the photos; see :func:`deconvnet.mining.mine`.
    batch_size : int
        Photos a pass.
    weights : str
        Where the network's weights lie, as :func:`deconvnet.load` takes it: the run records it, because
        :func:`draw_top_nine` loads the network again.
    seed : int
        Of the random photos that stand beside the strongest.
    threads : int
        Threads that decode photos while the network works.
    state_every : int
        Photos between two states written to the disk: what a killed process loses at most.
    overwrite : bool
        Replace an earlier run of this kind in ``out``.
    resume : bool
        Go on with the run in ``out``, if it was begun with the same weights, photos and settings.
    worker : Worker, optional
        Which of several processes this is; a single one unless given.
    progress : Progress, optional
        Called with the photos that are done, of this process's share, those of an earlier session included.

    Returns
    -------
    TopActivations
        Without ``out``. Photos that cannot be read are left out.
    Run
        With ``out``; it holds a `MiningRecord`. It is not finished yet if other processes still work on their shards;
        the last one finishes it.

    Raises
    ------
    UnknownNameError, OptionError
        If a layer does not exist, or an option is outside its range; if a run is asked for of anything but a network
        and ``Photos``.
    WeightsError
        If ``weights`` are not those of ``network``.
    DataError
        If no photo can be read; nothing is written then.
    RunError
        If ``out`` holds something else, or a run of other inputs; if the disk is full.
    """
    if isinstance(network, Network):
        layers = convolutions(network) if layers is None else list(dict.fromkeys(layers))
        check_layers(network, layers)
    elif layers is None:
        raise OptionError("name the layers of a module with layers=: only a network knows its own.")
    if out is None:
        _check_numbers(k=k, batch_size=batch_size, threads=threads)
        _check_score(score, seed)
        return mine_in_memory(
            network,
            photos,
            list(layers),
            k=k,
            score=score,
            batch_size=batch_size,
            seed=seed,
            threads=threads,
            progress=progress,
        )
    if not isinstance(network, Network) or isinstance(photos, Tensor):
        raise OptionError("a run names its network and its photos: give a Network and what open_photos returns.")
    photos = as_photos(photos)
    if not photos.address:
        raise OptionError("photos at hand cannot be found again by a run: give a folder or an archive of them.")
    worker = worker or Worker()
    _check_numbers(k=k, batch_size=batch_size, threads=threads, state_every=state_every)
    _check_score(score, seed)
    if Path(photos.address).resolve().is_relative_to(Path(out).resolve()):
        raise OptionError(f"the photos lie in the run's own folder {out}: give the run another.")
    if worker.alone and overwrite:
        raise OptionError("a shard started by hand overwrites nothing: remove the old run first.")
    weights = weights if weights == "shipped" else str(Path(weights).resolve())
    _check_weights(network, weights)
    if worker.rank == 0:
        _check_readable(photos)
    work = _Work(network, photos, list(layers), k, score, batch_size, seed, threads, state_every)
    return _mine_into(out, work, weights, worker, overwrite, resume, progress)


def _mine_into(
    out: Path | str,
    work: _Work,
    weights: str,
    worker: Worker,
    overwrite: bool,
    resume: bool,
    progress: Progress | None,
) -> Run:
    """Do one process's share of a run that is checked."""
    run = shards.create_together(worker, lambda: _create(out, work, weights, worker, overwrite, resume))
    if run.finished:
        return run
    count = int(run.manifest["shards"])
    if worker.alone and worker.count != count:
        raise OptionError(f"{out} is divided into {count} shards, not {worker.count}: write for example 1/{count}.")
    again = resume or worker.restarted
    share = [worker.rank] if worker.alone else list(range(worker.rank, count, worker.count))
    if worker.alone and not again and run.has(shards.name(worker.rank, count)):
        raise RunError(f"shard {worker.rank + 1}/{count} of {out} was begun already: add --resume to go on with it.")
    _Shift(work, run, share, count, again, progress).work()
    return _finish(run, work.photos, count)


def _check_numbers(**numbers: int) -> None:
    for option, value in numbers.items():
        if value < 1:
            raise OptionError(f"{option} must be at least 1, not {value}.")


def _check_score(score: str, seed: int) -> None:
    if score not in SCORES:
        raise OptionError(f"score is one of {', '.join(SCORES)}, not {score!r}.")
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")


@dataclass(frozen=True)
class _Work:
    """What is asked for, checked."""

    network: Network
    photos: Photos
    layers: list[str]
    k: int
    score: str
    batch_size: int
    seed: int
    threads: int
    state_every: int

    @property
    def batches(self) -> int:
        return -(-len(self.photos) // self.batch_size)

    def indices(self, batches: range) -> range:
        """The photos of neighbouring batches."""
        first, end = batches.start * self.batch_size, batches.stop * self.batch_size
        return range(min(first, len(self.photos)), min(end, len(self.photos)))

    def miner(self) -> Miner:
        return Miner(
            self.network.module,
            self.layers,
            k=self.k,
            score=self.score,
            classes=len(self.photos.classes),
            seed=self.seed,
        )


def _create(out: Path | str, work: _Work, weights: str, worker: Worker, overwrite: bool, resume: bool) -> Run:
    photos, network = work.photos, work.network
    settings = {
        "layers": work.layers,
        "k": work.k,
        "score": work.score,
        "batch_size": work.batch_size,
        "seed": work.seed,
    }
    inputs = {
        "network": network.address,
        "weights_sha256": network.fingerprint,
        "photos": len(photos),
        "photos_sha256": photos.fingerprint,
        "classes": list(photos.classes),
    }
    notes = {"places": places(out, photos=photos.address, weights=weights), "shards": worker.count}
    again = resume or worker.alone or worker.restarted
    return Run.create(out, KIND, settings, inputs, notes=notes, overwrite=overwrite and not again, resume=again)


def _check_weights(network: Network, weights: str) -> None:
    if load(network.address, weights).fingerprint != network.fingerprint:
        raise WeightsError(
            f"{weights} weights are not those of the given {network.name}: say with weights=PATH where its own lie "
            "(network.save(PATH) writes them), so that they can be found again."
        )


def _check_readable(photos: Photos) -> None:
    """Refuse a set of photos none of which can be read, before anything is written."""
    for _ in photos.batches(np.shape, 1):
        return


@dataclass
class _Shift:
    """What one process does in one session: its shards, one after the other."""

    task: _Work
    run: Run
    mine: list[int]
    count: int
    again: bool
    progress: Progress | None

    def work(self) -> None:
        ranges = shards.shares(self.task.batches, self.count)
        begun = {s: shards.read(self.run, s, self.count) if self.again else None for s in self.mine}
        total = sum(len(self.task.indices(ranges[s])) for s in self.mine)
        done = 0
        for shard in self.mine:
            state = begun[shard] or State(0, len(ranges[shard]))
            share = len(self.task.indices(ranges[shard]))
            self._shard(shard, ranges[shard], state, lambda n, before=done: self._tell(before + n, total))
            done += share

    def _tell(self, done: int, total: int) -> None:
        report(self.progress, done, total, "mining")

    def _shard(self, shard: int, batches: range, state: State, tell: Callable[[int], None]) -> None:
        task, labels = self.task, self.task.photos.labels
        before = state.done * task.batch_size
        tell(min(before, len(task.indices(batches))))
        if state.finished and state.total:
            return
        miner = task.miner()
        if state.mined is not None:
            miner.take_up(state.mined)
        spent: Seconds = defaultdict(float, state.seconds)
        since = 0
        began = time.perf_counter()
        for batch in _batches(task, range(batches.start + state.done, batches.stop), spent):
            spent["waiting"] += time.perf_counter() - began
            state.skipped += [(index, photo.why) for index, photo in batch.unreadable.items()]
            if batch.indices:
                miner.add(batch.indices, batch.views, labels[batch.indices])
            state.done += 1
            since += batch.size
            before += batch.size
            tell(before)
            if since >= task.state_every and not state.finished:
                self._save(shard, state, miner, spent)
                since = 0
            began = time.perf_counter()
        self._save(shard, state, miner, spent)

    def _save(self, shard: int, state: State, miner: Miner, spent: Seconds) -> None:
        began = time.perf_counter()
        state.mined = miner.result() if miner.count else None
        state.seconds = {stage: spent[stage] + miner.seconds.get(stage, 0.0) for stage in {*spent, *miner.seconds}}
        shards.save(self.run, shard, self.count, state)
        spent["saving"] += time.perf_counter() - began


def _batches(work: _Work, batches: range, spent: Seconds) -> PhotoBatches[Tensor]:
    """The batches in order, each at its place of the grid."""
    network = work.network

    def prepared(views: list[np.ndarray]) -> Tensor:
        began = time.perf_counter()
        # Channels last: 1.3 times as fast through ZFNet's convolutions, with the module left as it is.
        tensor = network.preprocessing.tensor(views).contiguous(memory_format=torch.channels_last)
        spent["preparing"] += time.perf_counter() - began
        return tensor

    indices = work.indices(batches)
    return work.photos.batches(
        network.view,
        work.batch_size,
        indices=indices,
        stack=prepared,
        fill=False,
        threads=work.threads,
        at_least_one=False,
    )


def _finish(run: Run, photos: Photos, count: int) -> Run:
    """Merge and finish, if all shards are done; two processes that come here at once write the same."""
    if Run.open(run.path).finished:
        return Run.open(run.path)
    if shards.unfinished(run, count):
        return run
    try:
        parts = list(shards.states(run, count))
        found = [part.mined for part in parts if part.mined is not None]
        skipped = [SkippedPhoto(photos.names[index], why) for part in parts for index, why in part.skipped]
        seconds: Seconds = defaultdict(float)
        for part in parts:
            for stage, value in part.seconds.items():
                seconds[stage] += value
        mined, names, labels = reduce(merge, found), tuple(photos.names), tuple(photos.labels.tolist())
        MiningRecord(mined, names, labels, tuple(photos.classes), tuple(skipped), count, dict(seconds)).write(run)
    except RunError:
        if Run.open(run.path).finished:  # another process was faster, and removed the states
            return Run.open(run.path)
        raise
    run.finish()
    shards.remove(run)
    return run
