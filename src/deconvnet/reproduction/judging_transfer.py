"""Rules for Secs. 5.2 and 5.3, Tables 4 to 7 and Fig. 9: features that serve other photos."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deconvnet.experiments.transfer.record import TransferRecord
from deconvnet.reproduction.evidence import Evidence, Verdict, beyond, binomial_error, percent, within_noise

# -- Sec. 5.2 and 5.3, Tables 4 to 7, Fig. 9 -----------------------------------------------------------------------


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


def pretrained_is_better(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    if reached.lacks:
        return Verdict("", None, reached.lacks)
    told, verdicts, errors = [], [], []
    for k, size in enumerate(reached.record.sizes):
        (own, e), (scratch, f) = reached.features(-1, "softmax", k), reached.scratch(k)
        told.append(f"{size} a class: {percent(own)} against {percent(scratch)}")
        errors.append(math.hypot(e, f))
        verdicts.append(beyond(own - scratch, errors[-1]))
    if None in verdicts:
        return Verdict("; ".join(told), None, within_noise("a difference", max(errors)))
    return Verdict("; ".join(told), all(verdicts))


def few_photos_do(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    if reached.lacks or len(reached.record.sizes) < 2:
        return Verdict("", None, reached.lacks or "a single number of photos a class was tried")
    (own, e), (scratch, f) = reached.features(-1, "softmax", 0), reached.scratch(-1)
    sizes = reached.record.sizes
    told = f"{percent(own)} with {sizes[0]} a class, against {percent(scratch)} from scratch with {sizes[-1]}"
    holds = beyond(own - scratch, math.hypot(e, f))
    return Verdict(told, holds, "" if holds is not None else within_noise("the difference", math.hypot(e, f)))


def deeper_is_better(evidence: Evidence) -> Verdict:
    reached = _reached(evidence)
    layers = reached.record.layers[:5]
    found = [reached.features(i, "svm", -1) for i in range(len(layers))]
    told = ", ".join(f"{100 * mean:.1f}" for mean, _ in found) + f" % in {', '.join(each.name for each in layers)}"
    if len(found) < 5:
        return Verdict(told, None, "needs five layers")
    steps = [beyond(b[0] - a[0], math.hypot(a[1], b[1])) for a, b in pairwise(found)]
    whole = beyond(found[-1][0] - found[0][0], math.hypot(found[-1][1], found[0][1]))
    if whole is None:
        return Verdict(told, None, within_noise("layer 5 less layer 1", math.hypot(found[-1][1], found[0][1])))
    return Verdict(told, whole and False not in steps)


def not_here(why: str) -> Callable[[Evidence], Verdict]:
    return lambda _evidence: Verdict("", None, why)
