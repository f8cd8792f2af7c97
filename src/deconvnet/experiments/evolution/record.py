"""The record of feature evolution (Fig. 4): what a network's maps looked for, snapshot by snapshot. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from deconvnet.runs.record import Record

KIND = "evolve"
SETTLED = 0.9
"""The similarity to the last snapshot from which on a layer is called settled."""


@dataclass(frozen=True, eq=False)
class LayerEvolution:
    """One layer over S snapshots. Of its C maps, K are compared, and M of these drawn.

    Similarities are cosines of pictures (or weights) taken as vectors: 1 equal but for strength, 0 unrelated. NaN where
    one of the two is nothing.

    Attributes
    ----------
    layer : str
    shown : ndarray of int64, (M,)
        Maps that are drawn.
    compared : ndarray of int64, (K,)
        Maps whose projections are compared, the shown ones first.
    photos : ndarray of int64, (S, C)
        Each map's strongest photo; -1 where no photo activates it.
    positions : ndarray of int32, (S, C, 2)
        Row and column of the strongest activation; 0 in layers without positions.
    values : ndarray of float32, (S, C)
        The strongest activation.
    projections : ndarray of float32, (S, M, channels, h, w)
        Of the strongest activation, cut to the receptive field; 0 where the map is not active.
    patches : ndarray of uint8, (S, M, h, w, 3)
        What the unit saw.
    weights, weight_steps : ndarray of float64, (S,) and (S - 1,)
        Cosine of the layer's weights with those of the last snapshot, and with those of the snapshot before. NaN in
        layers without weights.
    fixed, fixed_steps : ndarray of float64, (S, K) and (S - 1, K)
        The same of projections of one unit: photo and position are those of the map's strongest activation in the last
        snapshot, whatever the unit's value (the pass down starts from 1).
    fixed_floor : ndarray of float64, (K,)
        What two *different* maps give: the cosine of the last snapshot's projection with that of the next map compared,
        at the same photo and position.
    strongest_steps : ndarray of float64, (S - 1, K)
        Cosine of the projections of the strongest activations of successive snapshots, receptive field on receptive
        field; the photo may be another.
    strongest_floor : ndarray of float64, (K,)
        The same for the last snapshot's strongest activations of two different maps.
    """

    layer: str
    shown: Annotated[npt.NDArray[np.int64], "M"]
    compared: Annotated[npt.NDArray[np.int64], "K"]
    photos: Annotated[npt.NDArray[np.int64], "S C"]
    positions: Annotated[npt.NDArray[np.int32], "S C 2"]
    values: Annotated[npt.NDArray[np.float32], "S C"]
    projections: Annotated[npt.NDArray[np.float32], "S M _ h w"]
    patches: Annotated[npt.NDArray[np.uint8], "S M h w 3"]
    weights: Annotated[npt.NDArray[np.float64], "S"]
    weight_steps: Annotated[npt.NDArray[np.float64], "S-1"]
    fixed: Annotated[npt.NDArray[np.float64], "S K"]
    fixed_steps: Annotated[npt.NDArray[np.float64], "S-1 K"]
    fixed_floor: Annotated[npt.NDArray[np.float64], "K"]
    strongest_steps: Annotated[npt.NDArray[np.float64], "S-1 K"]
    strongest_floor: Annotated[npt.NDArray[np.float64], "K"]

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """Which maps some photo activates: (S, C)."""
        return self.photos >= 0

    @property
    def jumped(self) -> npt.NDArray[np.bool_]:
        """Whose strongest photo is another than a snapshot before, both being active: (S - 1, C)."""
        return (self.photos[1:] != self.photos[:-1]) & self.active[1:] & self.active[:-1]

    @property
    def jump_share(self) -> npt.NDArray[np.float64]:
        """Share of the maps active in both snapshots whose strongest photo is another: (S - 1,), NaN for no map."""
        both = (self.active[1:] & self.active[:-1]).sum(1)
        return _divided(self.jumped.sum(1), both)

    @property
    def dead(self) -> npt.NDArray[np.int64]:
        """Number of maps that no photo activates: (S,)."""
        return (~self.active).sum(1).astype(np.int64)


@dataclass(frozen=True)
class Convergence:
    """One layer in a few numbers.

    Attributes
    ----------
    layer : str
    weights, projections : str or None
        Label of the first snapshot from which on the cosine with the last one, of weights and of the fixed units'
        projections (mean over maps), stays at 0.9 or above. None if there is nothing to compare.
    weights_first, projections_first : float or None
        That cosine in the first snapshot.
    floor : float or None
        What different maps' projections give; see :attr:`LayerEvolution.fixed_floor`.
    jumps : float or None
        Share of maps whose strongest photo changes between two snapshots, mean over the steps.
    last_jumps : float or None
        The same for the last step.
    stayed, changed : float or None
        Cosine of the projections of a map's strongest activations in two successive snapshots, mean over maps and
        steps: where the photo is the same, and where it is another. None where that never happened.
    dead : int
        Maps dead in the last snapshot.
    """

    layer: str
    weights: str | None
    projections: str | None
    weights_first: float | None
    projections_first: float | None
    floor: float | None
    jumps: float | None
    last_jumps: float | None
    stayed: float | None
    changed: float | None
    dead: int


@dataclass(frozen=True, eq=False)
class EvolutionRecord(Record):
    """Everything of Figure 4.

    Attributes
    ----------
    network : str
        Its title.
    snapshots : tuple of str, S
        Their labels, oldest first.
    axis : {"epoch", "file"}
        What the labels are.
    trained_at : tuple of int, S
        Input size, in pixels, at which each snapshot was trained.
    input_size : int
        Input size at which all are shown the photos: the last one's.
    photos : int
        Photos searched.
    photo_set : str
        Which: ``"training photos"`` or ``"photos"``.
    names : dict of int to str
        Names of the photos that activate a map most, by index.
    skipped : tuple of str
        Photos that could not be read, and why.
    seed : int
        Of the choice of maps.
    settings : dict of str
        How projections were made.
    layers : tuple of LayerEvolution
    seconds, forward_seconds : float
        All together, and forward passes in search of the strongest photos alone.
    """

    kind: ClassVar[str] = KIND

    network: str
    snapshots: Annotated[tuple[str, ...], "S"]
    axis: str
    trained_at: Annotated[tuple[int, ...], "S"]
    input_size: int
    photos: int
    photo_set: str
    names: dict[int, str]
    skipped: tuple[str, ...]
    seed: int
    settings: dict[str, str]
    layers: tuple[LayerEvolution, ...]
    seconds: float
    forward_seconds: float

    def summary(self) -> tuple[Convergence, ...]:
        """Each layer in a few numbers."""
        return tuple(self._summary(layer) for layer in self.layers)

    def _summary(self, each: LayerEvolution) -> Convergence:
        fixed, jumps = mean_over_maps(each.fixed), each.jump_share
        jumped = each.jumped[:, each.compared]
        return Convergence(
            each.layer,
            self._settled(each.weights),
            self._settled(fixed),
            _number(each.weights[0]),
            _number(fixed[0]),
            _number(mean_over_maps(each.fixed_floor[None])[0]),
            _number(mean_over_maps(jumps[None])[0]),
            _number(jumps[-1]),
            _number(mean_over_maps(np.where(jumped, np.nan, each.strongest_steps).ravel())),
            _number(mean_over_maps(np.where(jumped, each.strongest_steps, np.nan).ravel())),
            int(each.dead[-1]),
        )

    def _settled(self, curve: npt.NDArray[np.float64]) -> str | None:
        if not np.isfinite(curve).all():
            return None
        below = np.flatnonzero(curve < SETTLED)
        return self.snapshots[int(below[-1]) + 1 if len(below) else 0]

    def check(self) -> None:
        """Refuse layers that do not fit to the snapshots, and maps that a layer does not have."""
        if not self.snapshots or not self.layers:
            raise ValueError("it holds no snapshot or no layer")
        for number, each in enumerate(self.layers):
            where, count = f"layers[{number}]", each.photos.shape[1]
            if len(each.photos) != len(self.snapshots):
                raise ValueError(f"{where}.photos has {len(each.photos)} rows for {len(self.snapshots)} snapshots")
            for name in ("shown", "compared"):
                maps = getattr(each, name)
                if len(maps) and not 0 <= maps.min() <= maps.max() < count:
                    raise ValueError(f"{where}.{name} names a map that the layer, of {count} maps, does not have")

    def table(self) -> str:
        """Each layer in a line: when it settled, and how often its strongest photos changed."""
        wide = max(5, *(len(each.layer) for each in self.layers))
        head = f"weights settled  maps settled  floor  photos change  dead ({self.axis} {self.snapshots[-1]})"
        lines = [f"{'layer':{wide}}  {head}"]
        for each in self.summary():
            floor = "-" if each.floor is None else f"{each.floor:.2f}"
            jumps = "-" if each.jumps is None else f"{100 * each.jumps:.0f} %"
            cells = f"{each.weights or '-':>15}  {each.projections or '-':>12}  {floor:>5}  {jumps:>13}  {each.dead:>4}"
            lines.append(f"{each.layer:{wide}}  {cells}")
        return "\n".join(lines)


def mean_over_maps(curves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the last axis, NaN left out; NaN where nothing is left."""
    known = np.isfinite(curves)
    return _divided(np.where(known, curves, 0).sum(-1), known.sum(-1))


def _divided(numerator: npt.NDArray[Any], count: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.where(count > 0, numerator / np.maximum(count, 1), np.nan).astype(np.float64)


def _number(value: npt.NDArray[np.float64] | float) -> float | None:
    return float(value) if np.isfinite(value) else None
