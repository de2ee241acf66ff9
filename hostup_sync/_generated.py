"""The handles of `hostup_async` in sync form."""

# Written by `nox -s facade` from the text of hostup_async: change that, and not this.
# pyright: reportPrivateUsage=false

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import hostup_async
from hostup_async import (
    Action,
    AuditEvent,
    AuditRecord,
    Budget,
    Entry,
    FleetPolicy,
    FleetReport,
    Gates,
    HostUpError,
    Job,
    LearntRecord,
    OnEvent,
    Outcome,
    Plan,
    Preflight,
    RunRecord,
    RunSnapshot,
    RunState,
    Seconds,
    StopCause,
    StoreError,
    Timeouts,
    Vps,
    VpsDetails,
    VpsStatus,
)
from hostup_async._config import hide
from hostup_async._fleet.plan import PreflightWord
from hostup_async._http.transport import Session
from hostup_async._models import ActionWord
from hostup_async._part import part
from hostup_sync._call import call, forward, identity
from hostup_sync._context import Managed, close, enter, leave
from hostup_sync._handle import ClientScope, Handle
from hostup_sync._stream import stream


class Operation(Handle[hostup_async.Operation]):
    """An accepted action: poll its job, wait for its end, or take its token elsewhere.

    Example:
        >>> def reset(client, vps_id):
        ...     operation = client.vps.reset(vps_id)
        ...     print(operation.token())  # enough to go on waiting in another process
        ...     return operation.wait(timeout=600)
    """

    def __repr__(self) -> str:
        return self._shown()

    @property
    def job(self) -> Job:
        """The job as last seen."""
        return self._async.job

    @property
    def vps_id(self) -> str | None:
        """The VPS; None for an operation that was made of a bare poll URL."""
        return self._async.vps_id

    @property
    def action(self) -> Action | None:
        """The action; None for an operation that was made of a bare poll URL."""
        return self._async.action

    @property
    def job_id(self) -> str | None:
        """The job's id, None where the API named no job."""
        return self._async.job_id

    @property
    def poll_url(self) -> str | None:
        """Where to poll the job, as the API gave it; None where it named no job."""
        return self._async.poll_url

    @property
    def sent_at(self) -> float | None:
        """When the action was sent: seconds since the epoch, by the sender's clock."""
        return self._async.sent_at

    @property
    def accepted_at(self) -> float | None:
        """When it was accepted: seconds since the epoch, by the sender's clock."""
        return self._async.accepted_at

    def token(self) -> str:
        """A short text without secrets, for `client.operation(token)` in any other process."""
        return forward(
            self._home,
            identity,
            self._async.token,
        )

    def poll(self) -> Job:
        """Poll the job once; a job that has ended is not polled again.

        Raises:
            OutcomeUnknown: The API named no job, has forgotten it, or named it for another VPS too.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        return call(
            self._home,
            identity,
            self._async.poll,
        )

    def wait(
        self,
        *,
        timeout: Seconds = 600,
    ) -> Job:
        """Wait for the job's end; a poll without a response is repeated later.

        Args:
            timeout: How long, in seconds or as a `timedelta`.

        Raises:
            JobFailed: The job ended in failure.
            WaitTimeout: It has not ended yet; it goes on, and its token goes with the error.
            OutcomeUnknown: The API named no job, has forgotten it, or named it for another VPS too.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        return call(
            self._home,
            identity,
            self._async.wait,
            timeout=timeout,
        )


