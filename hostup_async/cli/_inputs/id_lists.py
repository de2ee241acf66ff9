"""Lists of VPS ids, from arguments, files and standard input: one a line, or JSON."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, cast

from hostup_async import ConfigurationError
from hostup_async._text import printable
from hostup_async._vps import check_id
from hostup_async.cli._exits import CommandFailed, usage
from hostup_async.cli._inputs.paths import expand

STDIN: Final = "-"
# Of what `--json` writes, the events that are about one VPS, and their member that names it.
_ID_MEMBERS: Final = {"vps": "id", "status": "id", "outcome": "vps_id", "entry": "vps_id"}


def given_ids(arguments: Iterable[str], from_file: str | None = None) -> list[str]:
    """The ids from arguments, where `-` means standard input, and from a file.

    Raises:
        CommandFailed: There is none, or one of them cannot be an id.
    """
    names = [one for one in (from_file,) if one is not None]
    found = list(chain(*map(_argument, arguments), *map(ids_in_file, names)))
    if not found:
        message = "the list of VPS ids is empty"
        raise usage(message)
    return found


def _argument(argument: str) -> Iterator[str]:
    if argument == STDIN:
        yield from ids_in_file(STDIN)
    else:
        yield _checked(argument, "")


def ids_in_file(name: str) -> Iterator[str]:
    """The ids in a file, or for `-` on standard input.

    A line has one id, and # begins a comment; or it is a JSON object, as `--json` writes them; or
    the file is one JSON list of ids or of objects.

    Raises:
        CommandFailed: The file cannot be read, or holds something else.
    """
    source = "standard input" if name == STDIN else name
    content = _read(name, source)
    if content.lstrip().startswith(b"["):
        yield from _in_json_list(content, source)
        return
    for number, line in enumerate(content.splitlines(), 1):
        place = f"{source}, line {number}: "
        text = _decoded(line, place)
        if text.lstrip().startswith("{"):
            yield _in_object(_parsed(text, place), place)
            continue
        words = text.partition("#")[0].split()
        if len(words) > 1:
            raise _malformed(place, f"expected one id, not {printable(' '.join(words))[:80]!r}")
        if words:
            yield _checked(words[0], place)


def _read(name: str, source: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if name == STDIN else expand(name).read_bytes()
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror}"
        raise usage(message) from None
    return content.removeprefix(b"\xef\xbb\xbf")  # the mark that editors on Windows begin it with


def _decoded(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise _malformed(place, "this is not UTF-8 text") from None


def _in_json_list(content: bytes, source: str) -> Iterator[str]:
    items = cast("list[object]", _parsed(_decoded(content, f"{source}: "), f"{source}: "))
    for number, item in enumerate(items, 1):
        place = f"{source}, item {number}: "
        yield _checked(item, place) if isinstance(item, str) else _in_object(item, place)


def _parsed(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _malformed(place, f"this is not whole JSON ({error})") from None


def _in_object(item: object, place: str) -> str:
    """The id of the VPS that an object is about; any other `id` may be a run's."""
    members = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    found = members.get(_ID_MEMBERS.get(members.get("event", "vps"), ""))
    if not isinstance(found, str):
        kind = f"the event {members['event']!r}" if "event" in members else "this"
        raise _malformed(place, f"{printable(kind)[:80]} names no VPS")
    return _checked(found, place)


def _checked(vps_id: str, place: str) -> str:
    try:
        check_id(vps_id)
    except ConfigurationError as error:
        raise _malformed(place, printable(error)) from None
    if not vps_id.isprintable() or " " in vps_id:
        raise _malformed(place, f"{printable(vps_id)[:80]!r} is not a VPS id")
    return vps_id


def _malformed(place: str, problem: str) -> CommandFailed:
    return usage(f"{place}{problem.rstrip('.')}. Nothing was sent.")
