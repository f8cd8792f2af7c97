"""The whole paper in one run: every experiment at one scale, part by part, and its claims judged.

Command: ``deconvnet reproduce --data FOLDER --out RUN --scale smoke|laptop|full``. Each part is a run of its own in a
folder of this run; finished parts are not done again, trainings and mining go on where they were killed, other parts
are redone. What a part cannot do with the data at hand does not stop the others: its claims are then not testable.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deconvnet.data import Photos
from deconvnet.errors import DataError, DeconvnetError, RunError, UnknownNameError
from deconvnet.experiments.ablation.measure import ablate
from deconvnet.experiments.ablation.measure import variants as table_3
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
from deconvnet.networks import Network, load
from deconvnet.networks.controls import with_shuffled_weights, with_weight_noise
from deconvnet.progress import Progress, report
from deconvnet.reproduction.claims import CLAIMS, Evidence
from deconvnet.reproduction.record import KIND, PartTime, ReproductionRecord
from deconvnet.reproduction.scales import Scale
from deconvnet.runs import Run, files
from deconvnet.training import PhotoDataset, Recipe, train
from deconvnet.training.loop import NETWORK
from deconvnet.training.snapshots import find_snapshots, load_snapshots

SHARE, SEED = 0.2, 0  # held out, and the split's seed: those of the weights in the package
ZFNET, ALEXNET = "zfnet", "alexnet-dense"
CONTROL_COSINE = 0.9
_PASS = 9e-3  # seconds of one core: ZFNet's forward pass of a photo of 128 px (docs/diagnosis.md)
_STEP = 2.5  # forward and backward pass and update, in forward passes

Indices = npt.NDArray[np.int64]


class Exhibit(NamedTuple):
    """A photo, and its number among the data's."""

    number: int
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Paper:
    """What is asked for, and what the parts share.

    Attributes
    ----------
    scale : Scale
    photos : Photos
        In class folders, classes that are to be left out left out.
    out : Path
        Folder of the run.
    parts_file : path or None
        Marked parts of photos, for correspondence; those that come with deconvnet unless given.
    target : Photos or None
        Transfer to these, from the network of the main photos; unless given, from every second class to the others.
    device : str
        For training.
    tell : Progress
    """

    scale: Scale
    photos: Photos
    out: Path
    parts_file: Path | None = None
    target: Photos | None = None
    device: str = "cpu"
    tell: Progress = field(default=lambda report: None)

    def network(self, name: str) -> Network:
        """ZFNet or AlexNet: trained in a part of this run, or with the weights in the package."""
        return load(name if self.scale.recipe is None else self.weights(name))

    def weights(self, name: str) -> str:
        """Where its weights lie, as :func:`deconvnet.load` takes it."""
        return "shipped" if self.scale.recipe is None else str(self.out / f"train-{name}" / NETWORK)

    @cached_property
    def dataset(self) -> PhotoDataset:
        """The photos split as for the main networks."""
        share = SHARE if self.scale.recipe is None else self.scale.recipe.held_out
        return PhotoDataset(self.photos, share, SEED)

    @cached_property
    def order(self) -> Indices:
        """The held-out photos in random order."""
        return np.random.default_rng(SEED).permutation(self.dataset.held_out)

    def held_out(self, count: int) -> list[Exhibit]:
        """So many held-out photos that can be read, drawn at random."""
        return [Exhibit(index, photo) for index, photo in islice(self.dataset.read(self.order, np.asarray), count)]

    @cached_property
    def halves(self) -> tuple[Photos, Photos]:
        """Every second class, and the others."""
        names = self.photos.classes
        if len(names) < 4:
            raise DataError(f"{len(names)} classes cannot be halved into two to learn from and two to transfer to.")
        first, second = set(names[::2]), set(names[1::2])
        return self.photos.exclude(second), self.photos.exclude(first)

    @cached_property
    def transferred_to(self) -> Photos:
        """Photos of the classes that the transferred network does not know and that have enough photos."""
        scale = self.scale
        photos = self.halves[1] if self.target is None else self.target
        photos = photos.subset(photos.labels >= 0)
        counts = np.bincount(photos.labels, minlength=len(photos.classes))
        small = [name for name, count in zip(photos.classes, counts, strict=True) if count <= max(scale.per_class)]
        return some_classes(photos.exclude(small), scale.transfer_classes)

    @property
    def evolving(self) -> str:
        """The training that Figure 4 follows."""
        return "train-half" if self.scale.recipe is None else f"train-{ZFNET}"


