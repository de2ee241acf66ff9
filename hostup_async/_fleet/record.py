"""How a run comes to be held in its store: recorded anew, or taken up where it was left."""

import logging
from contextlib import suppress
from typing import Final, NamedTuple

from hostup_async import _clock
from hostup_async._errors import HostUpError
from hostup_async._fleet.context import ClientParts
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.rollout import Rollout
from hostup_async._fleet.trail import counted_entries
from hostup_async._http.server_clock import Moment, ServerTime
from hostup_async._store.base import Store
from hostup_async._store.owner import whoami
from hostup_async._store.records import Entry, EntryState, RunRecord

_LOGGER: Final = logging.getLogger("hostup.fleet")
# Seconds: where a run's age is known by a machine's clock alone, which may have been set, a VPS
# that booted within this time counts as booted since.
_LEAST_AGE: Final = 600.0


class StartingPoint(NamedTuple):
    """A run that its store lets us work on.

    Attributes:
        entries: Where each VPS stands.
        steps: The rollout's step of each position that is in flight.
        possible_loss_within: See `RunContext`.
    """

    entries: list[Entry]
    steps: dict[int, int]
    possible_loss_within: float | None = None


async def record_new(
    run_id: str, plan: Plan, policy: FleetPolicy, *, store: Store, parts: ClientParts
) -> StartingPoint:
    """Record a run that begins, and hold it."""
    now = _server_now(parts)
    earliest = None if now is None else now.earliest
    run = RunRecord(
        id=run_id,
        action=plan.action,
        origin=plan.origin,
        fingerprint=parts.fingerprint,
        plan_hash=plan.hash,
        plan=plan.to_json(),
        policy=policy.to_json(),
        who=whoami(),
        reason=policy.reason,
        created_server_low=earliest,
    )
    cooldown = policy.cooldown
    entries = await store.create(run, _entries(plan), cooldown=cooldown, server_now=earliest)
    return StartingPoint(entries, steps={})


async def find_conflicts(
    plan: Plan, policy: FleetPolicy, *, store: Store, parts: ClientParts
) -> list[Entry]:
    """The entries that a run of the plan would skip, if it were recorded now."""
    now = _server_now(parts)
    found = await store.find_conflicts(
        plan.origin,
        _entries(plan),
        cooldown=policy.cooldown,
        server_now=None if now is None else now.earliest,
    )
    return [entry for entry in found if entry.state is EntryState.SKIPPED]


def _entries(plan: Plan) -> list[Entry]:
    return [Entry(vps_id, position) for position, vps_id in enumerate(plan.ids)]


async def take_up(
    run_id: str,
    plan: Plan,
    policy: FleetPolicy | None,
    rollout: Rollout,
    *,
    store: Store,
    parts: ClientParts,
) -> StartingPoint:
    """Hold a run that was cut off or stopped; a new policy, if given, is recorded with that.

    After a stop, the bounds start anew with what is in flight. After a crash they go on.
    """
    new_policy = None if policy is None else policy.to_json()
    before = await store.acquire(run_id, who=whoami(), policy=new_policy)
    possible_loss_within = None
    if before.possible_loss is not None:
        why = "Run %s: %s. A VPS that booted since the run was begun is skipped."
        _LOGGER.warning(why, run_id, before.possible_loss)
        possible_loss_within = await _longest_age(before, plan, parts)
    entries = [entry async for entry in store.entries(run_id)]
    for entry in entries:  # so that a job which the API names for another VPS is disputed
        parts.requester.jobs.claim(entry.vps_id, entry.job_id, entry.poll_url)
    counted = await counted_entries(store, before, entries)
    return StartingPoint(entries, rollout.restore(counted), possible_loss_within)


def _server_now(parts: ClientParts) -> ServerTime | None:
    return parts.requester.transport.server_clock.at(Moment.now())


async def _longest_age(run: RunRecord, plan: Plan, parts: ClientParts) -> float:
    """How many seconds ago a run was begun, at most; by the server's clock if that is known."""
    with suppress(HostUpError):  # each response tells the server's time
        await parts.vps.status(plan.ids[0])
    now = _server_now(parts)
    if now is None or run.created_server_low is None:
        return max(_LEAST_AGE, _clock.wall() - run.created_at)
    return max(0.0, now.latest - run.created_server_low)
