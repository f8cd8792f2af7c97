"""The claims of Zeiler & Fergus (2013), one entry each: what they say, their figure, and the rule that judges ours.

The rules were written before the runs that they judge, and are not changed after. They are not blind:
docs/reproduction.md says what was known. They have three values: a difference that is smaller than twice its standard
error decides nothing, and the claim is then not testable at this scale. ``SIGMAS`` and the limits that the rules name
are this project's; the paper gives none.

A claim reads the runs of the parts that it names (:mod:`deconvnet.reproduction` makes them), nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from deconvnet.experiments.ablation.record import BASE, AblationRecord
from deconvnet.experiments.averaging.record import AverageRow, AveragingRecord
from deconvnet.experiments.comparison.record import ComparisonRecord
from deconvnet.experiments.correspondence.record import CorrespondenceRecord, SignChange
from deconvnet.experiments.diagnosis.record import DiagnosesRecord, DiagnosisRecord
from deconvnet.experiments.evolution.record import EvolutionRecord
from deconvnet.experiments.invariance.record import InvarianceRecord, InvarianceSummary
from deconvnet.experiments.occlusion.faithfulness_record import CURVES
from deconvnet.experiments.occlusion.record import OccludedPhoto, OcclusionRecord
from deconvnet.experiments.sanity.record import SanityRecord
from deconvnet.experiments.transfer.record import TransferRecord
from deconvnet.mining.run_record import MiningRecord
from deconvnet.reproduction.record import FAILS, HOLDS, UNTESTABLE, Answer
from deconvnet.runs import Run

SIGMAS = 2.0
"""Standard errors that a difference must exceed to decide anything."""
SIGNIFICANT = 0.05
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Verdict:
    """Our figure, and whether the claim holds; None where the rule cannot tell, with the reason."""

    ours: str
    holds: bool | None
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """The finished parts of a reproduction.

    Attributes
    ----------
    folder : Path
        Where they lie.
    missing : mapping of str to str
        Parts that are not there, and why.
    classes : int
        Classes of the data.
    """

    folder: Path
    missing: Mapping[str, str]
    classes: int

    def run(self, part: str) -> Run:
        """The run of a part."""
        return Run.open(self.folder / part)


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    name, where, says, paper, rule : str
        As in :class:`deconvnet.reproduction.record.Answer`.
    parts : tuple of str
        Parts that must be there to judge it.
    judge : callable(Evidence) -> Verdict
        The rule, computed.
    learned : bool
        Whether it is about what a trained network does, so that a scale that trains for seconds cannot tell.
    """

    name: str
    where: str
    says: str
    paper: str
    rule: str
    parts: tuple[str, ...]
    judge: Callable[[Evidence], Verdict]
    learned: bool = True

    def answer(self, evidence: Evidence, trains: bool) -> Answer:
        """Judge it; not testable where a part is missing or the scale trains nothing."""
        absent = [part for part in self.parts if part in evidence.missing]
        if absent:
            reason = evidence.missing[absent[0]]
            found = Verdict("", None, f"no {absent[0]}: {reason}")
        else:
            found = self.judge(evidence)
            if self.learned and not trains:
                found = Verdict(found.ours, None, "this scale trains for seconds only")
        verdict = UNTESTABLE if found.holds is None else HOLDS if found.holds else FAILS
        words = (self.name, self.where, self.says, self.rule, self.paper)
        return Answer(*words, found.ours, verdict, found.why, self.parts)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def beyond(difference: float, error: float) -> bool | None:
    """True if a difference is more than ``SIGMAS`` standard errors above 0, False if so far below, None between."""
    return None if abs(difference) <= SIGMAS * error else difference > 0


def binomial_error(share: float, count: float) -> float:
    """Standard error of a share of ``count`` photos; of none or all, as if half a photo were otherwise."""
    kept = min(max(share, 0.5 / count), 1 - 0.5 / count)
    return math.sqrt(kept * (1 - kept) / count)


def _noise(difference: str, error: float) -> str:
    return f"{difference} is within {SIGMAS:g} standard errors of {100 * error:.1f} points"


# -- Sec. 3 and 5.1, Table 2: the networks ---------------------------------------------------------------------------


def _mostly_connected(evidence: Evidence) -> Verdict:
    record = ComparisonRecord.read(evidence.run("compare"))
    row = next(each for each in record.rows if each.name == "zfnet")
    whole, kernels = row.published_parameters or 0, row.convolution_parameters
    return Verdict(f"{whole:,} in all, {whole - kernels:,} in fc6 to fc8", whole - kernels > whole / 2)


def _on_imagenet(evidence: Evidence) -> Verdict:
    error = _named(AveragingRecord.read(evidence.run("average")).rows, "zfnet").top1
    told = f"{_percent(error)} on these photos"
    if evidence.classes != IMAGENET_CLASSES:
        return Verdict(told, None, f"the data has {evidence.classes} classes and is not ImageNet 2012")
    return Verdict(told, abs(error - 0.384) <= 0.01)


def _named(rows: Sequence[AverageRow], name: str) -> AverageRow:
    return next(each for each in rows if each.name.startswith(name))


