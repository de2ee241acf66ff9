"""The resource `client.fleet`: plans, runs, and runs resumed."""

import os
from collections.abc import Callable, Iterable
from typing import Final

from attrs import evolve

from hostup_async._config import Seconds, instance, switch, word
from hostup_async._errors import ConfigurationError, NotFound
from hostup_async._fleet.context import ClientParts
from hostup_async._fleet.follow import Follower, read_followable
from hostup_async._fleet.plan import Plan, Preflight, PreflightWord, denial, distinct
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.record import find_conflicts
from hostup_async._fleet.report import FleetReport
from hostup_async._fleet.run import FleetRun
from hostup_async._models import Action, ActionWord, ServiceStatus, Vps
from hostup_async._store.base import Store
from hostup_async._store.open import open_store, store_for
from hostup_async._store.records import RunRecord

# Up to this many VPSes are read one by one; for more, the whole list is read.
_FEW: Final = 10
# Runs among which one is sought that can be resumed: years of them, and read in parts of a second.
_SEARCHED: Final = 1000


class FleetResource:
    """Many VPSes at once: first a plan, then a run of it, resumed if need be.

    `client.fleet` is one.
    """

    def __init__(self, parts: ClientParts, origin: str) -> None:
        self._parts: Final = parts
        self._origin: Final = origin

    def __repr__(self) -> str:
        return f"<FleetResource of {self._origin}>"

    async def plan(  # noqa: PLR0913 - each is a choice of its own, named where it is made
        self,
        *,
        ids: Iterable[str] | None = None,
        all: bool = False,  # noqa: A002 - the word that says it
        name: str | None = None,
        where: Callable[[Vps], bool] | None = None,
        action: Action | ActionWord = Action.RESET,
        preflight: Preflight | PreflightWord = Preflight.LIST,
        force: bool = False,
    ) -> Plan:
        """Decide what a run does, and to which VPSes; only reads are sent.

        Select the VPSes in one way: `ids`, `all` or `name`; `where` leaves some of these out.

        Args:
            ids: These VPSes.
            all: Every VPS of the account.
            name: Every VPS of exactly this name; upper and lower case are the same.
            where: With `all` or `name`: only the VPSes for which this is true.
            action: What to do to each.
            preflight: What to read beforehand: `"none"`; `"list"`, which leaves out VPSes that the
                account does not have, that are terminated, or whose gate is shut; or `"gates"`,
                which also reads each VPS's gate just before its action.
            force: For `restart` alone: do not wait for the guest to agree.

        Raises:
            ConfigurationError: Not exactly one of `ids`, `all` and `name`, `where` with `ids`,
                `force` with another action than `restart`, or a bad value.

        Example:
            >>> async def preview(client):
            ...     plan = await client.fleet.plan(name="web", action="restart")
            ...     print(len(plan), plan.excluded)
        """
        action = word(action, Action, name="action")
        preflight = word(preflight, Preflight, name="preflight")
        everything, force = switch(all, name="all"), switch(force, name="force")
        if (ids is not None) + everything + (name is not None) != 1:
            msg = "Select the VPSes in exactly one way: ids=[...], all=True or name=..."
            raise ConfigurationError(msg)
        if where is not None and ids is not None:
            msg = "`where` chooses from what the API lists: pass it with all=True or name=..."
            raise ConfigurationError(msg)
        if force and action is not Action.RESTART:
            msg = f"`force` is for restart alone, and this is a {action}: leave it out."
            raise ConfigurationError(msg)
        rows: list[Vps] | None
        if ids is None:
            listed = [vps async for vps in self._parts.vps.list(name=name) if vps.id]
            rows = [vps for vps in listed if where is None or where(vps)]
            wanted = tuple(vps.id for vps in rows)
        else:
            wanted = distinct(ids)
            rows = None if preflight is Preflight.NONE else await self._find(wanted)
        plan = Plan(
            action=action,
            origin=self._origin,
            ids=wanted,
            preflight=preflight,
            force=force,
            names=_names(wanted, rows or []),
        )
        return plan if rows is None else plan.without(_exclusions(plan, rows))

    def run(
        self,
        plan: Plan,
        policy: FleetPolicy | None = None,
        *,
        store: str | os.PathLike[str] | Store | None = None,
    ) -> FleetRun:
        """A run of a plan; it begins where its `async with` does.

        Args:
            plan: From `plan`, perhaps by way of `to_json` and `from_json`.
            policy: How it behaves; a `FleetPolicy()` if not given.
            store: Where it is recorded. With a path or a URL, another process can resume it; or a
                `Store`; or None for memory.

        Raises:
            ConfigurationError: The plan is for another API, or is not a `Plan`.
            StoreError: Raised by the `async with`: the store cannot be used; nothing was sent.

        Example:
            >>> async def reset_all(client):
            ...     plan = await client.fleet.plan(all=True)
            ...     policy = FleetPolicy(canary=1, max_failures=5)
            ...     async with client.fleet.run(plan, policy, store="fleet.db") as run:
            ...         report = await run.wait()
            ...     report.raise_for_failures()
        """
        plan = instance(plan, Plan, name="plan", example="await client.fleet.plan(all=True)")
        policy = FleetPolicy() if policy is None else policy
        policy = instance(policy, FleetPolicy, name="policy", example="FleetPolicy(canary=1)")
        if plan.origin != self._origin:
            msg = f"Plan {plan.id} is for {plan.origin}, and this client talks to {self._origin}."
            raise ConfigurationError(msg)
        return FleetRun(self._parts, plan, policy, store, None)

    async def reset(
        self,
        ids: Iterable[str],
        policy: FleetPolicy | None = None,
        *,
        store: str | os.PathLike[str] | Store | None = None,
    ) -> FleetReport:
        """Reset these VPSes: a plan of them, run to its end.

        Args:
            ids: The VPSes.
            policy: How the run behaves; a `FleetPolicy()` if not given.
            store: Where it is recorded. With a path or a URL, another process can resume it; or a
                `Store`; or None for memory.

        Example:
            >>> async def reset_both(client, one, other):
            ...     report = await client.fleet.reset([one, other])
            ...     report.raise_for_failures()
        """
        plan = await self.plan(ids=ids, preflight=Preflight.NONE)
        async with self.run(plan, policy, store=store) as run:
            return await run.wait()

    async def resume(
        self,
        run_id: str,
        *,
        store: str | os.PathLike[str] | Store | None,
        policy: FleetPolicy | None = None,
        other_key: bool = False,
    ) -> FleetRun:
        """A run that was cut off or stopped; it goes on in its `async with`.

        An action that was accepted is followed, one that was being sent is settled by evidence,
        and one that was never sent is sent; nothing is sent twice. After a stop the failure budgets
        and the canaries start anew; after a crash they go on where they were.

        Args:
            run_id: The run's id, for example of one that `resumable` finds.
            store: Where it was recorded.
            policy: How it behaves from now on, recorded with the run; None for the policy that it
                was begun with, or was resumed with before.
            other_key: Go on with another key than the run was begun with, for instance because
                that one was replaced. The key of another account does not have its VPSes.

        Raises:
            ConfigurationError: There is no such run, it has ended, it is for another API, or it
                was begun with another key.
            RunHeld: Raised by the `async with`: another process is at work on it.

        Example:
            >>> async def go_on(client, run_id):
            ...     async with await client.fleet.resume(run_id, store="fleet.db") as run:
            ...         return await run.wait()
        """
        if policy is not None:
            policy = instance(policy, FleetPolicy, name="policy", example="FleetPolicy(canary=0)")
        run_id = instance(run_id, str, name="run_id", example="run.id")
        other_key = switch(other_key, name="other_key")
        where = store_for(store, self._origin, self._parts.fingerprint)
        async with open_store(where) as opened:
            record = await opened.run(run_id)
        if not record.state.is_open:
            msg = f"Run {run_id} is {record.state}: nothing of it is left to do."
            raise ConfigurationError(msg)
        plan = Plan.from_json(record.plan)
        self._refuse_other_api(run_id, plan.origin)
        if record.fingerprint != self._parts.fingerprint and not other_key:
            msg = (
                f"Run {run_id} was begun with another key, {record.fingerprint}, and this client's "
                f"is {self._parts.fingerprint}. Use that key, or, if this one is of the same "
                "account, pass other_key=True (on the command line: --other-key)."
            )
            raise ConfigurationError(msg)
        kept = FleetPolicy.from_json(record.policy)
        keeps = policy is None or policy == kept
        return FleetRun(
            self._parts, plan, kept if policy is None else policy, store, run_id, keeps_policy=keeps
        )

    async def follow(
        self,
        run_id: str,
        *,
        store: str | os.PathLike[str] | Store | None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the wait's own bound
    ) -> FleetReport:
        """Ask again what became of jobs that timed out or were not followed; no action is sent.

        It works on a run that has ended and on one that can be resumed, whose VPSes without an
        answer, or not sent yet, are left to `resume`. Each end is recorded in the store as soon as
        it is known, also if this is cancelled. A VPS whose job has not ended stays as it was.

        Args:
            run_id: The run's id.
            store: Where it was recorded.
            timeout: How long to wait for each job, in seconds or as a `timedelta`; the
                `job_timeout` of the run's policy if not given.

        Returns:
            The report of the whole run, with the outcomes that are known by now.

        Raises:
            ConfigurationError: There is no such run, or it is for another API.
            RunHeld: A process works on the run, and follows its jobs.

        Example:
            >>> async def what_became_of_it(client, run_id):
            ...     report = await client.fleet.follow(run_id, store="fleet.db", timeout=60)
            ...     print(report.counts)
        """
        run_id = instance(run_id, str, name="run_id", example="run.id")
        where = store_for(store, self._origin, self._parts.fingerprint)
        async with open_store(where) as opened:
            run, entries = await read_followable(opened, run_id)
            self._refuse_other_api(run_id, run.origin)
            policy = FleetPolicy.from_json(run.policy)
            if timeout is not None:
                policy = evolve(policy, job_timeout=timeout)
            return await Follower(self._parts, opened, run, entries, policy).run()

    async def resumable(self, *, store: str | os.PathLike[str] | Store | None) -> list[RunRecord]:
        """The runs of this API and key that `resume` can take up, newest first.

        Those are the runs with something left to do that no living process works on, among the
        newest 1000 of the store; their plans and policies are left out.

        Args:
            store: Where they were recorded.

        Example:
            >>> async def go_on_with_the_newest(client):
            ...     newest, *_ = await client.fleet.resumable(store="fleet.db")
            ...     async with await client.fleet.resume(newest.id, store="fleet.db") as run:
            ...         return await run.wait()
        """
        async with open_store(store_for(store, self._origin, self._parts.fingerprint)) as opened:
            runs = await opened.runs(_SEARCHED)
        ours = self._origin, self._parts.fingerprint
        return [
            run
            for run in runs
            if run.state.is_open and run.holder is None and (run.origin, run.fingerprint) == ours
        ]

    async def conflicts(
        self,
        plan: Plan,
        policy: FleetPolicy | None = None,
        *,
        store: str | os.PathLike[str] | Store | None,
    ) -> dict[str, str]:
        """Which VPSes a run of this plan would skip if it began now, each with the reason.

        Those are VPSes that another run holds, or whose cooldown is not over. Nothing is recorded
        and nothing is sent.

        Args:
            plan: The plan.
            policy: Whose `cooldown` counts; a `FleetPolicy()` if not given.
            store: Where the run would be recorded.

        Example:
            >>> async def preview(client):
            ...     plan = await client.fleet.plan(all=True)
            ...     print(await client.fleet.conflicts(plan, store="fleet.db"))
        """
        plan = instance(plan, Plan, name="plan", example="await client.fleet.plan(all=True)")
        policy = FleetPolicy() if policy is None else policy
        policy = instance(policy, FleetPolicy, name="policy", example="FleetPolicy(canary=1)")
        async with open_store(store_for(store, self._origin, self._parts.fingerprint)) as opened:
            found = await find_conflicts(plan, policy, store=opened, parts=self._parts)
        return {one.vps_id: one.reason or "" for one in found}

    def _refuse_other_api(self, run_id: str, origin: str) -> None:
        if origin != self._origin:
            msg = f"Run {run_id} is for {origin}, and this client talks to {self._origin}."
            raise ConfigurationError(msg)

    async def _find(self, wanted: tuple[str, ...]) -> list[Vps]:
        if len(wanted) > _FEW:
            return [vps async for vps in self._parts.vps.list()]
        found: list[Vps] = []
        for vps_id in wanted:
            try:
                found.append(await self._parts.vps.get(vps_id))
            except NotFound:
                continue
        return found


def _names(wanted: tuple[str, ...], rows: list[Vps]) -> dict[str, str]:
    names = {vps.id: vps.name for vps in rows}
    return {vps_id: name for vps_id in wanted if (name := names.get(vps_id))}


def _exclusions(plan: Plan, rows: list[Vps]) -> dict[str, str]:
    found = {vps.id: vps for vps in rows}
    reasons = {vps_id: _why_not(plan.action, found.get(vps_id)) for vps_id in plan.ids}
    return {vps_id: why for vps_id, why in reasons.items() if why}


def _why_not(action: Action, vps: Vps | None) -> str | None:
    """Why a VPS is left out of a plan; None where it is not."""
    if vps is None:
        return "the account has no such VPS"
    if vps.service_status == ServiceStatus.TERMINATED:
        return "it is terminated"
    return denial(vps.gates.of(action) if vps.gates else None)
