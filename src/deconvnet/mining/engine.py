"""Mining: one pass of photos through a network, and each feature map's strongest activations out of it.

Zeiler & Fergus show the top 9 activations of a feature map across the validation data (Fig. 2). One position per
photo, the map's maximum, so that the nine come from nine photos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from deconvnet.errors import DataError, ModelError, OptionError, UnknownNameError
from deconvnet.mining.counter import SpreadCounter
from deconvnet.mining.pools import Tracker
from deconvnet.mining.record import SCORES, LayerTop, TopActivations
from deconvnet.mining.selection import offer
from deconvnet.tracing.modes import evaluation, example_weight
from deconvnet.tracing.recorder import ModuleCall, record_calls


def mine(
    model: nn.Module,
    batches: Iterable[tuple[Sequence[int], Tensor]],
    layers: Sequence[str],
    *,
    k: int = 9,
    score: str = "max",
    labels: Sequence[int] | np.ndarray | None = None,
    classes: int = 0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TopActivations:
    """Find the k strongest activations of every feature map of the chosen layers, in one pass.

    The pass is streaming: memory does not grow with the number of photos. It stops after the last layer wanted. The
    model runs in evaluation mode without gradients, and comes back as it was.

    Parameters
    ----------
    model : nn.Module
        Any network.
    batches : iterable of (photo indices, tensor)
        N integers from 0, in any order, each photo once, and a float tensor (N, C, H, W) on the model's device.
    layers : sequence of str
        Names of modules, as in ``model.named_modules()``, with outputs (N, C, H, W), or (N, F) without spatial
        extent. The output that counts is the module's own; of one with positions, its positive part, so that a ReLU
        that follows, in-place or not and however it is spelled, changes nothing.
    k : int
        Photos to keep for each map, at least 1.
    score : {"max", "sum", "mean"}
        What ranks the photos: the spatial maximum, sum or mean of the map's positive part (without spatial extent, the
        value itself for ``"max"``). The position kept is that of the maximum in every case.
    labels : sequence of int, optional
        The class of every photo, by photo index; -1 for none. With it, the maxima are summed up by class.
    classes : int
        Number of classes in ``labels``.
    seed : int
        Of the random photos that stand beside the strongest: see :class:`deconvnet.mining.histogram.LayerSpread`.
    progress : function of int, optional
        Called after each batch with the number of photos done.

    Returns
    -------
    TopActivations
        Equal scores go to the lower photo index, equal maxima in a map to the first position in row-major order:
        the answer does not depend on the order of photos or on batches, as far as the network's own arithmetic does
        not (a convolution may round differently in batches of another size). Scores are compared as float32.

    Raises
    ------
    UnknownNameError
        If the model has no such layer.
    OptionError
        If ``k`` or ``score`` is out of range, or no layer is named.
    DataError
        If there is no photo, or indices and photos do not match.
    ModelError
        If a layer did not run, ran twice in a pass, gave something that has no feature maps, or gave NaN or infinity.
    """
    miner = Miner(model, layers, k=k, score=score, classes=classes, seed=seed)
    known = None if labels is None else np.asarray(labels, np.int64)
    for photos, batch in batches:
        miner.add(photos, batch, None if known is None else known[np.asarray(photos, np.int64)])
        if progress is not None:
            progress(miner.count)
    return miner.result()


class Miner:
    """Mining a batch at a time: the loop of `mine`, for callers that save their state on the way.

    ``result()`` may be asked at any time, and another miner goes on from it with ``take_up``. A batch that fails leaves
    no trace in the state.

    Parameters
    ----------
    model, layers, k, score, classes, seed
        As for `mine`.

    Attributes
    ----------
    count : int
        Photos so far.
    seconds : dict of str to float
        Time spent so far: ``"forward"`` in the network, ``"mining"`` beside it.

    Notes
    -----
    A map's maximum is read where that is cheapest. If a max pool follows whose windows cover the whole map, the largest
    of its few cells is the map's largest, exactly; that this is so is found out with the first batch and checked with
    each. Positions are looked for only in maps that enter the record.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        *,
        k: int = 9,
        score: str = "max",
        classes: int = 0,
        seed: int = 0,
    ) -> None:
        if isinstance(layers, str):
            layers = [layers]
        modules = {name: module for name, module in model.named_modules(remove_duplicate=False) if name}
        for layer in layers:
            if layer not in modules:
                raise UnknownNameError("layer", layer, modules)
        if not layers:
            raise OptionError("no layer to mine: name at least one.")
        if k < 1:
            raise OptionError(f"k is the number of photos to keep for each map, at least 1, not {k}.")
        if score not in SCORES:
            raise OptionError(f"score is one of {', '.join(SCORES)}, not {score!r}.")
        if seed < 0 or classes < 0:
            raise OptionError(f"seed and classes are whole numbers from 0, not {seed} and {classes}.")
        self._model = model
        self._modules = {layer: modules[layer] for layer in layers}
        self._k, self._score = k, score
        self._classes, self._seed = classes, seed
        self._tops: dict[str, LayerTop] = {}
        self._spread: SpreadCounter | None = None
        self._tracker = Tracker(model) if score == "max" else None
        self.count = 0
        self.seconds = {"forward": 0.0, "mining": 0.0}

    def add(self, photos: Sequence[int], batch: Tensor, labels: np.ndarray | None = None) -> None:
        """Run a batch: N photo indices, a float tensor (N, C, H, W) on the model's device, and N classes if known.

        It is brought to the precision of the model's weights.
        """
        started = time.perf_counter()
        indices = _indices(photos, batch)
        if not len(indices):
            return
        if labels is not None and (len(labels) != len(indices) or (np.asarray(labels) >= self._classes).any()):
            raise DataError(f"the labels do not fit: give {len(indices)} numbers below {self._classes}, -1 for none.")
        batch = batch.to(example_weight(self._model, batch).dtype)
        pass_ = self._run(indices, batch)
        if pass_ is None:  # a layer whose pool was not reached this time: read that layer itself from now on
            pass_ = self._run(indices, batch)
        assert pass_ is not None
        before = time.perf_counter()
        tops = {layer: pass_.tops[layer] for layer in self._modules}
        maxima = np.concatenate([pass_.maxima[layer] for layer in self._modules], axis=1)
        if self._spread is None:
            channels = {layer: top.channels for layer, top in tops.items()}
            self._spread = SpreadCounter(channels, self._classes, self._seed)
        self._spread.add(indices, maxima, None if labels is None else np.asarray(labels))
        self._tops = tops
        self.count += len(indices)
        ended = time.perf_counter()
        mining = pass_.seconds + ended - before
        self.seconds["mining"] += mining
        self.seconds["forward"] += ended - started - mining

    def result(self) -> TopActivations:
        """What was found so far.

        Raises
        ------
        DataError
            If no photo was given.
        """
        if not self.count or self._spread is None:
            raise DataError("there is no photo to mine: give at least one.")
        counted = self._spread.result()
        layers = {layer: replace(self._tops[layer], count=self.count, **counted[layer]) for layer in self._modules}
        return TopActivations(layers, self.count, self._score, self._seed)

    def take_up(self, mined: TopActivations) -> None:
        """Go on from what an earlier miner of the same network and options found; before the first batch.

        Raises
        ------
        DataError
            If batches were added already.
        OptionError
            If ``mined`` is of other layers or options, or lacks the spreads.
        """
        if self.count:
            raise DataError("mining has begun already: take up an earlier result before the first batch.")
        ours = (list(self._modules), self._k, self._score, self._seed)
        spreads = [top.spread for top in mined.layers.values()]
        if ours != (list(mined.layers), mined.k, mined.score, mined.seed) or None in spreads:
            raise OptionError("the earlier result is of other layers or options: mine anew.")
        if any(spread is not None and len(spread.class_counts) != self._classes for spread in spreads):
            raise OptionError("the earlier result is of photos with other classes: mine anew.")
        self._spread = SpreadCounter({n: t.channels for n, t in mined.layers.items()}, self._classes, self._seed)
        self._spread.take_up(mined.layers)
        self._tops = {layer: replace(top, spread=None) for layer, top in mined.layers.items()}
        self.count = mined.count

    def _run(self, indices: np.ndarray, batch: Tensor) -> _Pass | None:
        """One forward pass; None if a layer's pool did not come, and the layer's own output has to be read."""
        pass_ = _Pass({}, {})
        tracker = self._tracker
        seen: set[str] = set()

        def take(layer: str, maps: Tensor, maxima: Tensor | None) -> None:
            top, numbers = self._take(layer, maps, maxima, indices)
            pass_.tops[layer], pass_.maxima[layer] = top, numbers
            if len(pass_.tops) == len(self._modules):
                raise _AllSeen

        def see(call: ModuleCall) -> None:
            layer, output = call.name, call.output
            started = time.perf_counter()
            try:
                if layer in seen:
                    raise ModelError(
                        f"layer {layer!r} runs more than once in a pass, so its maps have no single value: "
                        "mine another layer, or give each use a module of its own."
                    )
                seen.add(layer)
                maps = _maps(layer, output, len(indices))
                if tracker is not None and maps.ndim == 4:
                    assert isinstance(output, Tensor)
                    tracker.follow(layer, output)
                    if tracker.pooled(layer):
                        return
                # At once, inside the hook: an in-place ReLU may follow and write over the output.
                take(layer, maps, None)
            finally:
                pass_.seconds += time.perf_counter() - started

        def see_pool(layer: str, maps: Tensor, cells: Tensor) -> None:
            started = time.perf_counter()
            try:
                take(layer, maps.detach(), _largest(cells.detach()))
            finally:
                pass_.seconds += time.perf_counter() - started

        pools = tracker.record_pools(see_pool) if tracker is not None else nullcontext()
        recorder = record_calls(self._modules, see)
        with pools, evaluation(self._model), recorder, torch.no_grad(), suppress(_AllSeen):
            self._model(batch)
        missing = [layer for layer in self._modules if layer not in pass_.tops]
        lost = [layer for layer in missing if tracker is not None and tracker.pooled(layer) and layer in seen]
        if lost and tracker is not None:
            tracker.give_up(lost)
            return None
        if missing:
            raise ModelError(
                f"the network's forward pass does not run {', '.join(map(repr, missing))}, "
                "so there is nothing to mine there: choose layers that it runs."
            )
        return pass_

    def _take(
        self, layer: str, maps: Tensor, maxima_there: Tensor | None, photos: np.ndarray
    ) -> tuple[LayerTop, np.ndarray]:
        """The layer's record with these photos, and their maxima (N, C)."""
        spatial = maps.ndim == 4
        if not spatial:
            maps = maps[:, :, None, None]
        shape = (maps.shape[1], maps.shape[2], maps.shape[3])
        top = self._tops.get(layer) or LayerTop.empty(shape, self._k, spatial)
        if (top.shape, top.spatial) != (shape, spatial):
            raise DataError(
                f"layer {layer!r} gave maps of {_times(top.shape)} and then of {_times(shape)}: "
                "give photos of one size."
            )
        largest = _largest(maps) if maxima_there is None else maxima_there
        maxima = _numbers(largest.clamp(min=0) if spatial else largest)
        scores = maxima
        if self._score != "max":
            total = maps.clamp(min=0).sum(dim=(2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))
            scores = _numbers(total / (shape[1] * shape[2]) if self._score == "mean" else total)
        bad = ~(np.isfinite(maxima) & np.isfinite(scores)).all(axis=1)
        if bad.any():
            raise ModelError(
                f"layer {layer!r} gives NaN or infinity for photo {photos[bad][0]}, so it has no strongest photos: "
                "check the weights, the preprocessing and the number format."
            )

        def locate(rows: np.ndarray, channels: np.ndarray) -> np.ndarray:
            found = np.zeros((len(rows), 2), np.int32)
            active = maxima[rows, channels] > 0
            if spatial and active.any():
                found[active] = _positions(maps, rows[active], channels[active])
            return found

        return offer(top, photos, scores, locate), maxima


