"""Tables that read well at any width, and in ASCII."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from hostup_async.cli._screen import clean


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; ids are never cut, since they are there to be copied."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, heading in enumerate(headings):
        made.add_column(heading, no_wrap=not position, overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text(clean("" if value is None else value))
