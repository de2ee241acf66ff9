"""What a run is given by its client, and what all of its targets share."""

from attrs import frozen

from hostup_async._fleet.announce import Announcer
from hostup_async._fleet.evidence import Evidence
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.memory import Memory
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.rollout import Rollout
from hostup_async._http.requester import Requester
from hostup_async._operation import Operation
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.budget import Budget
from hostup_async._store.records import Entry
from hostup_async._token import OperationRef
from hostup_async._vps import VpsResource


@frozen
class RunContext:
    """What all targets of a run share.

    Attributes:
        possible_loss_within: Where the store may have lost what the run did: how many seconds ago
            it was begun. A planned VPS is then sent only if it has been running for longer.
    """

    run_id: str
    plan: Plan
    policy: FleetPolicy
    requester: Requester
    poller: Poller
    vps: VpsResource
    journal: Journal
    rollout: Rollout
    evidence: Evidence
    announcer: Announcer
    possible_loss_within: float | None = None


def operation_of(context: RunContext, entry: Entry) -> Operation:
    """The operation of an accepted entry."""
    ref = OperationRef(
        context.plan.origin,
        entry.vps_id,
        context.plan.action,
        entry.job_id,
        entry.poll_url,
        entry.sent_at,
        entry.accepted_at,
    )
    return Operation(context.requester, context.poller, ref)


@frozen
class ClientParts:
    """What a client lends to its runs."""

    requester: Requester
    poller: Poller
    vps: VpsResource
    budget: Budget
    fingerprint: str
    memory: Memory


def make_context(  # noqa: PLR0913 - each is a part of it
    run_id: str,
    plan: Plan,
    policy: FleetPolicy,
    *,
    parts: ClientParts,
    journal: Journal,
    rollout: Rollout,
    announcer: Announcer,
    possible_loss_within: float | None = None,
) -> RunContext:
    """What the targets of a run share, from what a client lends."""
    evidence = Evidence(
        plan.action,
        parts.requester,
        parts.poller,
        interval=policy.evidence_interval,
        patience=policy.job_timeout,
    )
    return RunContext(
        run_id,
        plan,
        policy,
        parts.requester,
        parts.poller,
        parts.vps,
        journal,
        rollout,
        evidence,
        announcer,
        possible_loss_within,
    )
