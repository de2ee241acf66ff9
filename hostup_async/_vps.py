"""The resource `client.vps`: reading VPSes, and the five power actions."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from attrs import evolve

from hostup_async._config import switch
from hostup_async._errors import ConfigurationError, NotFound, UnreadableReply
from hostup_async._http.attempt import PowerAction, SendGuard
from hostup_async._http.filters import Filters
from hostup_async._http.identity import Subject
from hostup_async._http.requester import Requester
from hostup_async._http.transport import Url
from hostup_async._http.wire import read_object, read_page
from hostup_async._models import Action, Gates, Vps, VpsDetails, VpsStatus
from hostup_async._operation import Operation
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit

V = TypeVar("V", Vps, VpsStatus, VpsDetails)

# VPSes a page: the most that the API allows, so the fewest requests.
_PAGE_SIZE: Final = 100
# Pages in a row without a new VPS. Repeated rows are a loop; empty pages may be those that a
# filter left empty, of up to 100,000 VPSes.
_REPEATED_PAGES: Final = 10
_EMPTY_PAGES: Final = 1000
# Characters that no id has: they would end the path segment, or cannot be sent as UTF-8.
_NO_SEGMENT: Final = frozenset("/\\") | {chr(code) for code in range(0xD800, 0xE000)}


class VpsResource:
    """The VPSes of the key's account.

    Every method raises `ConfigurationError` for an id that cannot be one, before anything is
    sent; `Unauthorized`, `Forbidden`, `NotFound` and their like where the API says no;
    `NetworkError` where no response comes; and `RateLimited` where the wait for the limit is
    longer than the budget allows.
    """

    def __init__(self, requester: Requester, poller: Poller) -> None:
        self._requester = requester
        self._poller = poller

    def __repr__(self) -> str:
        return f"<VpsResource of {self._requester.base}>"

    async def list(
        self, *, name: str | None = None, primary_ip: str | None = None
    ) -> AsyncIterator[Vps]:
        """Every VPS once; each page is fetched when its first VPS is needed.

        Args:
            name: Only those with exactly this name; upper and lower case are one.
            primary_ip: Only the one with exactly this address.

        Raises:
            UnreadableReply: The API's list is not complete, or it ignored a filter.

        Example:
            >>> async def running(client):
            ...     vpses = client.vps.list()
            ...     return [vps.id async for vps in vpses if vps.power_state == "running"]
        """
        filters = Filters(name=name, primary_ip=primary_ip)
        query = {"limit": str(_PAGE_SIZE), **filters.query()}
        ids: set[str] = set()
        cursors: set[str] = set()
        fruitless = 0
        while True:
            rows, cursor = await self._requester.get(self._list_url(query), read_page)
            known = len(ids)
            for vps in _unseen(rows, ids):
                filters.check(vps)
                yield vps
            if cursor is None or cursor in cursors:
                return
            cursors.add(cursor)
            query["cursor"] = cursor
            fruitless = 0 if len(ids) > known else fruitless + 1
            if fruitless >= (_REPEATED_PAGES if rows else _EMPTY_PAGES):
                msg = f"The API's list goes in circles: {fruitless} pages without a new VPS."
                raise UnreadableReply(msg)

    async def get(self, vps_id: str) -> Vps:
        """One VPS, as the list shows it."""
        vps = await self._get_one(vps_id, "", Vps)
        return vps if vps.id else evolve(vps, id=vps_id)

    async def details(self, vps_id: str) -> VpsDetails:
        """One VPS as a product."""
        details = await self._get_one(vps_id, "/details", VpsDetails)
        return details if details.id else evolve(details, id=vps_id)

    async def status(self, vps_id: str) -> VpsStatus:
        """One VPS as a machine, live."""
        status = await self._get_one(vps_id, "/status", VpsStatus)
        return status if status.id else evolve(status, id=vps_id)

    async def gates(self, vps_id: str) -> Gates:
        """Which actions are allowed just now, from whichever of three routes has the gates.

        Costs up to three requests. Where no route has them, all gates are unknown (None),
        which does not deny the action: the API decides when the action is sent.
        """
        missing: list[NotFound] = []
        # The published pages contradict each other on where the gates are; the reset page names
        # the first.
        reads = (self.get, self.status, self.details)
        for read in reads:
            try:
                holder = await read(vps_id)
            except NotFound as error:
                missing.append(error)
            else:
                if holder.gates is not None and holder.gates.raw:
                    return holder.gates
        if len(missing) == len(reads):
            raise missing[0]
        return Gates()

    async def reset(self, vps_id: str) -> Operation:
        """Force a hard reset: the power button held down. For a guest that no longer answers.

        Sent at most once, as far as can be known: what was never sent, or was refused, is tried
        again; what may have been sent is not. A cancellation waits for a response under way.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and its outcome is unknown.
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
        return await self._act(vps_id, Action.RESTART, force=switch(force, name="force"))

    def _list_url(self, query: Mapping[str, str]) -> Url:
        return self._requester.api_url("/vps", query)

    async def _get_one(self, vps_id: str, suffix: str, model: type[V]) -> V:
        url = self._requester.api_url(f"/vps{_segment(vps_id)}{suffix}")
        read = partial(read_object, model)
        return await self._requester.get(url, read, subject=Subject(model, vps_id))

    async def _act(self, vps_id: str, action: Action, *, force: bool = False) -> Operation:
        power_action = PowerAction(action, vps_id)
        url, body = _action_route(self._requester, power_action, force=force)
        ref, job = await self._requester.send_action(power_action, url, body)
        return Operation(self._requester, self._poller, ref, job)


async def read_status(requester: Requester, vps_id: str, kind: RequestClass) -> VpsStatus:
    """The status of a VPS, read for another purpose than a preflight."""
    url = requester.api_url(f"/vps{_segment(vps_id)}/status")
    subject = Subject(VpsStatus, vps_id)
    return await requester.get(url, partial(read_object, VpsStatus), kind, subject=subject)


async def act_to_the_end(
    requester: Requester,
    poller: Poller,
    power_action: PowerAction,
    *,
    permit: Permit,
    guard: SendGuard,
    force: bool = False,
) -> Operation:
    """Send an action for a caller that needs the response even if it is cancelled meanwhile.

    See `Requester.send_action_to_the_end`. The `permit` was taken before, and is spent; the `guard`
    is asked before each try and just before its headers go out.
    """
    with permit:
        url, body = _action_route(requester, power_action, force=force)
        ref, job = await requester.send_action_to_the_end(
            power_action, url, body, permit=permit, guard=guard
        )
    return Operation(requester, poller, ref, job)


def _action_route(
    requester: Requester, power_action: PowerAction, *, force: bool
) -> tuple[Url, bytes | None]:
    """The URL to send an action to, and the body to send."""
    path = f"/vps{_segment(power_action.vps_id)}/actions/{power_action.action.value}"
    # A plan that an older version recorded may have `force` with another action.
    forces = force and power_action.action is Action.RESTART
    return requester.api_url(path), b'{"force": true}' if forces else None


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
        msg = f"{vps_id[:80]!r} cannot be a VPS id: take the `id` that client.vps.list() gives."
        raise ConfigurationError(msg)
    return vps_id
