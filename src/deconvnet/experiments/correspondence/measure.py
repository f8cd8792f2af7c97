"""Table 1 and Figure 8: does masking the same part in several photos change the features alike?

Command: ``deconvnet correspond NETWORK [PARTS.csv] --data FOLDER``. The paper masks the right eye, the left eye and the
nose in five frontal dog photos: mean feature sign change 0.067, 0.069 and 0.079 in layer 5 against 0.107 for random
regions; 0.069, 0.068, 0.069 against 0.073 in layer 7, where the gap is within one standard deviation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deconvnet.data import Photos
from deconvnet.errors import DataError, ModelError, OptionError, UnknownNameError
from deconvnet.experiments.correspondence.figure import correspondence_figure
from deconvnet.experiments.correspondence.parts import Part, check_inside, view_box, visible
from deconvnet.experiments.correspondence.record import KIND, CorrespondenceRecord, MaskedPhoto, SignChange
from deconvnet.experiments.correspondence.sign_changes import compare, permutation_test
from deconvnet.features.responses import checked_layers, paper_layers, responses
from deconvnet.geometry import Box
from deconvnet.networks import Network
from deconvnet.perturbations.fills import make_fill
from deconvnet.progress import Progress, report
from deconvnet.runs.results import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOGETHER = "all photos"
ROUNDING = 1e-5  # of the photo's largest feature; smaller changes count as none


@dataclass(frozen=True, eq=False, repr=False)
class Correspondence(CorrespondenceRecord, RunResult):
    """What was found, with its figure; a notebook shows that."""

    kind: ClassVar[str] = KIND

    def __repr__(self) -> str:
        return f"Correspondence({self.network}: {len(self.masked)} photos in {', '.join(self.groups)})"

    def plot(self, title: str | None = None) -> Figure:
        """Masked photos as in Figure 8, and Table 1 drawn."""
        return correspondence_figure(self, title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        names = ("layers", "fill", "regions", "permutations", "seed")
        given = {"network": self.network, "photos": [each.photo for each in self.masked]}
        return {name: getattr(self, name) for name in names}, given


def correspond(
    network: Network,
    parts: Sequence[Part],
    photos: Photos | Mapping[str, npt.NDArray[np.uint8]],
    *,
    layers: Sequence[str] | None = None,
    fill: str = "mean",
    regions: int = 10,
    permutations: int = 9999,
    seed: int = 0,
    together: bool = False,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Correspondence:
    """Mask parts and random regions, and compare the signs of the features' changes between photos.

    For each photo i and region, eps_i = x_i - x~_i is the difference of a layer's features, whole less masked photo
    (Sec. 4.3). The distance of two photos is the share of features in which sign(eps_i) and sign(eps_j) differ, sign(0)
    being 0. Changes below 1e-5 of the photo's largest feature are rounding, and count as 0.

    Parameters
    ----------
    network : Network
    parts : sequence of Part
        What :func:`deconvnet.experiments.correspondence.parts.read_parts` returns.
    photos : Photos, or mapping of str to uint8 array (H, W, 3)
        Where the parts' photos are found by name.
    layers : sequence of str, optional
        Unless given, the counterparts of the paper's layers 5 and 7: see
        :class:`deconvnet.features.responses.PaperLayers`. A module's own output counts, before a ReLU that follows.
    fill : str
        What masks a region, as :func:`deconvnet.perturbations.fills.make_fill` takes it.
    regions : int
        Random regions for each part of each photo: of the part's size, evenly distributed over what the network sees.
    permutations, seed : int
        Of the permutation test; the seed also draws the regions.
    together : bool
        Pair photos of all folders; else only those of one folder (class).
    batch_size : int
        Pictures a forward pass; a pass serves all layers.
    progress : Progress, optional
        Counts pictures.

    Returns
    -------
    Correspondence

    Raises
    ------
    DataError
        If a photo is unknown or cannot be read, a box leaves its photo, or a part is left with one photo.
    UnknownNameError
        If a layer does not exist.
    OptionError
        If an option is out of range.
    ModelError
        If no mask changes a layer's features.
    """
    started = time.perf_counter()
    for name, value, least in (
        ("regions", regions, 1),
        ("permutations", permutations, 1),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise OptionError(f"{name} must be at least {least}, not {value}.")
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    if layers is None:
        found = paper_layers(network)
        layers = (found.maps, found.last)
    layers = checked_layers(network, layers)
    seen, left_out = _look_up(network, parts, photos, regions, seed, together)
    groups = _group(seen, left_out)
    covers = [make_fill(network, photo.view, fill, _size(photo)) for photo in seen]
    measured = _PartEffects(network, layers, batch_size, regions, progress)
    measured.total = len(seen) + sum(len(photo.boxes) * (1 + regions) for photo in seen)
    clean = measured.clean([photo.view for photo in seen])
    rows: list[SignChange] = []
    distances: dict[str, npt.NDArray[np.float64]] = {}
    for (group, part), members in groups.items():
        signs = measured.signs([seen[i] for i in members], [covers[i][1] for i in members], part, clean, members)
        for layer in layers:
            row, pairs = _row(group, part, layer, signs[layer], permutations, seed)
            rows.append(row)
            distances[f"{group}/{part}/{layer}"] = pairs
    for layer in layers:
        if not any(row.changed or row.random_changed for row in rows if row.layer == layer):
            raise ModelError(
                f"no mask changes the features of layer {layer!r}, so there are no signs to compare: choose another "
                "layer or fill, or check the weights."
            )
    return Correspondence(
        network.title,
        layers,
        covers[0][0].about,
        regions,
        permutations,
        seed,
        tuple(rows),
        tuple(photo.record() for photo in seen),
        np.stack([cover.picture for cover, _ in covers]),
        distances,
        tuple(left_out),
        measured.pictures,
        measured.passes,
        time.perf_counter() - started,
        measured.seconds,
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """A photo as the network sees it, with the boxes of its parts and of their random regions."""

    photo: str
    group: str
    view: npt.NDArray[np.uint8]
    boxes: dict[str, Box]
    random: dict[str, list[Box]]

    def record(self) -> MaskedPhoto:
        first = tuple(boxes[0] for boxes in self.random.values())
        return MaskedPhoto(self.photo, self.group, self.view, tuple(self.boxes), tuple(self.boxes.values()), first)


def _look_up(
    network: Network,
    parts: Sequence[Part],
    photos: Photos | Mapping[str, npt.NDArray[np.uint8]],
    regions: int,
    seed: int,
    together: bool,
) -> tuple[list[_Seen], list[str]]:
    """Each photo once, in the parts' order, and what had to be left out."""
    if not parts:
        raise DataError("no part is marked: give at least two photos of one.")
    names = photos.names if isinstance(photos, Photos) else tuple(photos)
    place = {name: i for i, name in enumerate(names)}
    of_photo: dict[str, list[Part]] = {}
    for part in parts:
        if part.photo not in place:
            raise UnknownNameError("photo", part.photo, names, "The parts file names photos by their path in the data.")
        of_photo.setdefault(part.photo, []).append(part)
    if len(of_photo) < 2:
        raise DataError(f"parts of a single photo are marked ({next(iter(of_photo))}): a pair needs two.")
    seen: list[_Seen] = []
    left_out: list[str] = []
    p = network.preprocessing
    for number, (name, marked) in enumerate(of_photo.items()):
        pixels = photos.read(place[name]) if isinstance(photos, Photos) else photos[name]
        height, width = pixels.shape[:2]
        check_inside(marked, height, width)
        boxes: dict[str, Box] = {}
        for part in marked:
            box = view_box(p, height, width, part.box)
            if visible(p, box):
                boxes[part.part] = box
            else:
                left_out.append(f"{part} lies outside of the centre crop that {network.name} sees, or is cut by it")
        generator = np.random.default_rng([seed, number])
        random = {
            part: [_anywhere(box, p.border, p.input_size, generator) for _ in range(regions)]
            for part, box in boxes.items()
        }
        group = TOGETHER if together else name.rpartition("/")[0].rpartition("/")[2] or TOGETHER
        if boxes:
            seen.append(_Seen(name, group, network.view(pixels), boxes, random))
    return seen, left_out


