"""Table 3: the network without some of its layers, or with other sizes, trained by one recipe, several times.

Command: ``deconvnet ablate RECIPE --data FOLDER --seeds 3 --out RUN``. The paper, on ImageNet (validation top-1 error):
40.5 % unchanged, 45.4 without layers 3 and 4, 40.0 without 7, 44.8 without 6 and 7, 71.3 without all four: depth as a
whole matters; 512, 1024, 512 maps in layers 3 to 5 bring its own network from 38.4 to 37.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from deconvnet.data import Photos
from deconvnet.errors import DataError, OptionError, RunError, UnknownNameError
from deconvnet.experiments.ablation.figure import ablation_figure
from deconvnet.experiments.ablation.record import BASE, KIND, TABLE_3, AblationRecord
from deconvnet.networks import build, entry, load
from deconvnet.progress import Progress, ProgressReport
from deconvnet.runs import Run
from deconvnet.runs.results import NotebookFigure
from deconvnet.training import PhotoDataset, Recipe, evaluate
from deconvnet.training.loop import NETWORK
from deconvnet.training.series import trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED = 1000
_TRAINING_ERROR = "training-error"
_RESIZABLE = ("remove", "fc_width", "widths")


@dataclass(frozen=True)
class Variant:
    """A network of Table 3.

    Attributes
    ----------
    name : str
        A key of :data:`deconvnet.experiments.ablation.record.TABLE_3`.
    title : str
        In words, with its numbers of units and maps.
    options : dict
        The network's options that make it.
    """

    name: str
    title: str
    options: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Ablation(AblationRecord, NotebookFigure):
    """What was found, with its figure; a notebook shows that."""

    def __repr__(self) -> str:
        return f"Ablation({self.network}, {self.recipe}: {len(self.variants)} variants, {len(self.seeds)} seeds)"

    def plot(self, title: str | None = None) -> Figure:
        """Training and held-out errors of all variants, beside the paper's."""
        return ablation_figure(self, title)

    def save(self, run: Run) -> Run:
        """Write record into the run that the trainings lie in, and finish it."""
        self.write(run)
        run.finish()
        return run


