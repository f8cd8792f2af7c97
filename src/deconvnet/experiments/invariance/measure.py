"""Figure 5: how far a lower and an upper layer's features move as photos are moved, enlarged and turned.

Command: ``deconvnet invariance NETWORK PHOTO...``; five photos and the paper's three transformations take 376 pictures
through the network. The paper's finding: layer 1 changes dramatically with the smallest transformation, layer 7 slowly
and quasi-linearly for translation and scale; the output is stable to these, and not to rotation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import DataError, ModelError, OptionError
from deconvnet.experiments.invariance.figure import invariance_figure
from deconvnet.experiments.invariance.record import KIND, InvarianceRecord, TransformationCurve
from deconvnet.experiments.invariance.transformations import PAPER, TransformablePhoto, Transformation, parse_all
from deconvnet.features.responses import checked_layers, paper_layers, responses
from deconvnet.networks import Network
from deconvnet.networks.classes import class_index
from deconvnet.progress import Progress, report
from deconvnet.runs.results import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Invariance(InvarianceRecord, RunResult):
    """What was found, with its figure; a notebook shows that."""

    kind: ClassVar[str] = KIND

    def __repr__(self) -> str:
        names = ", ".join(course.name for course in self.courses)
        return f"Invariance({self.network}: {len(self.photos)} photos, {names}; layers {', '.join(self.layers)})"

    def plot(self, title: str | None = None) -> Figure:
        """The paper's Figure 5."""
        return invariance_figure(self, title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        steps = {course.name: course.values for course in self.courses}
        settings = {"layers": self.layers, "transformations": steps, "fill": self.fill}
        given = {"network": self.network, "photos": self.photos}
        return settings, given


def measure_invariance(
    network: Network,
    photos: PhotosLike,
    *,
    names: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    transformations: Sequence[str] = PAPER,
    labels: Sequence[str | None] | str | None = None,
    fill: str = "mean",
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Invariance:
    """Measure how far features and the class's probability move as photos are transformed.

    Parameters
    ----------
    network : Network
    photos : photos
        A path, PIL images or uint8 arrays (H, W, 3), one or several.
    names : sequence of str, optional
        The photos' names; ``a/b/c.jpg`` is of class ``b`` if the network has such a class.
    layers : sequence of str, optional
        Unless given, the counterparts of the paper's layers 1 and 7: see
        :class:`deconvnet.features.responses.PaperLayers`. A module's own output counts, before a ReLU that follows.
    transformations : sequence of str
        Each as :meth:`deconvnet.experiments.invariance.transformations.Transformation.parse` reads it.
    labels : str, or sequence of str or None, optional
        Each photo's class, or one for all. Unless given, the class whose name the photo's folder bears, or else the
        predicted one.
    fill : str
        What lies beyond a photo; see :class:`deconvnet.experiments.invariance.transformations.TransformablePhoto`.
    batch_size : int
        Pictures a forward pass; a pass serves all layers and the probabilities.
    progress : Progress, optional
        Counts pictures.

    Returns
    -------
    Invariance

    Raises
    ------
    DataError
        If there is no photo, or all have the same features.
    UnknownNameError
        If a layer or class does not exist.
    OptionError
        If a transformation, fill or batch size is none.
    ModelError
        If a layer's features cannot be compared, or never change.
    """
    started = time.perf_counter()
    photos = as_photos(photos, names)
    if not len(photos):
        raise DataError("there is no photo to transform: give at least one.")
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, not {batch_size}.")
    names = photos.names
    given = _given_labels(network, labels, len(photos))
    if layers is None:
        found = paper_layers(network)
        layers = (found.first, found.last)
    layers = checked_layers(network, layers)
    kinds = parse_all(transformations, network.preprocessing.input_size)
    measured = _Measured(network, layers, batch_size)
    total = len(photos) * (1 + sum(value != kind.identity for kind in kinds for value in kind.values))
    rows: list[_Photo] = []
    for index, (name, label) in enumerate(zip(names, given, strict=True)):
        photo = TransformablePhoto(network, photos.read(index), fill)
        rows.append(measured.photo(photo, kinds, name, label))
        report(progress, measured.pictures, total, "transforming photos")
    _refuse_constant(layers, rows)
    courses = tuple(_course(kind, number, rows) for number, kind in enumerate(kinds))
    return Invariance(
        network.title,
        layers,
        names,
        tuple(row.label for row in rows) if network.classes else (),
        tuple(row.source for row in rows) if network.classes else (),
        fill,
        np.stack([row.view for row in rows]),
        courses,
        np.array([[float(row.base[layer].double().norm()) for row in rows] for layer in layers], np.float64),
        _apart(layers, rows),
        np.array([row.baseline for row in rows]) if network.classes else np.zeros(0),
        measured.pictures,
        measured.passes,
        time.perf_counter() - started,
        measured.seconds,
    )


@dataclass(frozen=True, eq=False)
class _Photo:
    """One photo's numbers: those of each transformation in their order."""

    view: npt.NDArray[np.uint8]
    label: str
    source: str
    baseline: float
    base: dict[str, Tensor]  # (F,) by layer
    distances: list[npt.NDArray[np.float64]]  # (L, S)
    probabilities: list[npt.NDArray[np.float64]]  # (S,)
    filled: list[npt.NDArray[np.float64]]
    examples: list[npt.NDArray[np.uint8]]  # (E, H, W, 3)


class _Measured:
    """Runs pictures through the network in batches, and counts them."""

    def __init__(self, network: Network, layers: tuple[str, ...], batch_size: int) -> None:
        self._network, self._layers, self._batch_size = network, layers, batch_size
        self.pictures = self.passes = 0
        self.seconds = 0.0

    def photo(self, photo: TransformablePhoto, kinds: Sequence[Transformation], name: str, label: int | None) -> _Photo:
        """All steps of one photo. The photo itself is the first picture, and stands for every identity."""
        places = [(k, s) for k, kind in enumerate(kinds) for s, v in enumerate(kind.values) if v != kind.identity]
        distances = [np.zeros((len(self._layers), len(kind.values))) for kind in kinds]
        filled = [np.zeros(len(kind.values)) for kind in kinds]
        examples = [np.repeat(photo.view[None], len(_shown(kind)), 0) for kind in kinds]
        spread: list[npt.NDArray[np.float64]] = []

        def pictures() -> Iterator[npt.NDArray[np.uint8]]:
            yield photo.view
            for k, s in places:
                picture, filled[k][s] = photo.at(kinds[k].name, kinds[k].values[s])
                for e, shown in enumerate(_shown(kinds[k])):
                    if shown == s:
                        examples[k][e] = picture
                yield picture

        base: dict[str, Tensor] = {}
        done = 0
        for batch in _batches(pictures(), self._batch_size):
            features, output = self._run(batch)
            if not base:
                base = {layer: features[layer][0].clone() for layer in self._layers}
            for number, layer in enumerate(self._layers):
                far = (features[layer].double() - base[layer].double()).norm(dim=1).numpy()
                for offset, distance in enumerate(far):
                    if done + offset:
                        k, s = places[done + offset - 1]
                        distances[k][number, s] = distance
            if self._network.classes:
                spread.append(output.double().softmax(1).numpy())
            done += len(batch)
        index, source = self._label(spread, name, label)
        column = np.concatenate(spread)[:, index] if spread else np.zeros(0)
        probabilities = [np.full(len(kind.values) if spread else 0, column[0] if spread else 0.0) for kind in kinds]
        for (k, s), value in zip(places, column[1:], strict=False):
            probabilities[k][s] = value
        word = self._network.classes[index] if spread else ""
        start = float(column[0]) if spread else float("nan")
        return _Photo(photo.view, word, source, start, base, distances, probabilities, filled, examples)

    def _run(self, views: list[npt.NDArray[np.uint8]]) -> tuple[dict[str, Tensor], Any]:
        batch = self._network.preprocessing.tensor(views)
        began = time.perf_counter()
        found = responses(self._network, batch, self._layers)
        self.seconds += time.perf_counter() - began
        self.pictures += len(views)
        self.passes += 1
        return found

    def _label(self, spread: list[npt.NDArray[np.float64]], name: str, label: int | None) -> tuple[int, str]:
        classes = self._network.classes
        if not spread:
            return -1, ""
        if label is not None:
            return label, "given"
        folder = name.replace("\\", "/").split("/")[-2:-1]
        if folder and folder[0] in classes:
            return classes.index(folder[0]), "folder"
        return int(spread[0][0].argmax()), "predicted"


def _given_labels(network: Network, labels: Sequence[str | None] | str | None, count: int) -> list[int | None]:
    given = [labels] * count if labels is None or isinstance(labels, str) else list(labels)
    if len(given) == 1:
        given = given * count
    if len(given) != count:
        raise OptionError(f"{len(given)} classes were given for {count} photos: give one for all, or one for each.")
    return [None if label is None else class_index(network.classes, label, network.title) for label in given]


def _batches(pictures: Iterator[npt.NDArray[np.uint8]], size: int) -> Iterator[list[npt.NDArray[np.uint8]]]:
    batch: list[npt.NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _shown(kind: Transformation) -> tuple[int, ...]:
    """Steps whose pictures are kept: the first, the one in the middle, and the last."""
    last = len(kind.values) - 1
    return tuple(dict.fromkeys((0, (last + 1) // 2, last)))


def _refuse_constant(layers: tuple[str, ...], rows: Sequence[_Photo]) -> None:
    for number, layer in enumerate(layers):
        if not any(each[number].any() for row in rows for each in row.distances):
            raise ModelError(
                f"the features of layer {layer!r} are the same for every transformed photo, so there is no distance to "
                "draw: choose another layer, or check the photos and the weights."
            )


def _apart(layers: tuple[str, ...], rows: Sequence[_Photo]) -> npt.NDArray[np.float64]:
    """Mean distance between two different photos, by layer."""
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[:i]]
    if not pairs:
        return np.full(len(layers), np.nan)
    apart = np.array(
        [np.mean([float((a.base[n].double() - b.base[n].double()).norm()) for a, b in pairs]) for n in layers],
        np.float64,
    )
    if not apart.all():
        same = layers[int(apart.argmin())]
        raise DataError(f"all {len(rows)} photos have the same features in layer {same!r}: give different photos.")
    return apart


def _course(kind: Transformation, number: int, rows: Sequence[_Photo]) -> TransformationCurve:
    return TransformationCurve(
        kind.name,
        kind.title,
        kind.unit,
        kind.identity,
        np.array(kind.values),
        np.stack([row.distances[number] for row in rows], axis=1),
        np.stack([row.probabilities[number] for row in rows]),
        np.stack([row.filled[number] for row in rows]),
        np.stack([row.examples[number] for row in rows]),
        np.array([kind.values[s] for s in _shown(kind)]),
    )