def _better_than_alexnet(evidence: Evidence) -> Verdict:
    run = evidence.run("average")
    right = _right(run)
    zfnet, alexnet = right["zfnet"], right["alexnet-dense"]
    told = f"{_percent(1 - zfnet.mean())} against {_percent(1 - alexnet.mean())}"
    gained, lost = int((zfnet & ~alexnet).sum()), int((~zfnet & alexnet).sum())
    return _by_sign_test(f"{told} ({len(zfnet):,} photos)", gained, lost)


def _average_is_better(evidence: Evidence) -> Verdict:
    run = evidence.run("average" if "average-zfnets" in evidence.missing else "average-zfnets")
    rows = AveragingRecord.read(run).rows
    best, mean = min(row.top1 for row in rows[:-1]), rows[-1]
    told = f"{_percent(mean.top1)} ({len(rows) - 1} networks) against {_percent(best)} of the best"
    return _by_sign_test(told, mean.gained, mean.lost)


def _right(run: Run) -> dict[str, np.ndarray]:
    """Which photos each network names rightly."""
    found = AveragingRecord.read(run)
    names = run.settings["networks"]
    return {name: p.argmax(1) == found.labels for name, p in zip(names, found.probabilities, strict=True)}


def _by_sign_test(told: str, gained: int, lost: int) -> Verdict:
    total, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(total, i) for i in range(fewer + 1)) / 2**total if total else 1.0
    p = min(1.0, 2 * tail)
    told = f"{told}; {gained} photos righted, {lost} spoilt, p = {p:.2g}"
    if p >= SIGNIFICANT:
        return Verdict(told, None, "too few photos differ")
    return Verdict(told, gained > lost)


# -- Table 3 ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Errors:
    """Held-out and training errors of the variants."""

    record: AblationRecord

    def mean(self, variant: str) -> float:
        return float(self.record.top1[self.record.variants.index(variant)].mean())

    def train(self, variant: str) -> float:
        return float(self.record.train[self.record.variants.index(variant)].mean())

    def error(self, variant: str) -> float:
        """Standard error of the mean: over photos, or over seeds if there are three or more and it is larger."""
        each = self.record.top1[self.record.variants.index(variant)]
        over_photos = binomial_error(float(each.mean()), self.record.held_out_photos * len(each))
        return max(over_photos, float(each.std(ddof=1)) / math.sqrt(len(each))) if len(each) > 2 else over_photos

    def rise(self, variant: str) -> tuple[float, float]:
        """By how much the error exceeds the whole network's, and the standard error of that."""
        return self.mean(variant) - self.mean(BASE), math.hypot(self.error(variant), self.error(BASE))

    def lacks(self, *variants: str) -> str:
        absent = [name for name in (BASE, *variants) if name not in self.record.variants]
        return f"not trained at this scale: {', '.join(absent)}" if absent else ""


FOUR_LEFT = "remove-3-4-6-7"


def _errors(evidence: Evidence) -> _Errors:
    return _Errors(AblationRecord.read(evidence.run("ablate")))


