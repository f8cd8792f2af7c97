"""What happens at a ReLU in the backward pass: one small function a rule."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from deconvnet.errors import OptionError

Rule = Callable[[Tensor, Tensor], Tensor]
"""``rule(signal, forward_input) -> signal``: tensors of one shape, N x C x H x W or N x F.

``signal`` comes down from the layers above; ``forward_input`` is what entered the ReLU in the forward pass.
"""


def deconvnet(signal: Tensor, forward_input: Tensor) -> Tensor:
    """Rectify the signal itself, whatever the forward pass did (Zeiler & Fergus 2013, Sec. 2.1)."""
    return signal.clamp(min=0)


def gradient(signal: Tensor, forward_input: Tensor) -> Tensor:
    """Pass where the forward pass was positive: the true gradient (Simonyan et al. 2013)."""
    return signal * (forward_input > 0)


def guided(signal: Tensor, forward_input: Tensor) -> Tensor:
    """Both masks: guided backpropagation (Springenberg et al. 2014)."""
    return signal.clamp(min=0) * (forward_input > 0)


RULES: dict[str, Rule] = {"deconvnet": deconvnet, "guided": guided, "gradient": gradient}
"""The rules by name; add your own entry, or pass a function."""

CELLWISE: tuple[Rule, ...] = (deconvnet, gradient, guided)
"""Rules known to look at one cell at a time, so that they give the same on a window as on the whole map."""


def find_rule(rule: str | Rule) -> tuple[str, Rule]:
    """The rule's name and function; ``OptionError`` if there is no such rule."""
    if callable(rule):
        return getattr(rule, "__name__", type(rule).__name__), rule
    if rule not in RULES:
        raise OptionError(
            f"there is no rule {rule!r}: choose from {', '.join(RULES)}, or pass a function (signal, forward_input)."
        )
    return rule, RULES[rule]