@dataclass(frozen=True)
class Part:
    """One part of the run.

    Attributes
    ----------
    name : str
        Its folder.
    title : str
        What it does, and for which figure or table.
    needs : tuple of str
        Parts that must be done before.
    passes : callable(Paper) -> float
        Its cost: about so many forward passes of a photo of 128 px.
    do : callable(Paper, path) -> float or None
        Does it; how many seconds of that were bare forward passes, where that is counted.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    passes: Callable[[Paper], float]
    do: Callable[[Paper, Path], float | None]


@dataclass(frozen=True)
class PartPlan:
    """A part before it is done.

    Attributes
    ----------
    part : Part
    minutes : float
        Estimated, of one core of the machine on which the estimate's constants were measured.
    done : bool
    """

    part: Part
    minutes: float
    done: bool


# -- what each part does ---------------------------------------------------------------------------------------------


def _training(network: str, recipe: Recipe, photos: Callable[[Paper], Photos]) -> Callable[[Paper, Path], None]:
    def do(paper: Paper, out: Path) -> None:
        chosen = photos(paper)
        dataset = PhotoDataset(chosen, recipe.held_out, SEED)
        plan = recipe.changed(network=network)
        card = {"data": chosen.root.name}
        train(plan, dataset, out, resume=True, card=card, device=paper.device, progress=paper.tell)

    return do


def _compare(paper: Paper, out: Path) -> None:
    networks = [load("lenet5"), paper.network(ALEXNET), paper.network(ZFNET)]
    sample = min(100, paper.scale.diagnosed)
    result = compare(networks, paper.photos, sample=sample, rounds=15 if paper.scale.trains else 2, progress=paper.tell)
    result.save(out, overwrite=True)
    save_figure(result.plot(), out / "comparison.png")


def _diagnose(paper: Paper, out: Path) -> None:
    networks = [paper.network(ALEXNET), paper.network(ZFNET)]
    unclipped = paper.out / "train-unclipped" / NETWORK
    if unclipped.is_file():
        networks.append(dataclasses.replace(load(str(unclipped)), name="zfnet-unclipped"))
    options: dict[str, Any] = {"sample": paper.scale.diagnosed, "probe": paper.scale.probed, "progress": paper.tell}
    records = [diagnose(network, paper.photos, **options) for network in networks]
    save_diagnoses(records, out, overwrite=True)
    save_figure(diagnosis_figure(records), out / "diagnosis.png")


def _mine(paper: Paper, out: Path) -> float:
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


def _evolve(paper: Paper, out: Path) -> float:
    source = paper.out / paper.evolving
    found = find_snapshots(source)
    result = evolve(load_snapshots(found), _searched(paper), labels=found.labels, axis=found.axis, **_searching(paper))
    run = result.save(out, inputs={"training": paper.evolving}, overwrite=True)
    save_figure(result.plot(), run.path / "evolution.png")
    save_figure(result.plot_convergence(), run.path / "convergence.png")
    return result.forward_seconds


def _evolve_control(paper: Paper, out: Path) -> float:
    last = load_snapshots(find_snapshots(paper.out / paper.evolving))[-1]
    networks = [with_weight_noise(last, CONTROL_COSINE), last]
    result = evolve(networks, _searched(paper), labels=("noise added", "last"), axis="file", **_searching(paper))
    result.save(out, inputs={"training": paper.evolving, "cosine": CONTROL_COSINE}, overwrite=True)
    return result.forward_seconds


def _searched(paper: Paper) -> Photos | Sequence[Any]:
    photos = training_photos(Run.open(paper.out / paper.evolving, "train"), paper.photos.address).photos
    most = paper.scale.evolution_photos
    if most is None or most >= len(photos) or not isinstance(photos, Photos):
        return photos
    return photos.subset(np.sort(np.random.default_rng(SEED).permutation(len(photos))[:most]))


def _searching(paper: Paper) -> dict[str, Any]:
    return {"photo_set": "training photos", "progress": paper.tell}


def _invariance(paper: Paper, out: Path) -> float:
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


def _occlude(paper: Paper, out: Path) -> None:
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


def _correspond(control: bool) -> Callable[[Paper, Path], float]:
    def do(paper: Paper, out: Path) -> float:
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


def _sanity(paper: Paper, out: Path) -> None:
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


def _averaging(several: bool) -> Callable[[Paper, Path], None]:
    def do(paper: Paper, out: Path) -> None:
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


def _ablate(paper: Paper, out: Path) -> None:
    result = ablate(
        paper.scale.ablation,
        _ablated(paper),
        out,
        seeds=paper.scale.ablation_seeds,
        names=paper.scale.variants,
        device=paper.device,
        progress=paper.tell,
    )
    save_figure(result.plot(), out / "ablation.png")


def _ablated(paper: Paper) -> Photos:
    return some_classes(paper.photos, paper.scale.ablation_classes, paper.scale.ablation_photos)


def _transfer(paper: Paper, out: Path) -> float:
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


def some_classes(photos: Photos, classes: int | None, per_class: int | None = None) -> Photos:
    """Photos of so many classes, evenly taken in alphabetical order, and of each the first so many; None: all."""
    names = photos.classes
    if classes is not None and classes < len(names):
        kept = {names[i] for i in np.linspace(0, len(names) - 1, classes).round().astype(int)}
        photos = photos.exclude([name for name in names if name not in kept])
    if per_class is None:
        return photos
    chosen = [np.flatnonzero(photos.labels == label)[:per_class] for label in range(len(photos.classes))]
    return photos.subset(np.sort(np.concatenate(chosen)))


# -- what they cost --------------------------------------------------------------------------------------------------


def _shown(paper: Paper) -> float:
    """A forward pass of the main networks, in passes of 128 px."""
    return 1.0 if paper.scale.recipe is None else (paper.scale.recipe.stages[-1].size / 128) ** 2


def _trained(recipe: Recipe, photos: Photos, share: float | None = None) -> float:
    """Passes of a training: every epoch's training crops and held-out photos."""
    held_out = recipe.held_out if share is None else share
    counts = np.bincount(photos.labels[photos.labels >= 0], minlength=len(photos.classes))
    train_counts = counts * (1 - held_out)
    if recipe.balance is not None:
        train_counts = np.clip(train_counts, *recipe.balance)
    each = _STEP * float(train_counts.sum()) + float(counts.sum() * held_out)
    return sum(stage.epochs * each * (stage.size / 128) ** 2 for stage in recipe.stages)