class VpsResource(Handle[hostup_async.VpsResource]):
    """The VPSes of the key's account.

    Every method raises `ConfigurationError` for an id that cannot be one, before anything is
    sent; `Unauthorized`, `Forbidden`, `NotFound` and their like where the API says no;
    `NetworkError` where no response comes; and `RateLimited` where the wait for the limit is
    longer than the budget allows.
    """

    def __repr__(self) -> str:
        return self._shown()

    def list(
        self,
        *,
        name: str | None = None,
        primary_ip: str | None = None,
    ) -> Iterator[Vps]:
        """Every VPS once; each page is fetched when its first VPS is needed.

        Args:
            name: Only those with exactly this name; upper and lower case are one.
            primary_ip: Only the one with exactly this address.

        Raises:
            UnreadableReply: The API's list is not complete, or it ignored a filter.

        Example:
            >>> def running(client):
            ...     vpses = client.vps.list()
            ...     return [vps.id for vps in vpses if vps.power_state == "running"]
        """
        return stream(
            self._home,
            identity,
            self._async.list,
            name=name,
            primary_ip=primary_ip,
        )

    def get(
        self,
        vps_id: str,
    ) -> Vps:
        """One VPS, as the list shows it."""
        return call(
            self._home,
            identity,
            self._async.get,
            vps_id,
        )

    def details(
        self,
        vps_id: str,
    ) -> VpsDetails:
        """One VPS as a product."""
        return call(
            self._home,
            identity,
            self._async.details,
            vps_id,
        )

    def status(
        self,
        vps_id: str,
    ) -> VpsStatus:
        """One VPS as a machine, live."""
        return call(
            self._home,
            identity,
            self._async.status,
            vps_id,
        )

    def gates(
        self,
        vps_id: str,
    ) -> Gates:
        """Which actions are allowed just now, from whichever of three routes has the gates.

        Costs up to three requests. Where no route has them, all gates are unknown (None),
        which does not deny the action: the API decides when the action is sent.
        """
        return call(
            self._home,
            identity,
            self._async.gates,
            vps_id,
        )

    def reset(
        self,
        vps_id: str,
    ) -> Operation:
        """Force a hard reset: the power button held down. For a guest that no longer answers.

        Sent at most once, as far as can be known: what was never sent, or was refused, is tried
        again; what may have been sent is not. A cancellation waits for a response under way.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and its outcome is unknown.
            Conflict: The VPS is not in a state for it.

        Example:
            >>> def reset_and_wait(client, vps_id):
            ...     operation = client.vps.reset(vps_id)
            ...     return operation.wait(timeout=600)
        """
        return call(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.reset,
            vps_id,
        )

    def start(
        self,
        vps_id: str,
    ) -> Operation:
        """Start a stopped VPS; raises as `reset` does."""
        return call(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.start,
            vps_id,
        )

    def stop(
        self,
        vps_id: str,
    ) -> Operation:
        """Cut the power, without telling the guest; raises as `reset` does."""
        return call(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.stop,
            vps_id,
        )

    def shutdown(
        self,
        vps_id: str,
    ) -> Operation:
        """Ask the guest to power off; raises as `reset` does."""
        return call(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.shutdown,
            vps_id,
        )

    def restart(
        self,
        vps_id: str,
        *,
        force: bool = False,
    ) -> Operation:
        """Ask the guest to reboot; raises as `reset` does.

        Args:
            vps_id: The VPS.
            force: Do not wait for the guest to agree (the documented body `{"force": true}`).
        """
        return call(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.restart,
            vps_id,
            force=force,
        )


