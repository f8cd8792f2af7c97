"""What each part of a reproduction costs, in forward passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deconvnet.data import Photos
from deconvnet.experiments.ablation.measure import variants as table_3
from deconvnet.reproduction.paper import STEP_PASSES, PaperInputs
from deconvnet.reproduction.part_work import do_ablated
from deconvnet.training import Recipe


def shown_passes(paper: PaperInputs) -> float:
    """A forward pass of the main networks, in passes of 128 px."""
    return 1.0 if paper.scale.recipe is None else (paper.scale.recipe.stages[-1].size / 128) ** 2


def trained_passes(recipe: Recipe, photos: Photos, share: float | None = None) -> float:
    """Passes of a training: every epoch's training crops and held-out photos."""
    held_out = recipe.held_out if share is None else share
    counts = np.bincount(photos.labels[photos.labels >= 0], minlength=len(photos.classes))
    train_counts = counts * (1 - held_out)
    if recipe.balance is not None:
        train_counts = np.clip(train_counts, *recipe.balance)
    each = STEP_PASSES * float(train_counts.sum()) + float(counts.sum() * held_out)
    return sum(stage.epochs * each * (stage.size / 128) ** 2 for stage in recipe.stages)


def ablation_passes(paper: PaperInputs) -> float:
    names = [variant.name for variant in table_3(paper.scale.ablation, paper.scale.variants)]
    wide = sum(2.1 if name.startswith("wide") else 1.0 for name in names)  # multiply-adds, facts of Table 3's networks
    return wide * paper.scale.ablation_seeds * trained_passes(paper.scale.ablation, do_ablated(paper))


def transfer_passes(paper: PaperInputs) -> float:
    scale, photos = paper.scale, paper.transferred_to
    side = (scale.half.stages[-1].size / 128) ** 2
    classes = len(photos.classes)
    scratch = sum(
        scale.scratch_folds * epochs * size * classes * STEP_PASSES * (stage.size / 128) ** 2
        for size in scale.per_class
        for stage in scale.scratch.stages
        for epochs in [stage.epochs]
    )
    fits = 7 * 2 * 4 * scale.folds * sum(size * classes for size in scale.per_class) / 10
    return len(photos) * side + scratch + fits


def evolution_passes(paper: PaperInputs) -> float:
    recipe = paper.scale.half if paper.scale.recipe is None else paper.scale.recipe
    photos = paper.halves[0] if paper.scale.recipe is None else paper.photos
    count = paper.scale.evolution_photos or len(photos) * (1 - recipe.held_out)
    return count * len(recipe.snapshot_epochs) * (recipe.stages[-1].size / 128) ** 2


def occlusion_passes(paper: PaperInputs) -> float:
    steps, seeds = paper.scale.curves
    curves = 2 * (2 + 2 * seeds) * (steps - 1)
    return paper.scale.covered * shown_passes(paper) * (300 + curves)


def diagnosis_passes(paper: PaperInputs) -> float:
    return 2 * shown_passes(paper) * (2 * paper.scale.diagnosed + 22 * paper.scale.probed)  # docs/diagnosis.md, Cost


def averaging_passes(networks: int) -> Callable[[PaperInputs], float]:
    def passes(paper: PaperInputs) -> float:
        crops = 10 if paper.scale.ten_crops else 1
        return networks * crops * len(paper.dataset.held_out) * shown_passes(paper)

    return passes


def control_passes(paper: PaperInputs) -> float:
    recipe = paper.scale.half if paper.scale.recipe is None else paper.scale.recipe
    return evolution_passes(paper) * 2 / len(recipe.snapshot_epochs)
