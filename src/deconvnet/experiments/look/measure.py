"""A first look into a network: what it says of each photo, and the strongest maps of each layer, projected.

Command: ``deconvnet look`` (sample photos) or ``deconvnet look --photos FOLDER``; about a second a photo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import nn

from deconvnet.data import Photos, PhotosLike, as_photos
from deconvnet.errors import DataError, OptionError
from deconvnet.experiments.look import record
from deconvnet.figures import display, display_scale, filters_image
from deconvnet.geometry import Box
from deconvnet.networks import Network
from deconvnet.networks.layers import check_layers, convolutions, layer_rows
from deconvnet.photo_projections.project import prepare
from deconvnet.progress import Progress, ProgressReport
from deconvnet.projection import Projections
from deconvnet.runs import Run, Unit

_LAYERS = 8  # at most so many unless layers are named


@dataclass(frozen=True, eq=False)
class LookPhoto:
    """A photo to look at: name, where it comes from, and its pixels (uint8 H x W x 3)."""

    name: str
    source: str
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Skip:
    """A photo that cannot be read, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class LookResult:
    """What was seen in one photo.

    Attributes
    ----------
    photo : LookPhoto
    predictions : list of (class name, probability)
        The five most probable classes.
    units : tuple of Unit
        The strongest maps, layer by layer, each at its strongest position; only active ones.
    view : ndarray of uint8, (H, W, 3)
        The pixels that the network saw.
    projections : Projections or None
        Of these units; ``None`` if no map is active.
    """

    photo: LookPhoto
    predictions: list[tuple[str, float]]
    units: tuple[Unit, ...]
    view: npt.NDArray[np.uint8]
    projections: Projections | None


@dataclass(frozen=True, kw_only=True)
class LookReport(ProgressReport):
    """How many photos have been looked at.

    Attributes
    ----------
    result : LookResult
        What was seen in the latest.
    """

    result: LookResult


