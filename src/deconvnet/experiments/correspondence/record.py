"""The record of correspondence (Sec. 4.3, Table 1, Fig. 8): is the same part missed alike in photos? No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from deconvnet.geometry import Box
from deconvnet.runs.directory import Run
from deconvnet.runs.records import from_json, reading

KIND = "correspond"


@dataclass(frozen=True)
class SignChange:
    """One line of Table 1: a part of a group of photos in one layer, and random regions of the same sizes.

    Attributes
    ----------
    group, part, layer : str
    photos : int
    mean, std : float
        Of the Hamming distance between the signs of two photos' feature differences, as a share of the features, over
        pairs of photos; ``std`` is the sample's, over pairs, and 0 for a single pair.
    random_mean, random_std : float
        The same for random regions, over all pairs of regions in two different photos.
    p_value : float
        Two-sided, of the permutation test: how often choosing at random, in each photo, one of its regions (the part
        and the random ones) gives a mean as far out as the part's.
    changed, random_changed : float
        Share of the features that the mask changes at all, mean over photos. Two photos in which little changes differ
        little.
    opposite, random_opposite : float or None
        Of the features that change in both photos of a pair, the share that change in opposite directions; 0.5 is
        chance. None where none does.
    opposite_p : float
        The same permutation test of this share.
    """

    group: str
    part: str
    layer: str
    photos: int
    mean: float
    std: float
    random_mean: float
    random_std: float
    p_value: float
    changed: float
    random_changed: float
    opposite: float | None
    random_opposite: float | None
    opposite_p: float

    @property
    def pairs(self) -> int:
        return self.photos * (self.photos - 1) // 2


@dataclass(frozen=True, eq=False)
class MaskedPhoto:
    """A photo with its parts, as the network sees it; Fig. 8's material.

    Attributes
    ----------
    photo, group : str
    view : ndarray of uint8, (H, W, 3)
    parts : tuple of str
        Parts that were masked.
    boxes : tuple of Box
        Where they lie in the view.
    random : tuple of Box
        One random region for each, the first drawn.
    """

    photo: str
    group: str
    view: npt.NDArray[np.uint8]
    parts: tuple[str, ...]
    boxes: tuple[Box, ...]
    random: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class CorrespondenceRecord:
    """Everything of Table 1 and Figure 8.

    Attributes
    ----------
    network : str
        Its title.
    layers : tuple of str
    fill : str
        What masks are filled with, in words.
    regions : int
        Random regions for each part of each photo.
    permutations, seed : int
    rows : tuple of SignChange
        Group by group, part by part, layer by layer.
    masked : tuple of MaskedPhoto
    covered : ndarray of uint8, (N, H, W, 3)
        The fill's picture of each photo in ``masked``.
    distances : dict of str to ndarray of float64, (n, n)
        ``"group/part/layer"``: each pair's Hamming distance, as a share of the features.
    left_out : tuple of str
        Parts that the network's crop cuts, and so were left out: a sentence each.
    pictures, passes : int
        Pictures run through the network, and in how many forward passes.
    seconds, forward_seconds : float
        All together, and the forward passes alone.
    """

    network: str
    layers: tuple[str, ...]
    fill: str
    regions: int
    permutations: int
    seed: int
    rows: tuple[SignChange, ...]
    masked: tuple[MaskedPhoto, ...]
    covered: npt.NDArray[np.uint8]
    distances: dict[str, npt.NDArray[np.float64]]
    left_out: tuple[str, ...]
    pictures: int
    passes: int
    seconds: float
    forward_seconds: float

    @property
    def groups(self) -> tuple[str, ...]:
        """In the order of the parts file."""
        return tuple(dict.fromkeys(row.group for row in self.rows))

    def row(self, group: str, part: str, layer: str) -> SignChange:
        """One line of the table; `KeyError` if there is none."""
        return {(r.group, r.part, r.layer): r for r in self.rows}[group, part, layer]

    def write(self, run: Run) -> None:
        """Into a run of kind ``"correspond"``: ``correspondence.json`` and ``correspondence.safetensors``."""
        arrays = {f"distances/{name}": each for name, each in self.distances.items()}
        arrays |= {"views": np.stack([each.view for each in self.masked]), "covered": self.covered}
        run.save_arrays("correspondence", arrays)
        run.save_json(
            "correspondence",
            {
                **{name: getattr(self, name) for name in _PLAIN},
                "rows": [vars(row) for row in self.rows],
                "masked": [
                    {
                        "photo": each.photo,
                        "group": each.group,
                        "parts": each.parts,
                        "boxes": [list(box) for box in each.boxes],
                        "random": [list(box) for box in each.random],
                    }
                    for each in self.masked
                ],
            },
        )

    @classmethod
    def read(cls, run: Run) -> Self:
        """What :meth:`write` wrote.

        Raises
        ------
        RunError
            If the run is of another kind, or parts of it are missing or damaged.
        """
        with reading(run, KIND):
            record, arrays = run.json("correspondence"), run.arrays("correspondence")
            plain = {name: from_json(record[name]) for name in _PLAIN}
            views = arrays["views"]
            masked = tuple(_masked(entry, view) for entry, view in zip(record["masked"], views, strict=True))
            distances = {n.removeprefix("distances/"): a for n, a in arrays.items() if n.startswith("distances/")}
            rows = tuple(SignChange(**row) for row in record["rows"])
            return cls(rows=rows, masked=masked, covered=arrays["covered"], distances=distances, **plain)


_PLAIN = tuple(f.name for f in fields(CorrespondenceRecord) if f.name not in ("rows", "masked", "covered", "distances"))


def _masked(entry: dict[str, Any], view: npt.NDArray[np.uint8]) -> MaskedPhoto:
    boxes, random = (tuple(Box(*box) for box in entry[name]) for name in ("boxes", "random"))
    return MaskedPhoto(entry["photo"], entry["group"], view, tuple(entry["parts"]), boxes, random)