def _ablation_passes(paper: Paper) -> float:
    names = [variant.name for variant in table_3(paper.scale.ablation, paper.scale.variants)]
    wide = sum(2.1 if name.startswith("wide") else 1.0 for name in names)  # multiply-adds, facts of Table 3's networks
    return wide * paper.scale.ablation_seeds * _trained(paper.scale.ablation, _ablated(paper))


def _transfer_passes(paper: Paper) -> float:
    scale, photos = paper.scale, paper.transferred_to
    side = (scale.half.stages[-1].size / 128) ** 2
    classes = len(photos.classes)
    scratch = sum(
        scale.scratch_folds * epochs * size * classes * _STEP * (stage.size / 128) ** 2
        for size in scale.per_class
        for stage in scale.scratch.stages
        for epochs in [stage.epochs]
    )
    fits = 7 * 2 * 4 * scale.folds * sum(size * classes for size in scale.per_class) / 10
    return len(photos) * side + scratch + fits


def _evolution_passes(paper: Paper) -> float:
    recipe = paper.scale.half if paper.scale.recipe is None else paper.scale.recipe
    photos = paper.halves[0] if paper.scale.recipe is None else paper.photos
    count = paper.scale.evolution_photos or len(photos) * (1 - recipe.held_out)
    return count * len(recipe.snapshot_epochs) * (recipe.stages[-1].size / 128) ** 2


def _occlusion_passes(paper: Paper) -> float:
    steps, seeds = paper.scale.curves
    curves = 2 * (2 + 2 * seeds) * (steps - 1)
    return paper.scale.covered * _shown(paper) * (300 + curves)


