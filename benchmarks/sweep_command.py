"""``python -m benchmarks.sweep_command``: the engine beside plain autograd on everyone's networks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def sweep(
    networks: Annotated[
        list[str] | None,
        typer.Argument(help="torchvision:NAME, timm:NAME or FILE.py:NAME; the full list unless given."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="JSON lines to write as results come; what is in it is not done again.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
) -> None:
    """Project a unit of each network and compare with plain autograd: right, or refused with a reason."""
    import datetime

    from benchmarks.sweep import SweepRow, sweep_names, sweep_table
    from benchmarks.sweep import sweep as compare
    from deconvnet.errors import ModelError, OptionError
    from deconvnet.runs.files import write_bytes

    for path in (record, table):
        if path is not None and not path.parent.is_dir():
            raise OptionError(f"{path} cannot be written: there is no folder {path.parent}; make it or name another.")

    def tell(one: SweepRow) -> None:
        errors = [check.error for check in one.checks]
        worst = f"error {max(errors):.0e}" if errors else ""
        typer.echo(f"{one.network:40} {one.outcome:8} {worst:12} {one.seconds:5.1f} s  {one.reason}")

    rows = compare(networks or sweep_names(), record, tell)
    if table is not None:
        page = sweep_table(rows, "python -m benchmarks.sweep_command", datetime.date.today().isoformat())
        write_bytes(table, page.encode())
    right = sum(one.outcome == "right" for one in rows)
    bad = [one.network for one in rows if one.outcome in ("wrong", "failed")]
    missing = [one for one in rows if one.outcome == "not run"]
    told = f", {len(missing)} not run" if missing else ""
    typer.echo(f"{len(rows)} networks, {right} right, {len(bad)} wrong or failed{told}.")
    if bad:
        raise ModelError(f"the engine is wrong or fails on {', '.join(bad)}: please report it.")
    if missing:
        names = ", ".join(one.network for one in missing)
        raise ModelError(f"{names} could not be built or run, so nothing is known of them ({missing[0].reason})")


def main(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code: 0 all well, 2 one sentence on stderr."""
    from deconvnet.cli.app import run

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(sweep)
    return run(arguments, app)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
