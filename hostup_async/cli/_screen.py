"""What people see: a terminal that may close, a pipe that may break, and hostile names."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, TextIO, cast

from rich.console import Console

_PLAIN_WIDTH: Final = 120


class _Steadfast:
    """A stream whose reader may leave: from then on, what is written goes nowhere.

    A run goes on where its view is gone; it is the store that must have everything.
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


def screen(*, errors: bool = False) -> Console:
    """A console on standard output, or on standard error; it never raises for lack of a reader."""
    stream = sys.stderr if errors else sys.stdout
    with suppress(AttributeError):  # a stream that a test put there
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    console = Console(file=cast("TextIO", _Steadfast(stream)), highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    return console


def clean(text: object) -> str:
    r"""A text of the API's or of a file's, safe to print: nothing in it commands a terminal.

    Example:
        >>> clean("web\x1b[2J-1")
        'web?[2J-1'
    """
    return "".join(one if one.isprintable() else "?" for one in str(text))


def brief(items: Iterable[str], most: int) -> list[str]:
    """The first of many, and how many more there are.

    Example:
        >>> brief(["a", "b", "c"], 2)
        ['a', 'b', '... and 1 more']
    """
    told = list(items)
    more = len(told) - most
    return told if more <= 0 else [*told[:most], f"... and {more} more"]


def vpses(count: int) -> str:
    """A number of VPSes.

    Example:
        >>> vpses(1), vpses(12)
        ('1 VPS', '12 VPSes')
    """
    return f"{count} VPS" if count == 1 else f"{count} VPSes"
