"""Figure 7: a square slides over a photo, and the network's answers are drawn by its position (Sec. 4.2).

Command: ``deconvnet occlude NETWORK PHOTO...``. One pass over the positions gives every class and every feature map of
the layer. Paper: covering the region that the strongest map's projection shows makes that map's activity drop, and
covering the object makes the probability of its class drop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import DataError, DeconvnetError, ModelError, OptionError, RunError
from deconvnet.experiments.occlusion.figure import occlusion_panel
from deconvnet.experiments.occlusion.record import (
    KIND,
    STRONGEST,
    Fill,
    Grid,
    OccludedPhoto,
    OcclusionMap,
    OcclusionRecord,
    ProjectionRecord,
)
from deconvnet.geometry import Box
from deconvnet.incremental import prepare
from deconvnet.mining.run_record import MiningRecord
from deconvnet.networks import Network
from deconvnet.networks.classes import class_index
from deconvnet.networks.layers import check_layers, convolutions
from deconvnet.networks.preprocessing import Photo
from deconvnet.perturbations.fills import make_fill
from deconvnet.photo_projections.project import project
from deconvnet.progress import Progress, ProgressReport
from deconvnet.reopening import reopen
from deconvnet.runs import Run, Unit
from deconvnet.runs.results import RunResult
from deconvnet.tracing.receptive import receptive_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Size = int | tuple[int, int]
_SIDE, _STRIDE, _INPUT = 50, 8, 224  # the paper states neither (Sec. 4.2); shares of the photo's side unless given
_COARSE = 4  # the first map has about so many positions down and across
Pixels = npt.NDArray[np.uint8]
_OTHERS = 3  # projections from other photos, Fig. 7(c)


@dataclass(frozen=True, kw_only=True)
class OcclusionReport(ProgressReport):
    """How far occlusion has come: positions, over all photos and fills.

    Attributes
    ----------
    photo, fill : str
        Which photo is covered, by what.
    map : OcclusionMap or None
        Once a coarser or the final map is complete, that map.
    """

    photo: str
    fill: str
    map: OcclusionMap | None = None


class Occluder:
    """A network and a photo made ready: ask for as many maps as are wanted, with other squares and other fills.

    Attributes
    ----------
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network sees.
    layer : str
        The layer whose feature maps are recorded.
    notes : tuple of str
        Where the engine covers whole maps, and why; see :class:`deconvnet.incremental.PreparedPhoto`.

    Parameters
    ----------
    network : Network
    photo : PIL image or uint8 array (H, W, 3)
    layer : str, optional
        The last convolution unless given.
    memory : int
        Bytes that activations may take.

    Raises
    ------
    ModelError
        If the network gives no class scores, or the layer no feature maps.
    UnknownNameError
        If there is no such layer.
    """

    def __init__(
        self,
        network: Network,
        photo: Photo,
        *,
        layer: str | None = None,
        memory: int = 2 << 30,
    ) -> None:
        self._begin(network, network.view(photo), layer, memory)

    @classmethod
    def of_view(
        cls, network: Network, view: npt.NDArray[np.uint8], *, layer: str | None = None, memory: int = 2 << 30
    ) -> Occluder:
        """For a photo that was already cut to what the network sees: what :meth:`Network.view` gave."""
        occluder = cls.__new__(cls)
        occluder._begin(network, view, layer, memory)
        return occluder

    def _begin(self, network: Network, view: npt.NDArray[np.uint8], layer: str | None, memory: int) -> None:
        self.network = network
        self.layer = recorded_layer(network, layer)
        self.view = view
        tensor = network.preprocessing.tensor([self.view])
        self._prepared = prepare(network.module, tensor, maps=(self.layer,), memory=memory)
        self.notes = tuple(self._prepared.notes)

    def grid(self, size: Size | None = None, stride: Size | None = None, border: str = "inside") -> Grid:
        """The positions of a square; see :meth:`deconvnet.experiments.occlusion.record.Grid.of`.

        ``size`` and ``stride`` are, unless given, 50 and 8 pixels of 224, or as large a share of the photo's side.
        """
        return occluding_grid(self.view.shape[:2], size, stride, border)

    def fill(self, name: str, size: tuple[int, int]) -> tuple[Fill, Tensor]:
        """A fill of this photo; see :func:`deconvnet.perturbations.fills.make_fill`."""
        return make_fill(self.network, self.view, name, size)

    def check_channel(self, channel: int) -> None:
        """Refuse a feature map that the layer does not have."""
        maps = self._prepared.clean.sums[self.layer].shape[1]
        if not 0 <= channel < maps:
            raise OptionError(f"{self.layer} has maps 0 to {maps - 1}; there is no map {channel}.")

    def map(self, grid: Grid, fill: str = "mean", progress: Callable[[int, int], None] | None = None) -> OcclusionMap:
        """The network's answers at every position.

        Parameters
        ----------
        grid : Grid
        fill : str
            See :func:`deconvnet.perturbations.fills.make_fill`.
        progress : callable(done, total), optional
        """
        covering, tensor = self.fill(fill, grid.size)
        found = self._prepared.run(grid.windows, tensor, progress=progress)
        parts = (found.outputs, found.sums[self.layer], found.maxima[self.layer])
        return self._record(grid, covering, [each.reshape(*grid.shape, -1) for each in parts], 1)

    def steps(
        self, grid: Grid, fill: str = "mean", progress: Callable[[int, int], None] | None = None
    ) -> Iterator[OcclusionMap]:
        """A coarse map first, then finer ones; the last is :meth:`map`'s, and no position is computed twice.

        Yields
        ------
        OcclusionMap
            On each ``step``-th position of the grid, ``step`` being halved down to 1.
        """
        covering, tensor = self.fill(fill, grid.size)
        down, across = grid.shape
        windows = grid.windows.reshape(down, across, 4)
        known = np.zeros(grid.shape, bool)
        parts: list[npt.NDArray[np.float32]] = []
        step = 1 << max(0, (max(grid.shape) // _COARSE).bit_length() - 1)
        while step:
            wanted = np.zeros_like(known)
            wanted[::step, ::step] = True
            wanted &= ~known
            before = int(known.sum())
            told = None if progress is None else _shifted(progress, before, len(grid))
            found = self._prepared.run(windows[wanted], tensor, progress=told)
            answers = (found.outputs, found.sums[self.layer], found.maxima[self.layer])
            parts = parts or [np.empty((down, across, each.shape[1]), np.float32) for each in answers]
            for part, answer in zip(parts, answers, strict=True):
                part[wanted] = answer
            known |= wanted
            yield self._record(grid.every(step), covering, [part[::step, ::step] for part in parts], step)
            step //= 2

    def _record(self, grid: Grid, fill: Fill, parts: Sequence[npt.NDArray[np.float32]], step: int) -> OcclusionMap:
        clean = self._prepared.clean
        return OcclusionMap(
            self.view,
            self.network.classes,
            self.layer,
            fill,
            grid,
            parts[0],
            parts[1],
            parts[2],
            clean.outputs[0],
            clean.sums[self.layer][0],
            clean.maxima[self.layer][0],
            step=step,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Occlusion(OcclusionRecord, RunResult):
    """Figure 7 for some photos; a notebook shows its plot.

    Attributes
    ----------
    notes : tuple of str
        What the engine and the projections had to say.
    settings, inputs : mapping
        What was asked for, of which network and photos; as the run's manifest records them.

        The others are those of `OcclusionRecord`.
    """

    kind: ClassVar[str] = KIND

    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Occlusion({self.title}: {', '.join(photo.name for photo in self.photos)})"

    def plot(self, score: str = "probability") -> Figure:
        """Figure 7, one row of panels for each photo and fill; ``score`` is ``"probability"`` or ``"logit"``."""
        return occlusion_panel(self.photos, score, title=self.title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(self.settings), dict(self.inputs)


def occlude(
    network: Network,
    photos: PhotosLike,
    *,
    size: Size | None = None,
    stride: Size | None = None,
    fills: Sequence[str] = ("mean",),
    border: str = "inside",
    layer: str | None = None,
    channel: int | None = None,
    strongest: str = "max",
    labels: Sequence[str] = (),
    mined: Run | None = None,
    data: Path | str | None = None,
    memory: int = 2 << 30,
    ready: Callable[[Mapping[str, Any], Mapping[str, Any]], None] | None = None,
    progress: Progress | None = None,
) -> Occlusion:
    """Cover each part of photos in turn and record what the network says: Figure 7.

    Parameters
    ----------
    network : Network
    photos : photos
        A path, PIL images or uint8 arrays (H, W, 3), one or several, or pairs of name and photo.
    size, stride : int or (height, width), optional
        Of the square, in pixels of what the network sees; 50 and 8 of 224, or as large a share, unless given.
    fills : sequence of str
        See :func:`deconvnet.perturbations.fills.make_fill`; a map is made for each.
    border : {"inside", "cut", "partial"}
        See :class:`deconvnet.experiments.occlusion.record.Grid`.
    layer : str, optional
        The layer whose map is shown; the last convolution unless given. All its maps are recorded.
    channel : int, optional
        The map that is shown; the strongest in each photo unless given.
    strongest : {"max", "sum"}
        By what the strongest is told.
    labels : sequence of str
        Names (or numbers) of the photos' true classes: one for each photo, or one for all; the predicted class of
        each unless given.
    mined : Run, optional
        What ``deconvnet mine`` wrote: the map is also projected for its strongest other photos, as in Fig. 7(c).
    data : path, optional
        Where that run's photos lie now, if they moved.
    memory : int
        Bytes that activations may take.
    ready : callable(settings, inputs), optional
        Called when everything was checked, before the work starts.
    progress : Progress, optional
        Called with each :class:`OcclusionReport`.

    Returns
    -------
    Occlusion

    Raises
    ------
    OptionError
        If an option is outside its range.
    UnknownNameError
        If there is no such layer or class.
    ModelError
        If the network gives no class scores, or the layer no feature maps.
    RunError
        If the mining run is not of this network.
    DataError
        If there is no photo.
    """
    photos = as_photos(photos)
    if not len(photos):
        raise DataError("there is no photo to cover: give at least one.")
    if not fills:
        raise OptionError("there is nothing to cover the photo with: give at least one fill.")
    if strongest not in STRONGEST:
        raise OptionError(f"the strongest map is told by {' or '.join(STRONGEST)}, not {strongest!r}.")
    layer = recorded_layer(network, layer)
    numbers = _labels(network, labels, len(photos))
    views = [network.view(photos.read(i)) for i in range(len(photos))]
    grid = occluding_grid(views[0].shape[:2], size, stride, border)
    fills = list(dict.fromkeys(fills))
    for name in fills:
        make_fill(network, views[0], name, grid.size)
    others = None if mined is None else _Winners(mined, network, layer, data)
    occluder = Occluder.of_view(network, views[0], layer=layer, memory=memory)
    if channel is not None:
        occluder.check_channel(channel)
    settings = {
        "size": list(grid.size),
        "stride": list(grid.stride),
        "border": border,
        "fills": fills,
        "layer": layer,
        "channel": channel,
        "strongest": strongest,
        "labels": list(labels),
        "mined": None if mined is None else str(mined.path),
    }
    inputs = {
        "network": network.address,
        "weights_sha256": network.fingerprint,
        "photos": list(photos.names),
    }
    if ready is not None:
        ready(settings, inputs)

    done, total = 0, len(photos) * len(fills) * len(grid)
    found: list[OccludedPhoto] = []
    notes: list[str] = []
    for number, (name, view) in enumerate(zip(photos.names, views, strict=True)):
        if number:
            occluder = Occluder.of_view(network, view, layer=layer, memory=memory)
        notes += occluder.notes
        maps = []
        for fill in fills:
            latest = None
            if progress is None:
                latest = occluder.map(grid, fill)
            else:
                before = done

                def told(here: int, _all: int, name: str = name, fill: str = fill, before: int = before) -> None:
                    progress(OcclusionReport(before + here, total, f"{name}, {fill}", photo=name, fill=fill))

                for latest in occluder.steps(grid, fill, told):
                    done_now = before + len(latest.grid)
                    progress(OcclusionReport(done_now, total, f"{name}, {fill}", photo=name, fill=fill, map=latest))
            assert latest is not None
            maps.append(latest)
            done += len(grid)
        shown = maps[0].strongest(strongest) if channel is None else channel
        label = maps[0].predicted if numbers[number] is None else numbers[number]
        assert label is not None
        projections, why = _projections(network, name, view, Unit(layer, shown), others)
        if why:
            notes.append(f"{name}: no projection, because {why}")
        found.append(OccludedPhoto(name, label, numbers[number] is not None, shown, tuple(maps), projections, why))
    return Occlusion(network.title, tuple(found), notes=tuple(dict.fromkeys(notes)), settings=settings, inputs=inputs)


def occluding_grid(
    photo: tuple[int, ...], size: Size | None = None, stride: Size | None = None, border: str = "inside"
) -> Grid:
    """The positions of a square on a photo (height, width); 50 and 8 px of 224, or as large a share, unless given."""
    height, width = photo[:2]
    side = min(height, width)
    size = max(1, round(_SIDE * side / _INPUT)) if size is None else size
    stride = max(1, round(_STRIDE * side / _INPUT)) if stride is None else stride
    return Grid.of((height, width), size, stride, border)


def recorded_layer(network: Network, layer: str | None = None) -> str:
    """The layer whose maps are recorded: the given one, or the last convolution.

    Raises
    ------
    ModelError
        If the network gives no class scores, or the layer no feature maps.
    UnknownNameError
        If there is no such layer.
    """
    if not network.classes:
        raise ModelError(
            f"{network.title} gives no class scores (N x classes), and occlusion asks how these change: "
            "take a network that ends in a classifier."
        )
    if layer is None:
        found = convolutions(network)
        if not found:
            raise ModelError(f"{network.title} has no convolution: name a layer that gives feature maps.")
        return found[-1]
    check_layers(network, [layer])
    seen = receptive_fields(network.module, network.input_shape).get(layer)
    if seen is None or len(seen.shape) != 3:
        raise ModelError(
            f"{layer} of {network.title} has no feature maps (channels x height x width): choose a layer before the "
            f"fully connected ones, for example {convolutions(network)[-1]}."
        )
    return layer


def _labels(network: Network, labels: Sequence[str], count: int) -> list[int | None]:
    if not labels:
        return [None] * count
    if len(labels) not in (1, count):
        raise OptionError(f"{len(labels)} classes for {count} photos: give one for each, or one for all.")
    numbers = [class_index(network.classes, label, network.title) for label in labels]
    return list(numbers * count if len(numbers) == 1 else numbers)


class _Winners:
    """A mining run's strongest photos of a map."""

    def __init__(self, run: Run, network: Network, layer: str, data: Path | str | None) -> None:
        if not run.finished:
            raise RunError(f"{run.path} is unfinished: mine again (a killed run does not hold all photos).")
        if run.inputs.get("weights_sha256") != network.fingerprint:
            raise RunError(f"{run.path} was mined with other weights than those of {network.title}: mine again.")
        self._top = MiningRecord.read(run).mined[layer]
        _, self._photos = reopen(run, data, network)

    def of(self, network: Network, unit: Unit, but: npt.NDArray[np.uint8]) -> list[tuple[str, Pixels, Unit]]:
        """Name, view and unit of the strongest photos that do not look like ``but``."""
        found: list[tuple[str, Pixels, Unit]] = []
        for winner in self._top.winners(unit.channel):
            if not winner.active or len(found) == _OTHERS:
                break
            view = network.view(self._photos.read(winner.photo))
            if not np.array_equal(view, but):
                found.append((self._photos.names[winner.photo], view, unit.at(*winner.position)))
        return found


def _projections(
    network: Network, name: str, view: Pixels, unit: Unit, others: _Winners | None
) -> tuple[tuple[ProjectionRecord, ...], str]:
    """The map in this photo and in others, or why there is none."""
    chosen = [(name, view, unit), *(others.of(network, unit, view) if others else ())]
    inputs = network.preprocessing.tensor([each for _, each, _ in chosen])
    try:
        shown = project(network, inputs, [each for _, _, each in chosen], per_photo=range(len(chosen)))
    except DeconvnetError as error:
        return (), str(error)
    if not shown.active[0]:
        return (), f"{unit} is not active in this photo."
    return tuple(
        ProjectionRecord(
            chosen[i][0],
            shown.units[i],
            float(shown.activations[i]),
            shown.boxes[i] or Box(0, 0, *shown.image[1:]),
            shown.projection(i).astype(np.float32),
        )
        for i in range(len(shown))
    ), ""


def _shifted(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _all: progress(before + done, total)
