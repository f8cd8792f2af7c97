"""The record of mining: each feature map's strongest activations over a set of photos. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from deconvnet.errors import RunError, UnitError, UnknownNameError
from deconvnet.mining.exact_sums import LIMBS, exact_means
from deconvnet.mining.histogram import BINS, LayerSpread

SCORES = ("max", "sum", "mean")
"""How photos are ranked: by the maximum, the sum or the mean of a map's positive part."""


class Winner(NamedTuple):
    """One photo among a map's strongest.

    ``photo`` is its index, ``value`` its score, ``position`` the row and column of the map's maximum in it. It is
    ``active`` if that score is above zero; a unit that is not active projects to nothing.
    """

    photo: int
    value: float
    position: tuple[int, int]
    active: bool


@dataclass(frozen=True, eq=False)
class LayerTop:
    """The k strongest photos of every map of a layer, strongest first; equal scores: lower photo index first.

    Attributes
    ----------
    values : ndarray, float32, (C, k)
        Scores. Those of maps with positions are of the positive part: 0 where a photo does not activate the map, as a
        ReLU would have it. Layers without spatial extent, such as class scores, keep the sign. ``-inf`` where there
        were fewer photos than k.
    photos : ndarray, int64, (C, k)
        Photo indices; -1 where there were fewer photos than k.
    positions : ndarray, int32, (C, k, 2)
        Row and column of the map's maximum in that photo, the first in row-major order among equals; 0 in layers
        without spatial extent, where the photo does not activate the map, and where there were fewer photos than k.
    active : ndarray, int64, (C,)
        Number of photos in which the map's maximum is above zero.
    sums : ndarray, int64, (C, 24)
        Exact sum over the photos of the map's maximum (in maps with positions: of its positive part), as limbs
        (`deconvnet.mining.exact_sums`).
    count : int
        Number of photos seen.
    shape : (int, int, int)
        Channels, height and width of the layer's output; height and width are 1 without spatial extent.
    spatial : bool
        Whether the layer has positions; fully connected ones have none.
    spread : LayerSpread or None
        What all photos do to the maps, not only the strongest; None in records of an earlier deconvnet.
    """

    values: Annotated[npt.NDArray[np.float32], "C k"]
    photos: Annotated[npt.NDArray[np.int64], "C k"]
    positions: Annotated[npt.NDArray[np.int32], "C k 2"]
    active: Annotated[npt.NDArray[np.int64], "C"]
    sums: Annotated[npt.NDArray[np.int64], "C 24"]
    count: int
    shape: tuple[int, int, int]
    spatial: bool
    spread: LayerSpread | None = None

    def check(self) -> None:
        """Refuse a shape of other maps, and a spread of others."""
        if self.shape[0] != self.channels:
            raise ValueError(f"shape is {self.shape} for {self.channels} maps")
        if self.spread is not None and len(self.spread.histogram) != self.channels:
            raise ValueError(f"spread is of {len(self.spread.histogram)} maps, not {self.channels}")

    @classmethod
    def empty(cls, shape: tuple[int, int, int], k: int, spatial: bool) -> LayerTop:
        """The record before any photo was seen."""
        channels = shape[0]
        return cls(
            values=np.full((channels, k), -np.inf, np.float32),
            photos=np.full((channels, k), -1, np.int64),
            positions=np.zeros((channels, k, 2), np.int32),
            active=np.zeros(channels, np.int64),
            sums=np.zeros((channels, LIMBS), np.int64),
            count=0,
            shape=shape,
            spatial=spatial,
        )

    @property
    def k(self) -> int:
        """Photos kept for each map."""
        return self.values.shape[1]

    @property
    def channels(self) -> int:
        """Number of maps."""
        return self.values.shape[0]

    @property
    def active_share(self) -> np.ndarray:
        """Share of photos in which each map's maximum is above zero: float32, (C,), 0 to 1."""
        return (self.active / max(self.count, 1)).astype(np.float32)

    @property
    def mean_maximum(self) -> np.ndarray:
        """Mean over the photos of each map's maximum, 0 where a map with positions is not active: float32, (C,)."""
        return exact_means(self.sums, max(self.count, 1)).astype(np.float32)

    @property
    def inactive(self) -> np.ndarray:
        """Which entries are not activations, being at or below zero or padding: bool, (C, k)."""
        return self.values <= 0

    @property
    def dead(self) -> np.ndarray:
        """Channels that no photo activates: int64, ascending."""
        return np.flatnonzero(self.active == 0)

    def winners(self, channel: int) -> list[Winner]:
        """The strongest photos of one map, strongest first; fewer than k if there were fewer photos.

        Raises
        ------
        UnitError
            If the layer has no such channel.
        """
        if not 0 <= channel < self.channels:
            raise UnitError(f"there is no channel {channel}: the layer has {self.channels}, from 0.")
        rows = zip(
            self.photos[channel].tolist(), self.values[channel].tolist(), self.positions[channel].tolist(), strict=True
        )
        return [Winner(photo, value, (row, column), value > 0) for photo, value, (row, column) in rows if photo >= 0]


