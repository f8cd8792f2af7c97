"""Figure 4: how what feature maps look for develops through training.

Command: ``deconvnet evolve RUN``. Each snapshot sees each training photo once: S snapshots cost S forward passes over
the photos, up to the last layer asked for, and a few hundred projections. The paper's findings: sudden jumps in
appearance come from a change of the photo that activates a map most; lower layers converge within a few epochs, upper
ones only after 40 to 50.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.data import PhotosLike, as_photos
from deconvnet.errors import OptionError, UnitError
from deconvnet.experiments.evolution.figure import convergence_figure, evolution_figure
from deconvnet.experiments.evolution.pictures import SnapshotProjector, layer_evolution
from deconvnet.experiments.evolution.record import KIND, EvolutionRecord
from deconvnet.experiments.evolution.search import Search
from deconvnet.mining.record import LayerTop
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers, convolutions
from deconvnet.progress import Progress, counter
from deconvnet.runs import Unit
from deconvnet.runs.results import RunResult
from deconvnet.training.snapshots import alike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LAYERS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Evolution(EvolutionRecord, RunResult):
    """What was found, with its figures; a notebook shows the first."""

    kind: ClassVar[str] = KIND

    def __repr__(self) -> str:
        layers = ", ".join(each.layer for each in self.layers)
        return f"Evolution({self.network}: {len(self.snapshots)} snapshots, {self.photos} photos; layers {layers})"

    def plot(self, title: str | None = None, *, patches: bool = True) -> Figure:
        """The paper's Figure 4: a block a layer, a row a map, a column a snapshot."""
        return evolution_figure(self, title, patches=patches)

    def plot_convergence(self, title: str | None = None) -> Figure:
        """How alike successive snapshots, and each and the last one, are, by layer."""
        return convergence_figure(self, title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        maps = {each.layer: each.compared.tolist() for each in self.layers}
        settings = {"maps": maps, "seed": self.seed, **self.settings}
        given = {"network": self.network, "snapshots": self.snapshots, "photos": self.photos}
        return settings, given


def evolve(
    snapshots: Sequence[Network],
    photos: PhotosLike,
    *,
    labels: Sequence[str | int] | None = None,
    axis: str = "epoch",
    layers: Sequence[str] | None = None,
    units: Sequence[Unit | str] | None = None,
    maps: int = 6,
    compare: int = 24,
    seed: int = 0,
    batch_size: int = 32,
    threads: int = 2,
    photo_set: str = "photos",
    progress: Progress | None = None,
    **settings: Any,
) -> Evolution:
    """Follow feature maps through the snapshots of a training.

    Parameters
    ----------
    snapshots : sequence of Network
        One network at several times, oldest first; at least two. All are kept in memory. Where the training went from
        small photos to large ones, all are shown photos of the last size: see
        :func:`deconvnet.training.snapshots.alike`.
    photos : photos
        Those among which each map's strongest activation is looked for; the paper takes the training photos.
    labels : sequence of str or int, optional
        What each snapshot is called: the epochs. 1, 2, ... unless given.
    axis : {"epoch", "file"}
        What the labels are.
    layers : sequence of str, optional
        All convolutions unless given, at most eight of them, evenly chosen.
    units : sequence of Unit or str, optional
        Maps to follow, such as ``"conv5:17"``, instead of random ones.
    maps : int
        Random maps of each layer to draw, of those that are active in the last snapshot as far as there are so many.
    compare : int
        Maps of each layer whose projections are compared for the curves, the drawn ones among them.
    seed : int
        Decides which maps.
    batch_size : int
        Photos a pass.
    threads : int
        Threads that decode photos while the networks work.
    photo_set : str
        What to call the photos.
    progress : Progress, optional
        Counts photos.
    **settings
        ``rule``, ``unpool``, ``lrn``, ``activations`` of :func:`deconvnet.projection.project`.

    Returns
    -------
    Evolution

    Raises
    ------
    OptionError
        If there is a single snapshot, or an option is outside its range.
    WeightsError
        If the snapshots are of different networks.
    UnknownNameError, UnitError
        If a layer or map does not exist.
    DataError
        If no photo can be read.
    ModelError
        If a layer has no maps, or the deconvnet is not defined on the network.
    """
    started = time.perf_counter()
    trained_at = tuple(each.preprocessing.input_size for each in snapshots)
    networks = alike(snapshots)
    last = networks[-1]
    for option, value in {"maps": maps, "compare": compare, "batch_size": batch_size, "threads": threads}.items():
        if value < 1:
            raise OptionError(f"{option} must be at least 1, not {value}.")
    if seed < 0:
        raise OptionError(f"seed must be at least 0, not {seed}.")
    names = tuple(str(each) for each in labels) if labels is not None else _count(len(networks))
    if len(names) != len(networks):
        raise OptionError(f"{len(names)} labels were given for {len(networks)} snapshots: give one for each.")
    wanted = _wanted_units(units, layers)
    chosen = _layers(last, layers, wanted)
    photos = as_photos(photos)
    search = Search(networks, chosen, photos, batch_size, threads)
    tops = search.run(counter(progress, "searching photos"))
    maps_of = _Maps(wanted, maps, compare, np.random.default_rng(seed))
    shown = {layer: maps_of.choose(layer, tops[-1][layer]) for layer in chosen}
    draughtsman = SnapshotProjector(networks, search.view, settings)
    found = [
        layer_evolution(layer, *shown[layer], [top[layer] for top in tops], draughtsman, search.any_photo)
        for layer in chosen
    ]
    winners = sorted({int(photo) for each in found for photo in np.unique(each.photos) if photo >= 0})
    return Evolution(
        last.title,
        names,
        axis,
        trained_at,
        last.preprocessing.input_size,
        search.count,
        photo_set,
        {photo: photos.names[photo] for photo in winners},
        tuple(f"{each.name}: {each.why}" for each in search.skipped),
        seed,
        {option: str(value) for option, value in draughtsman.settings.items()},
        tuple(found),
        time.perf_counter() - started,
        search.seconds,
    )


def _count(number: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, number + 1))


