"""Which max pool reads a layer's maps, found out while the network runs.

The maximum of a map is the maximum of its max pool's cells, bit for bit, if the pool's windows cover the map; a ReLU
between them changes no positive value. The pool's output has a quarter of the cells or fewer, so that is where to look.
Nothing is concluded from names or order: the very tensor that the layer gave must have reached the pool, unchanged
except by a ReLU.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from deconvnet.geometry import Window
from deconvnet.tracing.recorder import ModuleCall, record_calls

See = Callable[[str, Tensor, Tensor], None]


@dataclass
class _Followed:
    """A tensor that holds a layer's maps, or their positive part, as long as its version stays the same."""

    layer: str
    tensor: weakref.ref[Tensor]
    version: int


class Tracker:
    """Follows the outputs of layers through ReLUs into max pools, recorded for the time of a pass.

    The first time, `pooled` is False for every layer and the tracker learns; from then on it is True for the layers
    whose maps reached a pool that covers them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._relus = {name: module for name, module in model.named_modules() if isinstance(module, nn.ReLU)}
        self._pools = {name: module for name, module in model.named_modules() if isinstance(module, nn.MaxPool2d)}
        self._followed: dict[int, _Followed] = {}
        self._pooled: set[str] = set()
        self._learning = True
        self._gave_up: set[str] = set()

    def pooled(self, layer: str) -> bool:
        """Whether the layer's maxima are to be read at its pool."""
        return layer in self._pooled

    def give_up(self, layers: Sequence[str]) -> None:
        """Read these layers themselves from now on."""
        self._pooled -= set(layers)
        self._gave_up |= set(layers)

    def follow(self, layer: str, output: Tensor) -> None:
        """Watch where this tensor goes."""
        if self._pools and layer not in self._gave_up and (self._learning or layer in self._pooled):
            self._remember(layer, output)

    @contextmanager
    def record_pools(self, see: See) -> Iterator[None]:
        """Recording for one pass; ``see(layer, maps, cells)`` where a layer that is pooled meets its pool."""
        found: set[str] = set()

        def at_relu(call: ModuleCall) -> None:
            followed, output = self._find(call.inputs), call.output
            if followed and isinstance(output, Tensor):
                tensor = followed.tensor()
                assert tensor is not None
                written = int(output is tensor)  # in place: one version further
                if tensor._version == followed.version + written:
                    self._remember(followed.layer, output)

        def at_pool(call: ModuleCall) -> None:
            followed = self._find(call.inputs)
            cells = call.output[0] if isinstance(call.output, tuple) else call.output
            if not followed or not isinstance(cells, Tensor):
                return
            maps = followed.tensor()
            assert maps is not None
            if maps._version != followed.version or not covers(self._pools[call.name], maps.shape[2:], cells.shape[2:]):
                return
            if followed.layer in self._pooled:
                see(followed.layer, maps, cells)
            elif self._learning:
                found.add(followed.layer)

        try:
            with record_calls(self._relus, at_relu), record_calls(self._pools, at_pool):
                yield
        finally:
            # Also where the pass was cut short after the last layer: what was met until then is known.
            self._followed.clear()
            self._pooled |= found - self._gave_up
            self._learning = False

    def _remember(self, layer: str, tensor: Tensor) -> None:
        self._followed[id(tensor)] = _Followed(layer, weakref.ref(tensor), tensor._version)

    def _find(self, arguments: Any) -> _Followed | None:
        tensor = arguments[0] if isinstance(arguments, tuple) and arguments else None
        followed = self._followed.get(id(tensor))
        return followed if followed is not None and followed.tensor() is tensor else None


def covers(pool: nn.MaxPool2d, maps: Sequence[int], cells: Sequence[int]) -> bool:
    """Whether each cell of the map lies in a window of the pool.

    Parameters
    ----------
    pool : nn.MaxPool2d
    maps, cells : (int, int)
        Height and width before and after.
    """
    for axis in (0, 1):
        size, stride, padding, dilation = (
            value if isinstance(value, int) else value[axis]
            for value in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        )
        window = Window(size, stride, padding, dilation)
        last = (cells[axis] - 1) * stride - padding + window.extent
        if dilation != 1 or stride > size or last < maps[axis]:
            return False
    return True