def look(
    network: Network,
    photos: PhotosLike | Iterable[LookPhoto | Skip],
    out: Path | str,
    *,
    layers: Sequence[str] | None = None,
    top: int = 6,
    rule: str = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    activations: str = "refuse",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Look at photos through a network and write a run for the report.

    Parameters
    ----------
    network : Network
    photos : photos, or iterable of LookPhoto or Skip
        A path, PIL images or uint8 arrays (H, W, 3), one or several: read one at a time; those that cannot be read are
        counted and named.
    out : path
        Folder of the run.
    layers : sequence of str, optional
        Layers to look into; unless given, all convolutional ones, or eight spread evenly over them if there are more.
    top : int
        Strongest maps a layer.
    rule, unpool, lrn, activations : str
        Settings of the deconvnet; see :func:`deconvnet.projection.project`.
    overwrite : bool
        Replace an earlier run of this kind in ``out``, once a first photo has been read and seen.
    progress : Progress, optional
        Called with a :class:`LookReport` after each photo.

    Returns
    -------
    Run
        With a `deconvnet.experiments.look.record.Look` and its pictures.

    Raises
    ------
    DataError
        If no photo can be read; nothing is written then.
    OptionError
        If ``top`` is less than 1 or a setting is not known.
    RunError
        If ``out`` holds something else.
    UnknownNameError
        If a layer does not exist.
    """
    layers = list(dict.fromkeys(layers)) if layers is not None else _spread(convolutions(network))
    check_layers(network, layers)
    if top < 1:
        raise OptionError(f"top must be at least 1, not {top}.")
    rules: dict[str, Any] = {"rule": rule, "unpool": unpool, "lrn": lrn, "activations": activations}
    settings = {**rules, "top": top, "layers": layers}
    inputs = {"network": network.name, "card": dict(network.card)}
    fields = {row.name: row.receptive_field for row in layer_rows(network) if row.name in layers}
    run: Run | None = None
    seen: list[record.Photo] = []
    skipped: list[tuple[str, str]] = []
    for photo in _read(photos):
        if isinstance(photo, Skip):
            skipped.append((photo.name, photo.why))
            continue
        result = _look_at(network, photo, layers, top, rules)
        if run is None:  # only now: an earlier run is not cleared for photos that cannot be read
            run = Run.create(out, record.KIND, settings, inputs, overwrite=overwrite)
        seen.append(_save_photo(run, result, layers, fields, len(seen)))
        if progress is not None:
            progress(LookReport(len(seen), None, photo.name, result=result))
    if run is None:
        named = "; ".join(f"{name}: {why}" for name, why in skipped[:3]) or "there was none"
        raise DataError(f"no photo could be read ({named}): give at least one photo that a viewer opens.")
    filters = _first_filters(network)
    if filters is not None:
        run.save_image("filters", filters_image(filters))
    drawn = "filters.png" if filters is not None else None
    record.Look(network_record(network), settings, drawn, tuple(seen), tuple(skipped)).write(run)
    run.finish()
    return run


def _read(photos: PhotosLike | Iterable[LookPhoto | Skip]) -> Iterator[LookPhoto | Skip]:
    if isinstance(photos, list | tuple):
        given = any(isinstance(each, LookPhoto | Skip) for each in photos)
    else:
        given = not isinstance(photos, Photos | str | Path | Mapping | Image.Image | np.ndarray)
    if given:
        yield from cast(Iterable[LookPhoto | Skip], photos)
        return
    found = as_photos(cast(PhotosLike, photos))
    for batch in found.batches(np.asarray, 1, fill=False, ahead=4, at_least_one=False):
        yield from (Skip(photo.name, photo.why) for photo in batch.unreadable.values())
        yield from (LookPhoto(name, "", photo) for name, photo in zip(batch.names, batch.views, strict=True))


def network_record(network: Network) -> record.NetworkFacts:
    """What a reader must know of the network."""
    card = network.card
    height, width = network.input_shape[1:]
    return record.NetworkFacts(
        network.name,
        card.get("title", network.name),
        len(network.classes),
        network.parameters,
        (height, width),
        card.get("data", ""),
        card.get("accuracy") or _accuracy(card),
        card.get("weights", ""),
    )


def _accuracy(card: Mapping[str, Any]) -> str:
    """The accuracy that training wrote on the card, in words."""
    try:
        top1, per_class, count = (card[f"held_out_{key}"] for key in ("top1", "per_class", "photos"))
    except KeyError:
        return ""
    return f"top-1 {top1:.1%}, mean over classes {per_class:.1%}, on {count} held-out photos"


def _look_at(network: Network, photo: LookPhoto, layers: list[str], top: int, rules: dict[str, Any]) -> LookResult:
    """What is seen in one photo: one resize and one forward pass."""
    prepared = prepare(network, photo.pixels, layers, **rules)
    predictions: list[tuple[str, float]] = []
    if network.classes:
        probabilities = network.probabilities_of(prepared.output)[0]
        best = np.argsort(-probabilities, kind="stable")[:5]
        predictions = [(network.classes[i], float(probabilities[i])) for i in best]
    units = tuple(unit for layer in layers for unit in prepared.strongest(layer, top))
    projections = prepared.project(units) if units else None
    return LookResult(photo, predictions, units, prepared.views[0], projections)


def _spread(layers: list[str]) -> list[str]:
    """All layers, or some from the first to the last where there are many."""
    if len(layers) <= _LAYERS:
        return layers
    return [layers[round(i * (len(layers) - 1) / (_LAYERS - 1))] for i in range(_LAYERS)]


def _save_photo(
    run: Run,
    result: LookResult,
    layers: list[str],
    fields: Mapping[str, int | tuple[int, int] | None],
    number: int,
) -> record.Photo:
    """Write a photo's pictures and give its entry in the record."""
    base = f"photos/{number:03d}"
    view = result.view
    run.save_image(base, view)
    entries: dict[str, list[record.UnitPicture]] = {layer: [] for layer in layers}
    shown = result.projections
    for i, unit in enumerate(shown.units if shown is not None else ()):
        assert shown is not None
        name = f"{base}-{unit.layer}-{unit.channel:04d}"
        projection, patch = shown.projection(i), shown.patch(i)
        run.save_image(f"{name}-projection", display(projection))
        run.save_image(f"{name}-patch", patch)
        box = shown.boxes[i] or (0, 0, *view.shape[:2])
        entries[unit.layer].append(
            record.UnitPicture(
                str(unit),
                float(shown.activations[i]),
                Box(*box),
                f"{name}-projection.png",
                f"{name}-patch.png",
                float(display_scale(projection)),
            )
        )
    return record.Photo(
        result.photo.name,
        result.photo.source,
        f"{base}.png",
        tuple(result.predictions),
        tuple(
            record.LayerPictures(layer, _side(fields.get(layer)) or view.shape[0], tuple(entries[layer]))
            for layer in layers
        ),
    )


def _side(field: int | tuple[int, int] | None) -> int | None:
    return max(field) if isinstance(field, tuple) else field


def _first_filters(network: Network) -> npt.NDArray[np.float32] | None:
    """Weights of the first convolution (O, 1 or 3, k, k), or ``None`` where it does not read pixels."""
    for part in network.module.modules():
        if isinstance(part, nn.Conv2d):
            weight = part.weight.detach().cpu().numpy()
            return weight if weight.shape[1] in (1, 3) else None
    return None
