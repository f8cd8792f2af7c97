"""Section 4.1 and Figure 6: what is wrong with a network's filters and maps, in numbers and in plain words.

Command: ``deconvnet diagnose NETWORK [NETWORK ...] --data FOLDER``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from deconvnet.data import Photos, PhotosLike, as_photos
from deconvnet.errors import ModelError, OptionError
from deconvnet.experiments.diagnosis.figure import diagnosis_figure
from deconvnet.experiments.diagnosis.findings import findings
from deconvnet.experiments.diagnosis.record import KIND, DiagnosesRecord, DiagnosisRecord
from deconvnet.experiments.diagnosis.shifts import shift_changes
from deconvnet.filter_statistics.activity import activity
from deconvnet.filter_statistics.aliasing import aliasing
from deconvnet.filter_statistics.filters import filter_health, weights_of
from deconvnet.filter_statistics.places import Place, places
from deconvnet.mining import mine
from deconvnet.networks import Network
from deconvnet.networks.layers import layer_rows
from deconvnet.photo_projections.project import project
from deconvnet.progress import Progress, counter, report
from deconvnet.runs import Run, Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Diagnosis(DiagnosisRecord):
    """What :func:`diagnose` measured; its fields are those of `DiagnosisRecord`."""

    def plot(self) -> Figure:
        """Filters, spectrum, dead maps, aliasing and shifts in one figure."""
        return diagnosis_figure([self])

    def save(self, out: Path | str, *, overwrite: bool = False) -> Run:
        """Write a run with this diagnosis; :func:`save_diagnoses` writes several into one."""
        return save_diagnoses([self], out, overwrite=overwrite)


def diagnose(
    network: Network,
    photos: PhotosLike | None = None,
    *,
    sample: int = 300,
    probe: int = 48,
    seed: int = 0,
    batch_size: int = 16,
    drawn: int = 40,
    progress: Progress | None = None,
) -> Diagnosis:
    """Measure filters, and with photos maps, strided layers and shifts.

    Parameters
    ----------
    network : Network
    photos : photos, optional
        Without them only the filters are looked at.
    sample : int
        So many photos, drawn at random, are looked at for dead and saturated maps; all if there are fewer.
    probe : int
        So many of these are used for strided layers and shifts.
    seed : int
        Of the draw.
    batch_size : int
        Photos a pass.
    drawn : int
        So many maps of the second convolution are projected (Fig. 6 d, e).
    progress : Progress, optional

    Returns
    -------
    Diagnosis

    Raises
    ------
    ModelError
        If the network has no convolution.
    OptionError
        If a number is out of range.
    DataError
        If no photo can be read.
    """
    for option, value in (("sample", sample), ("probe", probe), ("batch_size", batch_size)):
        if value < 1:
            raise OptionError(f"{option} must be at least 1, not {value}.")
    if seed < 0 or drawn < 0:
        raise OptionError(f"seed and drawn must be at least 0, not {seed} and {drawn}.")
    filters = tuple(filter_health(network))
    record = Diagnosis(
        network.name,
        network.title,
        weights_of(network, filters[0].layer),
        network.preprocessing.input_size,
        filters,
        maps=(),
        strided=(),
        shifts=(),
        second_layer="",
        second_channels=np.zeros(0, np.int64),
        second=np.zeros((0, 3, 1, 1), np.float32),
        consistency=float("nan"),
        photos=0,
        probed=0,
        data="",
        findings=(),
    )
    if photos is not None:
        record = dataclasses.replace(
            record, **_on_photos(network, as_photos(photos), sample, probe, seed, batch_size, drawn, progress)
        )
    return dataclasses.replace(record, findings=findings(record))


def save_diagnoses(records: Sequence[DiagnosisRecord], out: Path | str, *, overwrite: bool = False) -> Run:
    """Write diagnoses of one or several networks as a run.

    Parameters
    ----------
    records : sequence of DiagnosisRecord
        Of different networks.
    out : path
        Folder of the run.
    overwrite : bool
        Replace an earlier run of this kind in ``out``.

    Raises
    ------
    RunError
        If ``out`` holds something else.
    """
    settings = {"networks": [r.network for r in records], "photos": [r.photos for r in records]}
    run = Run.create(out, KIND, settings, {"data": [r.data for r in records]}, overwrite=overwrite)
    DiagnosesRecord(tuple(records)).write(run)
    run.finish()
    return run


def drawn_sample(photos: Photos, sample: int, seed: int) -> list[int]:
    """Indices of ``sample`` photos drawn at random, in the order of the draw."""
    return [int(i) for i in np.random.default_rng(seed).permutation(len(photos))[:sample]]


def _on_photos(
    network: Network,
    photos: Photos,
    sample: int,
    probe: int,
    seed: int,
    batch_size: int,
    drawn: int,
    progress: Progress | None,
) -> dict[str, Any]:
    chosen = drawn_sample(photos, sample, seed)
    views: list[npt.NDArray[np.uint8]] = []
    whole: list[npt.NDArray[np.uint8]] = []

    def seen(photo: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        return network.view(photo), photo

    reading = photos.batches(seen, 1, indices=chosen, ahead=8, progress=counter(progress, "reading photos"))
    for batch in reading:
        for view, photo in batch.views:
            views.append(view)
            if len(whole) < probe:
                whole.append(photo)

    def batches(count: int, what: str) -> Iterator[Tensor]:
        for begin in range(0, count, batch_size):
            yield network.preprocessing.tensor(views[begin : min(begin + batch_size, count)])
            report(progress, min(begin + batch_size, count), count, what)

    where = places(network.module, network.preprocessing.tensor(views[:1]))
    maps = activity(network.module, batches(len(views), "recording maps"), where)
    strided = aliasing(network.module, batches(len(whole), "strided layers"))
    shifts, consistency = shift_changes(network, _counted(whole, progress), where, _strides(network, where))
    layer, channels, pictures = _second_layer(network, views, whole, batch_size, drawn, seed)
    skipped = reading.unreadable
    left_out = f", {len(skipped)} of them unreadable and left out" if skipped else ""
    return {
        "maps": maps,
        "strided": strided,
        "shifts": shifts,
        "consistency": consistency,
        "second_layer": layer,
        "second_channels": channels,
        "second": pictures,
        "photos": len(views),
        "probed": len(whole),
        "data": f"{photos.root.name}: {len(chosen)} of {len(photos)} photos, drawn with seed {seed}{left_out}",
    }


def _counted(photos: Sequence[npt.NDArray[np.uint8]], progress: Progress | None) -> Iterator[npt.NDArray[np.uint8]]:
    for done, photo in enumerate(photos, start=1):
        yield photo
        report(progress, done, len(photos), "shifting photos")


def _strides(network: Network, where: Sequence[Place]) -> dict[str, int]:
    """Pixels between neighbouring cells of each place."""
    rows = {row.name: row for row in layer_rows(network)}
    side = network.preprocessing.input_size
    strides: dict[str, int] = {}
    for place in where:
        row = rows.get(place.label) or rows.get(place.module)
        step = row.receptive_stride if row is not None else None
        if step is None:  # a field that is not known
            step = max(1, round(side / row.output[1])) if row is not None and len(row.output) == 3 else 1
        strides[place.label] = max(step) if isinstance(step, tuple) else step
    return strides


def _second_layer(
    network: Network,
    views: Sequence[npt.NDArray[np.uint8]],
    photos: Sequence[npt.NDArray[np.uint8]],
    batch_size: int,
    drawn: int,
    seed: int,
) -> tuple[str, npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Projections of some maps of the second convolution, each for its strongest activation over the photos."""
    nothing = np.zeros(0, np.int64), np.zeros((0, 3, 1, 1), np.float32)
    names = [name for name, part in network.module.named_modules() if isinstance(part, nn.Conv2d)]
    if len(names) < 2 or not drawn or network.preprocessing.channels != 3:
        return "", *nothing
    layer = names[1]

    def batches() -> Iterator[tuple[list[int], Tensor]]:
        for begin in range(0, len(views), batch_size):
            some = views[begin : begin + batch_size]
            yield list(range(begin, begin + len(some))), network.preprocessing.tensor(some)

    found = mine(network.module, batches(), [layer], k=1)[layer]
    alive = np.flatnonzero(found.values[:, 0] > 0)
    if not found.spatial or not len(alive):
        return "", *nothing
    channels = np.sort(np.random.default_rng(seed).permutation(alive)[:drawn])
    units, of = [], []
    for channel in channels:
        winner = found.winners(int(channel))[0]
        units.append(Unit(layer, int(channel), winner.position))
        of.append(winner.photo)
    kept = sorted(set(of))
    batch = network.preprocessing.tensor([views[i] for i in kept])
    try:
        shown = project(network, batch, units, per_photo=[kept.index(i) for i in of], activations="gradient")
    except ModelError:  # a step through which there is no deconvnet: the rest of the diagnosis stands
        return "", *nothing
    crops = [shown.projection(i) for i in range(len(shown))]
    height, width = (max(crop.shape[axis] for crop in crops) for axis in (1, 2))
    pictures = np.zeros((len(crops), 3, height, width), np.float32)
    for picture, crop in zip(pictures, crops, strict=True):
        top, left = (height - crop.shape[1]) // 2, (width - crop.shape[2]) // 2
        picture[:, top : top + crop.shape[1], left : left + crop.shape[2]] = crop
    return layer, channels.astype(np.int64), pictures