@dataclass
class _Pass:
    """What one forward pass gave: new records and maxima by layer, and the seconds spent beside the network."""

    tops: dict[str, LayerTop]
    maxima: dict[str, np.ndarray]
    seconds: float = 0.0


def _indices(photos: Sequence[int], batch: Tensor) -> np.ndarray:
    indices = np.asarray(photos)
    if indices.size == 0 and len(batch) == 0:
        return np.zeros(0, np.int64)
    if indices.ndim != 1 or len(indices) != len(batch):
        raise DataError(f"a batch came with {indices.size} photo indices for {len(batch)} photos: give one for each.")
    if indices.dtype.kind not in "iu" or (indices < 0).any():
        raise DataError(f"photo indices are whole numbers from 0, not {indices.tolist()[:5]}.")
    indices = indices.astype(np.int64)
    if len(np.unique(indices)) < len(indices):
        raise DataError("a batch holds the same photo index twice: give each photo once, with its own index.")
    return indices


def _maps(layer: str, output: object, photos: int) -> Tensor:
    """The layer's output, if it has feature maps: (N, C, H, W) or (N, F)."""
    if not isinstance(output, Tensor):
        raise ModelError(
            f"layer {layer!r} gives a {type(output).__name__}, not a tensor, so it has no feature maps: "
            "choose a module inside it."
        )
    if output.ndim not in (2, 4) or not output.is_floating_point() or len(output) != photos or not output.numel():
        raise ModelError(
            f"layer {layer!r} gives {str(output.dtype).removeprefix('torch.')} {_times(output.shape)} for {photos} "
            "photos: mine layers that give floats, photos x channels x height x width or photos x features."
        )
    return output.detach()


