"""Figure 2: the nine strongest activations of every feature map over a dataset, projected, beside their patches.

Commands: ``deconvnet mine NETWORK --data FOLDER --out RUN``, then ``deconvnet top RUN LAYER``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from deconvnet.data import Photos, Skipped, open_photos, read_many
from deconvnet.errors import DataError, OptionError, RunError, WeightsError
from deconvnet.experiments.projecting import PhotoProjections, check_layers, convolutions, project
from deconvnet.figures import TopBlock, top_grid
from deconvnet.mining import mine
from deconvnet.networks import Network, load
from deconvnet.runs import Run, Unit
from deconvnet.runs.top import SCORES, Mined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "mine"
_DRAWN = 9  # 3 x 3, Fig. 2
_NOTHING = 236  # grey level of a dead map's block


def mine_photos(
    network: Network,
    photos: Photos,
    out: Path | str,
    *,
    layers: Sequence[str] | None = None,
    k: int = 9,
    score: str = "max",
    batch_size: int = 32,
    weights: str = "shipped",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Find the strongest activations of every feature map over photos and write a run.

    Parameters
    ----------
    network : Network
    photos : Photos
        What :func:`deconvnet.data.open_photos` returns.
    out : path
        Folder of the run.
    layers : sequence of str, optional
        Layers to mine; all convolutional ones unless given.
    k : int
        Photos to keep for each map.
    score : {"max", "sum", "mean"}
        What ranks the photos; see :func:`deconvnet.mining.mine`.
    batch_size : int
        Photos a pass.
    weights : str
        Where the network's weights lie, as :func:`deconvnet.load` takes it: the run records it, because
        :func:`top_figure` loads the network again.
    overwrite : bool
        Replace an earlier run of this kind in ``out``.
    progress : callable(done, total), optional

    Returns
    -------
    Run
        With ``top.safetensors`` (see :class:`deconvnet.runs.top.Mined`) and ``photos.json``.

    Raises
    ------
    UnknownNameError, OptionError
        If a layer does not exist, or an option is outside its range.
    WeightsError
        If ``weights`` are not those of ``network``.
    DataError
        If no photo can be read; nothing is written then.
    RunError
        If ``out`` holds something else.
    """
    layers = list(dict.fromkeys(layers)) if layers is not None else convolutions(network)
    check_layers(network, layers)
    if k < 1:
        raise OptionError(f"k must be at least 1, not {k}.")
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, not {batch_size}.")
    if score not in SCORES:
        raise OptionError(f"score is one of {', '.join(SCORES)}, not {score!r}.")
    if photos.root.resolve().is_relative_to(Path(out).resolve()):
        raise OptionError(f"the photos lie in the run's own folder {out}: give the run another.")
    if weights != "shipped":
        weights = str(Path(weights).resolve())
    own = network.fingerprint
    if load(network.address, weights).fingerprint != own:
        raise WeightsError(
            f"{weights} weights are not those of the given {network.name}: say with weights=PATH where its own lie "
            "(network.save(PATH) writes them), so that they can be found again."
        )
    inputs = {
        "network": network.address,
        "weights": weights,
        "weights_sha256": own,
        "data": str(photos.root.resolve()),
        "photos": len(photos),
        "photos_sha256": photos.fingerprint,
        "classes": list(photos.classes),
    }
    skipped: list[Skipped] = []
    seen = 0

    def batches() -> Iterator[tuple[list[int], Tensor]]:
        nonlocal seen
        indices: list[int] = []
        views: list[Any] = []
        for index, photo in read_many(photos, range(len(photos))):
            seen += 1
            if isinstance(photo, Skipped):
                skipped.append(photo)
            else:
                indices.append(index)
                views.append(network.view(photo))
            if len(views) == batch_size:
                yield indices, network.preprocessing.tensor(views)
                indices, views = [], []
        if views:
            yield indices, network.preprocessing.tensor(views)

    def told(_done: int) -> None:
        if progress is not None:
            progress(seen, len(photos))

    coming = batches()
    first = next(coming, None)
    if first is None:
        why = f", {skipped[0].name} because {skipped[0].why}" if skipped else ""
        raise DataError(f"none of the {len(photos)} photos of {photos.root} can be read{why}: give others.")
    run = Run.create(out, KIND, {"layers": layers, "k": k, "score": score}, inputs, overwrite=overwrite)
    mined = mine(network.module, chain([first], coming), layers, k=k, score=score, progress=told)
    run.save_arrays("top", mined.to_arrays())
    run.save_json(
        "photos",
        {
            "names": list(photos.names),
            "labels": photos.labels.tolist(),
            "skipped": [{"name": s.name, "why": s.why} for s in skipped],
        },
    )
    run.finish()
    return run