# -- which layers and maps -------------------------------------------------------------------------------------------


def _wanted_units(units: Sequence[Unit | str] | None, layers: Sequence[str] | None) -> tuple[Unit, ...]:
    if units is None:
        return ()
    if not units:
        raise OptionError("no map to follow: name at least one, or none for random ones.")
    if layers is not None:
        raise OptionError("maps that are named lie in their layers: leave the layers out.")
    wanted = [unit if isinstance(unit, Unit) else Unit.parse(unit) for unit in units]
    for unit in wanted:
        if unit.position is not None:
            raise UnitError(f"{unit} has a position, and a map is followed to wherever it is strongest: leave it out.")
    return tuple(dict.fromkeys(wanted))


def _layers(network: Network, layers: Sequence[str] | None, units: Sequence[Unit]) -> tuple[str, ...]:
    if units:
        chosen = list(dict.fromkeys(unit.layer for unit in units))
    elif layers is not None:
        chosen = list(dict.fromkeys(layers))
    else:
        every = convolutions(network)
        picked = np.linspace(0, len(every) - 1, min(MOST_LAYERS, len(every))).round().astype(int)
        chosen = [every[i] for i in picked]
    if not chosen:
        raise OptionError("no layer to follow: name at least one.")
    check_layers(network, chosen)
    return tuple(chosen)


@dataclass(frozen=True)
class _Maps:
    """The choice of maps, layer by layer."""

    units: Sequence[Unit]
    shown: int
    compared: int
    rng: np.random.Generator

    def choose(self, layer: str, top: LayerTop) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Maps to draw, ascending, and maps to compare, those first."""
        named = [unit.channel for unit in self.units if unit.layer == layer]
        for channel in named:
            if channel >= top.channels:
                raise UnitError(f"{layer}:{channel} does not exist: {layer} has maps 0 to {top.channels - 1}.")
        order = self.rng.permutation(top.channels)
        alive = top.values[order, 0] > 0
        order = np.concatenate([order[alive], order[~alive]])
        shown = np.array(named, np.int64) if named else np.sort(order[: self.shown]).astype(np.int64)
        others = order[: int(alive.sum())]
        others = others[~np.isin(others, shown)]
        return shown, np.concatenate([shown, np.sort(others[: max(0, self.compared - len(shown))])]).astype(np.int64)