def variants(recipe: Recipe, names: Sequence[str] | None = None) -> tuple[Variant, ...]:
    """Table 3's networks for a recipe: its own network, and the same with layers removed or resized.

    The paper's 2,048 and 8,192 units in layers 6 and 7 are half and twice its 4,096, and its 512, 1,024 and 512 maps in
    layers 3 to 5 are 4/3, 8/3 and 2 times its 384, 384 and 256; a recipe with other sizes is changed by these factors.

    Parameters
    ----------
    recipe : Recipe
    names : sequence of str, optional
        Some of them; all, in the table's order, unless given.

    Raises
    ------
    UnknownNameError
        If a name is none of these.
    OptionError
        If the recipe's network has no such layers, or comes with some removed.
    """
    defaults = entry(recipe.network).options
    if not all(option in defaults for option in _RESIZABLE):
        raise OptionError(
            f"{recipe.network} has no layers 3 to 7 to remove or resize: choose a recipe of a network such as zfnet or "
            "alexnet-dense."
        )
    given = {**defaults, **recipe.options}
    if given["remove"]:
        raise OptionError("the recipe's network comes with layers removed: start from a whole one.")
    units, maps = int(given["fc_width"]), tuple(int(each) for each in given["widths"])
    wider = tuple(round(each * factor) for each, factor in zip(maps, (4 / 3, 8 / 3, 2), strict=True))
    words = ", ".join(f"{each:,}" for each in wider)
    wide = f"3,4,5: {words} maps"
    double = {"fc_width": 2 * units}
    every = (
        Variant(BASE, "unchanged", {}),
        Variant("remove-3-4", "removed 3,4", {"remove": (3, 4)}),
        Variant("remove-7", "removed 7", {"remove": (7,)}),
        Variant("remove-6-7", "removed 6,7", {"remove": (6, 7)}),
        Variant("remove-3-4-6-7", "removed 3,4,6,7", {"remove": (3, 4, 6, 7)}),
        Variant("fc-half", f"6,7: {units // 2:,} units", {"fc_width": max(1, units // 2)}),
        Variant("fc-double", f"6,7: {2 * units:,} units", double),
        Variant("wide", wide, {"widths": wider}),
        Variant("wide-fc-double", f"{wide}; 6,7: {2 * units:,}", {**double, "widths": wider}),
    )
    for name in names or ():
        if name not in TABLE_3:
            raise UnknownNameError("variant", name, TABLE_3)
    return tuple(variant for variant in every if not names or variant.name in names)


@dataclass(frozen=True, kw_only=True)
class VariantReport(ProgressReport):
    """How many trainings are done, as the next one begins.

    Attributes
    ----------
    variant : str
        Title of the variant that is trained next.
    seed : int
        Its random seed.
    """

    variant: str
    seed: int


def ablate(
    recipe: Recipe,
    photos: Photos,
    out: Path | str,
    *,
    seeds: int = 3,
    names: Sequence[str] | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Ablation:
    """Train every variant with every seed, one after the other, and write the run.

    Each training is a run of its own in ``out/VARIANT/seed-N``, with all that :func:`deconvnet.training.train` writes.
    Those that are finished are only read, one that was killed is gone on with, and more seeds or variants may be asked
    for later.

    Parameters
    ----------
    recipe : Recipe
        Its seed is the first.
    photos : Photos
        In class folders.
    out : path
        Folder of the run.
    seeds : int
        How often each variant is trained. A seed decides the split into training and held-out photos too, alike for all
        variants, so that they can be compared seed by seed.
    names : sequence of str, optional
        Variants; see :func:`variants`.
    device : str
    overwrite : bool
        Remove an earlier run in ``out`` with all its trainings first.
    progress : Progress, optional
        Before each training.

    Returns
    -------
    Ablation

    Raises
    ------
    DataError
        If the photos have no classes, or only one.
    UnknownNameError, OptionError
        If a variant does not exist, or cannot be built at the recipe's size.
    RunError
        If ``out`` holds something else, or trainings by another recipe or on other photos.
    """
    if seeds < 1:
        raise OptionError(f"each variant is trained with at least one seed, not {seeds}.")
    chosen = variants(recipe, names)
    plans = [recipe.changed(options=variant.options) for variant in chosen]
    photos = photos.subset(photos.labels >= 0)
    if len(photos.classes) < 2:
        raise DataError(
            f"{photos.root} holds {len(photos.classes)} class(es): training needs one folder of photos for each of at "
            "least two classes (CLASS/photo.jpg)."
        )
    for plan in plans:
        _check_builds(plan, len(photos.classes))
    kept = {key: value for key, value in recipe.record().items() if key != "seed"}
    first = {"first_seed": recipe.seed}
    inputs = {"data": photos.fingerprint, "photos": len(photos)}
    run = Run.create(out, KIND, {"recipe": kept, **first}, inputs, overwrite=overwrite, resume=not overwrite)
    numbers = tuple(range(recipe.seed, recipe.seed + seeds))
    datasets = [PhotoDataset(photos, recipe.held_out, seed) for seed in numbers]
    found = {name: np.full((len(chosen), seeds), np.nan) for name in ("train", "top1", "top5", "per_class", "seconds")}
    parameters = np.zeros(len(chosen), np.int64)
    for s, (seed, dataset) in enumerate(zip(numbers, datasets, strict=True)):
        for v, (variant, plan) in enumerate(zip(chosen, plans, strict=True)):
            if progress is not None:
                title, total = variant.title, seeds * len(chosen)
                progress(VariantReport(s * len(chosen) + v, total, f"{title}, seed {seed}", variant=title, seed=seed))
            folder = run.path / variant.name / f"seed-{seed}"
            card = {"data": photos.root.name}
            done = trained(plan.changed(seed=seed), dataset, folder, card=card, device=device, progress=progress)
            parameters[v] = done.parameters
            found["train"][v, s] = _training_error(folder, dataset)
            for name in ("top1", "top5", "per_class"):
                found[name][v, s] = 1 - done.last[f"val_{name}"]
            found["seconds"][v, s] = done.seconds
    result = Ablation(
        recipe.network,
        recipe.name,
        photos.root.name,
        recipe.epochs,
        recipe.stages[-1].size,
        len(photos.classes),
        len(datasets[0].train),
        len(datasets[0].held_out),
        min(MEASURED, len(datasets[0].train)),
        tuple(variant.name for variant in chosen),
        tuple(variant.title for variant in chosen),
        numbers,
        parameters,
        **found,
    )
    result.save(run)
    return result


def _training_error(folder: Path, dataset: PhotoDataset) -> float:
    """Error on training photos, evenly taken, as the held-out ones are seen; measured once."""
    run = Run.open(folder, "train")
    if run.has(_TRAINING_ERROR):
        stored = run.json(_TRAINING_ERROR)
        try:
            return float(stored["top1"])
        except (KeyError, TypeError) as error:
            raise RunError(f"{_TRAINING_ERROR}.json in {folder} is damaged: remove it.") from error
    network = load(str(folder / NETWORK))
    indices = _evenly(dataset.train, MEASURED)
    views: list[npt.NDArray[np.uint8]] = []
    kept: list[int] = []
    for index, view in dataset.read(indices, network.view):
        views.append(view)
        kept.append(index)
    error = 1 - evaluate(network.module, network.preprocessing, views, dataset.labels[kept]).top1
    run.save_json(_TRAINING_ERROR, {"top1": error, "photos": len(kept)})
    return error


def _evenly(indices: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]


def _check_builds(plan: Recipe, classes: int) -> None:
    """Refuse a variant that does not fit the input size before any is trained."""
    for stage in plan.stages:
        with torch.device("meta"):
            build(plan.network, **plan.options, num_classes=classes, input_size=stage.size)
