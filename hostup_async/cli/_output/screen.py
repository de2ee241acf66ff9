"""Console output: foreign text as it is, without control characters, and nothing folded."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from hostup_async._text import printable
from hostup_async.cli._streams import OutputStream

_PIPE_WIDTH: Final = 100_000  # characters: nothing is folded or cut where no person reads it


class Screen(Console):
    """A console that prints foreign text as it is, but for what would command a terminal."""

    def __init__(self, stream: TextIO) -> None:
        file = cast("TextIO", OutputStream(stream))
        super().__init__(file=file, highlight=False, markup=False, emoji=False)
        if not self.is_live:
            self.width = _PIPE_WIDTH

    @property
    def is_live(self) -> bool:
        """Whether a person sits before it. FORCE_COLOR asks for colours only, also in a log."""
        return self.file.isatty()

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What to write; all of it passes here, so no control character of the API's is left."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(map(printable, segment.text.split("\n")))
                yield Segment(text, segment.style)


def screen() -> Screen:
    """A console on standard output; see `_streams` for what cannot be written there."""
    stream = sys.stdout
    with suppress(AttributeError):  # a stream that a test put there
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    return Screen(stream)


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