class Store(Handle[hostup_async.Store]):
    """A store of runs; use it as a context manager, or call `open_store`, which does.

    One store at a time holds a run: the one that created or acquired it, until it releases the
    run, closes, or its process dies. Only the holder can save. Each call takes effect as a whole
    or not at all, even where its caller is cancelled. When a call returns, its effect is durable
    (in the memory store: until the process ends). Moments are seconds since the epoch.

    Every call raises `StoreError` where the store cannot be used, and `ConfigurationError` for a
    run that the store does not have. What is damaged raises `StoreError` too, and is named.
    """

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)

    @property
    def is_open(self) -> bool:
        """Whether the store is open."""
        return self._async.is_open

    @property
    def send_window(self) -> float:
        """For how many seconds an action may be sent, from the beginning of its `save`.

        Until then no other store can have taken the run. Infinite where none can take it from a
        process that lives.
        """
        return self._async.send_window

    def open(self) -> None:
        """Open the store; does nothing if it is open."""
        call(
            self._home,
            identity,
            self._async.open,
        )

    def close(self) -> None:
        """Write what is queued, give up the runs held, and close; a second call does nothing.

        A run that was not released before keeps its state, and can be resumed at once. The store
        is closed when this returns or raises, also where the caller is cancelled.
        """
        close(self._home, self._async, self._async.aclose)

    def create(
        self,
        run: RunRecord,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        """Record a new run with its entries, and hold it.

        Finding conflicts with other runs and recording are one step, so of two processes that
        begin a run at once, one sees the other's. A caller that is cancelled meanwhile leaves no
        open run.

        Args:
            run: The run; the store sets its state, counts and end.
            entries: One for each VPS.
            cooldown: Seconds for which a VPS is left alone after any run at this origin acted on
                it; 0 turns that off. An action that the API refused does not count.
            server_now: By the API server's clock, the earliest moment that now may be. The cooldown
                is measured by it where an entry's `sent_server_high` is known, and by this
                machine's clock otherwise.

        Returns:
            The entries as recorded: a planned VPS that another open run at this origin holds, or
            whose cooldown is not over, is `skipped`, and its reason says why.

        Raises:
            ConfigurationError: A VPS or a position is given twice.
        """
        return call(
            self._home,
            identity,
            self._async.create,
            run,
            entries,
            cooldown=cooldown,
            server_now=server_now,
        )

    def find_conflicts(
        self,
        origin: str,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        """The entries as `create` would record them now; nothing is recorded.

        Args:
            origin: The API of the run that would be created.
            entries: One for each VPS.
            cooldown: Seconds for which a VPS is left alone after any run acted on it.
            server_now: By the API server's clock, the earliest moment that now may be.
        """
        return call(
            self._home,
            identity,
            self._async.find_conflicts,
            origin,
            entries,
            cooldown=cooldown,
            server_now=server_now,
        )

    def save(
        self,
        run_id: str,
        entries: Sequence[Entry],
    ) -> None:
        """Record entries of a run that is held, each in place of the one at its position.

        The entries are durable when this returns. Concurrent saves share a commit. An entry in a
        last state must not go back to an earlier one: another run may have its VPS by then.

        Raises:
            StoreError: The entries are not recorded: do not send the action that they announce.
            RunHeld: The entries are not recorded, because this store does not hold the run.
        """
        call(
            self._home,
            identity,
            self._async.save,
            run_id,
            entries,
        )

    def holds(
        self,
        run_id: str,
    ) -> bool:
        """Whether this store holds a run, as far as it knows without asking the database."""
        return forward(
            self._home,
            identity,
            self._async.holds,
            run_id,
        )

    def wait_until_lost(
        self,
        run_id: str,
    ) -> StoreError:
        """Wait until this store can no longer record a run that it holds, and say why.

        That is a `RunHeld` where another process has taken the run, and a `StoreError` where the
        database is gone, for example because its file was deleted. It waits on when the run is
        released: cancel it then.

        Raises:
            RunHeld: This store does not hold the run.
        """
        return call(
            self._home,
            identity,
            self._async.wait_until_lost,
            run_id,
        )

    def acquire(
        self,
        run_id: str,
        *,
        who: str = "",
        policy: str | None = None,
    ) -> RunRecord:
        """Hold a run that was cut off or stopped, to resume it.

        Where it cannot be known whether the run's holder still lives, this watches for the length
        of its lease whether it gives a sign of life.

        Args:
            run_id: The run.
            who: Who resumes it.
            policy: The run's policy from now on, as JSON. The audit trail has what it changes.
                None where it stays.

        Returns:
            The run with the state that it had before; `entries` gives its entries. If its
            `possible_loss` is not None, `planned` does not mean that nothing was sent. Its
            `fingerprint` is that of the key that it was begun with.

        Raises:
            RunHeld: Its holder is alive.
            StoreError: The run or an entry is damaged; the error names it.
            ConfigurationError: The run is finished or abandoned.
        """
        return call(
            self._home,
            identity,
            self._async.acquire,
            run_id,
            who=who,
            policy=policy,
        )

    def release(
        self,
        run_id: str,
        state: RunState,
        *,
        detail: str = "{}",
    ) -> None:
        """Give up a run, and set its state.

        Args:
            run_id: A run that this store holds.
            state: `STOPPED` if something is left to do, else `FINISHED`.
            detail: Details for the audit trail, as a JSON object.

        Raises:
            RunHeld: This store does not hold the run.
        """
        call(
            self._home,
            identity,
            self._async.release,
            run_id,
            state,
            detail=detail,
        )

    def settle(
        self,
        run_id: str,
        entries: Sequence[Entry],
    ) -> list[Entry]:
        """Record what became of entries of a run that no process works on, open or ended.

        Only an entry that is `accepted`, `timed_out` or `not_followed` in the store is replaced:
        what has an outcome keeps it, and what may still be sent is left to `acquire`.

        Args:
            run_id: The run.
            entries: Each in place of the one at its position, and in a last state.

        Returns:
            The entries that were recorded.

        Raises:
            RunHeld: A living process works on the run, and records its outcomes itself.
            ConfigurationError: An entry is not in a last state.
        """
        return call(
            self._home,
            identity,
            self._async.settle,
            run_id,
            entries,
        )

    def abandon(
        self,
        run_id: str,
        *,
        who: str = "",
        reason: str = "",
    ) -> RunRecord:
        """End an open run that no living process holds, and free its VPSes.

        Its `planned` entries become `not_sent`, `intent` becomes `ambiguous`, and `accepted`
        becomes `not_followed`.

        Raises:
            RunHeld: Its holder is alive.
            ConfigurationError: The run is finished or abandoned already.
        """
        return call(
            self._home,
            identity,
            self._async.abandon,
            run_id,
            who=who,
            reason=reason,
        )

    def run(
        self,
        run_id: str,
    ) -> RunRecord:
        """A run as it stands."""
        return call(
            self._home,
            identity,
            self._async.run,
            run_id,
        )

    def runs(
        self,
        limit: int = 20,
    ) -> list[RunRecord]:
        """The newest runs, without their plans and policies, in the reverse order of `create`."""
        return call(
            self._home,
            identity,
            self._async.runs,
            limit,
        )

    def entries(
        self,
        run_id: str,
    ) -> Iterator[Entry]:
        """The entries of a run in the order of their positions, read in pages."""
        return stream(
            self._home,
            identity,
            self._async.entries,
            run_id,
        )

    def note(
        self,
        run_id: str,
        what: AuditEvent | str,
        *,
        who: str = "",
        detail: str = "{}",
    ) -> None:
        """Add an event to a run's audit trail.

        Args:
            run_id: The run.
            what: What happened.
            who: Who did it.
            detail: Details, as a JSON object.
        """
        call(
            self._home,
            identity,
            self._async.note,
            run_id,
            what,
            who=who,
            detail=detail,
        )

    def audit(
        self,
        run_id: str,
    ) -> list[AuditRecord]:
        """A run's audit trail, oldest first."""
        return call(
            self._home,
            identity,
            self._async.audit,
            run_id,
        )

    def pause(
        self,
        run_id: str,
        *,
        who: str = "",
        reason: str | None = None,
    ) -> None:
        """Have the process that works on a run send nothing for now; it notices within seconds.

        What is in flight is followed. The run goes on at `unpause`, or when it is resumed.

        Args:
            run_id: The run.
            who: Who pauses it; this user if not given.
            reason: Why, in words, for the audit trail.

        Raises:
            ConfigurationError: No process works on the run, so nothing of it is sent anyway.
        """
        call(
            self._home,
            identity,
            self._async.pause,
            run_id,
            who=who,
            reason=reason,
        )

    def unpause(
        self,
        run_id: str,
        *,
        who: str = "",
    ) -> None:
        """Let a run go on sending after a pause; its process notices within seconds.

        Args:
            run_id: The run.
            who: Who lets it go on; this user if not given.

        Raises:
            ConfigurationError: The run is not paused.
        """
        call(
            self._home,
            identity,
            self._async.unpause,
            run_id,
            who=who,
        )

    def pause_of(
        self,
        run_id: str,
    ) -> AuditRecord | None:
        """The line of the audit trail by which a run is paused; None where it is not.

        A pause ends when the run is unpaused, resumed or over.
        """
        return call(
            self._home,
            identity,
            self._async.pause_of,
            run_id,
        )

    def learnt(
        self,
        origin: str | None = None,
        fingerprint: str | None = None,
    ) -> list[LearntRecord]:
        """What was learnt of the limits and durations, of every key and API that is not named.

        They are in the order of origin, fingerprint and `LearntRecord.what`.
        """
        return call(
            self._home,
            identity,
            self._async.learnt,
            origin,
            fingerprint,
        )

    def learn(
        self,
        records: Sequence[LearntRecord],
    ) -> None:
        """Keep what was learnt, each in place of what was known of the same."""
        call(
            self._home,
            identity,
            self._async.learn,
            records,
        )

    def forget(
        self,
        origin: str | None = None,
        fingerprint: str | None = None,
    ) -> int:
        """Forget what `learnt` returns; how many records that were."""
        return call(
            self._home,
            identity,
            self._async.forget,
            origin,
            fingerprint,
        )


class FleetRun(Handle[hostup_async.FleetRun]):
    """A run of a fleet. It begins where its `with` does, and has ended where that ends.

    At its end the `with` waits for the run's end. If the loop over `outcomes()` was left
    before, by `break` for example, it stops the sending first, as `stop` does.

    Leaving the `with` early, by an error or a cancellation, stops the sending at once and
    follows nothing more; an action that is being sent is let end, and everything is recorded. A
    `KeyboardInterrupt` stops the run as `stop` does; a second one leaves at once.
    """

    def __repr__(self) -> str:
        return self._shown()

    @property
    def id(self) -> str:
        """The run's id, for `client.fleet.resume`."""
        return self._async.id

    @property
    def plan(self) -> Plan:
        """What it does, and to which VPSes."""
        return self._async.plan

    @property
    def policy(self) -> FleetPolicy:
        """How it behaves."""
        return self._async.policy

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)

    def outcomes(self) -> Iterator[Outcome]:
        """Each VPS's outcome as it becomes known, once; ends with the run.

        A `break` stops nothing by itself. When the block of the run is left after it, nothing
        more is sent, and what is in flight is followed.

        Example:
            >>> def show(client, plan):
            ...     with client.fleet.run(plan) as run:
            ...         for outcome in run.outcomes():
            ...             print(outcome.vps_id, outcome.status, outcome.reason or "")
        """
        return stream(
            self._home,
            identity,
            self._async.outcomes,
        )

    def wait(self) -> FleetReport:
        """Wait for the run's end; partial success raises nothing (see `raise_for_failures`).

        A cancellation ends the waiting, not the run: that ends with its `with`.
        """
        return call(
            self._home,
            identity,
            self._async.wait,
        )

    def stop(
        self,
        reason: str = "stop() was called",
        *,
        cause: StopCause = StopCause.STOPPED,
    ) -> None:
        """Send nothing more; follow what is in flight, for at most the policy's `drain_timeout`.

        Args:
            reason: Why, in words, for the report's `stopped`.
            cause: Why, for programs: `INTERRUPTED` where a signal is the cause.
        """
        forward(
            self._home,
            identity,
            self._async.stop,
            reason,
            cause=cause,
        )

    def pause(
        self,
        reason: str | None = None,
    ) -> None:
        """Send nothing for now; what is in flight is followed. The audit trail has it.

        Another process can do so by the run's store, see `Store.pause`.

        Args:
            reason: Why, in words, for the audit trail.
        """
        forward(
            self._home,
            identity,
            self._async.pause,
            reason,
        )

    def unpause(self) -> None:
        """Go on sending after a `pause`. The audit trail has it."""
        forward(
            self._home,
            identity,
            self._async.unpause,
        )

    def snapshot(self) -> RunSnapshot:
        """Where the run stands."""
        return forward(
            self._home,
            identity,
            self._async.snapshot,
        )


class FleetResource(Handle[hostup_async.FleetResource]):
    """Many VPSes at once: first a plan, then a run of it, resumed if need be.

    `client.fleet` is one.
    """

    def __repr__(self) -> str:
        return self._shown()

    def plan(
        self,
        *,
        ids: Iterable[str] | None = None,
        all: bool = False,
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
            >>> def preview(client):
            ...     plan = client.fleet.plan(name="web", action="restart")
            ...     print(len(plan), plan.excluded)
        """
        return call(
            self._home,
            identity,
            self._async.plan,
            ids=ids,
            all=all,
            name=name,
            where=where,
            action=action,
            preflight=preflight,
            force=force,
        )

    def run(
        self,
        plan: Plan,
        policy: FleetPolicy | None = None,
        *,
        store: str | os.PathLike[str] | Store | None = None,
    ) -> FleetRun:
        """A run of a plan; it begins where its `with` does.

        Args:
            plan: From `plan`, perhaps by way of `to_json` and `from_json`.
            policy: How it behaves; a `FleetPolicy()` if not given.
            store: Where it is recorded. With a path or a URL, another process can resume it; or a
                `Store`; or None for memory.

        Raises:
            ConfigurationError: The plan is for another API, or is not a `Plan`.
            StoreError: Raised by the `with`: the store cannot be used; nothing was sent.

        Example:
            >>> def reset_all(client):
            ...     plan = client.fleet.plan(all=True)
            ...     policy = FleetPolicy(canary=1, max_failures=5)
            ...     with client.fleet.run(plan, policy, store="fleet.db") as run:
            ...         report = run.wait()
            ...     report.raise_for_failures()
        """
        return forward(
            self._home,
            lambda it: FleetRun._of(it, self),
            self._async.run,
            plan,
            policy,
            store=store._async if isinstance(store, Store) else store,
        )

    def reset(
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
            >>> def reset_both(client, one, other):
            ...     report = client.fleet.reset([one, other])
            ...     report.raise_for_failures()
        """
        return call(
            self._home,
            identity,
            self._async.reset,
            ids,
            policy,
            store=store._async if isinstance(store, Store) else store,
        )

    def resume(
        self,
        run_id: str,
        *,
        store: str | os.PathLike[str] | Store | None,
        policy: FleetPolicy | None = None,
        other_key: bool = False,
    ) -> FleetRun:
        """A run that was cut off or stopped; it goes on in its `with`.

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
            RunHeld: Raised by the `with`: another process is at work on it.

        Example:
            >>> def go_on(client, run_id):
            ...     with client.fleet.resume(run_id, store="fleet.db") as run:
            ...         return run.wait()
        """
        return call(
            self._home,
            lambda it: FleetRun._of(it, self),
            self._async.resume,
            run_id,
            store=store._async if isinstance(store, Store) else store,
            policy=policy,
            other_key=other_key,
        )

    def follow(
        self,
        run_id: str,
        *,
        store: str | os.PathLike[str] | Store | None,
        timeout: Seconds | None = None,
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
            >>> def what_became_of_it(client, run_id):
            ...     report = client.fleet.follow(run_id, store="fleet.db", timeout=60)
            ...     print(report.counts)
        """
        return call(
            self._home,
            identity,
            self._async.follow,
            run_id,
            store=store._async if isinstance(store, Store) else store,
            timeout=timeout,
        )

    def resumable(
        self,
        *,
        store: str | os.PathLike[str] | Store | None,
    ) -> list[RunRecord]:
        """The runs of this API and key that `resume` can take up, newest first.

        Those are the runs with something left to do that no living process works on, among the
        newest 1000 of the store; their plans and policies are left out.

        Args:
            store: Where they were recorded.

        Example:
            >>> def go_on_with_the_newest(client):
            ...     newest, *_ = client.fleet.resumable(store="fleet.db")
            ...     with client.fleet.resume(newest.id, store="fleet.db") as run:
            ...         return run.wait()
        """
        return call(
            self._home,
            identity,
            self._async.resumable,
            store=store._async if isinstance(store, Store) else store,
        )

    def conflicts(
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
            >>> def preview(client):
            ...     plan = client.fleet.plan(all=True)
            ...     print(client.fleet.conflicts(plan, store="fleet.db"))
        """
        return call(
            self._home,
            identity,
            self._async.conflicts,
            plan,
            policy,
            store=store._async if isinstance(store, Store) else store,
        )


class Client(Handle[hostup_async.Client]):
    """The HostUp API, for one key. Use it as a context manager.

    Args:
        api_key: The key; by default the environment's `HOSTUP_API_KEY`. It needs the scopes
            `read:vm` and, for power actions, `power:vm`.
        base_url: The API's origin; by default `HOSTUP_API_BASE`, or else HostUp's own.
        timeouts: How long each phase of a request may take.
        budget: The rate limit to keep; by default the one that all clients of this process with
            the same origin and key share.
        session: An aiohttp session to send on, for instance one with a proxy: it is lent, and
            never closed here. Or a function that makes one: it is called when the client opens,
            on the loop that the client uses, and what it made is closed with the client. In
            `hostup_sync`, whose loop is its own, only the function can be used. On either, each
            request asks the server to close its connection afterwards, and an action is not sent
            on a connection that carried a response before.
        on_event: A function that is called with each `Event`, on the thread of the client's event
            loop; it must not block, and what it raises is logged and otherwise ignored.
        allow_http: Allow an `http://` base that is not this machine: the key goes unencrypted.

    Raises:
        ConfigurationError: No key, or an argument that cannot be used; nothing was sent.

    Example:
        >>> def main():
        ...     with Client() as client:
        ...         operation = client.vps.reset("vps_01hxa3b4c5d6e7f8g9h0j1k2m3")
        ...         print(operation.wait(timeout=600))
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeouts: Timeouts | None = None,
        budget: Budget | None = None,
        session: Session | Callable[[], Session] | None = None,
        on_event: OnEvent | None = None,
        allow_http: bool = False,
    ) -> None:
        api_key = hide(api_key)
        made = hostup_async.Client(
            api_key,
            base_url=base_url,
            timeouts=timeouts,
            budget=budget,
            session=session,
            on_event=on_event,
            allow_http=allow_http,
        )
        super().__init__(made)

    def __repr__(self) -> str:
        return self._shown()

    @part
    def vps(self) -> VpsResource:
        """The VPSes of the key's account, one at a time."""
        return VpsResource._of(self._async.vps, self)

    @part
    def fleet(self) -> FleetResource:
        """Many VPSes at once."""
        return FleetResource._of(self._async.fleet, self)

    @part
    def budget(self) -> Budget:
        """The rate limit that it keeps to."""
        return self._async.budget

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)

    def open(self) -> Self:
        """Open the client, where no block can be its context: then you have to close it.

        Raises:
            ConfigurationError: It is open already.

        Example:
            >>> def main():
            ...     client = Client().open()
            ...     try:
            ...         print(client.vps.status("vps_01hxa3b4c5d6e7f8g9h0j1k2m3"))
            ...     finally:
            ...         client.close()
        """
        enter(self._home, self._async)
        return self

    def close(self) -> None:
        """Close the client: nothing more is sent, and an action that is being sent runs to its end.

        Calls that still wait raise `ClientClosed`, and their actions were not sent.
        """
        close(self._home, self._async, self._async.aclose)

    def operation(
        self,
        token_or_poll_url: str,
    ) -> Operation:
        """An operation begun earlier or elsewhere, from its token or its poll URL.

        Raises:
            ConfigurationError: It is neither, or was made for another API.
            UntrustedPollUrl: The poll URL leads away from this client's API.
        """
        return forward(
            self._home,
            lambda it: Operation._of(it, self),
            self._async.operation,
            token_or_poll_url,
        )

    def wait_all(
        self,
        operations: Iterable[Operation],
        *,
        timeout: Seconds = 600,
    ) -> Iterator[tuple[Operation, Job | HostUpError]]:
        """Wait for many operations at once; yields each as it ends, with its job or its error.

        Errors are yielded and not raised, so that one failure does not hide the others.

        Args:
            operations: What to wait for.
            timeout: How long for each, in seconds or as a `timedelta`.

        Example:
            >>> def reset_two(client, first, second):
            ...     operations = [client.vps.reset(first), client.vps.reset(second)]
            ...     for operation, result in client.wait_all(operations):
            ...         print(operation.vps_id, result)
        """
        return stream(
            self._home,
            lambda it: (Operation._of(it[0], self), it[1]),
            self._async.wait_all,
            Handle._each(operations),
            timeout=timeout,
        )


def open_store(
    store: str | os.PathLike[str] | Store | None,
    *,
    read_only: bool = False,
) -> AbstractContextManager[Store]:
    """Open a store, and close it at the end if it was opened here and nothing else uses it.

    Args:
        store: A path or `sqlite:///path` of a file, which is created if it does not exist and
            needs the extra `hostup[store]`; None for memory; or a `Store`, which is lent.
        read_only: Only read from the file, which then need not be writable: nothing is created,
            and a run whose process was killed is shown as it left it.

    Raises:
        ConfigurationError: That does not name a store.
        StoreError: The store cannot be opened.

    Example:
        >>> def show():
        ...     with open_store("fleet.db") as store:
        ...         for run in store.runs():
        ...             print(run.id, run.state, run.counts)
    """
    return Managed(
        ClientScope(),
        Store._of,
        hostup_async.open_store,
        store._async if isinstance(store, Store) else store,
        read_only=read_only,
    )
