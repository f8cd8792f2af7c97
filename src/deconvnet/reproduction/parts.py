"""The parts of a reproduction, in order."""

from __future__ import annotations

import dataclasses

from deconvnet.data import Photos
from deconvnet.reproduction.paper import ALEXNET, ZFNET, PaperInputs, PaperPart
from deconvnet.reproduction.part_costs import (
    ablation_passes,
    averaging_passes,
    control_passes,
    diagnosis_passes,
    evolution_passes,
    occlusion_passes,
    shown_passes,
    trained_passes,
    transfer_passes,
)
from deconvnet.reproduction.part_work import (
    do_ablate,
    do_averaging,
    do_compare,
    do_correspond,
    do_diagnose,
    do_evolve,
    do_evolve_control,
    do_invariance,
    do_mine,
    do_occlude,
    do_sanity,
    do_training,
    do_transfer,
)


def parts_of(paper: PaperInputs) -> tuple[PaperPart, ...]:
    """The parts of a scale, in the order in which they are done: those that need no training first."""
    scale = paper.scale
    every: list[PaperPart] = []
    nets: tuple[str, ...] = ()
    zfnet: tuple[str, ...] = ()

    def whole(p: PaperInputs) -> Photos:
        return p.photos

    if scale.recipe is not None:
        nets, zfnet = (f"train-{ALEXNET}", f"train-{ZFNET}"), (f"train-{ZFNET}",)
        runs = {f"train-{ZFNET}": (ZFNET, scale.recipe), f"train-{ALEXNET}": (ALEXNET, scale.recipe)}
        for seed in range(1, scale.zfnets):
            runs[f"train-{ZFNET}-seed-{seed}"] = (ZFNET, scale.recipe.changed(seed=seed))
        if scale.recipe.filter_radius is not None:
            runs["train-unclipped"] = (ZFNET, dataclasses.replace(scale.recipe, filter_radius=None))
        for name, (network, recipe) in runs.items():
            title = f"{network}, recipe {recipe.name}, {recipe.epochs} epochs"
            cost = lambda p, r=recipe: trained_passes(r, p.photos)  # noqa: E731
            every.append(PaperPart(name, title, (), cost, do_training(network, recipe, whole)))
    every += [
        PaperPart("compare", "networks side by side (Sec. 5.1)", nets, lambda p: 400 + 8 * 100, do_compare),
        PaperPart("diagnose", "filters, dead maps, aliasing (Sec. 4.1, Fig. 6)", nets, diagnosis_passes, do_diagnose),
        PaperPart(
            "invariance",
            "moved, enlarged, turned (Fig. 5)",
            zfnet,
            lambda p: 80 * p.scale.moved * shown_passes(p),
            do_invariance,
        ),
        PaperPart(
            "correspond",
            "masked parts (Sec. 4.3, Table 1, Fig. 8)",
            zfnet,
            lambda p: 1000 * shown_passes(p),
            do_correspond(False),
        ),
        PaperPart(
            "correspond-control",
            "the same, weights shuffled",
            zfnet,
            lambda p: 1000 * shown_passes(p),
            do_correspond(True),
        ),
        PaperPart(
            "sanity", "projections and random weights (Sec. 2.1)", zfnet, lambda p: 700 * shown_passes(p), do_sanity
        ),
        PaperPart(
            "average", "AlexNet, ZFNet and their average (Table 2)", nets, averaging_passes(2), do_averaging(False)
        ),
        PaperPart("occlude", "a square slides over photos (Sec. 4.2, Fig. 7)", zfnet, occlusion_passes, do_occlude),
        PaperPart(
            "mine",
            "each map's strongest nine (Fig. 2)",
            zfnet,
            lambda p: len(p.photos) * shown_passes(p) + 5 * 11 * p.scale.drawn,
            do_mine,
        ),
    ]
    if scale.zfnets > 1:
        seeds = tuple(f"train-{ZFNET}-seed-{seed}" for seed in range(1, scale.zfnets))
        title = f"{scale.zfnets} ZFNets and their average (Table 2)"
        every.append(
            PaperPart("average-zfnets", title, (*zfnet, *seeds), averaging_passes(scale.zfnets), do_averaging(True))
        )
    if paper.target is None or scale.recipe is None:
        title = f"ZFNet on every second class, {scale.half.epochs} epochs (for Fig. 4 and Tables 4 to 7)"
        every.append(
            PaperPart(
                "train-half",
                title,
                (),
                lambda p: trained_passes(p.scale.half, p.halves[0]),
                do_training(ZFNET, scale.half, lambda p: p.halves[0]),
            )
        )
    source = (paper.evolving,)
    half = ("train-half",) if paper.target is None else zfnet
    every += [
        PaperPart("evolve", "features through training (Fig. 4)", source, evolution_passes, do_evolve),
        PaperPart("evolve-control", "the same of noise in the weights", source, control_passes, do_evolve_control),
        PaperPart(
            "transfer", "linear classifiers on each layer (Tables 4 to 7, Fig. 9)", half, transfer_passes, do_transfer
        ),
        PaperPart("ablate", "layers removed and resized (Table 3)", (), ablation_passes, do_ablate),
    ]
    return tuple(every)
