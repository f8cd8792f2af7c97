"""Every error that deconvnet raises on purpose, drawn as a tree.

::

    DeconvnetError              what failed, where, and what to do next, in one sentence
    ├── UnknownNameError        a network, layer, class or recipe that does not exist; nearest names are offered
    ├── UnitError               a unit that cannot be read or lies outside its layer
    ├── DataError               photos or datasets: a folder missing or empty, a file that is not an image
    ├── WeightsError            weights that are missing, truncated, or of another network
    ├── ModelError              a model on which the asked-for computation has no right answer
    ├── OptionError             an option outside its range
    └── RunError                a run directory that is missing, damaged, of another kind, or already in use

The command line prints the message without a traceback (``--debug`` shows it) and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def printable(text: str, most: int = 200) -> str:
    """A name from outside as a terminal may show it: control and direction characters escaped, long ones cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


class DeconvnetError(Exception):
    """Base of all errors that deconvnet raises on purpose."""


class UnknownNameError(DeconvnetError, KeyError):
    """A name that does not exist.

    Parameters
    ----------
    kind : str
        What was looked for, for example ``"network"``.
    name : str
        The name that was not found.
    known : iterable of str
        The names that exist; the nearest are offered in the message.
    hint : str
        What to do next, a full sentence; empty for none.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, list(known)
        near = get_close_matches(name, self.known, n=3, cutoff=0.5)
        if near:
            offer = f"did you mean {' or '.join(near)}?"
        elif len(self.known) <= 30:
            offer = f"choose from {', '.join(self.known)}." if self.known else "there are none."
        else:
            offer = f"there are {len(self.known)}, for example {', '.join(self.known[:3])}."
        super().__init__(f"there is no {kind} {name!r}: {offer}" + (f" {hint}" if hint else ""))

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


class UnitError(DeconvnetError, ValueError):
    """A unit that cannot be read or lies outside its layer."""


class DataError(DeconvnetError):
    """Photos or datasets that cannot be used."""


class WeightsError(DeconvnetError):
    """Weights that are missing, truncated, or belong to another network."""


class ModelError(DeconvnetError):
    """A model on which the asked-for computation has no right answer."""


class OptionError(DeconvnetError, ValueError):
    """An option outside its range."""


class RunError(DeconvnetError):
    """A run directory that is missing, damaged, of another kind, or already in use."""
