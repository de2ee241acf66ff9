"""The list of VPSes, page by page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from ._config import SandboxConfig
from ._machines import Fleet, Machine
from ._replies import Code, ErrorReply, Flaw, Json

_LIMITS: Final = range(1, 101)
_DIGITS: Final = 10
_INCLUDES: Final = "pendingMaintenance"


@frozen
class Page:
    """Some rows of the list, and what the envelope says about the rest."""

    rows: list[Machine]
    more: Json


def include(query: Mapping[str, str]) -> bool:
    """Whether `pendingMaintenance` is asked for."""
    wanted = query.get("include")
    if wanted not in {None, "", _INCLUDES}:
        raise _refused(Flaw("/include", f"`include` must be `{_INCLUDES}`."))
    return bool(wanted)


def page(fleet: Fleet, config: SandboxConfig, query: Mapping[str, str]) -> Page:
    """The rows that a query asks for."""
    size = min(_limit(query.get("limit"), config.page_size), config.page_size_max)
    machines = _matching(fleet, query)
    start = _start(machines, query.get("cursor"))
    end = start + size
    if config.cursors == "repeating":
        # As if a VPS had been added in front since the first page: a row comes twice.
        first = max(0, start - 1)
        follow = end if first + size < len(machines) else start
        rows = machines[first : first + size]
        return Page(rows, {"nextCursor": _cursor(f"offset:{follow}")})
    rows = machines[start:end]
    return Page(rows, _more(config, rows, end, len(machines)))


def _more(config: SandboxConfig, rows: list[Machine], end: int, total: int) -> Json:
    if config.cursors == "offset":
        follow = _cursor(f"offset:{end}") if end < total else None
        return {"hasMore": end < total, "nextCursor": follow}
    if end >= total:
        return {"hasMore": False}
    return {"hasMore": True, "nextCursor": _cursor(f"after:{rows[-1].id}")}


def _limit(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not _is_number(text) or int(text) not in _LIMITS:
        raise _refused(Flaw("/limit", "`limit` must be a whole number from 1 to 100."))
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _DIGITS


def _matching(fleet: Fleet, query: Mapping[str, str]) -> list[Machine]:
    machines = list(fleet.machines.values())
    if (name := query.get("name")) is not None:
        machines = [m for m in machines if m.name.casefold() == name.casefold()]
    if (ip := query.get("primaryIp")) is not None:
        machines = [m for m in machines if m.ip == ip]
    return machines


def _start(machines: list[Machine], cursor: str | None) -> int:
    if cursor is None:
        return 0
    kind, _, value = _read(cursor).partition(":")
    if kind == "offset" and _is_number(value):
        return int(value)
    after = [n for n, machine in enumerate(machines) if machine.id == value]
    if kind != "after" or not after:
        raise _refused(Flaw("/cursor", "`cursor` is not one of this list."))
    return after[0] + 1


def _cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


def _read(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor).decode()
    except (Base64Error, ValueError):
        return ""


def _refused(flaw: Flaw) -> ErrorReply:
    return ErrorReply(Code.INVALID_REQUEST, "The query failed validation.", (flaw,))
