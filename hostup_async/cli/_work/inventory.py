"""The commands that read: list and show VPSes, show a status, check the key."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

from hostup_async import Action, Client, Forbidden, Gates, Unauthorized, Vps, VpsStatus
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import READING, Account
from hostup_async.cli._inputs.targets import excluded_ids, listed, read_filter, read_tags
from hostup_async.cli._options import Details, FilterOptions, Listing
from hostup_async.cli._output.format import format_units, format_with_zone
from hostup_async.cli._output.listing import Column, Listed, write_details
from hostup_async.cli._output.screen import screen, vpses
from hostup_async.cli._shell_words import in_shell_words
from hostup_async.cli._signals import run as run_loop

T = TypeVar("T")
_SCOPE_WORDS: Final = ("scope", "permission", "forbidden")


def _system(vps: Vps) -> str | None:
    return vps.operating_system.display_name if vps.operating_system else None


def _size(vps: Vps) -> str | None:
    size = vps.resources
    if size is None:
        return None
    return f"{size.cpu_cores} cores, {size.memory_gb} GB, {size.storage_gb} GB"


def _members(vps: Vps) -> dict[str, Any]:
    return {**vps.raw, "id": vps.id}


VPSES: Final = Listed[Vps](
    event="vps",
    columns=(
        Column("Id", lambda vps: vps.id),
        Column("Name", lambda vps: vps.name),
        Column("Address", lambda vps: vps.primary_ip),
        Column("Service", lambda vps: vps.service_status),
        Column("Power", lambda vps: vps.power_state),
        Column("System", _system, is_wide=True),
        Column("Size", _size, is_wide=True),
        Column("Tags", lambda vps: ", ".join(read_tags(vps)), is_wide=True),
    ),
    members=_members,
)


def _call(account: Account, work: Callable[[Client], Awaitable[T]]) -> T:
    async def call() -> T:
        async with account.client(patience=READING) as client:
            return await work(client)

    return run_loop(call)


def list_vpses(account: Account, listing: Listing, filters: FilterOptions) -> None:
    """Print the VPSes that are meant."""
    VPSES.check(listing)
    chosen, excluded = read_filter(filters), excluded_ids(filters)
    console = screen()
    found = _call(account, lambda client: listed(client, chosen, excluded))
    VPSES.write(console, listing, found)
    if console.is_live and listing.is_table and not listing.no_headers:
        console.print(vpses(len(found)), style="dim")


def show_vps(vps_id: str, account: Account, details: Details) -> None:
    """Print one VPS, and the actions that are allowed on it now."""

    async def read(client: Client) -> tuple[Vps, Gates]:
        return await client.vps.get(vps_id), await client.vps.gates(vps_id)

    vps, gates = _call(account, read)
    rows = [(column.heading, column.read(vps)) for column in VPSES.columns]
    known = [row for row in rows if row[1] or row[0] in {"Id", "Name", "Address"}]
    members = {**_members(vps), "actions": gates.raw}
    write_details(screen(), details, "vps", members, [*known, *_allowed(gates)])


def _allowed(gates: Gates) -> Iterator[tuple[str, str]]:
    words = {None: "not known", True: "allowed", False: "not allowed"}
    for action in Action:
        gate = gates.of(action)
        why = f": {gate.reason or gate.code}" if gate and (gate.reason or gate.code) else ""
        yield action.capitalize(), words[gate.allowed if gate else None] + why


def show_status(vps_id: str, account: Account, details: Details) -> None:
    """Print the live state of one VPS."""

    async def read(client: Client) -> VpsStatus:
        return await client.vps.status(vps_id)

    status = _call(account, read)
    uptime, cpu = status.uptime_seconds, status.cpu_usage_percent
    rows: list[tuple[str, object]] = [
        ("Id", vps_id),
        ("Power", status.power_state),
        ("Uptime", "not known" if uptime is None else format_units(uptime, most=4)),
        ("Processor", None if cpu is None else f"{cpu:.0f} %"),
        ("Pending", json.dumps(status.pending_tasks) if status.pending_tasks else "none"),
    ]
    write_details(screen(), details, "status", {**status.raw, "id": vps_id}, rows)


def check_key(account: Account, details: Details) -> None:
    """Print which key is used and whether it works; sends two reads, and no action."""
    scopes = _call(account, _what_works)
    facts: dict[str, Any] = {
        "api": account.origin,
        "profile": account.profile.name,
        "source": account.source,
        "fingerprint": account.fingerprint,
        "checked_at": round(time.time(), 3),
        "scopes": {
            scope: {"works": works, "detail": why} for scope, (works, why) in scopes.items()
        },
    }
    rows = [
        ("API", account.origin),
        ("Profile", account.profile.name),
        ("Key from", account.source),
        ("Fingerprint", account.fingerprint),
        ("Checked", format_with_zone(time.time())),
        *((scope, why) for scope, (_, why) in scopes.items()),
    ]
    write_details(screen(), details, "auth", facts, rows)
    if not scopes["read:vm"][0]:
        message = "the key does not work: see above, or make another one in HostUp's control panel"
        raise CommandFailed(message, ExitCode.AUTHENTICATION)


async def _what_works(client: Client) -> dict[str, tuple[bool | None, str]]:
    """Whether the key has each scope, as far as that is known, and how that is known."""
    unknown = None, "not known until an action is sent"
    try:
        first = await anext(client.vps.list(), None)
    except Unauthorized as error:
        return {"read:vm": (False, f"refused: {_why(error)}"), "power:vm": (None, "not known")}
    except Forbidden as error:
        missing = f"seems to be missing: {_why(error)}"
        return {"read:vm": (False, missing), "power:vm": (None, "not known")}
    if first is None:
        return {"read:vm": (True, "works (the account has no VPS)"), "power:vm": unknown}
    gate = (await client.vps.gates(first.id)).of(Action.RESET)
    why = f"{gate.reason or ''} {gate.code or ''}".strip() if gate else ""
    if any(word in why.lower() for word in _SCOPE_WORDS):
        return {"read:vm": (True, "works"), "power:vm": (False, f"seems to be missing: {why}")}
    return {"read:vm": (True, "works"), "power:vm": unknown}


def _why(error: Exception) -> str:
    return printable(in_shell_words(str(error)))
