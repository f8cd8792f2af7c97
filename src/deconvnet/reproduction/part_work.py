"""What each part of a reproduction does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deconvnet.data import Photos
from deconvnet.experiments.ablation.measure import ablate
from deconvnet.experiments.averaging.measure import average
from deconvnet.experiments.comparison.measure import compare
from deconvnet.experiments.correspondence import correspond, read_parts
from deconvnet.experiments.diagnosis.figure import diagnosis_figure
from deconvnet.experiments.diagnosis.measure import diagnose, save_diagnoses
from deconvnet.experiments.evolution import evolve, training_photos
from deconvnet.experiments.invariance import measure_invariance
from deconvnet.experiments.occlusion import measure_faithfulness, occlude
from deconvnet.experiments.occlusion.faithfulness_figure import faithfulness_curves
from deconvnet.experiments.occlusion.record import KIND as OCCLUDE
from deconvnet.experiments.occlusion.record import OcclusionRecord
from deconvnet.experiments.sanity.measure import check_sanity
from deconvnet.experiments.top_nine import draw_top_nine, mine
from deconvnet.experiments.transfer import Scratch, transfer
from deconvnet.figures import save_figure
from deconvnet.mining.run_record import MiningRecord
from deconvnet.networks import load
from deconvnet.networks.controls import with_shuffled_weights, with_weight_noise
from deconvnet.progress import report
from deconvnet.reproduction.paper import ALEXNET, CONTROL_COSINE, SEED, ZFNET, PaperInputs, some_classes
from deconvnet.runs import Run
from deconvnet.training import PhotoDataset, Recipe, train
from deconvnet.training.loop import NETWORK
from deconvnet.training.snapshots import find_snapshots, load_snapshots


def do_training(
    network: str, recipe: Recipe, photos: Callable[[PaperInputs], Photos]
) -> Callable[[PaperInputs, Path], None]:
    def do(paper: PaperInputs, out: Path) -> None:
        chosen = photos(paper)
        dataset = PhotoDataset(chosen, recipe.held_out, SEED)
        plan = recipe.changed(network=network)
        card = {"data": chosen.root.name}
        train(plan, dataset, out, resume=True, card=card, device=paper.device, progress=paper.tell)

    return do


def do_compare(paper: PaperInputs, out: Path) -> None:
    networks = [load("lenet5"), paper.network(ALEXNET), paper.network(ZFNET)]
    sample = min(100, paper.scale.diagnosed)
    result = compare(networks, paper.photos, sample=sample, rounds=15 if paper.scale.trains else 2, progress=paper.tell)
    result.save(out, overwrite=True)
    save_figure(result.plot(), out / "comparison.png")


def do_diagnose(paper: PaperInputs, out: Path) -> None:
    networks = [paper.network(ALEXNET), paper.network(ZFNET)]
    unclipped = paper.out / "train-unclipped" / NETWORK
    if unclipped.is_file():
        networks.append(dataclasses.replace(load(str(unclipped)), name="zfnet-unclipped"))
    options: dict[str, Any] = {"sample": paper.scale.diagnosed, "probe": paper.scale.probed, "progress": paper.tell}
    records = [diagnose(network, paper.photos, **options) for network in networks]
    save_diagnoses(records, out, overwrite=True)
    save_figure(diagnosis_figure(records), out / "diagnosis.png")


def do_mine(paper: PaperInputs, out: Path) -> float:
    run = mine(
        paper.network(ZFNET),
        paper.photos,
        out,
        weights=paper.weights(ZFNET),
        resume=out.exists(),
        progress=paper.tell,
    )
    for layer in run.settings["layers"]:
        figure = draw_top_nine(run, layer, maps=paper.scale.drawn, progress=paper.tell)
        save_figure(figure, out / f"{layer}.png")
    return MiningRecord.read(run).seconds.get("forward", 0.0)


def do_evolve(paper: PaperInputs, out: Path) -> float:
    source = paper.out / paper.evolving
    found = find_snapshots(source)
    result = evolve(load_snapshots(found), _searched(paper), labels=found.labels, axis=found.axis, **_searching(paper))
    run = result.save(out, inputs={"training": paper.evolving}, overwrite=True)
    save_figure(result.plot(), run.path / "evolution.png")
    save_figure(result.plot_convergence(), run.path / "convergence.png")
    return result.forward_seconds


def do_evolve_control(paper: PaperInputs, out: Path) -> float:
    last = load_snapshots(find_snapshots(paper.out / paper.evolving))[-1]
    networks = [with_weight_noise(last, CONTROL_COSINE), last]
    result = evolve(networks, _searched(paper), labels=("noise added", "last"), axis="file", **_searching(paper))
    result.save(out, inputs={"training": paper.evolving, "cosine": CONTROL_COSINE}, overwrite=True)
    return result.forward_seconds


def _searched(paper: PaperInputs) -> Photos | Sequence[Any]:
    photos = training_photos(Run.open(paper.out / paper.evolving, "train"), paper.photos.address).photos
    most = paper.scale.evolution_photos
    if most is None or most >= len(photos) or not isinstance(photos, Photos):
        return photos
    return photos.subset(np.sort(np.random.default_rng(SEED).permutation(len(photos))[:most]))


def _searching(paper: PaperInputs) -> dict[str, Any]:
    return {"photo_set": "training photos", "progress": paper.tell}


def do_invariance(paper: PaperInputs, out: Path) -> float:
    network = paper.network(ZFNET)
    chosen = paper.held_out(paper.scale.moved)
    result = measure_invariance(
        network,
        [each.pixels for each in chosen],
        names=[paper.photos.names[each.number] for each in chosen],
        progress=paper.tell,
    )
    run = result.save(out, overwrite=True)
    save_figure(result.plot(), run.path / "invariance.png")
    return result.forward_seconds


def do_occlude(paper: PaperInputs, out: Path) -> None:
    network, chosen = paper.network(ZFNET), paper.held_out(paper.scale.covered)
    names = [paper.photos.classes[paper.photos.labels[each.number]] for each in chosen]
    result = occlude(
        network,
        [(paper.photos.names[each.number], each.pixels) for each in chosen],
        fills=("grey",),
        labels=names if set(names) <= set(network.classes) else (),
        stride=paper.scale.occlusion_stride,
        progress=paper.tell,
    )
    steps, seeds = paper.scale.curves
    measured = []
    for number, photo in enumerate(result.photos, start=1):
        measured.append(
            measure_faithfulness(network, photo.maps[0], photo.label, photo=photo.name, steps=steps, seeds=seeds)
        )
        report(paper.tell, number, len(result.photos), "deletion and insertion")
    run = Run.create(out, OCCLUDE, result.settings, result.inputs, overwrite=True)
    OcclusionRecord(network.title, result.photos, tuple(measured)).write(run)
    run.finish()
    save_figure(result.plot(), out / "occlusion.png")
    save_figure(faithfulness_curves(measured, f"{network.title}: deletion and insertion"), out / "faithfulness.png")


def do_correspond(control: bool) -> Callable[[PaperInputs, Path], float]:
    def do(paper: PaperInputs, out: Path) -> float:
        network = paper.network(ZFNET)
        result = correspond(
            with_shuffled_weights(network) if control else network,
            read_parts(paper.parts_file),
            paper.photos,
            regions=paper.scale.regions,
            permutations=paper.scale.permutations,
            progress=paper.tell,
        )
        run = result.save(out, overwrite=True)
        save_figure(result.plot(), run.path / "correspondence.png")
        return result.forward_seconds

    return do


def do_sanity(paper: PaperInputs, out: Path) -> None:
    chosen = paper.held_out(3)
    result = check_sanity(
        paper.network(ZFNET),
        [each.pixels for each in chosen],
        names=[paper.photos.names[each.number] for each in chosen],
        layer="conv5",
        units=4 if paper.scale.trains else 1,
        rules=("deconvnet",),
        progress=paper.tell,
    )
    run = result.save(out, overwrite=True)
    save_figure(result.plot(), run.path / "sanity.png")


def do_averaging(several: bool) -> Callable[[PaperInputs, Path], None]:
    def do(paper: PaperInputs, out: Path) -> None:
        if several:
            names = [ZFNET, *(f"{ZFNET}-seed-{seed}" for seed in range(1, paper.scale.zfnets))]
            networks = [dataclasses.replace(paper.network(name), name=name) for name in names]
        else:
            networks = [paper.network(name) for name in (ALEXNET, ZFNET)]
        crops = "ten crops" if paper.scale.ten_crops else "centre crop"
        words = (
            f"{paper.photos.root.name}, held-out photos (share {paper.dataset.held_out_share}, seed {SEED}), {crops}"
        )
        result = average(networks, paper.dataset, ten_crops=paper.scale.ten_crops, data=words, progress=paper.tell)
        result.save(out, overwrite=True)
        save_figure(result.plot(), out / "average.png")

    return do


def do_ablate(paper: PaperInputs, out: Path) -> None:
    result = ablate(
        paper.scale.ablation,
        do_ablated(paper),
        out,
        seeds=paper.scale.ablation_seeds,
        names=paper.scale.variants,
        device=paper.device,
        progress=paper.tell,
    )
    save_figure(result.plot(), out / "ablation.png")


def do_ablated(paper: PaperInputs) -> Photos:
    return some_classes(paper.photos, paper.scale.ablation_classes, paper.scale.ablation_photos)


def do_transfer(paper: PaperInputs, out: Path) -> float:
    scale = paper.scale
    if paper.target is None:
        network, seen = load(str(paper.out / "train-half" / NETWORK)), paper.halves[0]
    else:
        network, seen = paper.network(ZFNET), paper.photos
    result = transfer(
        network,
        paper.transferred_to,
        per_class=scale.per_class,
        folds=scale.folds,
        seen=seen,
        scratch=Scratch(scale.scratch, out.with_name(out.name + "-scratch"), scale.scratch_folds),
        progress=paper.tell,
    )
    run = result.save(out, overwrite=True)
    save_figure(result.plot(), run.path / "transfer.png")
    return result.forward_seconds
