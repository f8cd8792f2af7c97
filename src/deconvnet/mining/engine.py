"""Mining: one pass of photos through a network, and each feature map's strongest activations out of it.

Zeiler & Fergus show the top 9 activations of a feature map across the validation data (Fig. 2). One position per
photo, the map's maximum, so that the nine come from nine photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import torch
from torch import Tensor, nn

from deconvnet.errors import DataError, ModelError, OptionError, UnknownNameError
from deconvnet.mining.selection import offer
from deconvnet.runs.top import SCORES, LayerTop, Mined


def mine(
    model: nn.Module,
    batches: Iterable[tuple[Sequence[int], Tensor]],
    layers: Sequence[str],
    *,
    k: int = 9,
    score: str = "max",
    progress: Callable[[int], None] | None = None,
) -> Mined:
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
        extent. The output that counts is the module's own, before a ReLU that follows, in-place or not: positive
        values are the same, and a map whose strongest values are at or below zero is told apart
        (``LayerTop.inactive``, ``Mined.dead``).
    k : int
        Photos to keep for each map, at least 1.
    score : {"max", "sum", "mean"}
        What ranks the photos: the map's spatial maximum, or the sum or mean over positions of its positive part.
        The position kept is that of the maximum in every case.
    progress : function of int, optional
        Called after each batch with the number of photos done.

    Returns
    -------
    Mined
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
    miner = Miner(model, layers, k=k, score=score)
    for photos, batch in batches:
        miner.add(photos, batch)
        if progress is not None:
            progress(miner.count)
    return miner.result()


class Miner:
    """Mining a batch at a time: the loop of `mine`, for callers that save their state on the way.

    ``result()`` may be asked at any time; with ``merge``, what was mined before is joined to what comes after. A batch
    that fails leaves no trace in the state.

    Parameters
    ----------
    model, layers, k, score
        As for `mine`.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], *, k: int = 9, score: str = "max") -> None:
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
        self._model = model
        self._modules = {layer: modules[layer] for layer in layers}
        self._k, self._score = k, score
        self._tops: dict[str, LayerTop] = {}
        self.count = 0

    def add(self, photos: Sequence[int], batch: Tensor) -> None:
        """Run a batch: N photo indices, and a float tensor (N, C, H, W) on the model's device."""
        indices = _indices(photos, batch)
        if not len(indices):
            return
        fresh: dict[str, LayerTop] = {}

        def take(layer: str, output: object) -> None:
            if layer in fresh:
                raise ModelError(
                    f"layer {layer!r} runs more than once in a pass, so its maps have no single value: "
                    "mine another layer, or give each use a module of its own."
                )
            maps = _maps(layer, output, len(indices))
            # At once, inside the hook: an in-place ReLU may follow and write over the output.
            fresh[layer] = self._take(layer, maps, indices)
            if len(fresh) == len(self._modules):
                raise _AllSeen

        with _watched(self._model, self._modules, take), torch.no_grad(), suppress(_AllSeen):
            self._model(batch)
        missing = [layer for layer in self._modules if layer not in fresh]
        if missing:
            raise ModelError(
                f"the network's forward pass does not run {', '.join(map(repr, missing))}, "
                "so there is nothing to mine there: choose layers that it runs."
            )
        self._tops.update(fresh)
        self.count += len(indices)

    def result(self) -> Mined:
        """What was found so far.

        Raises
        ------
        DataError
            If no photo was given.
        """
        if not self.count:
            raise DataError("there is no photo to mine: give at least one.")
        return Mined({layer: self._tops[layer] for layer in self._modules}, self.count, self._score)

    def _take(self, layer: str, maps: Tensor, photos: np.ndarray) -> LayerTop:
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
        maxima = _numbers(maps.amax(dim=(2, 3)))
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
        return offer(top, photos, scores, maxima, lambda rows, channels: _positions(maps, rows, channels))


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


def _positions(maps: Tensor, rows: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Row and column of the maxima of chosen maps, the first in row-major order: (N, C, H, W) -> int32 (P, 2)."""
    where = torch.from_numpy(rows).to(maps.device), torch.from_numpy(channels).to(maps.device)
    chosen = maps[where].flatten(1)  # (P, H * W)
    cells = torch.arange(chosen.shape[1], device=maps.device)
    is_top = chosen == chosen.amax(dim=1, keepdim=True)
    first = torch.where(is_top, cells, chosen.shape[1]).amin(dim=1).cpu().numpy()
    return np.stack(np.divmod(first, maps.shape[3]), axis=1).astype(np.int32)


def _numbers(scores: Tensor) -> np.ndarray:
    return scores.float().cpu().numpy() + np.float32(0)  # -0 becomes 0


def _times(shape: Iterable[int]) -> str:
    return " x ".join(str(length) for length in shape)


class _AllSeen(BaseException):
    """Ends a forward pass early; not an Exception, so that no fallback inside a network catches it."""


@contextmanager
def _watched(model: nn.Module, modules: dict[str, nn.Module], take: Callable[[str, object], None]) -> Iterator[None]:
    """Evaluation mode, and ``take(layer, output)`` at each run of the modules; afterwards all as it was."""
    modes = [(module, module.training) for module in model.modules()]
    handles = []
    try:
        model.eval()
        for layer, module in modules.items():
            handles.append(
                module.register_forward_hook(lambda _module, _inputs, output, layer=layer: take(layer, output))
            )
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
