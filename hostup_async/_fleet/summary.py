"""The snapshot and the report of a run, from the parts that it consists of."""

from typing import NamedTuple

from hostup_async._fleet.context import ClientParts
from hostup_async._fleet.engine import Engine
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.meters import Meters
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.report import FleetReport, RunSnapshot
from hostup_async._fleet.rollout import Rollout
from hostup_async._fleet.trail import AuditTrail
from hostup_async._store.base import Store


class RunParts(NamedTuple):
    """What a run consists of once it has begun."""

    store: Store
    journal: Journal
    engine: Engine
    meters: Meters
    trail: AuditTrail


def make_snapshot(
    run_id: str, plan: Plan, rollout: Rollout, parts: RunParts, client_parts: ClientParts
) -> RunSnapshot:
    """Where a run stands."""
    _, journal, engine, meters, _ = parts
    return RunSnapshot(
        run_id=run_id,
        total=len(plan),
        counts=dict(journal.counts),
        in_flight=engine.in_flight,
        window=engine.window(),
        is_held_back=engine.window() < client_parts.poller.concurrency_limit().wanted,
        seconds=meters.seconds,
        seconds_left=meters.seconds_left(plan.action, engine, journal, rollout),
        stopping=rollout.stop_reason,
        stop_cause=rollout.stop_cause,
        budget=client_parts.budget.snapshot(),
        canaries=engine.canaries,
        in_doubt=engine.evidence.in_doubt,
        doubt_seconds=engine.evidence.seconds_left,
        is_paused=engine.is_paused,
    )


def make_report(run_id: str, plan: Plan, rollout: Rollout, parts: RunParts) -> FleetReport:
    """What a run came to."""
    _, journal, _, meters, _ = parts
    return FleetReport(
        run_id=run_id,
        action=plan.action,
        outcomes=tuple(journal.all_outcomes()),
        seconds=meters.seconds,
        stopped=rollout.stop_reason,
        stop_cause=rollout.stop_cause,
        requests=meters.requests,
        limited=meters.limited,
        rate=meters.rate,
        floor=meters.floor(journal),
        held_back=meters.held_back,
    )