@dataclass(frozen=True, eq=False)
class TopActivations:
    """What mining found: for each layer, in the order asked for, a `LayerTop`.

    Attributes
    ----------
    layers : dict of str to LayerTop
        By layer name.
    count : int
        Number of photos seen.
    score : str
        How photos were ranked: ``"max"``, ``"sum"`` or ``"mean"``.
    seed : int
        Of the random photos in the layers' ``spread``.
    """

    layers: dict[str, LayerTop]
    count: int
    score: str = "max"
    seed: int = 0

    def check(self) -> None:
        """Refuse a record without a layer, and layers that kept different numbers of photos."""
        if not self.layers:
            raise ValueError("it holds no layer")
        if self.score not in SCORES:
            raise ValueError(f"score is {self.score[:60]!r}, not one of {', '.join(SCORES)}")
        if len({top.k for top in self.layers.values()}) > 1:
            raise ValueError("its layers kept different numbers of photos")
        if self.k < 1:
            raise ValueError("its layers kept no photo")

    def __getitem__(self, layer: str) -> LayerTop:
        if layer not in self.layers:
            raise UnknownNameError("mined layer", layer, self.layers)
        return self.layers[layer]

    @property
    def k(self) -> int:
        """Photos kept for each map."""
        return next(iter(self.layers.values())).k

    def dead(self, layer: str) -> np.ndarray:
        """Channels of ``layer`` that no photo activates: int64, ascending.

        Raises
        ------
        UnknownNameError
            If ``layer`` was not mined.
        """
        return self[layer].dead

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays (``"conv5/values"``, ...), for `Run.save_arrays`."""
        arrays = {
            "count": np.array(self.count, np.int64),
            "score": np.array(SCORES.index(self.score), np.int64),
            "seed": np.array(self.seed, np.int64),
        }
        for place, (name, top) in enumerate(self.layers.items()):
            arrays |= {
                f"{name}/place": np.array(place, np.int64),
                f"{name}/values": top.values,
                f"{name}/photos": top.photos,
                f"{name}/positions": top.positions,
                f"{name}/active": top.active,
                f"{name}/sums": top.sums,
                f"{name}/shape": np.array(top.shape, np.int64),
                f"{name}/spatial": np.array(top.spatial),
            }
            if top.spread is not None:
                arrays |= {f"{name}/spread/{field}": array for field, array in vars(top.spread).items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TopActivations:
        """The record that `to_arrays` took apart.

        Raises
        ------
        RunError
            If arrays are missing or do not fit together.
        """
        try:
            count, score = int(arrays["count"]), SCORES[int(arrays["score"])]
            seed = int(arrays.get("seed", 0))
            places = {key.removesuffix("/place"): int(array) for key, array in arrays.items() if key.endswith("/place")}
            layers = {name: _layer(arrays, name, count) for name in sorted(places, key=places.__getitem__)}
        except KeyError as error:
            raise RunError(f"the mining record lacks array {error}: mine again.") from error
        except (ValueError, TypeError, IndexError) as error:
            raise RunError(f"the mining record's arrays do not fit together ({error}): mine again.") from error
        if not layers:
            raise RunError("the mining record holds no layer: mine again.")
        return cls(layers, count, score, seed)


def _layer(arrays: Mapping[str, np.ndarray], name: str, count: int) -> LayerTop:
    channels, height, width = (int(length) for length in arrays[f"{name}/shape"])
    values = arrays[f"{name}/values"]
    if values.ndim != 2:
        raise ValueError(f"{name}/values is not a table")
    k = values.shape[1]
    forms = {
        "values": (np.float32, (channels, k)),
        "photos": (np.int64, (channels, k)),
        "positions": (np.int32, (channels, k, 2)),
        "active": (np.int64, (channels,)),
        "sums": (np.int64, (channels, LIMBS)),
    }
    fields = _checked(arrays, name, forms)
    spread = None
    if f"{name}/spread/histogram" in arrays:
        classes = len(arrays[f"{name}/spread/class_counts"])
        spread_forms = {
            "histogram": (np.int64, (channels, BINS)),
            "sample": (np.int64, (channels, BINS)),
            "sample_values": (np.float32, (channels, BINS)),
            "class_sums": (np.int64, (classes, channels, 2)),
            "class_counts": (np.int64, (classes,)),
        }
        spread = LayerSpread(**_checked(arrays, f"{name}/spread", spread_forms))
    return LayerTop(
        **fields,
        count=count,
        shape=(channels, height, width),
        spatial=bool(arrays[f"{name}/spatial"]),
        spread=spread,
    )


def _checked(
    arrays: Mapping[str, np.ndarray], name: str, forms: Mapping[str, tuple[type, tuple[int, ...]]]
) -> dict[str, np.ndarray]:
    fields = {}
    for field, (dtype, shape) in forms.items():
        array = arrays[f"{name}/{field}"]
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name}/{field} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
        fields[field] = array
    return fields
