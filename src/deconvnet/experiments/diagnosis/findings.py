"""A diagnosis in plain words, with what the paper did about it (Sec. 4.1) and what is done today.

The limits below are this project's: the paper names none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deconvnet.experiments.diagnosis.record import DiagnosisRecord, Finding
from deconvnet.filter_statistics.record import FilterHealth, MapHealth, StrideHealth
from deconvnet.filter_statistics.statistics import RADIUS

MIDDLE = 0.20  # least share of the first layer's power in the middle band
DEAD = 0.05  # share of a layer's maps
FOLDED = 0.05  # share of a strided layer's energy beyond the new Nyquist frequency
NOISY = 0.25  # share of a layer's filters
TWINS = 0.05  # pairs of duplicates over filters
DOMINANT = 4.0  # largest RMS over the layer's median
SMOOTH = 0.2  # autocorrelation of a start that is no white noise

_CLIP = "The paper's remedy: renormalise every filter whose RMS exceeds a radius (filter_radius in a recipe)."
_BLUR = "Today's remedy: blur before subsampling (BlurPool; blurpool=True in zfnet and alexnet)."


def _smaller(first: FilterHealth) -> str:
    """The paper's remedy, where the first layer does not have it yet."""
    if first.shape[2] > 7 or first.stride > 2:
        return (
            "The paper's remedy: smaller kernels and a smaller stride in the first layer (from 11 x 11, stride 4, to "
            "7 x 7, stride 2)."
        )
    return "The paper's remedy, kernels of 7 x 7 and a stride of 2, is there already: train longer, or fewer filters."


def findings(record: DiagnosisRecord) -> tuple[Finding, ...]:
    """One finding for each thing that was measured.

    Parameters
    ----------
    record : DiagnosisRecord
        Its own findings are not looked at.
    """
    found: list[Finding] = []
    if record.filters:
        first = record.filters[0]
        found += [_frequencies(first), _strengths(first), *_radius(first)]
        found += [_twins(record.filters), _noise(record.filters)]
    if record.maps:
        found += [_dead(record.maps, record.photos, record.filters), _saturated(record.maps)]
    if record.strided:
        convolutions = [each for each in record.strided if each.kind == "conv"]
        others = [each for each in record.strided if each.kind != "conv"]
        steep = any(each.stride > 2 for each in convolutions)
        remedy = f"The paper's remedy: a smaller stride (4 to 2 in its first layer). {_BLUR}" if steep else _BLUR
        found += [_folded(convolutions, "convolutions", remedy)] if convolutions else []
        found += [_folded(others, "pools", _BLUR)] if others else []
    if not np.isnan(record.consistency):
        kept = f"{record.consistency:.1%} of one-pixel shifts of {record.probed} photos leave the most probable class."
        found.append(Finding("shifts", record.consistency >= 0.9, kept, "" if record.consistency >= 0.9 else _BLUR))
    return tuple(found)


def _frequencies(first: FilterHealth) -> Finding:
    if np.isnan(first.bands).any():
        return Finding("frequencies", True, f"{first.layer}'s kernels are too small (below 5 x 5) to tell frequencies.")
    low, middle, high = first.mean_bands
    says = f"{first.layer} has {low:.0%} of its power below 1/8 cycle/px, {middle:.0%} up to 1/4 and {high:.0%} above"
    if middle >= MIDDLE:
        return Finding("frequencies", True, f"{says}: no gap in the middle.")
    return Finding("frequencies", False, f"{says}: little in the middle.", _smaller(first))


def _strengths(first: FilterHealth) -> Finding:
    ratio = float(first.rms.max() / max(np.median(first.rms), 1e-30))
    says = (
        f"{first.layer}: {len(first.faint)} of {first.shape[0]} filters are faint (below a quarter of the median RMS); "
        f"the strongest has {ratio:.1f} times the median."
    )
    healthy = ratio <= DOMINANT and len(first.faint) <= DEAD * first.shape[0]
    remedy = _CLIP if ratio > DOMINANT else _smaller(first)
    return Finding("filter strengths", healthy, says, "" if healthy else remedy)


