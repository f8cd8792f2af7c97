"""The learning rate of a training run: along a cosine, or divided by ten on plateaus of the held-out loss (Sec. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deconvnet.training.recipes import Recipe


class Schedule:
    """The learning rate of a recipe at any moment.

    Parameters
    ----------
    recipe : Recipe
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._best, self._waited, self._drops = math.inf, 0, 0

    @property
    def state(self) -> list[float]:
        """Best held-out loss, epochs without a better one, and divisions by ten so far."""
        return [self._best, self._waited, self._drops]

    @state.setter
    def state(self, kept: Sequence[float]) -> None:
        best, waited, drops = kept
        self._best, self._waited, self._drops = best, int(waited), int(drops)

    def rate(self, time_in_epochs: float) -> float:
        """The rate after so many epochs, fractions included."""
        recipe = self._recipe
        rate = recipe.learning_rate
        if recipe.warmup:
            rate *= min(1.0, (time_in_epochs + 1e-3) / recipe.warmup)
        if recipe.schedule == "cosine":
            return rate * (0.5 + 0.5 * math.cos(math.pi * min(1.0, time_in_epochs / recipe.epochs)))
        return rate * 0.1**self._drops  # Sec. 3: annealed when the validation error plateaus

    def note(self, loss: float) -> None:
        """Take in the held-out loss after an epoch."""
        if loss < self._best - 1e-4:
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        if self._waited > self._recipe.patience and self._drops < 3:
            self._waited, self._drops = 0, self._drops + 1
