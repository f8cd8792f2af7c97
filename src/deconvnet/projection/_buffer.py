"""The answers of a request, filled in one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deconvnet.errors import ModelError
from deconvnet.geometry import Box
from deconvnet.projection._records import Projections
from deconvnet.projection._request import Job, ProjectionSettings, all_finite
from deconvnet.projection._windows import BackwardStart, WindowGroup
from deconvnet.projection._windows import boxes as windows_of
from deconvnet.runs import Unit


@dataclass
class ProjectionBuffer:
    """One place for each (unit, photo).

    ``image`` is C, H, W of a photo; ``dtype`` and ``device`` are those that the model works in.
    """

    units: dict[int, Unit]
    activations: NDArray[np.floating]
    boxes: list[Box | None]
    relus: list[int]
    crops: list[NDArray[np.floating]]
    windows: list[Box]
    windowed: NDArray[np.bool_]
    whole_maps: dict[str, str]
    image: tuple[int, int, int]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def empty(
        cls, count: int, image: tuple[int, int, int], dtype: torch.dtype, device: torch.device
    ) -> ProjectionBuffer:
        """Places for ``count`` projections."""
        precision = np.float64 if dtype == torch.float64 else np.float32
        nothing = np.broadcast_to(np.zeros((), precision), image)
        whole = Box(0, 0, *image[1:])
        return cls(
            units={},
            activations=np.zeros(count, precision),
            boxes=[None] * count,
            relus=[0] * count,
            crops=[nothing] * count,
            windows=[whole] * count,
            windowed=np.zeros(count, bool),
            whole_maps={},
            image=image,
            dtype=dtype,
            device=device,
        )

    def draw(self, index: int, crop: NDArray[np.floating], window: Box) -> None:
        """Put a projection in its place."""
        self.crops[index], self.windows[index] = crop, window

    def as_array(self, signal: Tensor) -> NDArray[np.floating]:
        """A signal in the precision of the answers."""
        wide = self.activations.dtype == np.float64
        return signal.to("cpu", torch.float64 if wide else torch.float32).contiguous().numpy()

    def backward_start(self, index: int, row: int, settings: ProjectionSettings) -> BackwardStart:
        """Where the backward pass of one projection starts, its photo being ``row`` of the batch."""
        unit = self.units[index]
        assert unit.position is not None
        value = float(self.activations[index]) if settings.start == "activation" else 1.0
        return BackwardStart(index, row, unit.channel, unit.position, value)

    def draw_windows(self, layer: str, group: WindowGroup, signal: Tensor) -> None:
        """Put the projections of a group in their places; refuse what is not finite."""
        if not all_finite(signal):
            raise ModelError(
                f"a projection from layer {layer!r} is not finite: "
                "check the weights, or give the model in a wider floating-point type."
            )
        for start, crop, window in zip(group.starts, self.as_array(signal), windows_of(group), strict=True):
            self.draw(start.index, crop, window)

    def projections(
        self, jobs: list[Job], settings: ProjectionSettings, onto: int, views: tuple[NDArray[np.uint8], ...] = ()
    ) -> Projections:
        """The finished result."""
        return Projections(
            units=tuple(self.units[index] for index in range(len(jobs))),
            photos=tuple(photo for _, photo in jobs),
            activations=self.activations,
            active=self.activations > 0,
            boxes=tuple(self.boxes),
            crops=tuple(self.crops),
            windows=tuple(self.windows),
            image=self.image,
            windowed=self.windowed,
            whole_maps=self.whole_maps,
            relus=tuple(self.relus),
            rule=settings.rule_name,
            unpool=settings.unpool,
            lrn=settings.lrn,
            seed=settings.start,
            activation_policy=settings.activations,
            inactive=settings.inactive,
            onto=onto,
            views=views,
        )
