"""What a mining run holds: each map's strongest photos, the photos' names and where the time went. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from deconvnet.mining.record import LayerTop, TopActivations
from deconvnet.runs.record import Record

MINE = "mine"


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that could not be read, and why.

    Attributes
    ----------
    name, why : str
    """

    name: str
    why: str


@dataclass(frozen=True, eq=False)
class MiningRecord(Record):
    """Everything of a mining run but its tiles.

    Attributes
    ----------
    mined : TopActivations
    names : tuple of str, N
        The photos; their places are the indices in ``mined``.
    labels : tuple of int, N
        The class of each photo, as an index into ``classes``; -1 for none.
    classes : tuple of str
    skipped : tuple of SkippedPhoto
    processes : int
        Into how many shards the work was divided.
    seconds : dict of str to float
        Wall time by stage, all processes and sessions added up: ``forward``, ``mining`` (beside it), ``waiting`` (for
        photos), ``preparing`` (of batches, in another thread), ``saving``.
    """

    kind: ClassVar[str] = MINE

    mined: TopActivations
    names: Annotated[tuple[str, ...], "N"]
    labels: Annotated[tuple[int, ...], "N"]
    classes: tuple[str, ...]
    skipped: tuple[SkippedPhoto, ...]
    processes: int
    seconds: dict[str, float]

    def check(self) -> None:
        """Refuse photos and classes that do not exist."""
        for name, top in self.mined.layers.items():
            if top.photos.size and not -1 <= top.photos.min() <= top.photos.max() < len(self.names):
                raise ValueError(f"mined.layers.{name}.photos names a photo beyond the {len(self.names)} there are")
            if top.spread is not None:
                sample = top.spread.sample
                if sample.size and not -1 <= sample.min() <= sample.max() < len(self.names):
                    raise ValueError(f"mined.layers.{name}.spread.sample names a photo that there is not")
                if len(top.spread.class_counts) not in (0, len(self.classes)):
                    raise ValueError(f"mined.layers.{name}.spread is not of {len(self.classes)} classes")
        if self.labels and not -1 <= min(self.labels) <= max(self.labels) < max(len(self.classes), 1):
            raise ValueError(f"labels names a class beyond the {len(self.classes)} that there are")

    def table(self) -> str:
        """Each layer in a line."""
        lines = [f"{self.mined.count} photos, the {self.mined.k} strongest of each map by {self.mined.score}"]
        lines += [layer_line(name, top) for name, top in self.mined.layers.items()]
        return "\n".join(lines)


def layer_line(name: str, top: LayerTop) -> str:
    """A layer in a line: its maps, how many photos activate half of them, and which are dead."""
    dead = top.dead.tolist()
    listed = f": {', '.join(map(str, dead[:16]))}{' ...' if len(dead) > 16 else ''}" if dead else ""
    middle = 100 * float(np.median(top.active_share)) if top.channels else 0.0
    return (
        f"{name:10} {top.channels:5} maps of {top.shape[1]} x {top.shape[2]}, "
        f"half of them active in at least {middle:.3g} % of the photos; {len(dead)} dead{listed}"
    )
