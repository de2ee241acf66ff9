"""The commands that read: list and show VPSes, show a status, check the key."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from rich.console import Console

from hostup_async import Action, Client, Forbidden, Gates, Unauthorized, Vps, VpsStatus
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import READING, Account
from hostup_async.cli._options import Output
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.format import format_units, format_with_zone
from hostup_async.cli._output.screen import emit, screen, table, vpses
from hostup_async.cli._signals import run as run_loop

T = TypeVar("T")
_HEADINGS: Final = ("Id", "Name", "Address", "Service", "Power")
_SCOPE_WORDS: Final = ("scope", "permission", "forbidden")


def _call(account: Account, work: Callable[[Client], Awaitable[T]]) -> T:
    async def call() -> T:
        async with account.client(patience=READING) as client:
            return await work(client)

    return run_loop(call)


def list_vpses(account: Account, output: Output, name: str | None) -> None:
    """Print every VPS, or those with a name."""

    async def read(client: Client) -> list[Vps]:
        return [vps async for vps in client.vps.list(name=name)]

    console, found = screen(), _call(account, read)
    if output.json:
        for vps in found:
            emit(console, json_lines.line("vps", {"id": vps.id, **vps.raw}))
        return
    console.print(table(_HEADINGS, map(_row, found)))
    console.print(vpses(len(found)), style="dim")


def _row(vps: Vps) -> tuple[object, ...]:
    return vps.id, vps.name, vps.primary_ip, vps.service_status, vps.power_state


def show_vps(vps_id: str, account: Account, output: Output) -> None:
    """Print one VPS, and the actions that are allowed on it now."""

    async def read(client: Client) -> tuple[Vps, Gates]:
        return await client.vps.get(vps_id), await client.vps.gates(vps_id)

    console, (vps, gates) = screen(), _call(account, read)
    if output.json:
        emit(console, json_lines.line("vps", {"id": vps.id, **vps.raw, "actions": gates.raw}))
        return
    system, size = vps.operating_system, vps.resources
    rows: list[tuple[str, object]] = [*zip(_HEADINGS, _row(vps), strict=True)]
    if system:
        rows.append(("System", system.display_name))
    if size:
        rows.append(("Size", f"{size.cpu_cores} cores, {size.memory_gb} GB, {size.storage_gb} GB"))
    _show(console, [*rows, *_allowed(gates)])


def _allowed(gates: Gates) -> Iterator[tuple[str, str]]:
    words = {None: "not known", True: "allowed", False: "not allowed"}
    for action in Action:
        gate = gates.of(action)
        why = f": {gate.reason or gate.code}" if gate and (gate.reason or gate.code) else ""
        yield action.capitalize(), words[gate.allowed if gate else None] + why


def show_status(vps_id: str, account: Account, output: Output) -> None:
    """Print the live state of one VPS."""

    async def read(client: Client) -> VpsStatus:
        return await client.vps.status(vps_id)

    console, status = screen(), _call(account, read)
    if output.json:
        emit(console, json_lines.line("status", {"id": vps_id, **status.raw}))
        return
    uptime = status.uptime_seconds
    rows: list[tuple[str, object]] = [("Power", status.power_state)]
    rows.append(("Uptime", "not known" if uptime is None else format_units(uptime, most=4)))
    cpu = status.cpu_usage_percent
    rows.append(("Processor", None if cpu is None else f"{cpu:.0f} %"))
    rows.append(("Pending", json.dumps(status.pending_tasks) if status.pending_tasks else "none"))
    _show(console, [("Id", vps_id), *rows])


def check_key(account: Account, output: Output) -> None:
    """Print which key is used and whether it works; sends two reads, and no action."""
    console = screen()
    client = account.client()
    now = format_with_zone(time.time())
    facts = {"client": repr(client), "key": account.source, "checked": now}
    facts |= _call(account, _what_works)
    if output.json:
        emit(console, json_lines.line("auth", facts))
    else:
        _show(console, [(name.capitalize(), fact) for name, fact in facts.items()])
    if not facts["read:vm"].startswith("works"):
        message = "the key does not work: see above, or make another one in HostUp's control panel"
        raise CommandFailed(message, ExitCode.AUTHENTICATION)


async def _what_works(client: Client) -> dict[str, str]:
    try:
        first = await anext(client.vps.list(), None)
    except Unauthorized as error:
        return {"read:vm": f"refused: {error}", "power:vm": "not known"}
    except Forbidden as error:
        return {"read:vm": f"seems to be missing: {error}", "power:vm": "not known"}
    if first is None:
        return {"read:vm": "works (the account has no VPS)", "power:vm": "not known"}
    gate = (await client.vps.gates(first.id)).of(Action.RESET)
    why = f"{gate.reason or ''} {gate.code or ''}".strip() if gate else ""
    seems = any(word in why.lower() for word in _SCOPE_WORDS)
    return {
        "read:vm": "works",
        "power:vm": f"seems to be missing: {why}" if seems else "not known until an action is sent",
    }


def _show(console: Console, rows: Sequence[tuple[str, object]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        console.print(
            f"{name:{width}}  {printable('' if value is None else value)}", soft_wrap=True
        )
