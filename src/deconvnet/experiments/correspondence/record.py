"""The record of correspondence (Sec. 4.3, Table 1, Fig. 8): is the same part missed alike in photos? No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.geometry import Box
from deconvnet.runs.record import Record

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
    view: Annotated[npt.NDArray[np.uint8], "H W 3"]
    parts: Annotated[tuple[str, ...], "B"]
    boxes: Annotated[tuple[Box, ...], "B"]
    random: Annotated[tuple[Box, ...], "B"]


@dataclass(frozen=True, eq=False)
class CorrespondenceRecord(Record):
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

    kind: ClassVar[str] = KIND

    network: str
    layers: tuple[str, ...]
    fill: str
    regions: int
    permutations: int
    seed: int
    rows: tuple[SignChange, ...]
    masked: Annotated[tuple[MaskedPhoto, ...], "N"]
    covered: Annotated[npt.NDArray[np.uint8], "N H W 3"]
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

    def check(self) -> None:
        """Refuse rows and photos that do not fit together."""
        if not self.rows or not self.masked:
            raise ValueError("it holds no row or no photo")
        parts = {(row.group, row.part) for row in self.rows}
        if len({(row.group, row.part, row.layer) for row in self.rows}) != len(parts) * len(self.layers):
            raise ValueError("its rows are not one for each part and layer")
        if any(row.layer not in self.layers for row in self.rows):
            raise ValueError("a row is of a layer that is not among its layers")
        for number, each in enumerate(self.masked):
            if each.view.shape != self.covered.shape[1:]:
                raise ValueError(f"masked[{number}].view has shape {each.view.shape}, not {self.covered.shape[1:]}")

    def table(self) -> str:
        """Table 1 as text: a line for each part and layer."""
        wide = max(len(f"{row.group} {row.part} {row.layer}") for row in self.rows)
        lines = [f"{'':{wide}}   part            random regions        p"]
        for row in self.rows:
            name = f"{row.group} {row.part} {row.layer}"
            own, other = f"{row.mean:.4f} ± {row.std:.4f}", f"{row.random_mean:.4f} ± {row.random_std:.4f}"
            lines.append(f"{name:{wide}}  {own:>15}  {other:>15}  {row.p_value:7.2g}")
        return "\n".join([*lines, *self.left_out])