def parts_of(paper: Paper) -> tuple[Part, ...]:
    """The parts of a scale, in the order in which they are done: those that need no training first."""
    scale = paper.scale
    every: list[Part] = []
    nets: tuple[str, ...] = ()
    zfnet: tuple[str, ...] = ()

    def whole(p: Paper) -> Photos:
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
            cost = lambda p, r=recipe: _trained(r, p.photos)  # noqa: E731
            every.append(Part(name, title, (), cost, _training(network, recipe, whole)))
    every += [
        Part("compare", "networks side by side (Sec. 5.1)", nets, lambda p: 400 + 8 * 100, _compare),
        Part("diagnose", "filters, dead maps, aliasing (Sec. 4.1, Fig. 6)", nets, _diagnosis_passes, _diagnose),
        Part("invariance", "moved, enlarged, turned (Fig. 5)", zfnet, lambda p: 80 * p.scale.moved * _shown(p),
             _invariance),
        Part("correspond", "masked parts (Sec. 4.3, Table 1, Fig. 8)", zfnet, lambda p: 1000 * _shown(p),
             _correspond(False)),
        Part("correspond-control", "the same, weights shuffled", zfnet, lambda p: 1000 * _shown(p), _correspond(True)),
        Part("sanity", "projections and random weights (Sec. 2.1)", zfnet, lambda p: 700 * _shown(p), _sanity),
        Part("average", "AlexNet, ZFNet and their average (Table 2)", nets, _averaging_passes(2), _averaging(False)),
        Part("occlude", "a square slides over photos (Sec. 4.2, Fig. 7)", zfnet, _occlusion_passes, _occlude),
        Part("mine", "each map's strongest nine (Fig. 2)", zfnet,
             lambda p: len(p.photos) * _shown(p) + 5 * 11 * p.scale.drawn, _mine),
    ]  # fmt: skip
    if scale.zfnets > 1:
        seeds = tuple(f"train-{ZFNET}-seed-{seed}" for seed in range(1, scale.zfnets))
        title = f"{scale.zfnets} ZFNets and their average (Table 2)"
        every.append(Part("average-zfnets", title, (*zfnet, *seeds), _averaging_passes(scale.zfnets), _averaging(True)))
    if paper.target is None or scale.recipe is None:
        title = f"ZFNet on every second class, {scale.half.epochs} epochs (for Fig. 4 and Tables 4 to 7)"
        every.append(
            Part("train-half", title, (), lambda p: _trained(p.scale.half, p.halves[0]),
                 _training(ZFNET, scale.half, lambda p: p.halves[0]))
        )  # fmt: skip
    source = (paper.evolving,)
    half = ("train-half",) if paper.target is None else zfnet
    every += [
        Part("evolve", "features through training (Fig. 4)", source, _evolution_passes, _evolve),
        Part("evolve-control", "the same of noise in the weights", source, _control_passes, _evolve_control),
        Part("transfer", "linear classifiers on each layer (Tables 4 to 7, Fig. 9)", half, _transfer_passes, _transfer),
        Part("ablate", "layers removed and resized (Table 3)", (), _ablation_passes, _ablate),
    ]
    return tuple(every)


def _diagnosis_passes(paper: Paper) -> float:
    return 2 * _shown(paper) * (2 * paper.scale.diagnosed + 22 * paper.scale.probed)  # docs/diagnosis.md, Cost


def _averaging_passes(networks: int) -> Callable[[Paper], float]:
    def passes(paper: Paper) -> float:
        crops = 10 if paper.scale.ten_crops else 1
        return networks * crops * len(paper.dataset.held_out) * _shown(paper)

    return passes


def _control_passes(paper: Paper) -> float:
    recipe = paper.scale.half if paper.scale.recipe is None else paper.scale.recipe
    return _evolution_passes(paper) * 2 / len(recipe.snapshot_epochs)


# -- doing them ------------------------------------------------------------------------------------------------------


def plan(paper: Paper) -> tuple[PartPlan, ...]:
    """The parts with their estimated costs, and whether they are done; nothing is computed or written.

    Raises
    ------
    DataError
        If the photos have no classes.
    """
    _check_classes(paper.photos)
    found = []
    for part in parts_of(paper):
        try:
            minutes = part.passes(paper) * _PASS / 60
        except DataError:  # the part itself will say why
            minutes = 0.0
        found.append(PartPlan(part, minutes, _finished(paper.out, part.name) is not None))
    return tuple(found)


