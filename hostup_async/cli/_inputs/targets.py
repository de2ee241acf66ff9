"""The VPSes to act on: from arguments, a file, standard input, a name, or all of the account."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hostup_async import ConfigurationError
from hostup_async._text import printable
from hostup_async._vps import check_id
from hostup_async.cli._exits import CommandFailed, usage
from hostup_async.cli._options import Selection

STDIN: Final = "-"


def selector(ids: list[str], selection: Selection) -> dict[str, Any]:
    """The options as arguments for `client.fleet.plan`.

    Raises:
        CommandFailed: The VPSes are named in no way or in several, or a file of ids is malformed.
    """
    listed = bool(ids) or selection.from_file is not None
    if listed + selection.all_of_them + (selection.name is not None) != 1:
        message = "name the VPSes in exactly one way: ids, --from FILE, --name NAME or --all"
        raise usage(message)
    if selection.all_of_them:
        return {"all": True}
    if selection.name is not None:
        return {"name": selection.name}
    return {"ids": given_ids(ids, selection.from_file)}


def given_ids(arguments: Iterable[str], from_file: str | None = None) -> list[str]:
    """The ids from arguments, where `-` means standard input, and from a file."""
    names = [one for one in (from_file,) if one is not None]
    found = list(chain(*map(_argument, arguments), *map(_in_file, names)))
    if not found:
        message = "the list of VPS ids is empty"
        raise usage(message)
    return found


def _argument(argument: str) -> Iterator[str]:
    if argument == STDIN:
        yield from _in_file(STDIN)
    else:
        yield _checked(argument, "")


def _in_file(name: str) -> Iterator[str]:
    source = "standard input" if name == STDIN else name
    for number, line in enumerate(_lines(name, source), 1):
        place = f"{source}, line {number}: "
        try:
            words = line.decode("utf-8-sig" if number == 1 else "utf-8").partition("#")[0].split()
        except UnicodeDecodeError:
            raise _malformed(place, "this is not UTF-8 text") from None
        if len(words) > 1:
            raise _malformed(place, f"expected one id, not {printable(' '.join(words))[:80]!r}")
        if words:
            yield _checked(words[0], place)


def _lines(name: str, source: str) -> list[bytes]:
    try:
        return (sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()).splitlines()
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror}"
        raise usage(message) from None


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
