"""Tables on the terminal: aligned columns that no narrow window cuts off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

Alignment = Literal["left", "right"]


def print_table(columns: Sequence[tuple[str, Alignment]], rows: Iterable[Sequence[str]], width: int = 104) -> None:
    """Print rows under their headings.

    Parameters
    ----------
    columns : sequence of (str, str)
        Heading and alignment, ``"left"`` or ``"right"``, of each column.
    rows : iterable of sequence of str
        The cells, as many as there are columns.
    width : int
        Characters that the table may take where the terminal is narrower, or is none.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading, justify in columns:
        table.add_column(heading, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, width=max(width, Console().width)).print(table)
