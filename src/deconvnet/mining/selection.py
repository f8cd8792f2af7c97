"""The k best of a stream, exactly: numpy alone, no torch.

The order is by score, highest first, and among equal scores by photo index, lowest first. It is a total order on
photos, so neither their order nor their division into batches and shards changes the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from deconvnet.errors import DataError, OptionError
from deconvnet.mining.histogram import merge_spreads
from deconvnet.mining.record import LayerTop, TopActivations


def offer(
    top: LayerTop,
    photos: np.ndarray,
    scores: np.ndarray,
    locate: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> LayerTop:
    """Take a batch of photos into a layer's record.

    Parameters
    ----------
    top : LayerTop
        The record so far; it is left as it was. Its strongest photos alone are dealt with here.
    photos : ndarray, int64, (N,)
        Photo indices, from 0.
    scores : ndarray, float32, (N, C)
        Each photo's score for each map; finite.
    locate : function of two int64 arrays (P,), giving int32 (P, 2)
        Asked once at most, for the photos (places in the batch) and channels that enter the record: where are their
        maxima?

    Returns
    -------
    LayerTop
        The new record.

    Raises
    ------
    DataError
        If a photo turns up that the record holds already.
    """
    k = top.k
    weakest, weakest_photo = top.values[:, -1], top.photos[:, -1]
    enters = scores > weakest
    if photos.min() < weakest_photo.max():  # not so where photos come in order: then no tie enters
        enters |= (scores == weakest) & (photos[:, None] < weakest_photo)
    channels = np.flatnonzero(enters.any(axis=0))  # soon few: the k-th best is hard to beat
    if not channels.size:
        return top
    values, who, positions = top.values.copy(), top.photos.copy(), top.positions.copy()
    all_values = np.concatenate([values[channels], scores.T[channels]], axis=1)
    all_photos = np.concatenate([who[channels], np.broadcast_to(photos, (channels.size, photos.size))], axis=1)
    best = _best(all_values, all_photos, k)
    rows = np.arange(channels.size)[:, None]
    new = best >= k
    kept = positions[channels[:, None], np.minimum(best, k - 1)]
    row, _ = np.nonzero(new)
    kept[new] = locate(best[new] - k, channels[row])
    values[channels], who[channels], positions[channels] = all_values[rows, best], all_photos[rows, best], kept
    return replace(top, values=values, photos=who, positions=positions)


def merge(a: TopActivations, b: TopActivations) -> TopActivations:
    """What one pass over the photos of both would have found, exactly.

    Parameters
    ----------
    a, b : TopActivations
        Results over different photos, of the same network, layers, k and score.

    Raises
    ------
    OptionError
        If layers, map sizes, k or score differ.
    DataError
        If a photo turns up in both.
    """
    if a.score != b.score:
        raise OptionError(f"results ranked by {a.score!r} and by {b.score!r} cannot be merged: mine both alike.")
    if a.seed != b.seed:
        raise OptionError(f"results with seeds {a.seed} and {b.seed} cannot be merged: mine both alike.")
    if set(a.layers) != set(b.layers):
        odd = sorted(set(a.layers) ^ set(b.layers))
        raise OptionError(f"results of different layers cannot be merged: only one of them has {', '.join(odd)}.")
    layers = {name: _merge(name, a.layers[name], b.layers[name], a.seed) for name in a.layers}
    return TopActivations(layers, a.count + b.count, a.score, a.seed)


def _merge(name: str, a: LayerTop, b: LayerTop, seed: int) -> LayerTop:
    if (a.shape, a.spatial) != (b.shape, b.spatial):
        raise OptionError(f"layer {name!r} has maps of {a.shape} and of {b.shape}, which cannot be merged.")
    if a.k != b.k:
        raise OptionError(f"results with k = {a.k} and k = {b.k} cannot be merged: mine both alike.")
    spread = None
    if a.spread is not None and b.spread is not None:
        if len(a.spread.class_counts) != len(b.spread.class_counts):
            raise OptionError("results over photos with other classes cannot be merged: mine both alike.")
        spread = merge_spreads(a.spread, b.spread, seed)
    values = np.concatenate([a.values, b.values], axis=1)
    photos = np.concatenate([a.photos, b.photos], axis=1)
    positions = np.concatenate([a.positions, b.positions], axis=1)
    best = _best(values, photos, a.k)
    return replace(
        a,
        values=np.take_along_axis(values, best, axis=1),
        photos=np.take_along_axis(photos, best, axis=1),
        positions=np.take_along_axis(positions, best[:, :, None], axis=1),
        active=a.active + b.active,
        sums=a.sums + b.sums,
        count=a.count + b.count,
        spread=spread,
    )


def _best(values: np.ndarray, photos: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k best of each row: (R, M) -> (R, k). Padding, -inf as no score is, comes last."""
    best = np.lexsort((photos, -values), axis=-1)[:, :k]
    chosen = np.sort(np.take_along_axis(photos, best, axis=1), axis=1)
    twice = (chosen[:, 1:] == chosen[:, :-1]) & (chosen[:, 1:] >= 0)
    if twice.any():
        raise DataError(f"photo {chosen[:, 1:][twice][0]} was given twice: give each photo once, with its own index.")
    return best