def top_figure(
    run: Run,
    layer: str,
    *,
    channels: Sequence[int] | None = None,
    maps: int = 16,
    seed: int = 0,
    rule: str = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    activations: str = "refuse",
    data: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Figure:
    """Draw Figure 2 for one layer of a mining run.

    Parameters
    ----------
    run : Run
        What :func:`mine_photos` wrote.
    layer : str
        One of its layers.
    channels : sequence of int, optional
        Feature maps; a random subset of ``maps`` by ``seed`` unless given, as in the paper. A map that no photo
        activates is drawn empty, and its title says that it is dead.
    maps, seed : int
        Size of the random subset, and its seed.
    rule, unpool, lrn, activations : str
        Settings of the deconvnet.
    data : path, optional
        Where the photos lie now, if they moved.
    progress : callable(done, total), optional

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    RunError
        If the run is unfinished, or its photos or weights are gone or changed.
    UnknownNameError, OptionError
        If the layer was not mined, or a map does not exist.
    """
    if not run.finished:
        raise RunError(f"{run.path} is unfinished: mine again (a killed run does not hold all photos).")
    mined = Mined.from_arrays(run.arrays("top"))
    found = mined[layer]
    if maps < 1 or seed < 0:
        raise OptionError(f"maps must be at least 1 and seed at least 0, not {maps} and {seed}.")
    if channels is None:
        subset = np.random.default_rng(seed).permutation(found.channels)[:maps]
        channels = sorted(int(c) for c in subset)
    for channel in channels:
        if not 0 <= channel < found.channels:
            raise OptionError(f"{layer} has maps 0 to {found.channels - 1}; there is no map {channel}.")
    network, photos = reopen(run, data)
    blocks: list[TopBlock] = []
    for done, channel in enumerate(channels, start=1):
        winners = [w for w in found.winners(channel) if w.active][:_DRAWN]
        units = [Unit(layer, channel, w.position if found.spatial else None) for w in winners]
        nothing = np.zeros((1, *network.input_shape[1:]), np.float32)
        projections: list[Any] = [nothing]
        patches: list[Any] = [np.full((*nothing.shape[1:], 3), _NOTHING, np.uint8)]
        if units:
            pixels = [photos.read(w.photo) for w in winners]
            settings = {"rule": rule, "unpool": unpool, "lrn": lrn, "activations": activations}
            shown = project(network, pixels, units, per_photo=range(len(units)), **settings)
            assert isinstance(shown, PhotoProjections)
            projections = [shown.projection(i) for i in range(len(shown))]
            patches = [shown.patch(i) for i in range(len(shown))]
        blocks.append(TopBlock(f"{layer}:{channel}" + ("" if units else " (dead)"), projections, patches))
        if progress is not None:
            progress(done, len(channels))
    dead = len(found.dead)
    note = f"{len(channels)} of {found.channels} maps, top {min(found.k, _DRAWN)} of {found.count} photos" + (
        f"; {dead} maps of this layer are dead on these photos" if dead else ""
    )
    return top_grid(blocks, title=f"{network.title} {layer}", note=note)


def reopen(run: Run, data: Path | str | None = None) -> tuple[Network, Photos]:
    """The network and the photos of a mining run, refused if they changed since.

    Raises
    ------
    RunError
        If the photos or the weights are gone or are others.
    """
    network = load(run.inputs["network"], run.inputs["weights"])
    if network.fingerprint != run.inputs["weights_sha256"]:
        raise RunError(f"the weights of {network.name} are not those that {run.path} was mined with: mine again.")
    root = Path(data or run.inputs["data"])
    if not root.exists():
        raise RunError(f"the photos of {run.path} are gone from {root}: say where they lie now with --data.")
    names = run.json("photos")["names"]
    photos = open_photos(root)
    if list(photos.names) != names:
        place = {name: i for i, name in enumerate(photos.names)}
        if any(name not in place for name in names):
            missing = next(name for name in names if name not in place)
            raise RunError(f"{root} does not hold the photos of {run.path} ({missing} is missing): mine again.")
        photos = photos.subset([place[name] for name in names])
    if photos.fingerprint != run.inputs["photos_sha256"]:
        raise RunError(f"the photos in {root} changed since {run.path} was mined: mine again.")
    return network, photos