def reproduce(
    paper: Paper,
    *,
    only: Sequence[str] = (),
    overwrite: bool = False,
    inputs: Mapping[str, Any] | None = None,
    began: Callable[[Part], None] | None = None,
    ended: Callable[[PartTime], None] | None = None,
) -> ReproductionRecord:
    """Do every part that is not done, judge the claims, and write the run.

    Parameters
    ----------
    paper : Paper
    only : sequence of str
        Do these parts alone, and those that they need; claims on others are then not testable.
    overwrite : bool
        Remove an earlier reproduction with all its parts first.
    inputs : mapping, optional
        What else the manifest should say of the data.
    began, ended : callable, optional
        Before and after each part that is done now.

    Returns
    -------
    ReproductionRecord

    Raises
    ------
    DataError
        If the photos have no classes.
    UnknownNameError
        If there is no part of a name.
    RunError
        If ``out`` holds something else, a reproduction at another scale or of other photos, or cannot be written.
    """
    _check_classes(paper.photos)
    parts = parts_of(paper)
    wanted = _wanted(parts, only)
    given = {"photos": paper.photos.fingerprint, "count": len(paper.photos), **(inputs or {})}
    settings = {"scale": paper.scale.name}
    run = Run.create(paper.out, KIND, settings, given, overwrite=overwrite, resume=not overwrite)
    missing: dict[str, str] = {part: "not planned at this scale" for claim in CLAIMS for part in claim.parts}
    missing["average-zfnets"] = "not planned at this scale"
    times = []
    for part in parts:
        missing.pop(part.name, None)
        done = _finished(paper.out, part.name)
        why = "" if done is not None else "not done yet"
        if done is None and part.name in wanted:
            lacking = next((name for name in part.needs if name in missing), None)
            if lacking is not None:
                why = f"no {lacking}: {missing[lacking]}"
            else:
                if began is not None:
                    began(part)
                done, why = _do(paper, part, run)
                if ended is not None:
                    ended(_time(part, done, why))
        if done is None:
            missing[part.name] = why
        times.append(_time(part, done, why))
    evidence = Evidence(paper.out, missing, len(paper.photos.classes))
    answers = tuple(claim.answer(evidence, paper.scale.trains) for claim in CLAIMS)
    words = f"{paper.photos.root.name}, {len(paper.photos):,} photos in {len(paper.photos.classes)} classes"
    titles = tuple(paper.network(name).title for name in (ZFNET, ALEXNET) if f"train-{name}" not in missing)
    record = ReproductionRecord(paper.scale.name, paper.scale.about, words, titles, tuple(times), answers)
    record.write(run)
    files.write_text(paper.out / "claims.md", record.markdown())
    if not any(each.why == "not done yet" for each in times):
        run.finish()
    return record


def _time(part: Part, done: Mapping[str, float | None] | None, why: str) -> PartTime:
    spent = done or {}
    seconds, cpu, forward = (spent.get(name) for name in ("seconds", "cpu_seconds", "forward_seconds"))
    return PartTime(part.name, part.title, seconds, cpu, forward, why)


def _wanted(parts: Sequence[Part], only: Sequence[str]) -> set[str]:
    by_name = {part.name: part for part in parts}
    for name in only:
        if name not in by_name:
            raise UnknownNameError("part", name, by_name)
    wanted: set[str] = set()
    pending = list(only or by_name)
    while pending:
        name = pending.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            pending += by_name[name].needs
    return wanted


def _do(paper: Paper, part: Part, run: Run) -> tuple[dict[str, float | None] | None, str]:
    """The time that a part took, or why it cannot be done with this data."""
    start, cpu = time.perf_counter(), time.process_time()
    try:
        forward = part.do(paper, paper.out / part.name)
    except RunError:  # a full disk, a folder of something else: nothing that other parts would get round
        raise
    except DeconvnetError as error:
        return None, str(error)
    spent = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "forward_seconds": forward,
    }
    run.save_json(f"done/{part.name}", spent)
    return spent, ""


def _finished(out: Path, name: str) -> dict[str, float | None] | None:
    """The time that a part took, if it is done."""
    path = out / "done" / f"{name}.json"
    if not path.is_file() or not (out / name / "manifest.json").is_file():
        return None
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("seconds"), float):
        raise RunError(f"{path} is damaged: remove it, and the part is done again.")
    return found


def _check_classes(photos: Photos) -> None:
    if len(photos.classes) < 2:
        raise DataError(
            f"{photos.root} holds {len(photos.classes)} class(es): the paper needs one folder of photos for each of at "
            "least two classes (CLASS/photo.jpg)."
        )