def _depth_matters(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks(FOUR_LEFT, "remove-3-4", "remove-6-7"):
        return Verdict("", None, why)
    (whole, e), (middle, f), (upper, g) = (errors.rise(v) for v in (FOUR_LEFT, "remove-3-4", "remove-6-7"))
    told = f"{_percent(errors.mean(FOUR_LEFT))} against {_percent(errors.mean(BASE))}; alone {100 * middle:+.1f} and "
    told += f"{100 * upper:+.1f} points"
    excess, error = whole - middle - upper, math.sqrt(e**2 + f**2 + g**2)
    holds = beyond(excess, error)
    return Verdict(told, holds, "" if holds is not None else _noise("the excess over both", error))


def _small(variant: str) -> Callable[[Evidence], Verdict]:
    def judge(evidence: Evidence) -> Verdict:
        errors = _errors(evidence)
        if why := errors.lacks(variant, FOUR_LEFT):
            return Verdict("", None, why)
        (rise, error), (whole, other) = errors.rise(variant), errors.rise(FOUR_LEFT)
        told = f"{_percent(errors.mean(variant))} against {_percent(errors.mean(BASE))} ({100 * rise:+.1f} points)"
        if not beyond(whole, other):
            return Verdict(told, None, "removing all four layers does not raise the error here")
        spread = math.hypot(error, other / 3)
        holds = beyond(whole / 3 - rise, spread)
        return Verdict(told, holds, "" if holds is not None else _noise("its distance from the limit", spread))

    return judge


def _sizes_matter_little(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("fc-half", "fc-double"):
        return Verdict("", None, why)
    rises = [errors.rise(variant) for variant in ("fc-half", "fc-double")]
    told = f"{100 * rises[0][0]:+.1f} and {100 * rises[1][0]:+.1f} points for half and twice the units"
    if all(abs(rise) + SIGMAS * error <= 0.05 for rise, error in rises):
        return Verdict(told, True)
    if any(abs(rise) - SIGMAS * error > 0.05 for rise, error in rises):
        return Verdict(told, False)
    return Verdict(told, None, _noise("the distance from 5 points", max(error for _, error in rises)))


def _wider_is_better(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("wide"):
        return Verdict("", None, why)
    rise, error = errors.rise("wide")
    holds = beyond(-rise, error)
    told = f"{_percent(errors.mean('wide'))} against {_percent(errors.mean(BASE))} ({100 * rise:+.1f} points)"
    return Verdict(told, holds, "" if holds is not None else _noise("the difference", error))


def _both_overfit(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("wide", "wide-fc-double"):
        return Verdict("", None, why)
    worse = errors.mean("wide-fc-double") - errors.mean("wide")
    error = math.hypot(errors.error("wide-fc-double"), errors.error("wide"))
    lower = errors.train("wide-fc-double") < errors.train("wide")
    told = f"training {_percent(errors.train('wide-fc-double'))} against {_percent(errors.train('wide'))}, held out "
    told += f"{_percent(errors.mean('wide-fc-double'))} against {_percent(errors.mean('wide'))}"
    holds = beyond(worse, error)
    return Verdict(told, holds and lower, "" if holds is not None else _noise("the held-out difference", error))


# -- Fig. 2, Sec. 2.1 and Fig. 4: features ---------------------------------------------------------------------------


def _upper_maps_know_classes(evidence: Evidence) -> Verdict:
    run = evidence.run("mine")
    record = MiningRecord.read(run)
    labels, mined = np.array(record.labels), record.mined
    purities: list[float] = []
    for layer in run.settings["layers"]:
        top = mined[layer]
        shares = [_purity(labels, top.photos[c][~top.inactive[c]]) for c in range(top.channels) if top.active[c]]
        purities.append(float(np.mean(shares)) if shares else math.nan)
    told = ", ".join(f"{100 * each:.0f}" for each in purities) + f" % in {', '.join(run.settings['layers'])}"
    if len(purities) < 5 or not np.isfinite(purities).all():
        return Verdict(told, None, "needs five layers with live maps")
    return Verdict(told, min(purities[3:5]) > max(purities[:3]))


def _purity(labels: np.ndarray, photos: np.ndarray) -> float:
    """Share of the photos that are of the most frequent class among them."""
    own = labels[photos]
    own = own[own >= 0]
    return float(np.bincount(own).max() / len(photos)) if len(own) else 0.0


def _pictures_need_weights(evidence: Evidence) -> Verdict:
    record = SanityRecord.read(evidence.run("sanity"))
    upper = max(1, len(record.stages) // 2)
    kept = float(record.mean("deconvnet", "cascade")[upper - 1, 2])
    floor = float(record.mean("deconvnet", "other photo")[0, 2])
    told = f"rank correlation {kept:.2f} with random weights in the upper layers, {floor:.2f} of another photo"
    return Verdict(told, kept <= floor + 0.1)


def _evolution(evidence: Evidence, part: str = "evolve") -> EvolutionRecord:
    return EvolutionRecord.read(evidence.run(part))


def _jumps_are_other_photos(evidence: Evidence) -> Verdict:
    rows = _evolution(evidence).summary()[1:]
    told = [(each.stayed, each.changed) for each in rows if each.stayed is not None and each.changed is not None]
    if not told:
        return Verdict("", None, "no map kept and none changed its photo")
    spans = [f"{min(v):.2f} to {max(v):.2f}" for v in zip(*told, strict=True)]
    words = f"cosine of successive pictures {spans[0]} where the photo stayed, {spans[1]} where it changed"
    return Verdict(words, all(stayed > changed for stayed, changed in told))


def _lower_settle_first(evidence: Evidence) -> Verdict:
    falls = []
    for part in ("evolve", "evolve-control"):
        firsts = [each.projections_first for each in _evolution(evidence, part).summary()]
        if len(firsts) < 4 or any(each is None for each in firsts):
            return Verdict("", None, "too few layers to compare")
        values = [float(each) for each in firsts if each is not None]
        falls.append((float(np.mean(values[:2])), float(np.mean(values[-2:]))))
    (lower, upper), (still_lower, still_upper) = falls
    told = f"cosine of the first snapshot's pictures with the last's {lower:.2f} in the two lowest layers, {upper:.2f} "
    told += f"in the two highest; by noise alone {still_lower:.2f} and {still_upper:.2f}"
    return Verdict(told, lower - upper > max(0.0, still_lower - still_upper))


def _upper_settle_late(evidence: Evidence) -> Verdict:
    record = _evolution(evidence)
    rows = record.summary()
    if record.axis != "epoch" or any(each.projections is None for each in rows):
        return Verdict("", None, "the snapshots have no epochs, or a layer has nothing to compare")
    last = float(record.snapshots[-1])
    shares = [float(each.projections or 0) / last for each in rows]
    told = ", ".join(f"{each.layer} {each.projections}" for each in rows) + f" of {last:g} epochs"
    return Verdict(told, min(shares[-2:]) >= 40 / 70 and shares[0] < 40 / 70)


# -- Fig. 5 ----------------------------------------------------------------------------------------------------------


def _moved(evidence: Evidence, transformation: str, layer: int) -> InvarianceSummary:
    record = InvarianceRecord.read(evidence.run("invariance"))
    title = next(course.title for course in record.courses if course.name == transformation)
    chosen = record.layers[layer]
    return next(each for each in record.summary() if each.transformation == title and each.layer == chosen)


def _told(values: list[float | None], form: str = ".2f") -> str:
    return ", ".join("-" if value is None else format(value, form) for value in values)


def _first_layer_jumps(evidence: Evidence) -> Verdict:
    onsets = [_moved(evidence, name, 0).onset for name in ("vertical", "scale", "rotation")]
    told = f"{_told(onsets)} of the largest distance at the smallest step (vertical, scale, rotation)"
    return Verdict(told, all(each is not None and each >= 0.5 for each in onsets))


def _upper_layer_moves_less(evidence: Evidence) -> Verdict:
    pairs = [[_moved(evidence, name, layer).onset for layer in (0, -1)] for name in ("vertical", "scale")]
    told = "; ".join(f"{_told([low])} against {_told([high])}" for low, high in pairs) + " (vertical; scale)"
    return Verdict(told, all(low is not None and high is not None and high <= low / 2 for low, high in pairs))


def _upper_layer_is_linear(evidence: Evidence) -> Verdict:
    found = [_moved(evidence, name, -1).linearity for name in ("vertical", "scale")]
    return Verdict(f"r² {_told(found)} (vertical, scale)", all(each is not None and each >= 0.7 for each in found))


def _output_is_stable(evidence: Evidence) -> Verdict:
    kept = [_moved(evidence, name, -1).probability for name in ("vertical", "scale")]
    told = f"{_told(kept, '.0%')} of the class's probability kept (vertical, scale)"
    return Verdict(told, all(each is not None and each >= 0.75 for each in kept))


def _not_to_rotation(evidence: Evidence) -> Verdict:
    turned, *others = (_moved(evidence, name, -1).probability for name in ("rotation", "vertical", "scale"))
    told = f"{_told([turned], '.0%')} kept, against {_told(others, '.0%')} (vertical, scale)"
    return Verdict(told, turned is not None and turned < 0.75 and all(o is not None and turned < o for o in others))


# -- Sec. 4.1, Fig. 6 ------------------------------------------------------------------------------------------------

SMOOTHED = 0.3
"""Autocorrelation of a start from which on the spectrum counts as the start's, not learned."""


def _diagnosis(evidence: Evidence, name: str) -> DiagnosisRecord:
    return DiagnosesRecord.read(evidence.run("diagnose")).of(name)


def _both(evidence: Evidence) -> tuple[DiagnosisRecord, DiagnosisRecord]:
    return _diagnosis(evidence, "alexnet-dense"), _diagnosis(evidence, "zfnet")


def _smoothed(*records: DiagnosisRecord) -> str:
    starts = [record.filters[0].start.get("start") for record in records]
    return (
        "both networks start from smoothed noise, which has this spectrum already"
        if any(start is not None and start > SMOOTHED for start in starts)
        else ""
    )


def _middle_is_missing(evidence: Evidence) -> Verdict:
    record = _diagnosis(evidence, "alexnet-dense")
    bands = record.filters[0].mean_bands
    told = " / ".join(f"{100 * band:.0f}" for band in bands) + " % low / middle / high"
    why = _smoothed(record)
    return Verdict(told, None if why else bool(bands[1] < 0.2), why)


def _middle_is_back(evidence: Evidence) -> Verdict:
    alexnet, zfnet = _both(evidence)
    middle = [float(record.filters[0].mean_bands[1]) for record in (alexnet, zfnet)]
    why = _smoothed(alexnet, zfnet)
    told = f"{_percent(middle[0])} in the middle in AlexNet, {_percent(middle[1])} in ZFNet"
    return Verdict(told, None if why else middle[1] > middle[0], why)


def _stride_folds(evidence: Evidence) -> Verdict:
    found = []
    for record in _both(evidence):
        layer = record.filters[0].layer
        found.append(next((each.share for each in record.strided if each.layer == layer), math.nan))
    told = f"{_percent(found[0])} of the energy folded in AlexNet's first layer, {_percent(found[1])} in ZFNet's"
    return Verdict(told, found[1] <= found[0] / 2)


def _fewer_dead(evidence: Evidence) -> Verdict:
    counts = []
    for record in _both(evidence):
        first = record.filters[0]
        dead = next((len(each.dead) for each in record.maps if each.layer == first.layer), 0)
        counts.append((dead, len(first.faint), first.shape[0]))
    told = "; ".join(f"{dead} dead and {faint} faint of {total}" for dead, faint, total in counts)
    (dead, faint, total), (other_dead, other_faint, other_total) = counts
    shares = ((dead + faint) / total, (other_dead + other_faint) / other_total)
    error = math.hypot(binomial_error(shares[0], total), binomial_error(shares[1], other_total))
    holds = beyond(shares[0] - shares[1], error)
    return Verdict(f"{told} (AlexNet; ZFNet)", holds, "" if holds is not None else "too few to tell the two apart")


def _clipping_is_needed(evidence: Evidence) -> Verdict:
    names = evidence.run("diagnose").settings["networks"]
    free, clipped = (_diagnosis(evidence, name) for name in ("zfnet-unclipped", "zfnet"))
    ratios = [float(each.filters[0].rms.max() / np.median(each.filters[0].rms)) for each in (free, clipped)]
    told = f"largest RMS over the median {ratios[0]:.1f} without, {ratios[1]:.1f} with clipping ({len(names)} networks)"
    return Verdict(told, ratios[0] > 4 and ratios[0] > ratios[1])


# -- Sec. 4.2, Fig. 7 ------------------------------------------------------------------------------------------------


def _covered(evidence: Evidence) -> tuple[OccludedPhoto, ...]:
    return OcclusionRecord.read(evidence.run("occlude")).photos


def _covering_hurts_the_class(evidence: Evidence) -> Verdict:
    named = [photo for photo in _covered(evidence) if photo.maps[0].predicted == photo.label]
    if not named:
        return Verdict("", None, "no photo was named rightly")
    left = [
        float(photo.maps[0].score(p).min()) / photo.maps[0].clean_score(p) for photo in named for p in [photo.label]
    ]
    median = float(np.median(left))
    return Verdict(f"{_percent(median)} left at the worst position (median of {len(left)} photos)", median <= 0.5)


def _covering_hurts_the_map(evidence: Evidence) -> Verdict:
    left = []
    for photo in _covered(evidence):
        found, c = photo.maps[0], photo.channel
        if found.clean_sums[c] > 0:
            left.append(float(found.sums[..., c].min() / found.clean_sums[c]))
    if not left:
        return Verdict("", None, "no map was active")
    median = float(np.median(left))
    return Verdict(f"{_percent(median)} left at the worst position (median of {len(left)} photos)", median <= 0.5)


def _projection_tells_where(evidence: Evidence) -> Verdict:
    found = [value for value in (photo.agreement() for photo in _covered(evidence)) if value is not None]
    if not found:
        return Verdict("", None, "no map was projected")
    median = float(np.median(found))
    told = f"rank correlation {median:.2f} ({min(found):.2f} to {max(found):.2f}; {len(found)} photos)"
    return Verdict(told, median >= 0.5)


def _object_is_located(evidence: Evidence) -> Verdict:
    every = OcclusionRecord.read(evidence.run("occlude")).faithfulness
    means = {
        (curve, order): np.array([one.area(curve, order).mean() for one in every])
        for curve in CURVES
        for order in ("map", "shuffled map")
    }
    told = "; ".join(
        f"{curve} {means[curve, 'map'].mean():.3f} against {means[curve, 'shuffled map'].mean():.3f}"
        for curve in CURVES
    )
    gains = (means["deletion", "shuffled map"] - means["deletion", "map"],
             means["insertion", "map"] - means["insertion", "shuffled map"])  # fmt: skip
    if len(every) < 3:
        return Verdict(told, None, "too few photos")
    told_apart = [beyond(float(g.mean()), float(g.std(ddof=1)) / math.sqrt(len(g))) for g in gains]
    told += f" (map against its values shuffled, {len(every)} photos)"
    if None in told_apart:
        return Verdict(told, None, "the difference is within its noise over photos")
    return Verdict(told, all(told_apart))


# -- Sec. 4.3, Table 1 -----------------------------------------------------------------------------------------------


def _rows(evidence: Evidence, layer: int, part: str = "correspond") -> list[SignChange]:
    record = CorrespondenceRecord.read(evidence.run(part))
    return [row for row in record.rows if row.layer == record.layers[layer]]


def _parts_change_alike(evidence: Evidence) -> Verdict:
    rows = _rows(evidence, 0)
    lower = [row for row in rows if row.mean < row.random_mean and row.p_value < SIGNIFICANT]
    told = (
        f"{np.mean([r.mean for r in rows]):.3f} against {np.mean([r.random_mean for r in rows]):.3f}; lower with p < "
    )
    told += f"{SIGNIFICANT:g} in {len(lower)} of {len(rows)} parts"
    return Verdict(told + (f" ({', '.join(f'{r.part} of {r.group}' for r in lower)})" if lower else ""), lower == rows)


def _upper_layer_tells_less(evidence: Evidence) -> Verdict:
    rows = _rows(evidence, -1)
    inside = [row for row in rows if abs(row.mean - row.random_mean) <= row.random_std]
    told = f"{np.mean([r.mean for r in rows]):.3f} against {np.mean([r.random_mean for r in rows]):.3f}; within one "
    told += f"deviation in {len(inside)} of {len(rows)} parts"
    return Verdict(told, len(inside) == len(rows))


def _learned_correspondence(evidence: Evidence) -> Verdict:
    trained, control = (_rows(evidence, 0, part) for part in ("correspond", "correspond-control"))
    learned = [a for a, b in zip(trained, control, strict=True) if _alike(a) and not _alike(b)]
    told = (
        f"{sum(map(_alike, trained))} of {len(trained)} parts missed alike, {sum(map(_alike, control))} with shuffled "
    )
    told += "weights too"
    named = ", ".join(f"{row.part} of {row.group}" for row in learned)
    return Verdict(told + (f"; only when trained: {named}" if learned else ""), 2 * len(learned) > len(trained))


def _alike(row: SignChange) -> bool:
    """Whether features that change in both photos of a pair change the same way more often than in random regions."""
    if row.opposite is None or row.random_opposite is None:
        return False
    return row.opposite < row.random_opposite and row.opposite_p < SIGNIFICANT


# -- Sec. 5.2 and 5.3, Tables 4 to 7, Fig. 9 -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reached:
    """Accuracies of a transfer run with their standard errors over test photos."""

    record: TransferRecord

    def features(self, layer: int, classifier: str, size: int) -> tuple[float, float]:
        kind = self.record.classifiers.index(classifier)
        mean = float(self.record.scores[layer, kind, size].mean())
        return mean, binomial_error(mean, float(self.record.tested.sum()) * self.record.folds)

    def scratch(self, size: int) -> tuple[float, float]:
        each = self.record.scratch[size]
        each = each[~np.isnan(each)]
        mean = float(each.mean())
        return mean, binomial_error(mean, float(self.record.tested.sum()) * len(each))

    @property
    def lacks(self) -> str:
        return "" if self.record.scratch_words else "nothing was trained from scratch"


def _reached(evidence: Evidence) -> _Reached:
    return _Reached(TransferRecord.read(evidence.run("transfer")))


def _pretrained_is_better(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    if reached.lacks:
        return Verdict("", None, reached.lacks)
    told, verdicts, errors = [], [], []
    for k, size in enumerate(reached.record.sizes):
        (own, e), (scratch, f) = reached.features(-1, "softmax", k), reached.scratch(k)
        told.append(f"{size} a class: {_percent(own)} against {_percent(scratch)}")
        errors.append(math.hypot(e, f))
        verdicts.append(beyond(own - scratch, errors[-1]))
    if None in verdicts:
        return Verdict("; ".join(told), None, _noise("a difference", max(errors)))
    return Verdict("; ".join(told), all(verdicts))


def _few_photos_do(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    if reached.lacks or len(reached.record.sizes) < 2:
        return Verdict("", None, reached.lacks or "a single number of photos a class was tried")
    (own, e), (scratch, f) = reached.features(-1, "softmax", 0), reached.scratch(-1)
    sizes = reached.record.sizes
    told = f"{_percent(own)} with {sizes[0]} a class, against {_percent(scratch)} from scratch with {sizes[-1]}"
    holds = beyond(own - scratch, math.hypot(e, f))
    return Verdict(told, holds, "" if holds is not None else _noise("the difference", math.hypot(e, f)))


def _deeper_is_better(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    layers = reached.record.layers[:5]
    found = [reached.features(i, "svm", -1) for i in range(len(layers))]
    told = ", ".join(f"{100 * mean:.1f}" for mean, _ in found) + f" % in {', '.join(each.name for each in layers)}"
    if len(found) < 5:
        return Verdict(told, None, "needs five layers")
    steps = [beyond(b[0] - a[0], math.hypot(a[1], b[1])) for a, b in pairwise(found)]
    whole = beyond(found[-1][0] - found[0][0], math.hypot(found[-1][1], found[0][1]))
    if whole is None:
        return Verdict(told, None, _noise("layer 5 less layer 1", math.hypot(found[-1][1], found[0][1])))
    return Verdict(told, whole and False not in steps)


def _not_here(why: str) -> Callable[[Evidence], Verdict]:
    return lambda _evidence: Verdict("", None, why)


CLAIMS = (
    Claim(
        "imagenet-error", "Table 2", "One ZFNet errs in 38.4 % of ImageNet 2012's validation photos (top-1).", "38.4 %",
        "within one point, on data of 1,000 classes; any other data cannot tell",
        ("average",), _on_imagenet,
    ),
    Claim(
        "better-than-alexnet", "Table 2", "ZFNet errs less than AlexNet trained alike.", "38.4 against 40.5 %",
        "of the held-out photos that only one of the two names rightly, more are ZFNet's, with p < 0.05 (two-sided "
        "sign test over photos; it says nothing about other seeds)",
        ("average",), _better_than_alexnet,
    ),
    Claim(
        "averaging", "Table 2", "Averaging several networks errs less than one.", "36.7 (five) against 38.4 %",
        "the same test, of the average against the best of its networks",
        ("average",), _average_is_better,
    ),
    Claim(
        "mostly-connected", "Sec. 5.1", "The fully connected layers hold most of the parameters.", "no figure",
        "more than half of the parameters of ZFNet as published (224 px, 1,000 classes) are not in convolutions",
        ("compare",), _mostly_connected, learned=False,
    ),
    Claim(
        "depth", "Table 3", "Without layers 3, 4, 6 and 7 it is dramatically worse: depth as a whole matters.",
        "71.3 against 40.5 %; alone +4.9 and +4.3 points",
        "the rise of the held-out error is larger than those of removing 3 and 4 and of removing 6 and 7 together, by "
        "more than two standard errors",
        ("ablate",), _depth_matters,
    ),
    Claim(
        "without-3-4", "Table 3", "Removing two middle layers makes a relatively small difference.",
        "45.4 against 40.5 %",
        "the error rises by less than a third of what removing all four layers costs (the paper: a sixth), by more "
        "than two standard errors",
        ("ablate",), _small("remove-3-4"),
    ),
    Claim(
        "without-6-7", "Table 3", "Removing layers 6 and 7 only gives a slight increase in error.",
        "44.8 against 40.5 %", "the same rule", ("ablate",), _small("remove-6-7"),
    ),
    Claim(
        "without-7", "Table 3", "Removing layer 7 makes little difference.", "40.0 against 40.5 %", "the same rule",
        ("ablate",), _small("remove-7"),
    ),
    Claim(
        "connected-sizes", "Table 3", "The size of layers 6 and 7 makes little difference.",
        "+1.8 and +0.4 points",
        "with half and twice the units the error moves by at most five points, two standard errors included",
        ("ablate",), _sizes_matter_little,
    ),
    Claim(
        "wider", "Table 3", "More maps in layers 3 to 5 give a useful gain.", "37.5 against 38.4 %",
        "the error falls by more than two standard errors", ("ablate",), _wider_is_better,
    ),
    Claim(
        "overfitting", "Table 3", "More maps and larger layers 6 and 7 together over-fit.",
        "training 10.0 against 18.8, validation 38.3 against 37.5 %",
        "against more maps alone, the training error is lower and the held-out error higher by more than two standard "
        "errors",
        ("ablate",), _both_overfit,
    ),
    Claim(
        "class-specific", "Fig. 2", "Layers 4 and 5 are more class-specific than the lower ones.", "no figure",
        "the share of a map's strongest nine photos that are of one class, mean over live maps, is larger in conv4 and "
        "conv5 than in each of conv1 to conv3",
        ("mine",), _upper_maps_know_classes,
    ),
    Claim(
        "from-weights", "Sec. 2.1", "A projection shows what excites the map, through learned filters.", "no figure",
        "with random weights in the upper half of the layers up to conv5, the projection is no more like the unchanged "
        "one (rank correlation of magnitudes) than another photo's, plus 0.1 (Adebayo et al. 2018; not the paper's "
        "test)",
        ("sanity",), _pictures_need_weights,
    ),
    Claim(
        "jumps", "Fig. 4", "Sudden jumps come from a change of the photo that excites the map most.", "no figure",
        "in every layer above the first, successive pictures of a map are more alike where its photo stayed than where "
        "it changed",
        ("evolve",), _jumps_are_other_photos,
    ),
    Claim(
        "lower-first", "Fig. 4", "The lower layers converge within a few epochs, the upper ones later.", "no figure",
        "between first and last snapshot, pictures of one unit change less in the two lowest layers than in the two "
        "highest, by more than when noise changes the weights of all layers alike",
        ("evolve", "evolve-control"), _lower_settle_first,
    ),
    Claim(
        "upper-late", "Fig. 4", "The upper layers only develop after 40 to 50 epochs (of 70).", "40 of 70 epochs",
        "the cosine of pictures with the last snapshot stays at 0.9 only after four sevenths of the epochs in the two "
        "highest layers, and earlier in the lowest",
        ("evolve",), _upper_settle_late,
    ),
    Claim(
        "first-layer-jumps", "Fig. 5", "Small transformations have a dramatic effect in layer 1.", "no figure",
        "the smallest step (5 of 224 px, 0.05, 10 degrees) brings at least half of the largest distance, in all three",
        ("invariance",), _first_layer_jumps,
    ),
    Claim(
        "upper-layer-less", "Fig. 5", "They have a lesser one in layer 7.", "no figure",
        "that share is at most half of layer 1's, for translation and scale",
        ("invariance",), _upper_layer_moves_less,
    ),
    Claim(
        "upper-layer-linear", "Fig. 5", "Layer 7 is quasi-linear for translation and scaling.", "no figure",
        "r² of distance and step, mean over photos, is at least 0.7 for both", ("invariance",), _upper_layer_is_linear,
    ),
    Claim(
        "output-stable", "Fig. 5", "The output is stable to translations and scalings.", "no figure",
        "at least three quarters of the class's probability are kept, mean over photos and steps, for both",
        ("invariance",), _output_is_stable,
    ),
    Claim(
        "not-rotation", "Fig. 5", "In general the output is not invariant to rotation.", "no figure",
        "less than three quarters are kept, and less than for translation and scale", ("invariance",), _not_to_rotation,
    ),
    Claim(
        "rotational-symmetry", "Fig. 5", "... except for an object with rotational symmetry.", "one photo",
        "photos must be marked as symmetric, which none here is", (),
        _not_here("photos are drawn at random; docs/invariance.md has two round things"),
    ),
    Claim(
        "missing-middle", "Fig. 6", "AlexNet's first layer has very high and low frequencies, little between.",
        "no figure",
        "less than 20 % of the filters' power lies between 1/8 and 1/4 cycle per pixel; not testable if the training "
        "started from smoothed noise",
        ("diagnose",), _middle_is_missing,
    ),
    Claim(
        "middle-back", "Fig. 6", "ZFNet's smaller kernels and stride cover the middle frequencies.", "no figure",
        "a larger share there than in AlexNet's; not testable if the training started from smoothed noise",
        ("diagnose",), _middle_is_back,
    ),
    Claim(
        "aliasing", "Fig. 6", "AlexNet's stride of 4 causes aliasing, ZFNet's of 2 much less.", "no figure",
        "of the energy of the first layer's answer, ZFNet's stride folds at most half the share of AlexNet's",
        ("diagnose",), _stride_folds,
    ),
    Claim(
        "fewer-dead", "Fig. 6", "ZFNet's first layer has fewer dead features.", "no figure",
        "the share of dead maps and faint filters is lower, by more than two standard errors",
        ("diagnose",), _fewer_dead,
    ),
    Claim(
        "second-layer", "Fig. 6", "ZFNet's second layer is cleaner, without AlexNet's aliasing artefacts.", "no figure",
        "judged by eye, on diagnose/diagnosis.png", ("diagnose",),
        _not_here("no number stands for it: look at diagnose/diagnosis.png"),
    ),
    Claim(
        "clipping", "Sec. 3, Fig. 6", "Without renormalising filters a few of them dominate the first layer.",
        "RMS radius 0.1",
        "trained without, the largest RMS is more than four times the median, and more than with it",
        ("train-unclipped", "diagnose"), _clipping_is_needed,
    ),
    Claim(
        "covered-object", "Fig. 7", "Covering the object, the probability of its class drops significantly.",
        "3 photos", "at the worst position at most half is left, median over the photos that are named rightly",
        ("occlude",), _covering_hurts_the_class,
    ),
    Claim(
        "covered-map", "Fig. 7", "Covering what the projection shows, the map's activity drops strongly.", "3 photos",
        "at the worst position at most half of the total activity is left, median over photos", ("occlude",),
        _covering_hurts_the_map,
    ),
    Claim(
        "covered-projection", "Fig. 7", "... so that the projection shows what stimulates the map.", "3 photos",
        "rank correlation, over positions, of the loss of activity with what the square covers of the projection, "
        "median at least 0.5",
        ("occlude",), _projection_tells_where,
    ),
    Claim(
        "localised", "Sec. 4.2", "The network locates the object, it does not just use its surroundings.", "3 photos",
        "covering and uncovering pixels in the map's order moves the class's probability earlier than the map's values "
        "in random places do (areas of deletion and insertion), both by more than two standard errors over photos "
        "(Petsiuk et al. 2018; not the paper's test)",
        ("occlude",), _object_is_located,
    ),
    Claim(
        "correspondence", "Table 1", "In layer 5, eyes and nose change features more alike than random regions.",
        "0.067, 0.069, 0.079 against 0.107",
        "every part of every group has a lower mean sign change than random regions, with p < 0.05 (permutation test)",
        ("correspond",), _parts_change_alike,
    ),
    Claim(
        "correspondence-7", "Table 1", "In layer 7 the parts are about as different as random regions.",
        "0.069, 0.068, 0.069 against 0.073",
        "every part's mean is within one deviation of the random regions'", ("correspond",), _upper_layer_tells_less,
    ),
    Claim(
        "correspondence-learned", "Sec. 4.3", "So the network establishes some correspondence implicitly.",
        "no control",
        "in layer 5, of the features that a part changes in both photos fewer change in opposite directions than with "
        "random regions (p < 0.05), and not so with each layer's weights shuffled, in most parts",
        ("correspond", "correspond-control"), _learned_correspondence,
    ),
    Claim(
        "pretrained", "Table 4", "Features learned elsewhere do far better than training from scratch.",
        "83.8 against 22.8 % (15 a class), 86.5 against 46.5 % (30)",
        "softmax on the last layer against the same network trained on these photos alone: higher for every number of "
        "photos, by more than two standard errors over test photos",
        ("transfer",), _pretrained_is_better,
    ),
    Claim(
        "few-photos", "Table 5, Fig. 9", "A few photos a class are enough.",
        "6 a class beat the best other method with 60",
        "ours: pretrained with the smallest number beats training from scratch with the largest, by more than two "
        "standard errors (the other method is not here)",
        ("transfer",), _few_photos_do,
    ),
    Claim(
        "deeper", "Table 7", "The deeper the layer, the better its features.", "44.8, 66.2, 72.3, 76.6, 86.2 % (SVM)",
        "SVM, most photos: layer 5 above layer 1, and none of layers 2 to 5 below the one before it, each by more than "
        "two standard errors",
        ("transfer",), _deeper_is_better,
    ),
    Claim(
        "pascal", "Table 6", "On PASCAL 2012 the features do worse than the best, better on some classes.",
        "79.0 against 82.2 % mean", "needs PASCAL VOC 2012", (),
        _not_here("needs ImageNet's features and PASCAL VOC 2012: deconvnet transfer --labels"),
    ),
    Claim(
        "duplicates", "Sec. 5.2", "44 photos of Caltech-101 also lie in ImageNet.", "44 of 9,144",
        "needs ImageNet 2012", (), _not_here("needs ImageNet 2012: deconvnet transfer --seen"),
    ),
)  # fmt: skip
"""All claims, in the order of networks, features, occlusion, correspondence and transfer."""
