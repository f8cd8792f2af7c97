"""The record of occlusion (Sec. 4.2, Fig. 7): what a network answered with each part of a photo covered. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from deconvnet.errors import OptionError
from deconvnet.experiments.occlusion.faithfulness_record import CURVES, Faithfulness
from deconvnet.geometry import Box
from deconvnet.perturbations.record import Fill
from deconvnet.runs.record import Record
from deconvnet.runs.units import Unit

KIND = "occlude"
BORDERS = ("inside", "cut", "partial")
"""Where squares may lie; see `Grid`."""
SCORES = ("probability", "logit")
"""What a map of a class shows: its probability, or its score before the softmax."""
STRONGEST = ("max", "sum")
"""What makes a feature map the strongest in the photo: its largest value, as in mining, or its total activity."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions of an occluding rectangle on a photo; make one with :meth:`of`.

    Attributes
    ----------
    photo : (int, int)
        Height and width of the photo in pixels, as the network sees it.
    size : (int, int)
        Height and width of the rectangle.
    stride : (int, int)
        Steps down and to the right.
    border : {"inside", "cut", "partial"}
        ``"inside"``: the rectangle's upper left corner goes 0, stride, 2 strides, ... as long as all of it lies in
        the photo; where the last one stops short of the far edge, one more touches it, so that no border is left out.
        ``"cut"``: as Captum's ``Occlusion``: that last one starts a whole stride on and is cut at the edge.
        ``"partial"``: the rectangle's centre goes over the photo from edge to edge (pixels 0, stride, 2 strides, ...
        and the last); what leaves the photo covers nothing.
    tops, lefts : ndarray of int64, (R,) and (K,)
        Rows and columns of the rectangle's upper left corner, ascending; below 0 where it leaves the photo.
    """

    photo: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    border: Literal["inside", "cut", "partial"]
    tops: Annotated[npt.NDArray[np.int64], "R"]
    lefts: Annotated[npt.NDArray[np.int64], "K"]

    def check(self) -> None:
        """Refuse positions of a rectangle that no rule gives."""
        if min(*self.photo, *self.size, *self.stride) < 1 or max(self.photo) > 100_000:
            raise ValueError(
                f"a {_sides(self.size)} px square, stride {_sides(self.stride)}, on {_sides(self.photo)} px"
            )
        for name, starts, axis in (("tops", self.tops, 0), ("lefts", self.lefts, 1)):
            low, high = -self.size[axis], self.photo[axis] + self.size[axis]
            if not len(starts) or (np.diff(starts) <= 0).any() or starts[0] < low or starts[-1] > high:
                raise ValueError(f"{name} are not the ascending starts of squares on the photo")

    @classmethod
    def of(
        cls,
        photo: tuple[int, int],
        size: int | tuple[int, int],
        stride: int | tuple[int, int],
        border: str = "inside",
    ) -> Grid:
        """The positions on a photo of so many pixels.

        Parameters
        ----------
        photo : (int, int)
            Height and width.
        size, stride : int or (int, int)
            In pixels; a pair is height, width.
        border : {"inside", "cut", "partial"}

        Raises
        ------
        OptionError
            If size or stride is less than 1, the rectangle is larger than the photo, or the border rule is unknown.
        """
        if border not in BORDERS:
            raise OptionError(f"border is one of {', '.join(BORDERS)}, not {border!r}.")
        size, stride = _pair(size), _pair(stride)
        for name, pair in (("size", size), ("stride", stride)):
            if min(pair) < 1:
                raise OptionError(f"{name} must be at least 1 px, not {_sides(pair)}.")
        if size[0] > photo[0] or size[1] > photo[1]:
            raise OptionError(
                f"a rectangle of {_sides(size)} px does not fit into the {_sides(photo)} px that the network sees: "
                "choose a smaller size."
            )
        tops, lefts = (_starts(photo[axis], size[axis], stride[axis], border) for axis in (0, 1))
        return cls(photo, size, stride, border, tops, lefts)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def shape(self) -> tuple[int, int]:
        """Positions down and across, R and K."""
        return len(self.tops), len(self.lefts)

    @property
    def windows(self) -> npt.NDArray[np.int64]:
        """Every rectangle, row by row, int64 (R * K, 4): top, left, bottom, right; may leave the photo."""
        tops, lefts = (each.ravel() for each in np.meshgrid(self.tops, self.lefts, indexing="ij"))
        return np.stack([tops, lefts, tops + self.size[0], lefts + self.size[1]], axis=1)

    @property
    def centres(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The rectangle's centre, down and across, in pixels from the photo's upper left corner."""
        rows, columns = (np.asarray(each, np.float64) for each in (self.tops, self.lefts))
        return rows + self.size[0] / 2, columns + self.size[1] / 2

    @property
    def about(self) -> str:
        """The grid in words."""
        return (
            f"square {_sides(self.size)} px, stride {_sides(self.stride)} px, border {self.border}: "
            f"{self.shape[0]} x {self.shape[1]} positions"
        )

    def every(self, step: int) -> Grid:
        """Each ``step``-th position down and across, from the first on."""
        return replace(self, tops=self.tops[::step], lefts=self.lefts[::step])

    def cells(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """To which position's cell each pixel of the photo belongs, down (H,) and across (W,); -1 outside of all.

        A cell reaches half-way to the neighbours' centres; the outermost as far out as in, and half a stride at least.
        """
        rows, columns = (
            _nearest(centres, length, stride)
            for centres, length, stride in zip(self.centres, self.photo, self.stride, strict=True)
        )
        return rows, columns

    def paint(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """A map by position, (R, K), drawn where the rectangle's centre was, (H, W); NaN outside of all cells."""
        rows, columns = self.cells()
        painted = np.asarray(values, np.float64)[rows[:, None], columns[None, :]]
        painted[(rows < 0)[:, None] | (columns < 0)[None, :]] = np.nan
        return painted

    def per_pixel(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """For each pixel, the mean of ``values`` (R, K) over the rectangles that cover it: (H, W).

        NaN where none does. That is how Captum's ``Occlusion`` makes a map of pixels; the paper maps positions.
        """
        height, width = self.photo
        places = np.clip(self.windows, 0, [height, width, height, width])
        total, count = np.zeros((height + 1, width + 1)), np.zeros((height + 1, width + 1))
        for target, amount in ((total, np.asarray(values, np.float64).ravel()), (count, np.ones(len(places)))):
            for row, column, sign in ((0, 1, 1), (0, 3, -1), (2, 1, -1), (2, 3, 1)):
                np.add.at(target, (places[:, row], places[:, column]), sign * amount)
        total, count = (each.cumsum(0).cumsum(1)[:-1, :-1] for each in (total, count))
        return np.where(count > 0.5, total / np.maximum(count, 1), np.nan)

    def inside(self, image: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The sum of an image (H, W) inside each rectangle, (R, K)."""
        height, width = self.photo
        table = np.zeros((height + 1, width + 1))
        table[1:, 1:] = np.asarray(image, np.float64).cumsum(0).cumsum(1)
        top, left, bottom, right = np.clip(self.windows, 0, [height, width, height, width]).T
        sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        return sums.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """The network's answers to one photo covered at every position of a grid by one fill: all classes, all maps.

    Attributes
    ----------
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network saw.
    classes : tuple of str
    layer : str
        The layer whose feature maps were recorded.
    fill : Fill
    grid : Grid
        R positions down and K across.
    logits : ndarray of float32, (R, K, classes)
        Class scores before the softmax.
    sums, maxima : ndarray of float32, (R, K, maps)
        Of each feature map of the layer: its total activity (the sum of its positive part), and its largest value.
    clean_logits, clean_sums, clean_maxima : ndarray of float32, (classes,), (maps,), (maps,)
        The same for the photo itself.
    precision : {"exact", "fast"}
    step : int
        1 for the whole grid; on the way there, each ``step``-th of its positions.
    """

    view: Annotated[npt.NDArray[np.uint8], "H W 3"]
    classes: Annotated[tuple[str, ...], "classes"]
    layer: str
    fill: Fill
    grid: Grid
    logits: Annotated[npt.NDArray[np.float32], "R K classes"]
    sums: Annotated[npt.NDArray[np.float32], "R K maps"]
    maxima: Annotated[npt.NDArray[np.float32], "R K maps"]
    clean_logits: Annotated[npt.NDArray[np.float32], "classes"]
    clean_sums: Annotated[npt.NDArray[np.float32], "maps"]
    clean_maxima: Annotated[npt.NDArray[np.float32], "maps"]
    precision: str = "exact"
    step: int = 1

    def check(self) -> None:
        """Refuse answers that are not of the grid's positions, and pictures that are not of one size."""
        if self.logits.shape[:2] != self.grid.shape:
            raise ValueError(f"logits has shape {self.logits.shape} for {_sides(self.grid.shape)} positions")
        for name, picture in (("view", self.view), ("fill.picture", self.fill.picture)):
            if picture.shape[:2] != self.grid.photo:
                raise ValueError(f"{name} has shape {picture.shape} for a photo of {_sides(self.grid.photo)} px")

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Class probabilities by position, float32 (R, K, classes)."""
        return _softmax(self.logits)

    @property
    def clean_probabilities(self) -> npt.NDArray[np.float32]:
        """Class probabilities of the photo itself, float32 (classes,)."""
        return _softmax(self.clean_logits)

    @property
    def predicted(self) -> int:
        """The most probable class of the photo itself."""
        return int(self.clean_logits.argmax())

    @property
    def most_probable(self) -> npt.NDArray[np.int64]:
        """The most probable class by position, (R, K): Fig. 7(e)."""
        return self.logits.argmax(-1)

    def score(self, label: int, score: str = "probability") -> npt.NDArray[np.float32]:
        """A class's probability or logit by position, (R, K): Fig. 7(d)."""
        return (self.probabilities if _known(score) == "probability" else self.logits)[..., label]

    def clean_score(self, label: int, score: str = "probability") -> float:
        """The same for the photo itself."""
        return float((self.clean_probabilities if _known(score) == "probability" else self.clean_logits)[label])

    def drop(self, label: int, score: str = "probability") -> npt.NDArray[np.float64]:
        """How far covering lowers a class's score, by position, (R, K); negative where it raises it."""
        return self.clean_score(label, score) - self.score(label, score).astype(np.float64)

    def per_pixel(self, label: int, score: str = "probability") -> npt.NDArray[np.float64]:
        """For each pixel, the mean :meth:`drop` over the rectangles that cover it, (H, W); NaN where none does."""
        return self.grid.per_pixel(self.drop(label, score))

    def strongest(self, by: str = "max") -> int:
        """The feature map with the strongest response to the photo itself (ties: the lower channel).

        The paper does not say whether it means the sum or the maximum (Sec. 4.2).
        """
        if by not in STRONGEST:
            raise OptionError(f"the strongest map is told by {' or '.join(STRONGEST)}, not {by!r}.")
        return int((self.clean_sums if by == "sum" else self.clean_maxima).argmax())


@dataclass(frozen=True, eq=False)
class ProjectionRecord:
    """One projection of the feature map, Fig. 7(c).

    Attributes
    ----------
    photo : str
        The photo's name.
    unit : Unit
        With its position.
    activation : float
    box : Box
        Receptive field in the photo; may leave it.
    pixels : ndarray of float32, (C, h, w)
        The projection, cut to the box.
    """

    photo: str
    unit: Unit
    activation: float
    box: Box
    pixels: Annotated[npt.NDArray[np.float32], "_ h w"]

    def check(self) -> None:
        """Refuse pixels that do not fill the box."""
        if self.pixels.shape[1:] != (self.box.height, self.box.width):
            raise ValueError(f"pixels has shape {self.pixels.shape} for a box of {self.box.height} x {self.box.width}")


@dataclass(frozen=True, eq=False)
class OccludedPhoto:
    """Everything of Figure 7 for one photo.

    Attributes
    ----------
    name : str
    label : int
        The class whose score is shown.
    given : bool
        Whether that class was named; else it is the predicted one.
    channel : int
        The feature map that is shown.
    maps : tuple of OcclusionMap
        One for each fill, on one grid.
    projections : tuple of ProjectionRecord
        The feature map in this photo first, then in others; empty where there is none.
    unprojected : str
        Why there is no projection; empty where there is one.
    """

    name: str
    label: int
    given: bool
    channel: int
    maps: tuple[OcclusionMap, ...]
    projections: tuple[ProjectionRecord, ...] = ()
    unprojected: str = ""

    def check(self) -> None:
        """Refuse a class or a map that does not exist, and maps of different grids."""
        if not self.maps:
            raise ValueError("maps has no entry")
        first = self.maps[0]
        if not 0 <= self.label < len(first.classes):
            raise ValueError(f"label is {self.label} of {len(first.classes)} classes")
        if not 0 <= self.channel < len(first.clean_sums):
            raise ValueError(f"channel is {self.channel} of {len(first.clean_sums)} maps")
        for number, found in enumerate(self.maps[1:], start=1):
            shapes = [(each.logits.shape, each.sums.shape, each.grid.photo) for each in (first, found)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"maps[{number}] is not of the positions, classes and maps of the first")

    @property
    def label_name(self) -> str:
        return self.maps[0].classes[self.label]

    @property
    def unit(self) -> Unit:
        """The feature map's address."""
        return Unit(self.maps[0].layer, self.channel)

    def agreement(self, fill: int = 0) -> float | None:
        """Rank correlation, over positions, of the feature map's loss of activity with what the square covers of its
        projection (the sum of its squares): how well Fig. 7(b) and (c) agree. None where either is constant.
        """
        if not self.projections:
            return None
        own, found = self.projections[0], self.maps[fill]
        energy = np.zeros(found.grid.photo)
        inside = own.box.clip(*found.grid.photo)
        part = own.pixels[
            :,
            inside.top - own.box.top : inside.bottom - own.box.top,
            inside.left - own.box.left : inside.right - own.box.left,
        ]
        energy[inside.top : inside.bottom, inside.left : inside.right] = (part.astype(np.float64) ** 2).sum(0)
        loss = found.clean_sums[self.channel] - found.sums[..., self.channel]
        return rank_correlation(found.grid.inside(energy), loss)


def rank_correlation(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float | None:
    """Spearman's correlation of two maps of one shape, -1 to 1; None where either is constant."""
    ranks = [_ranks(np.ravel(each)) for each in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


@dataclass(frozen=True, eq=False)
class OcclusionRecord(Record):
    """Figure 7 for some photos, and how well its maps tell where the class is.

    Attributes
    ----------
    title : str
        The network's.
    photos : tuple of OccludedPhoto
    faithfulness : tuple of Faithfulness
        Deletion and insertion curves, where they were asked for.
    score : {"probability", "logit"}
        What the figure shows of a class.
    """

    kind: ClassVar[str] = KIND

    title: str
    photos: tuple[OccludedPhoto, ...]
    faithfulness: tuple[Faithfulness, ...] = ()
    score: Literal["probability", "logit"] = "probability"

    def check(self) -> None:
        """Refuse an occlusion of nothing, and photos on different squares."""
        if not self.photos:
            raise ValueError("it holds no photo")
        grids = {
            (photo.maps[0].grid.size, photo.maps[0].grid.stride, photo.maps[0].grid.photo) for photo in self.photos
        }
        if len(grids) > 1:
            raise ValueError("its photos are covered by squares of different sizes or strides")

    def table(self) -> str:
        """For each photo and fill, the class's probability at the worst position and what wins there."""
        lines = [self.photos[0].maps[0].grid.about]
        for photo in self.photos:
            for number, found in enumerate(photo.maps):
                scores = found.score(photo.label)
                worst = np.unravel_index(int(scores.argmin()), scores.shape)
                winner = found.classes[int(found.most_probable[worst])]
                agreement = photo.agreement(number)
                agrees = "" if agreement is None else f"; {photo.unit} and its projection agree to {agreement:.2f}"
                lines.append(
                    f"{photo.name}, {found.fill.about}: {photo.label_name} {found.clean_score(photo.label):.1%}, at "
                    f"worst {scores.min():.1%} ({winner}){agrees}"
                )
        for one in self.faithfulness:
            for curve in CURVES:
                orders = one.deletion if curve == "deletion" else one.insertion
                areas = ", ".join(f"{order} {one.area(curve, order).mean():.3f}" for order in orders)
                lines.append(f"{one.photo}, {one.label}, {one.fill}: area of {curve} {areas}")
        return "\n".join(lines)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _sides(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _starts(length: int, size: int, stride: int, border: str) -> npt.NDArray[np.int64]:
    """First cells of the windows along one axis."""
    if border == "partial":
        centres = list(range(0, length, stride))
        if centres[-1] != length - 1:
            centres.append(length - 1)
        return np.array(centres, np.int64) - size // 2
    last = length - size
    starts = list(range(0, last + 1, stride))
    if starts[-1] != last:
        starts.append(last if border == "inside" else starts[-1] + stride)
    return np.array(starts, np.int64)


def _nearest(centres: npt.NDArray[np.float64], length: int, stride: int) -> npt.NDArray[np.int64]:
    """For each of ``length`` pixels along one axis, the index of its cell, or -1."""
    middles = (centres[1:] + centres[:-1]) / 2
    first = centres[0] - max([stride / 2, *(middles[:1] - centres[0])])
    last = centres[-1] + max([stride / 2, *(centres[-1] - middles[-1:])])
    pixels = np.arange(length) + 0.5
    found = np.searchsorted(middles, pixels, side="right")
    return np.where((pixels < first) | (pixels > last), -1, found)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return (shifted / shifted.sum(-1, keepdims=True)).astype(np.float32)


def _known(score: str) -> str:
    if score not in SCORES:
        raise OptionError(f"score is one of {', '.join(SCORES)}, not {score!r}.")
    return score


def _ranks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return np.take(last - (counts + 1) / 2, place)
