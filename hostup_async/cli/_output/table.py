"""Tables that are never folded: a cell that does not fit is cut, and then columns are left out."""

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hostup_async._text import printable

_GAP: Final = 2  # characters between two columns
_NARROWEST: Final = 8  # characters; a cell that is cut shorter says nothing


@frozen
class Table:
    """A table; its first column is never cut, since ids are there to be copied.

    Attributes:
        headings: The headings; empty for none.
        rows: The rows.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = [[Text(one, "bold") for one in self.headings]] if self.headings else []
        lines = [*heads, *self.rows]
        if not lines:
            return
        columns = zip(*lines, strict=True)
        widths = fit([max(map(_width, column)) for column in columns], options.max_width)
        for line in lines:
            yield _join(line, widths)
        if left_out := self.headings[len(widths) :]:
            names = ", ".join(left_out)
            yield Text(f"No room for: {names}. See --columns, or widen the terminal.", "dim")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of values; None is shown as nothing."""
    return Table(headings, [[_cell(value) for value in row] for row in rows])


def fit(widths: Sequence[int], room: int) -> list[int]:
    """The widths of the columns that have room: the widest are cut first, the last are left out.

    Example:
        >>> fit([10, 30, 20], 80), fit([10, 30, 20], 54), fit([10, 30, 20], 24)
        ([10, 30, 20], [10, 20, 20], [10, 8])
    """
    first, *rest = widths
    while rest and first + sum(rest) + _GAP * len(rest) > room:
        widest = max(rest)
        if widest <= _NARROWEST:
            rest.pop()
        else:
            excess = first + sum(rest) + _GAP * len(rest) - room
            lower = max([_NARROWEST, *(width for width in rest if width < widest), widest - excess])
            rest[rest.index(widest)] = min(lower, widest - 1)
    return [first, *rest]


def _join(line: Sequence[Text], widths: Sequence[int]) -> Text:
    cells = [cell.copy() for cell in line[: len(widths)]]
    for cell, width in zip(cells[1:], widths[1:], strict=True):
        cell.truncate(width, overflow="ellipsis")
    for cell, width in zip(cells[:-1], widths[:-1], strict=True):
        cell.append(" " * (width - _width(cell)))
    joined = Text(" " * _GAP).join(cells)
    joined.rstrip()
    joined.no_wrap, joined.overflow = True, "ignore"
    return joined


def _width(cell: Text) -> int:
    return cell_len(cell.plain)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(printable("" if value is None else value))
