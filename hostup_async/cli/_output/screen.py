"""Console output that survives a closed terminal, a broken pipe and control characters in names."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, TextIO, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hostup_async._text import printable

_PLAIN_WIDTH: Final = 120


class _BrokenPipeSafe:
    """A stream whose reader may leave: what is written after that goes to the null device.

    A closed terminal must not end a run: the run is recorded in its store, not on the screen.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._silence()
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
            os.dup2(nowhere.fileno(), self._stream.fileno())


def screen() -> Console:
    """A console on standard output that never raises when its reader has gone."""
    stream = sys.stdout
    with suppress(AttributeError):  # a stream that a test put there
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    console = Console(file=cast("TextIO", _BrokenPipeSafe(stream)), highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    return console


def emit(console: Console, *lines: str) -> None:
    """Write lines as they are, for programs: not wrapped, not coloured, and at once."""
    for line in lines:
        console.file.write(line + "\n")
    console.file.flush()


def truncate(items: Iterable[str], most: int) -> list[str]:
    """The first items, and how many more there are.

    Example:
        >>> truncate(["a", "b", "c"], 2)
        ['a', 'b', '... and 1 more']
    """
    shown = list(items)
    more = len(shown) - most
    return shown if more <= 0 else [*shown[:most], f"... and {more} more"]


def vpses(count: int) -> str:
    """A number of VPSes.

    Example:
        >>> vpses(1), vpses(12)
        ('1 VPS', '12 VPSes')
    """
    return f"{count} VPS" if count == 1 else f"{count} VPSes"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; its first column is never wrapped, since ids are there to be copied."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, heading in enumerate(headings):
        made.add_column(heading, no_wrap=not position, overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text(printable("" if value is None else value))
