"""Tables 4 to 7 and Figure 9: how well linear classifiers tell new classes apart by the features of each layer.

Command: ``deconvnet transfer NETWORK --data FOLDER --per-class 15 --per-class 30 --folds 5``. The paper's network,
trained on ImageNet, reaches 83.8 and 86.5 % on Caltech-101 with 15 and 30 photos a class, and 22.8 and 46.5 % trained
on these photos alone (Table 4); an SVM on its layers 1, 2, 3, 4, 5 and 7 reaches 44.8, 66.2, 72.3, 76.6, 86.2 and
85.5 % (Table 7).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.data import Photos
from deconvnet.errors import DataError, OptionError
from deconvnet.experiments.transfer import linear, precision
from deconvnet.experiments.transfer.duplicates import THRESHOLD, find_duplicates
from deconvnet.experiments.transfer.features import layer_features, plan_layers
from deconvnet.experiments.transfer.figure import transfer_figure
from deconvnet.experiments.transfer.labels import LabelTable, places
from deconvnet.experiments.transfer.record import ACCURACY, KIND, PRECISION, Duplicate, TransferRecord
from deconvnet.networks import Network
from deconvnet.progress import Progress, report
from deconvnet.runs.results import RunResult
from deconvnet.training import PhotoDataset, Recipe
from deconvnet.training.series import trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Indices = npt.NDArray[np.int64]
MOST_FEATURES = 25_000


@dataclass(frozen=True)
class Scratch:
    """Training the same network on the transfer photos alone, for comparison.

    Attributes
    ----------
    recipe : Recipe
        Its epochs count; network, options and input size become those of the transferred network.
    folder : path
        Each training is a run in a folder of its own below; those that are there are gone on with or only read.
    folds : int
        Of how many folds: this is the costly part.
    """

    recipe: Recipe
    folder: Path
    folds: int = 1


@dataclass(frozen=True, eq=False, repr=False)
class Transfer(TransferRecord, RunResult):
    """What was found, with its figure; a notebook shows that."""

    kind: ClassVar[str] = KIND

    def __repr__(self) -> str:
        return f"Transfer({self.network} to {len(self.classes)} classes of {self.data}: {len(self.layers)} layers)"

    def plot(self, title: str | None = None) -> Figure:
        """Layer by layer as in Table 7, and by the number of training photos as in Figure 9."""
        return transfer_figure(self, title)

    def _told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        names = ("classifiers", "sizes", "folds", "seed", "threshold")
        settings = {name: getattr(self, name) for name in names} | {"layers": [each.name for each in self.layers]}
        given = {"network": self.network, "data": self.data}
        return settings, given


def transfer(
    network: Network,
    photos: Photos,
    *,
    per_class: Sequence[int] = (15, 30),
    folds: int = 5,
    layers: Sequence[str] | None = None,
    classifiers: Sequence[str] = linear.CLASSIFIERS,
    test: int = 50,
    seen: Photos | None = None,
    threshold: float = THRESHOLD,
    scratch: Scratch | None = None,
    most_features: int = MOST_FEATURES,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Transfer:
    """Train linear classifiers on the features of each layer, with few photos of each class.

    In each fold every class's photos are put in a random order; the first ``max(per_class)`` may train, of which a
    smaller number takes the first, and the next ``test`` at most are tested: all numbers on the same photos. C is
    chosen for each classifier, layer, number and fold on a third of its training photos, and the classifier is then
    trained on all of them.

    Parameters
    ----------
    network : Network
    photos : Photos
        In class folders; photos without a class are left out.
    per_class : sequence of int
        Training photos of each class; the paper's 15 and 30.
    folds : int
        Random splits; the paper's 5.
    layers : sequence of str, optional
        The ends of all stages unless given: :func:`deconvnet.experiments.transfer.stages.stage_ends`.
    classifiers : sequence of {"svm", "softmax"}
    test : int
        Test photos of each class at most; the paper's 50.
    seen : Photos, optional
        What the network was trained on: photos that lie in both sets, or nearly, are left out. See
        :mod:`deconvnet.experiments.transfer.duplicates`.
    threshold : float
        Normalised correlation from which on two photos count as one.
    scratch : Scratch, optional
        Train the same network on the same photos, too.
    most_features : int
        Larger maps are averaged over space until they have no more.
    batch_size : int
        Photos a forward pass, which serves all layers.
    seed : int
        Decides the splits; 0 or more.
    progress : Progress, optional

    Returns
    -------
    Transfer

    Raises
    ------
    DataError
        If there are fewer than two classes, or a class has too few photos.
    UnknownNameError
        If a layer or classifier does not exist.
    OptionError
        If a number is out of range.
    ModelError
        If a layer gives no features, or constant ones.
    """
    started = time.perf_counter()
    sizes = _checked_sizes(per_class)
    _check_numbers(folds=folds, test=test, batch_size=batch_size)
    _check_seed(seed)
    kinds = linear.check_classifiers(classifiers)
    plan = plan_layers(network, layers, most_features)
    photos = photos.subset(photos.labels >= 0)
    _check_classes(photos, sizes[-1])
    photos, doubles, searched = _without(photos, seen, threshold, progress)
    _check_classes(photos, sizes[-1], len(doubles))
    found = layer_features(network, photos, plan, batch_size=batch_size, progress=progress)
    readable = photos.subset(found.indices)
    _check_classes(readable, sizes[-1], len(doubles), len(found.unreadable))
    splits = [split_fold(readable.labels, sizes[-1], test, seed, fold) for fold in range(folds)]
    spent = time.perf_counter() - started
    reached = np.full((len(sizes), folds), np.nan)
    words = ""
    if scratch is not None:
        reached, words = _from_scratch(scratch, network, readable, sizes, splits, seed, progress)
    started = time.perf_counter()
    shape = (len(plan), len(kinds), len(sizes), folds)
    by_class = np.full((*shape, len(photos.classes)), np.nan)
    chosen = np.zeros(shape)
    done, total = 0, len(plan) * len(sizes) * folds
    for i, layer in enumerate(found.layers):
        for f, (ranks, train, tested) in enumerate(splits):
            for k, size in enumerate(sizes):
                some = train[ranks[train] < size]
                ready = linear.standardise(found.vectors[i][some], found.vectors[i][tested], layer.name)
                fit = ranks[some] < size - max(1, size // 3) if size > 1 else np.ones(len(some), bool)
                labels = readable.labels[some]
                for j, kind in enumerate(kinds):
                    chosen[i, j, k, f] = linear.choose(kind, ready.train, labels, fit)
                    classifier = linear.fitted(kind, chosen[i, j, k, f], ready.train, labels)
                    predicted = classifier.predict(ready.test)
                    by_class[i, j, k, f] = linear.by_class(predicted, readable.labels[tested], len(photos.classes))
                done += 1
                report(progress, done, total, f"{layer.name}, {size} a class")
    counted = np.bincount(readable.labels[splits[0][2]], minlength=len(photos.classes))
    return Transfer(
        network.title,
        photos.root.name,
        ACCURACY,
        photos.classes,
        tuple(name for name in photos.classes if name in network.classes),
        found.layers,
        kinds,
        sizes,
        folds,
        seed,
        counted.astype(np.int64),
        np.nanmean(by_class, axis=4),
        by_class,
        chosen,
        1 / len(photos.classes),
        reached,
        words,
        len(readable),
        len(found.unreadable),
        searched,
        threshold,
        doubles,
        spent + time.perf_counter() - started,
        found.forward_seconds,
    )


def transfer_labels(
    network: Network,
    photos: Photos,
    labels: LabelTable,
    *,
    folds: int = 5,
    share: float = 0.5,
    layers: Sequence[str] | None = None,
    classifiers: Sequence[str] = linear.CLASSIFIERS,
    seen: Photos | None = None,
    threshold: float = THRESHOLD,
    most_features: int = MOST_FEATURES,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Transfer:
    """The same for photos with several labels: mean average precision over the labels (Table 6).

    In each fold a random ``share`` of the photos is tested and the rest trains; PASCAL VOC 2012 has about half. Labels
    that no training or no test photo of a fold has do not count in it.

    Parameters
    ----------
    network : Network
    photos : Photos
    labels : LabelTable
        What :func:`deconvnet.experiments.transfer.labels.read_labels` returns.
    folds : int
    share : float
        Of photos that are tested, between 0 and 1.
    layers, classifiers, seen, threshold, most_features, batch_size, seed, progress
        As in :func:`transfer`.

    Raises
    ------
    DataError
        If a label has fewer than two photos, or no label can be tested.
    UnknownNameError
        If a labelled photo is not among the photos, or a layer or classifier does not exist.
    OptionError, ModelError
        As in :func:`transfer`.
    """
    started = time.perf_counter()
    _check_numbers(folds=folds, batch_size=batch_size)
    _check_seed(seed)
    if not 0 < share < 1:
        raise OptionError(f"the share of photos that are tested lies between 0 and 1, not {share}.")
    kinds = linear.check_classifiers(classifiers)
    plan = plan_layers(network, layers, most_features)
    few = labels.has.sum(0)
    if few.min() < 2:
        raise DataError(
            f"the label {labels.labels[int(few.argmin())]!r} has a single photo: each needs at least two, one to train "
            "and one to test."
        )
    chosen_photos = photos.subset(places(labels, photos))
    rows = {name: i for i, name in enumerate(labels.photos)}
    chosen_photos, doubles, searched = _without(chosen_photos, seen, threshold, progress)
    found = layer_features(network, chosen_photos, plan, batch_size=batch_size, progress=progress)
    names = [chosen_photos.names[i] for i in found.indices]
    has = labels.has[[rows[name] for name in names]]
    count = len(names)
    tested = min(max(1, round(share * count)), count - 1)
    if count < 2:
        raise DataError(f"{count} labelled photo can be used: at least two are needed, one to train and one to test.")
    shape = (len(plan), len(kinds), 1, folds)
    by_class = np.full((*shape, has.shape[1]), np.nan)
    chosen = np.zeros(shape)
    orders = [np.random.Generator(np.random.PCG64([seed, fold])).random(count).argsort() for fold in range(folds)]
    for i, layer in enumerate(found.layers):
        for f, order in enumerate(orders):
            test, train = order[:tested], order[tested:]
            ready = linear.standardise(found.vectors[i][train], found.vectors[i][test], layer.name)
            fit = np.arange(len(train)) < len(train) - len(train) // 3
            possible = has[train].any(0) & ~has[train].all(0)
            for j, kind in enumerate(kinds):
                chosen[i, j, 0, f] = precision.choose_ranked(kind, ready.train, has[train], fit)
                scores = precision.ranked(kind, chosen[i, j, 0, f], ready.train, has[train], ready.test)
                reached = precision.average_precisions(has[test], scores)
                by_class[i, j, 0, f] = np.where(possible, reached, np.nan)
            report(progress, i * folds + f + 1, len(plan) * folds, layer.name)
    if np.isnan(by_class).all(axis=4).any():
        raise DataError("in one of the folds no label can be tested: give more photos, or another share or seed.")
    return Transfer(
        network.title,
        photos.root.name,
        PRECISION,
        labels.labels,
        tuple(name for name in labels.labels if name in network.classes),
        found.layers,
        kinds,
        (count - tested,),
        folds,
        seed,
        has[orders[0][:tested]].sum(0).astype(np.int64),
        np.nanmean(by_class, axis=4),
        by_class,
        chosen,
        float(has.mean()),
        np.full((1, folds), np.nan),
        "",
        count,
        len(found.unreadable),
        searched,
        threshold,
        doubles,
        time.perf_counter() - started,
        found.forward_seconds,
    )


def split_fold(labels: Indices, most: int, test: int, seed: int, fold: int) -> tuple[Indices, Indices, Indices]:
    """One random split, class by class.

    Parameters
    ----------
    labels : ndarray of int64, (N,)
    most : int
        Training photos of each class.
    test : int
        Test photos of each class, at most.
    seed, fold : int

    Returns
    -------
    ranks : ndarray of int64, (N,)
        Each photo's place in the random order of its class.
    train, test : ndarray of int64
        Photos with the first ``most`` places, and with the ``test`` next, ascending.
    """
    ranks = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        generator = np.random.Generator(np.random.PCG64([seed, fold, int(label)]))
        ranks[members[np.argsort(generator.random(len(members)), kind="stable")]] = np.arange(len(members))
    return ranks, np.flatnonzero(ranks < most), np.flatnonzero((ranks >= most) & (ranks < most + test))


def _from_scratch(
    scratch: Scratch,
    network: Network,
    photos: Photos,
    sizes: tuple[int, ...],
    splits: Sequence[tuple[Indices, Indices, Indices]],
    seed: int,
    progress: Progress | None,
) -> tuple[npt.NDArray[np.float64], str]:
    """Mean accuracy over classes of networks trained on the transfer photos alone, (K, folds)."""
    if not network.is_builtin:
        raise OptionError(f"only built-in networks can be trained from scratch, and {network.name} is none.")
    if not 1 <= scratch.folds <= len(splits):
        raise OptionError(f"from scratch is trained in 1 to {len(splits)} of the folds, not in {scratch.folds}.")
    options = {key: value for key, value in network.options.items() if key not in ("num_classes", "input_size")}
    size = network.preprocessing.input_size
    plan = replace(scratch.recipe, options={}).changed(network=network.name, size=size, options=options)
    reached = np.full((len(sizes), len(splits)), np.nan)
    total = len(sizes) * scratch.folds
    for fold, (ranks, train, test) in enumerate(splits[: scratch.folds]):
        for k, few in enumerate(sizes):
            some = train[ranks[train] < few]
            part = np.concatenate([some, test])
            dataset = PhotoDataset(photos.subset(part), 0.5, seed)
            dataset.train = np.arange(len(some))
            dataset.held_out = np.arange(len(some), len(part))
            report(progress, k + fold * len(sizes), total, f"from scratch, {few} a class")
            folder = scratch.folder / f"{few}-a-class-fold-{fold + 1}"
            reached[k, fold] = trained(plan.changed(seed=fold), dataset, folder).last["val_per_class"]
    report(progress, total, total, "from scratch")
    words = f"{network.name} from scratch, recipe {plan.name}, {plan.epochs} epochs"
    return reached, f"{words}, {scratch.folds} fold{'s' * (scratch.folds > 1)}"


def _without(
    photos: Photos, seen: Photos | None, threshold: float, progress: Progress | None
) -> tuple[Photos, tuple[Duplicate, ...], int]:
    """The photos without those that the network has seen, which these are, and among how many was searched."""
    if seen is None:
        return photos, (), 0
    found = find_duplicates(photos, seen, threshold, progress=progress)
    names = {each.photo for each in found}
    return photos.subset(np.array([name not in names for name in photos.names], bool)), found, len(seen)


def _checked_sizes(per_class: Sequence[int]) -> tuple[int, ...]:
    if not per_class or min(per_class) < 1:
        raise OptionError("the number of training photos of a class must be at least 1: give one or more numbers.")
    return tuple(sorted(set(per_class)))


def _check_numbers(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise OptionError(f"{name} must be at least 1, not {value}.")


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise OptionError(f"seed must be 0 or more, not {seed}.")


def _check_classes(photos: Photos, most: int, doubles: int = 0, unreadable: int = 0) -> None:
    """Refuse photos in fewer than two classes, and a class that has no photo left to test."""
    if len(photos.classes) < 2:
        raise DataError(
            f"{photos.root} holds {len(photos.classes)} class(es): telling classes apart needs one folder of photos "
            "for each of at least two (CLASS/photo.jpg)."
        )
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    if counts.min() > most:
        return
    small = int(counts.argmin())
    lost = [f"{doubles} duplicates removed"] if doubles else []
    lost += [f"{unreadable} unreadable"] if unreadable else []
    words = f" ({', '.join(lost)} in all)" if lost else ""
    raise DataError(
        f"the class {photos.classes[small]!r} has {counts[small]} photos{words}, and {most} to train and at "
        f"least one to test are needed: ask for fewer, or leave the class out."
    )
