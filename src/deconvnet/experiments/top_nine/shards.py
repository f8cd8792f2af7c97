"""Dividing a run's work among processes and machines that share a folder, and going on after any of them was killed.

The photos are cut into batches on a fixed grid, the batches into shards of neighbours. Each shard's state is one file
in the run, replaced whole: whoever comes next, the same process or another, goes on from it. Batches are the same
however the work is divided, so that rounding is too, and the shards' results merge without any loss.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deconvnet.errors import OptionError, RunError
from deconvnet.mining.record import TopActivations
from deconvnet.runs import Run

FOLDER = "state"
_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Worker:
    """Which process this is, of how many.

    Attributes
    ----------
    rank, count : int
        0 to ``count - 1``.
    alone : bool
        Started by hand for one shard (``--shard 1/8``), with no process that starts the others: whoever comes first
        makes the run, the others join it.
    restarted : bool
        Started again by torchrun after a failure.
    """

    rank: int = 0
    count: int = 1
    alone: bool = False
    restarted: bool = False

    @classmethod
    def parse(cls, text: str) -> Worker:
        """``"1/8"`` to ``"8/8"``, a shard to be done by hand.

        Raises
        ------
        OptionError
            If the text has another form.
        """
        match = _WRITTEN.fullmatch(text.strip())
        rank, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= rank <= count:
            raise OptionError(f"{text!r} is not a shard: write for example 1/8, the first of eight.")
        return cls(rank - 1, count, alone=True)

    @classmethod
    def from_environment(cls) -> Worker:
        """What torchrun says in ``RANK`` and ``WORLD_SIZE``; a single process without it."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), restarted=restarts > 0)


@dataclass
class State:
    """How far a shard has come.

    Attributes
    ----------
    done, total : int
        Batches.
    mined : TopActivations or None
        What was found; None before the first readable photo.
    skipped : list of (int, str)
        Photos that could not be read, and why.
    seconds : dict of str to float
        Time spent by stage.
    """

    done: int
    total: int
    mined: TopActivations | None = None
    skipped: list[tuple[int, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the shard is done."""
        return self.done == self.total


def create_together(worker: Worker, create: Callable[[], Run]) -> Run:
    """A run that one process makes and all open: torchrun's first, or whoever comes first of those started by hand.

    ``create`` may refuse; all processes of torchrun then raise the same error.
    """
    if worker.count == 1 or worker.alone:
        return create()
    from torch import distributed

    distributed.init_process_group("gloo")
    try:
        told: list[Any] = [None]
        made: Run | None = None
        failure: Exception | None = None
        if worker.rank == 0:
            try:
                made = create()
                told = [(str(made.path.resolve()), None)]
            except Exception as error:
                failure, told = error, [(None, str(error))]
        distributed.broadcast_object_list(told)
    finally:
        distributed.destroy_process_group()
    if failure is not None:
        raise failure
    path, refused = told[0]
    if refused is not None:
        raise RunError(f"process {worker.rank + 1} of {worker.count} stops, because the first one could not begin.")
    return made if made is not None else Run.open(path)


def shares(batches: int, shards: int) -> list[range]:
    """The batches of each shard: neighbours, and as equal in number as can be."""
    return [range(i * batches // shards, (i + 1) * batches // shards) for i in range(shards)]


def name(shard: int, shards: int) -> str:
    """A shard's file in the run, without ending; shards count from 0, their names from 1."""
    return f"{FOLDER}/{shard + 1}-of-{shards}"


def save(run: Run, shard: int, shards: int, state: State) -> None:
    """Replace the shard's state, whole."""
    words = {"done": state.done, "total": state.total, "skipped": state.skipped, "seconds": state.seconds}
    arrays = {"state": np.frombuffer(json.dumps(words).encode(), np.uint8)}
    if state.mined is not None:
        arrays |= state.mined.to_arrays()
    run.save_arrays(name(shard, shards), arrays)


def read(run: Run, shard: int, shards: int) -> State | None:
    """The shard's state, or None if it was never written.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    if not run.has(name(shard, shards)):
        return None
    arrays = run.arrays(name(shard, shards))
    try:
        words = json.loads(arrays.pop("state").tobytes())
        state = State(words["done"], words["total"], None, [(i, why) for i, why in words["skipped"]], words["seconds"])
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{run.path}/{name(shard, shards)}.safetensors is damaged ({error}): delete it, and this shard is redone."
        ) from error
    if arrays:
        state.mined = TopActivations.from_arrays(arrays)
    return state


def unfinished(run: Run, shards: int) -> list[tuple[int, State | None]]:
    """Shards that are not done, with their states."""
    found = ((shard, read(run, shard, shards)) for shard in range(shards))
    return [(shard, state) for shard, state in found if state is None or not state.finished]


def states(run: Run, shards: int) -> Iterator[State]:
    """The states of all shards, in order."""
    for shard in range(shards):
        state = read(run, shard, shards)
        if state is None:
            raise RunError(f"{run.path} lacks the state of shard {shard + 1} of {shards}: go on with --resume.")
        yield state


def remove(run: Run) -> None:
    """Delete the states of a finished run; what another process removes at the same time is no matter."""
    folder: Path = run.path / FOLDER
    for path in list(folder.glob("*-of-*.safetensors")):
        path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        return