def _largest(maps: Tensor) -> Tensor:
    """The maximum of each map, NaN if it holds one: (N, C, H, W) -> (N, C)."""
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        last = maps.is_contiguous(memory_format=torch.channels_last)
        if last and not maps.is_contiguous():  # in this layout a third faster than amax, the same numbers
            return nn.functional.adaptive_max_pool2d(maps, 1)[:, :, 0, 0]
    return maps.amax(dim=(2, 3))


def _positions(maps: Tensor, rows: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Row and column of the maxima of chosen maps, the first in row-major order: (N, C, H, W) -> int32 (P, 2)."""
    where = torch.from_numpy(rows).to(maps.device), torch.from_numpy(channels).to(maps.device)
    chosen = maps[where].flatten(1)  # (P, H * W)
    if chosen.dtype not in (torch.float32, torch.float64):
        chosen = chosen.float()
    first = chosen.cpu().numpy().argmax(axis=1)  # of equals the first
    return np.stack(np.divmod(first, maps.shape[3]), axis=1).astype(np.int32)


def _numbers(scores: Tensor) -> np.ndarray:
    return scores.float().cpu().numpy() + np.float32(0)  # -0 becomes 0


def _times(shape: Iterable[int]) -> str:
    return " x ".join(str(length) for length in shape)


class _AllSeen(BaseException):
    """Ends a forward pass early; not an Exception, so that no fallback inside a network catches it."""