def _anywhere(box: Box, edge: int, side: int, generator: np.random.Generator) -> Box:
    """A box of the same size, evenly distributed over the crop."""
    top = int(generator.integers(edge, side - edge - box.height + 1))
    left = int(generator.integers(edge, side - edge - box.width + 1))
    return Box(top, left, top + box.height, left + box.width)


def _group(seen: Sequence[_Seen], left_out: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """Indices of the photos of each group and part; refused where a part has one photo."""
    groups: dict[tuple[str, str], list[int]] = {}
    for group in dict.fromkeys(photo.group for photo in seen):
        members = [i for i, photo in enumerate(seen) if photo.group == group]
        for part in dict.fromkeys(part for i in members for part in seen[i].boxes):
            groups[group, part] = [i for i in members if part in seen[i].boxes]
    if not groups:
        raise DataError(f"no part is left: {left_out[0]}.")
    for (group, part), members in groups.items():
        if len(members) < 2:
            why = f" ({len(left_out)} parts were left out, the first: {left_out[0]})" if left_out else ""
            raise DataError(
                f"the part {part!r} is marked in one photo of {group} only ({seen[members[0]].photo}), and a pair "
                f"needs two: mark it in another, or take it out{why}."
            )
    return groups


def _size(photo: _Seen) -> tuple[int, int]:
    """The photo's median part, for fills that depend on it."""
    boxes = list(photo.boxes.values())
    return round(float(np.median([b.height for b in boxes]))), round(float(np.median([b.width for b in boxes])))


class _PartEffects:
    """Runs pictures through the network in batches, and counts them."""

    def __init__(
        self,
        network: Network,
        layers: tuple[str, ...],
        batch_size: int,
        regions: int,
        progress: Progress | None,
    ) -> None:
        self._network, self._layers, self._batch_size, self._regions = network, layers, batch_size, regions
        self._progress = progress
        self.total = self.pictures = self.passes = 0
        self.seconds = 0.0

    def clean(self, views: Sequence[npt.NDArray[np.uint8]]) -> dict[str, Tensor]:
        """Features of the whole photos, (N, F) by layer."""
        inputs = (self._network.preprocessing.tensor([view])[0] for view in views)
        found = list(self._run(inputs))
        return {layer: torch.cat([each[layer] for each in found]) for layer in self._layers}

    def signs(
        self,
        photos: Sequence[_Seen],
        covers: Sequence[Tensor],
        part: str,
        clean: dict[str, Tensor],
        where: Sequence[int],
    ) -> dict[str, npt.NDArray[np.int8]]:
        """Signs of the features' changes, int8 (n, 1 + regions, F) by layer; region 0 is the part."""

        def inputs() -> Iterator[Tensor]:
            for photo, cover in zip(photos, covers, strict=True):
                whole = self._network.preprocessing.tensor([photo.view])[0]
                for box in (photo.boxes[part], *photo.random[part]):
                    masked = whole.clone()
                    inside = np.s_[:, box.top : box.bottom, box.left : box.right]
                    masked[inside] = cover[inside]
                    yield masked

        each = 1 + self._regions
        signs = {n: np.empty((len(photos) * each, clean[n].shape[1]), np.int8) for n in self._layers}
        done = 0
        for features in self._run(inputs()):
            for layer, values in features.items():
                rows = [where[(done + i) // each] for i in range(len(values))]
                signs[layer][done : done + len(values)] = _signs(clean[layer][rows], values)
            done += len(next(iter(features.values())))
        return {layer: found.reshape(len(photos), each, -1) for layer, found in signs.items()}

    def _run(self, inputs: Iterator[Tensor]) -> Iterator[dict[str, Tensor]]:
        batch: list[Tensor] = []
        for one in inputs:
            batch.append(one)
            if len(batch) == self._batch_size:
                yield self._forward(batch)
                batch = []
        if batch:
            yield self._forward(batch)

    def _forward(self, batch: list[Tensor]) -> dict[str, Tensor]:
        began = time.perf_counter()
        features, _ = responses(self._network, torch.stack(batch), self._layers)
        self.seconds += time.perf_counter() - began
        self.pictures += len(batch)
        self.passes += 1
        report(self._progress, self.pictures, self.total, "masking parts")
        return features


def _signs(whole: Tensor, masked: Tensor) -> npt.NDArray[np.int8]:
    """Signs of whole less masked, (N, F); what rounding may make in batches of another size is no change."""
    change = whole - masked
    rounding = ROUNDING * whole.abs().amax(dim=1, keepdim=True)
    return torch.where(change.abs() > rounding, change, 0).sign().to(torch.int8).numpy()


def _row(
    group: str, part: str, layer: str, signs: npt.NDArray[np.int8], permutations: int, seed: int
) -> tuple[SignChange, npt.NDArray[np.float64]]:
    """One line of Table 1, and the distances of the parts' pairs."""
    photos, regions, features = signs.shape
    pairs = compare(signs.reshape(photos * regions, features))
    shape = (photos, regions, photos, regions)
    share = (pairs.hamming / features).reshape(shape)
    both, opposite = pairs.both.reshape(shape), pairs.opposite.reshape(shape)
    upper = np.triu_indices(photos, 1)
    own = share[upper[0], 0, upper[1], 0]
    random = share[:, 1:, :, 1:][upper[0], :, upper[1], :].ravel()
    p_value = permutation_test(share, 1.0, permutations, np.random.default_rng(seed))
    opposite_p = permutation_test(opposite, both, permutations, np.random.default_rng(seed))
    changed = (signs != 0).mean(2)
    row = SignChange(
        group,
        part,
        layer,
        photos,
        float(own.mean()),
        float(own.std(ddof=1)) if len(own) > 1 else 0.0,
        float(random.mean()),
        float(random.std(ddof=1)) if len(random) > 1 else 0.0,
        p_value,
        float(changed[:, 0].mean()),
        float(changed[:, 1:].mean()),
        _share(opposite[upper[0], 0, upper[1], 0], both[upper[0], 0, upper[1], 0]),
        _share(opposite[:, 1:, :, 1:][upper[0], :, upper[1], :], both[:, 1:, :, 1:][upper[0], :, upper[1], :]),
        opposite_p,
    )
    return row, share[:, 0, :, 0]


def _share(some: npt.NDArray[np.int64], every: npt.NDArray[np.int64]) -> float | None:
    return float(some.sum() / every.sum()) if every.sum() else None