def _radius(first: FilterHealth) -> list[Finding]:
    if not first.rms_is_paper:
        return []
    over = len(first.over(RADIUS))
    largest = float(first.rms.max())
    says = f"{over} of {first.layer}'s filters exceed the paper's radius of {RADIUS} (largest RMS {largest:.2g})."
    return [Finding("radius", not over, says, _CLIP if over else "")]


def _twins(filters: Sequence[FilterHealth]) -> Finding:
    worst = max(filters, key=lambda f: f.twins / f.shape[0])
    share = worst.twins / worst.shape[0]
    if not worst.twins:
        return Finding("duplicates", True, "No two filters of a layer are duplicates.")
    says = f"{worst.layer} has {worst.twins} pairs of duplicates among {worst.shape[0]} filters."
    return Finding("duplicates", share <= TWINS, says, "" if share <= TWINS else "Fewer maps would do, or dropout.")


def _noise(filters: Sequence[FilterHealth]) -> Finding:
    judged = [f for f in filters if not np.isnan(f.noise_limit)]
    noisy = [f for f in judged if len(f.noisy) > NOISY * f.shape[0]]
    if noisy:
        listed = _several([f"{f.layer} ({len(f.noisy)} of {f.shape[0]})" for f in noisy])
        says = f"Filters no smoother than white noise, as before any training: {listed}."
        remedy = "Train longer, with more decay or another optimizer, or start from smooth noise (docs/results.md)."
        return Finding("initial noise", False, says, remedy)
    smooth = [f for f in judged if f.start.get("start", 0.0) > SMOOTH]
    if not judged:
        return Finding("initial noise", True, "No kernel is large enough to tell filters from noise.")
    says = "All layers' filters are smoother than white noise."
    if smooth:
        cosines = ", ".join(
            f"{f.layer} {f.start['cosine_to_start']:.2f}" for f in smooth if "cosine_to_start" in f.start
        )
        says += f" But they were so at the start of training; what is left of it, as a cosine: {cosines}."
    return Finding("initial noise", True, says)


def _dead(maps: Sequence[MapHealth], photos: int, filters: Sequence[FilterHealth]) -> Finding:
    ill = [m for m in maps if len(m.dead) > DEAD * len(m.photos)]
    total = sum(len(m.dead) for m in maps)
    if not ill:
        return Finding("dead maps", True, f"{total} maps are dead on {photos} photos, in no layer more than 5 %.")
    listed = _several([f"{m.layer} {len(m.dead)} of {len(m.photos)}" for m in ill])
    remedy = "A lower learning rate or batch normalisation keeps maps alive."
    if filters and ill[0].layer == filters[0].layer:
        remedy = f"{_smaller(filters[0])} {remedy}"
    return Finding("dead maps", False, f"Maps that none of {photos} photos activates: {listed}.", remedy)


def _saturated(maps: Sequence[MapHealth]) -> Finding:
    ill = [m for m in maps if len(m.saturated)]
    if not ill:
        return Finding("saturated maps", True, "No map is active everywhere.")
    listed = _several([f"{m.layer} {len(m.saturated)} of {len(m.photos)}" for m in ill])
    healthy = all(len(m.saturated) <= DEAD * len(m.photos) for m in ill)
    says = f"Maps that are active at 99 % of all positions or more: {listed}."
    return Finding("saturated maps", healthy, says, "" if healthy else "They rectify nothing: a lower bias would.")


def _folded(layers: Sequence[StrideHealth], kind: str, remedy: str) -> Finding:
    listed = _several([f"{s.layer} {s.share:.1%} (stride {s.stride})" for s in layers])
    healthy = all(not s.share > FOLDED for s in layers)
    says = f"Energy beyond the Nyquist frequency of strided {kind}: {listed}."
    return Finding(f"aliasing of {kind}", healthy, says, "" if healthy else remedy)


def _several(words: list[str], most: int = 6) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
