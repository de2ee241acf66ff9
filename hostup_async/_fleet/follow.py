"""Asks again what became of a run's jobs whose end is not known. It sends no action.

An entry moves only where its job has ended, or where the VPS's own status shows what happened.
What stays unknown stays as it was, with its reason, to be asked again.
"""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import Final

from attrs import evolve

from hostup_async._cancellation import finish
from hostup_async._errors import HostUpError
from hostup_async._events import OutcomeKnown, in_run, tell
from hostup_async._fleet.announce import Announcer
from hostup_async._fleet.context import ClientParts, RunContext, make_context, operation_of
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.meters import Meters
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.report import FleetReport
from hostup_async._fleet.rollout import Rollout
from hostup_async._fleet.settle import job_ended, not_followed
from hostup_async._operation import watch
from hostup_async._store.base import Store, run_held_by
from hostup_async._store.owner import whoami
from hostup_async._store.records import (
    FOLLOWABLE,
    AuditEvent,
    Entry,
    EntryState,
    RunRecord,
    RunState,
)

# What the status of a VPS can prove of an action whose job is not known.
_PROVED: Final = (EntryState.COMPLETED, EntryState.NOT_DONE)


class Follower:
    """Follows the jobs of one recorded run to their ends.

    Args:
        parts: What the client lends.
        store: Where the run is recorded.
        run: The run, which no process works on.
        entries: Where its VPSes stand.
        policy: How long jobs are followed, and whether their word is checked.
    """

    def __init__(
        self,
        parts: ClientParts,
        store: Store,
        run: RunRecord,
        entries: list[Entry],
        policy: FleetPolicy,
    ) -> None:
        plan = Plan.from_json(run.plan)
        self._parts: Final = parts
        self._store: Final = store
        self._run: Final = run
        self._entries: Final = entries
        self._found: Final = Counter[EntryState]()
        self._meters: Final = Meters(parts, entries)
        self._context: Final = make_context(
            run.id,
            plan,
            policy,
            parts=parts,
            journal=Journal(store, run.id, entries),
            rollout=Rollout(policy, len(plan)),
            announcer=Announcer(run.id, None),
        )

    async def run(self) -> FleetReport:
        """Follow all of them at once, and record each end as soon as it is known.

        Raises:
            RunHeld: A process has taken up the run meanwhile.
        """
        wanted = [entry for entry in self._entries if entry.state in FOLLOWABLE]
        for entry in self._entries:  # so that a job which the API names for another VPS is disputed
            self._parts.requester.jobs.claim(entry.vps_id, entry.job_id, entry.poll_url)
        try:
            async with asyncio.TaskGroup() as group:
                for entry in wanted:
                    group.create_task(self._settle(entry))
        except* HostUpError as errors:
            raise errors.exceptions[0] from None
        finally:
            self._meters.stop()
            if wanted:
                await finish(asyncio.create_task(self._close(len(wanted))))
        return self._report()

    async def _settle(self, entry: Entry) -> None:
        with in_run(self._run.id):
            ended = await follow_job(self._context, entry)
        if ended.state is entry.state or not await self._store.settle(self._run.id, [ended]):
            return
        self._entries[entry.position] = ended
        self._found[ended.state] += 1
        vps_id, attempt = ended.vps_id, ended.attempts
        known = OutcomeKnown(self._run.id, ended.outcome(), vps_id=vps_id, attempt=attempt)
        tell(self._parts.requester.on_event, known)

    async def _close(self, followed: int) -> None:
        """Note in the audit trail what was found; a run with nothing left to do is finished."""
        run_id, detail = self._run.id, {"followed": followed, "counts": self._found}
        with suppress(HostUpError):  # what was found is recorded
            await self._store.note(
                run_id, AuditEvent.FOLLOWED, who=whoami(), detail=json.dumps(detail)
            )
            is_over = all(entry.state.is_terminal for entry in self._entries)
            if self._run.state.is_open and is_over:
                await self._store.acquire(run_id, who=whoami())
                await self._store.release(run_id, RunState.FINISHED)

    def _report(self) -> FleetReport:
        rollout = self._context.rollout
        return FleetReport(
            run_id=self._run.id,
            action=self._run.action,
            outcomes=tuple(entry.outcome() for entry in self._entries),
            seconds=self._meters.seconds,
            stopped=rollout.stop_reason,
            stop_cause=rollout.stop_cause,
            requests=self._meters.requests,
            limited=self._meters.limited,
        )


async def follow_job(context: RunContext, entry: Entry) -> Entry:
    """What an entry has become whose action was accepted; itself where that is not proved."""
    try:
        watched = watch(operation_of(context, entry), patience=context.policy.job_timeout)
        job = await context.poller.follow(watched)
    except TimeoutError:
        return entry
    except HostUpError as error:
        before = evolve(entry, state=EntryState.ACCEPTED)
        found = await not_followed(context, before, error, None)
        return found if found.state in _PROVED else entry
    return await job_ended(context, entry, job, None)


async def read_followable(store: Store, run_id: str) -> tuple[RunRecord, list[Entry]]:
    """A run that no process works on, and where its VPSes stand.

    Raises:
        RunHeld: A process works on it, and follows its jobs.
    """
    run = await store.run(run_id)
    if run.holder is not None:
        raise run_held_by(run_id, run.holder)
    return run, [entry async for entry in store.entries(run_id)]
