"""Rules for Secs. 3 and 5.1, Tables 2 and 3: the networks, and what their layers are worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deconvnet.experiments.ablation.record import BASE, AblationRecord
from deconvnet.experiments.averaging.record import AverageRow, AveragingRecord
from deconvnet.experiments.comparison.record import ComparisonRecord
from deconvnet.reproduction.evidence import (
    IMAGENET_CLASSES,
    SIGMAS,
    SIGNIFICANT,
    Evidence,
    Verdict,
    beyond,
    binomial_error,
    percent,
    within_noise,
)
from deconvnet.runs import Run

# -- Sec. 3 and 5.1, Table 2: the networks -------------------------------------------------------------------------


def mostly_connected(evidence: Evidence) -> Verdict:
    record = ComparisonRecord.read(evidence.run("compare"))
    row = next(each for each in record.rows if each.name == "zfnet")
    whole, kernels = row.published_parameters or 0, row.convolution_parameters
    return Verdict(f"{whole:,} in all, {whole - kernels:,} in fc6 to fc8", whole - kernels > whole / 2)


def on_imagenet(evidence: Evidence) -> Verdict:
    error = _named(AveragingRecord.read(evidence.run("average")).rows, "zfnet").top1
    told = f"{percent(error)} on these photos"
    if evidence.classes != IMAGENET_CLASSES:
        return Verdict(told, None, f"the data has {evidence.classes} classes and is not ImageNet 2012")
    return Verdict(told, abs(error - 0.384) <= 0.01)


def _named(rows: Sequence[AverageRow], name: str) -> AverageRow:
    return next(each for each in rows if each.name.startswith(name))


def better_than_alexnet(evidence: Evidence) -> Verdict:
    run = evidence.run("average")
    right = _right(run)
    zfnet, alexnet = right["zfnet"], right["alexnet-dense"]
    told = f"{percent(1 - zfnet.mean())} against {percent(1 - alexnet.mean())}"
    gained, lost = int((zfnet & ~alexnet).sum()), int((~zfnet & alexnet).sum())
    return _by_sign_test(f"{told} ({len(zfnet):,} photos)", gained, lost)


def average_is_better(evidence: Evidence) -> Verdict:
    run = evidence.run("average" if "average-zfnets" in evidence.missing else "average-zfnets")
    rows = AveragingRecord.read(run).rows
    best, mean = min(row.top1 for row in rows[:-1]), rows[-1]
    told = f"{percent(mean.top1)} ({len(rows) - 1} networks) against {percent(best)} of the best"
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


# -- Table 3 -------------------------------------------------------------------------------------------------------


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


def depth_matters(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks(FOUR_LEFT, "remove-3-4", "remove-6-7"):
        return Verdict("", None, why)
    (whole, e), (middle, f), (upper, g) = (errors.rise(v) for v in (FOUR_LEFT, "remove-3-4", "remove-6-7"))
    told = f"{percent(errors.mean(FOUR_LEFT))} against {percent(errors.mean(BASE))}; alone {100 * middle:+.1f} and "
    told += f"{100 * upper:+.1f} points"
    excess, error = whole - middle - upper, math.sqrt(e**2 + f**2 + g**2)
    holds = beyond(excess, error)
    return Verdict(told, holds, "" if holds is not None else within_noise("the excess over both", error))


def small(variant: str) -> Callable[[Evidence], Verdict]:
    def judge(evidence: Evidence) -> Verdict:
        errors = _errors(evidence)
        if why := errors.lacks(variant, FOUR_LEFT):
            return Verdict("", None, why)
        (rise, error), (whole, other) = errors.rise(variant), errors.rise(FOUR_LEFT)
        told = f"{percent(errors.mean(variant))} against {percent(errors.mean(BASE))} ({100 * rise:+.1f} points)"
        if not beyond(whole, other):
            return Verdict(told, None, "removing all four layers does not raise the error here")
        spread = math.hypot(error, other / 3)
        holds = beyond(whole / 3 - rise, spread)
        return Verdict(told, holds, "" if holds is not None else within_noise("its distance from the limit", spread))

    return judge


def sizes_matter_little(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("fc-half", "fc-double"):
        return Verdict("", None, why)
    rises = [errors.rise(variant) for variant in ("fc-half", "fc-double")]
    told = f"{100 * rises[0][0]:+.1f} and {100 * rises[1][0]:+.1f} points for half and twice the units"
    if all(abs(rise) + SIGMAS * error <= 0.05 for rise, error in rises):
        return Verdict(told, True)
    if any(abs(rise) - SIGMAS * error > 0.05 for rise, error in rises):
        return Verdict(told, False)
    return Verdict(told, None, within_noise("the distance from 5 points", max(error for _, error in rises)))


def wider_is_better(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("wide"):
        return Verdict("", None, why)
    rise, error = errors.rise("wide")
    holds = beyond(-rise, error)
    told = f"{percent(errors.mean('wide'))} against {percent(errors.mean(BASE))} ({100 * rise:+.1f} points)"
    return Verdict(told, holds, "" if holds is not None else within_noise("the difference", error))


def both_overfit(evidence: Evidence) -> Verdict:
    errors = _errors(evidence)
    if why := errors.lacks("wide", "wide-fc-double"):
        return Verdict("", None, why)
    worse = errors.mean("wide-fc-double") - errors.mean("wide")
    error = math.hypot(errors.error("wide-fc-double"), errors.error("wide"))
    lower = errors.train("wide-fc-double") < errors.train("wide")
    told = f"training {percent(errors.train('wide-fc-double'))} against {percent(errors.train('wide'))}, held out "
    told += f"{percent(errors.mean('wide-fc-double'))} against {percent(errors.mean('wide'))}"
    holds = beyond(worse, error)
    return Verdict(told, holds and lower, "" if holds is not None else within_noise("the held-out difference", error))
