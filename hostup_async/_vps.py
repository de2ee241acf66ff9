"""The resource `client.vps`: reading VPSes, and the five power actions."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final
from urllib.parse import quote

from attrs import evolve

from hostup_async._errors import ConfigurationError, NotFound, UnreadableReply
from hostup_async._http.attempt import PowerAction
from hostup_async._http.requester import Requester
from hostup_async._http.responses import Read, T
from hostup_async._http.transport import Url
from hostup_async._http.wire import read_object, read_page
from hostup_async._models import Action, Gates, Vps, VpsDetails, VpsStatus
from hostup_async._operation import Operation
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.queue import Permit

_PAGE_SIZE: Final = 100
_BARREN_PAGES: Final = 10
_NO_SEGMENT: Final = frozenset("/\\") | {chr(code) for code in range(0xD800, 0xE000)}
# The published pages contradict each other on where the gates are: the reset page names the first.
_GATE_ROUTES: Final[tuple[tuple[str, type[Vps | VpsStatus | VpsDetails]], ...]] = (
    ("", Vps),
    ("/status", VpsStatus),
    ("/details", VpsDetails),
)


class VpsResource:
    """The VPSes of the key's account.

    Every method raises `ConfigurationError` for an id that cannot be one, before anything is
    sent; `Unauthorized`, `Forbidden`, `NotFound` and their like where the API says no;
    `NetworkError` where no answer comes; and `RateLimited` where the wait for the limit is
    longer than the budget allows.
    """

    def __init__(self, requester: Requester, poller: Poller) -> None:
        self._requester = requester
        self._poller = poller

    async def list(
        self, *, name: str | None = None, primary_ip: str | None = None
    ) -> AsyncIterator[Vps]:
        """Every VPS once, page by page as they are asked for.

        Args:
            name: Only those with exactly this name; upper and lower case are one.
            primary_ip: Only the one with exactly this address.

        Example:
            >>> async def running(client):
            ...     vpses = client.vps.list()
            ...     return [vps.id async for vps in vpses if vps.power_state == "running"]
        """
        query = {"limit": str(_PAGE_SIZE), **_filters(name=name, primaryIp=primary_ip)}
        ids: set[str] = set()
        cursors: set[str] = set()
        barren = 0
        while True:
            rows, cursor = await self._get("", read_page, query)
            known = len(ids)
            for vps in _unseen(rows, ids):
                yield vps
            if not rows or cursor is None or cursor in cursors:
                return
            cursors.add(cursor)
            query["cursor"] = cursor
            barren = 0 if len(ids) > known else barren + 1
            if barren == _BARREN_PAGES:
                msg = f"The API's list goes round in circles: {barren} pages without a new VPS."
                raise UnreadableReply(msg)

    async def get(self, vps_id: str) -> Vps:
        """One VPS, as the list shows it."""
        vps = await self._get(_segment(vps_id), partial(read_object, Vps))
        return vps if vps.id else evolve(vps, id=vps_id)

    async def details(self, vps_id: str) -> VpsDetails:
        """One VPS as a product."""
        details = await self._get(f"{_segment(vps_id)}/details", partial(read_object, VpsDetails))
        return details if details.id else evolve(details, id=vps_id)

    async def status(self, vps_id: str) -> VpsStatus:
        """One VPS as a machine, live."""
        return await self._get(f"{_segment(vps_id)}/status", partial(read_object, VpsStatus))

    async def gates(self, vps_id: str) -> Gates:
        """Which actions are allowed just now, from whichever of three routes has the gates.

        Costs up to three requests. Where no route has them, all gates are unknown (None),
        which is no denial; the API's answer to the action itself is the authority.
        """
        segment = _segment(vps_id)
        missing: list[NotFound] = []
        for suffix, model in _GATE_ROUTES:
            try:
                holder = await self._get(segment + suffix, partial(read_object, model))
            except NotFound as error:
                missing.append(error)
            else:
                if holder.gates is not None and holder.gates.raw:
                    return holder.gates
        if len(missing) == len(_GATE_ROUTES):
            raise missing[0]
        return Gates()

    async def reset(self, vps_id: str) -> Operation:
        """Force a hard reset: the power button held down. For a guest that no longer answers.

        Sent at most once, as far as can be known: what was never sent, or was refused, is tried
        again; what may have been sent is not. A cancellation waits for an answer under way.

        Raises:
            OutcomeUnknown: It may have been sent, and nobody can tell what became of it.
            Conflict: The VPS is not in a state for it.

        Example:
            >>> async def reset_and_wait(client, vps_id):
            ...     operation = await client.vps.reset(vps_id)
            ...     return await operation.wait(timeout=600)
        """
        return await self._act(vps_id, Action.RESET)

    async def start(self, vps_id: str) -> Operation:
        """Start a stopped VPS; raises as `reset` does."""
        return await self._act(vps_id, Action.START)

    async def stop(self, vps_id: str) -> Operation:
        """Cut the power, without telling the guest; raises as `reset` does."""
        return await self._act(vps_id, Action.STOP)

    async def shutdown(self, vps_id: str) -> Operation:
        """Ask the guest to power off; raises as `reset` does."""
        return await self._act(vps_id, Action.SHUTDOWN)

    async def restart(self, vps_id: str, *, force: bool = False) -> Operation:
        """Ask the guest to reboot; raises as `reset` does.

        Args:
            vps_id: The VPS.
            force: Do not wait for the guest to agree (the documented body `{"force": true}`).
        """
        return await self._act(vps_id, Action.RESTART, force=force)

    async def _get(self, path: str, read: Read[T], query: Mapping[str, str] | None = None) -> T:
        url = self._requester.transport.api_url(f"/vps{path}", query)
        return await self._requester.get(url, read)

    async def _act(self, vps_id: str, action: Action, *, force: bool = False) -> Operation:
        deed = PowerAction(action, vps_id)
        url, body = _route(self._requester, deed, force=force)
        ticket, job = await self._requester.act(deed, url, body)
        return Operation(self._requester, self._poller, ticket, job)


async def act(
    requester: Requester, poller: Poller, deed: PowerAction, *, force: bool, permit: Permit
) -> Operation:
    """Send an action with a permit that was taken before; raises as `VpsResource.reset` does.

    A cancellation while the action is being sent is dropped, and its operation returned.
    """
    url, body = _route(requester, deed, force=force)
    ticket, job = await requester.act(deed, url, body, permit=permit, to_the_end=True)
    return Operation(requester, poller, ticket, job)


def _route(requester: Requester, deed: PowerAction, *, force: bool) -> tuple[Url, bytes | None]:
    """Where an action is sent, and with which body."""
    path = f"/vps{_segment(deed.vps_id)}/actions/{deed.action.value}"
    return requester.transport.api_url(path), b'{"force": true}' if force else None


def _filters(**filters: object) -> dict[str, str]:
    """The filters that were given. An empty one would select every VPS, or none: refused."""
    given = {name: value for name, value in filters.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str) or not value.strip():
            msg = f"The filter {name} must be a text that is not empty, not {value!r:.80}."
            raise ConfigurationError(msg)
    return {name: str(value) for name, value in given.items()}


def _unseen(rows: list[Vps], ids: set[str]) -> list[Vps]:
    """The rows that were not listed yet: a list that changes while it is paged repeats some."""
    fresh: list[Vps] = []
    for vps in rows:
        if vps.id not in ids:
            fresh.append(vps)
        if vps.id:
            ids.add(vps.id)
    return fresh


def _segment(vps_id: object) -> str:
    """An id as one segment of a path."""
    return "/" + quote(check_id(vps_id), safe="")


def check_id(vps_id: object) -> str:
    """An id that is one segment of a path; anything that would be more, or less, is refused."""
    if not isinstance(vps_id, str):
        msg = f"A VPS id is a string such as vps_01hx..., not {type(vps_id).__name__}."
        raise ConfigurationError(msg)
    if not vps_id.strip() or vps_id in {".", ".."} or not _NO_SEGMENT.isdisjoint(vps_id):
        msg = f"{vps_id[:80]!r} is no VPS id: take the `id` that client.vps.list() gives."
        raise ConfigurationError(msg)
    return vps_id
