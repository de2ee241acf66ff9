"""What a command lists, in the format that was asked for: a table, ids, JSON or YAML."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, usage
from hostup_async.cli._options import Details, Listing
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.screen import Screen, emit
from hostup_async.cli._output.table import table

T = TypeVar("T")


@frozen
class Column(Generic[T]):
    """A column of a list.

    Attributes:
        heading: Its heading; in lower case it is its name for `--columns`.
        read: The value of an item.
        is_wide: Whether it is shown by `-o wide` only.
    """

    heading: str
    read: Callable[[T], object]
    is_wide: bool = False

    @property
    def name(self) -> str:
        """What `--columns` calls it."""
        return self.heading.lower().replace(" ", "-")


@frozen
class Listed(Generic[T]):
    """How items of a kind are listed.

    Attributes:
        event: Their kind, as `--json` names it.
        columns: The first one holds the id.
        members: An item as JSON.
        none: What is said where there is none.
    """

    event: str
    columns: Sequence[Column[T]]
    members: Callable[[T], Mapping[str, Any]]
    none: str = ""

    def check(self, listing: Listing) -> Sequence[Column[T]]:
        """The columns to show, checked before anything is asked of the API.

        Raises:
            CommandFailed: The options name no column, or contradict each other.
        """
        if listing.columns is None:
            return [one for one in self.columns if listing.format == "wide" or not one.is_wide]
        if not listing.is_table:
            message = f"--columns is for tables, and -o {listing.format} has none"
            raise usage(message)
        known = {one.name: one for one in self.columns}
        names = [name.strip().lower() for name in listing.columns.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            message = f"--columns {listing.columns!r}: the columns are {', '.join(known)}"
            raise usage(message)
        return [known[name] for name in names]

    def write(self, console: Screen, listing: Listing, items: Sequence[T]) -> None:
        """Write the items."""
        columns = self.check(listing)
        if listing.format == "id":
            # A line end in an id would make two ids of it for what reads them.
            ids = (printable(self.columns[0].read(one)) for one in items)
            emit(console, *filter(None, ids))
        elif listing.format == "json":
            emit(console, *(json_lines.line(self.event, self.members(one)) for one in items))
        elif listing.format == "yaml":
            emit(console, as_yaml([self.members(one) for one in items]))
        elif items or not self.none:
            headings = [] if listing.no_headers else [one.heading for one in columns]
            rows = ([column.read(one) for column in columns] for one in items)
            console.print(table(headings, rows))
        else:
            console.print(self.none)


def write_details(
    console: Screen,
    details: Details,
    event: str,
    members: Mapping[str, Any],
    rows: Iterable[tuple[str, object]],
) -> None:
    """Write one thing: a row for each fact, or all that is known of it for programs."""
    if details.format == "json":
        emit(console, json_lines.line(event, members))
    elif details.format == "yaml":
        emit(console, as_yaml(members))
    else:
        shown = list(rows)
        width = max(len(name) for name, _ in shown)
        for name, value in shown:
            text = "" if value is None else str(value)
            console.print(f"{name:{width}}  {text}".rstrip(), soft_wrap=True)


def as_yaml(value: object) -> str:
    """A value as YAML, without a newline at its end.

    Raises:
        CommandFailed: PyYAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415 - slow to import
    except ImportError:
        message = "-o yaml needs PyYAML: pip install 'hostup[cli]'"
        raise CommandFailed(message) from None
    plain = json.loads(json.dumps(value, default=str))  # no class of ours is left in it
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=10_000)
    return text.rstrip("\n")
