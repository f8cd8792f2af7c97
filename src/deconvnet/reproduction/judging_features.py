"""Rules for Sec. 2.1 and Figs. 2, 4 and 5: what maps answer to, when they settle, how they move."""

from __future__ import annotations

import math

import numpy as np

from deconvnet.experiments.evolution.record import EvolutionRecord
from deconvnet.experiments.invariance.record import InvarianceRecord, InvarianceSummary
from deconvnet.experiments.sanity.record import SanityRecord
from deconvnet.mining.run_record import MiningRecord
from deconvnet.reproduction.evidence import Evidence, Verdict

# -- Fig. 2, Sec. 2.1 and Fig. 4: features -------------------------------------------------------------------------


def upper_maps_know_classes(evidence: Evidence) -> Verdict:
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


def pictures_need_weights(evidence: Evidence) -> Verdict:
    record = SanityRecord.read(evidence.run("sanity"))
    upper = max(1, len(record.stages) // 2)
    kept = float(record.mean("deconvnet", "cascade")[upper - 1, 2])
    floor = float(record.mean("deconvnet", "other photo")[0, 2])
    told = f"rank correlation {kept:.2f} with random weights in the upper layers, {floor:.2f} of another photo"
    return Verdict(told, kept <= floor + 0.1)


def _evolution(evidence: Evidence, part: str = "evolve") -> EvolutionRecord:
    return EvolutionRecord.read(evidence.run(part))


def jumps_are_other_photos(evidence: Evidence) -> Verdict:
    rows = _evolution(evidence).summary()[1:]
    told = [(each.stayed, each.changed) for each in rows if each.stayed is not None and each.changed is not None]
    if not told:
        return Verdict("", None, "no map kept and none changed its photo")
    spans = [f"{min(v):.2f} to {max(v):.2f}" for v in zip(*told, strict=True)]
    words = f"cosine of successive pictures {spans[0]} where the photo stayed, {spans[1]} where it changed"
    return Verdict(words, all(stayed > changed for stayed, changed in told))


def lower_settle_first(evidence: Evidence) -> Verdict:
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


def upper_settle_late(evidence: Evidence) -> Verdict:
    record = _evolution(evidence)
    rows = record.summary()
    if record.axis != "epoch" or any(each.projections is None for each in rows):
        return Verdict("", None, "the snapshots have no epochs, or a layer has nothing to compare")
    last = float(record.snapshots[-1])
    shares = [float(each.projections or 0) / last for each in rows]
    told = ", ".join(f"{each.layer} {each.projections}" for each in rows) + f" of {last:g} epochs"
    return Verdict(told, min(shares[-2:]) >= 40 / 70 and shares[0] < 40 / 70)


# -- Fig. 5 --------------------------------------------------------------------------------------------------------


def _moved(evidence: Evidence, transformation: str, layer: int) -> InvarianceSummary:
    record = InvarianceRecord.read(evidence.run("invariance"))
    title = next(course.title for course in record.courses if course.name == transformation)
    chosen = record.layers[layer]
    return next(each for each in record.summary() if each.transformation == title and each.layer == chosen)


def _told(values: list[float | None], form: str = ".2f") -> str:
    return ", ".join("-" if value is None else format(value, form) for value in values)


def first_layer_jumps(evidence: Evidence) -> Verdict:
    onsets = [_moved(evidence, name, 0).onset for name in ("vertical", "scale", "rotation")]
    told = f"{_told(onsets)} of the largest distance at the smallest step (vertical, scale, rotation)"
    return Verdict(told, all(each is not None and each >= 0.5 for each in onsets))


def upper_layer_moves_less(evidence: Evidence) -> Verdict:
    pairs = [[_moved(evidence, name, layer).onset for layer in (0, -1)] for name in ("vertical", "scale")]
    told = "; ".join(f"{_told([low])} against {_told([high])}" for low, high in pairs) + " (vertical; scale)"
    return Verdict(told, all(low is not None and high is not None and high <= low / 2 for low, high in pairs))


def upper_layer_is_linear(evidence: Evidence) -> Verdict:
    found = [_moved(evidence, name, -1).linearity for name in ("vertical", "scale")]
    return Verdict(f"r² {_told(found)} (vertical, scale)", all(each is not None and each >= 0.7 for each in found))


def output_is_stable(evidence: Evidence) -> Verdict:
    kept = [_moved(evidence, name, -1).probability for name in ("vertical", "scale")]
    told = f"{_told(kept, '.0%')} of the class's probability kept (vertical, scale)"
    return Verdict(told, all(each is not None and each >= 0.75 for each in kept))


def not_to_rotation(evidence: Evidence) -> Verdict:
    turned, *others = (_moved(evidence, name, -1).probability for name in ("rotation", "vertical", "scale"))
    told = f"{_told([turned], '.0%')} kept, against {_told(others, '.0%')} (vertical, scale)"
    return Verdict(told, turned is not None and turned < 0.75 and all(o is not None and turned < o for o in others))
