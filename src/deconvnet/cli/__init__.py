"""The command line: one module a command, each a thin layer over a function that a notebook can call."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 2 refused (one sentence on stderr), 130 interrupted."""
    from deconvnet.cli.app import run

    sys.exit(run(sys.argv[1:]))
