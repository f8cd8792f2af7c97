"""Rules for Secs. 4.1 to 4.3, Figs. 6 and 7 and Table 1: first layers, occlusion, correspondence."""

from __future__ import annotations

import math

import numpy as np

from deconvnet.experiments.correspondence.record import CorrespondenceRecord, SignChange
from deconvnet.experiments.diagnosis.record import DiagnosesRecord, DiagnosisRecord
from deconvnet.experiments.occlusion.faithfulness_record import CURVES
from deconvnet.experiments.occlusion.record import OccludedPhoto, OcclusionRecord
from deconvnet.reproduction.evidence import SIGNIFICANT, Evidence, Verdict, beyond, binomial_error, percent

# -- Sec. 4.1, Fig. 6 ----------------------------------------------------------------------------------------------

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


def middle_is_missing(evidence: Evidence) -> Verdict:
    record = _diagnosis(evidence, "alexnet-dense")
    bands = record.filters[0].mean_bands
    told = " / ".join(f"{100 * band:.0f}" for band in bands) + " % low / middle / high"
    why = _smoothed(record)
    return Verdict(told, None if why else bool(bands[1] < 0.2), why)


def middle_is_back(evidence: Evidence) -> Verdict:
    alexnet, zfnet = _both(evidence)
    middle = [float(record.filters[0].mean_bands[1]) for record in (alexnet, zfnet)]
    why = _smoothed(alexnet, zfnet)
    told = f"{percent(middle[0])} in the middle in AlexNet, {percent(middle[1])} in ZFNet"
    return Verdict(told, None if why else middle[1] > middle[0], why)


def stride_folds(evidence: Evidence) -> Verdict:
    found = []
    for record in _both(evidence):
        layer = record.filters[0].layer
        found.append(next((each.share for each in record.strided if each.layer == layer), math.nan))
    told = f"{percent(found[0])} of the energy folded in AlexNet's first layer, {percent(found[1])} in ZFNet's"
    return Verdict(told, found[1] <= found[0] / 2)


def fewer_dead(evidence: Evidence) -> Verdict:
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


def clipping_is_needed(evidence: Evidence) -> Verdict:
    names = evidence.run("diagnose").settings["networks"]
    free, clipped = (_diagnosis(evidence, name) for name in ("zfnet-unclipped", "zfnet"))
    ratios = [float(each.filters[0].rms.max() / np.median(each.filters[0].rms)) for each in (free, clipped)]
    told = f"largest RMS over the median {ratios[0]:.1f} without, {ratios[1]:.1f} with clipping ({len(names)} networks)"
    return Verdict(told, ratios[0] > 4 and ratios[0] > ratios[1])


# -- Sec. 4.2, Fig. 7 ----------------------------------------------------------------------------------------------


def _covered(evidence: Evidence) -> tuple[OccludedPhoto, ...]:
    return OcclusionRecord.read(evidence.run("occlude")).photos


def covering_hurts_the_class(evidence: Evidence) -> Verdict:
    named = [photo for photo in _covered(evidence) if photo.maps[0].predicted == photo.label]
    if not named:
        return Verdict("", None, "no photo was named rightly")
    left = [
        float(photo.maps[0].score(p).min()) / photo.maps[0].clean_score(p) for photo in named for p in [photo.label]
    ]
    median = float(np.median(left))
    return Verdict(f"{percent(median)} left at the worst position (median of {len(left)} photos)", median <= 0.5)


def covering_hurts_the_map(evidence: Evidence) -> Verdict:
    left = []
    for photo in _covered(evidence):
        found, c = photo.maps[0], photo.channel
        if found.clean_sums[c] > 0:
            left.append(float(found.sums[..., c].min() / found.clean_sums[c]))
    if not left:
        return Verdict("", None, "no map was active")
    median = float(np.median(left))
    return Verdict(f"{percent(median)} left at the worst position (median of {len(left)} photos)", median <= 0.5)


def projection_tells_where(evidence: Evidence) -> Verdict:
    found = [value for value in (photo.agreement() for photo in _covered(evidence)) if value is not None]
    if not found:
        return Verdict("", None, "no map was projected")
    median = float(np.median(found))
    told = f"rank correlation {median:.2f} ({min(found):.2f} to {max(found):.2f}; {len(found)} photos)"
    return Verdict(told, median >= 0.5)


def object_is_located(evidence: Evidence) -> Verdict:
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


# -- Sec. 4.3, Table 1 ---------------------------------------------------------------------------------------------


def _rows(evidence: Evidence, layer: int, part: str = "correspond") -> list[SignChange]:
    record = CorrespondenceRecord.read(evidence.run(part))
    return [row for row in record.rows if row.layer == record.layers[layer]]


def parts_change_alike(evidence: Evidence) -> Verdict:
    rows = _rows(evidence, 0)
    lower = [row for row in rows if row.mean < row.random_mean and row.p_value < SIGNIFICANT]
    told = (
        f"{np.mean([r.mean for r in rows]):.3f} against {np.mean([r.random_mean for r in rows]):.3f}; lower with p < "
    )
    told += f"{SIGNIFICANT:g} in {len(lower)} of {len(rows)} parts"
    return Verdict(told + (f" ({', '.join(f'{r.part} of {r.group}' for r in lower)})" if lower else ""), lower == rows)


def upper_layer_tells_less(evidence: Evidence) -> Verdict:
    rows = _rows(evidence, -1)
    inside = [row for row in rows if abs(row.mean - row.random_mean) <= row.random_std]
    told = f"{np.mean([r.mean for r in rows]):.3f} against {np.mean([r.random_mean for r in rows]):.3f}; within one "
    told += f"deviation in {len(inside)} of {len(rows)} parts"
    return Verdict(told, len(inside) == len(rows))


def learned_correspondence(evidence: Evidence) -> Verdict:
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
