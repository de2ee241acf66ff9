"""Read by mypy and pyright: what users of `hostup_sync` see. Never run."""

from collections.abc import Iterator
from typing import Any, assert_type

from hostup_sync import (
    Accepted,
    Action,
    Budget,
    BudgetSnapshot,
    Client,
    Event,
    FleetFailed,
    FleetPolicy,
    FleetReport,
    FleetResource,
    Gate,
    Gates,
    HostUpError,
    Job,
    OnAmbiguous,
    Operation,
    Plan,
    Preflight,
    RateLimit,
    RunEnded,
    Vps,
    VpsDetails,
    VpsResource,
    VpsStatus,
)
from hostup_sync.sandbox import Books, Sandbox, SandboxConfig


def read(client: Client) -> None:
    assert_type(client.vps, VpsResource)
    assert_type(client.vps.list(name="a"), Iterator[Vps])
    assert_type(client.vps.get("a"), Vps)
    assert_type(client.vps.details("a"), VpsDetails)
    assert_type(client.vps.status("a"), VpsStatus)
    assert_type(client.vps.gates("a"), Gates)
    assert_type(client.vps.gates("a").of(Action.RESET), Gate | None)
    for vps in client.vps.list():
        assert_type(vps, Vps)


def act(client: Client) -> None:
    operation = client.vps.restart("a", force=True)
    assert_type(operation, Operation)
    assert_type(operation.wait(timeout=1), Job)
    assert_type(operation.poll(), Job)
    assert_type(operation.token(), str)
    assert_type(operation.sent_at, float | None)
    assert_type(client.operation("token"), Operation)
    for one, result in client.wait_all([operation]):
        assert_type(one, Operation)
        assert_type(result, Job | HostUpError)


def enter() -> None:
    with Sandbox(SandboxConfig()) as sandbox, Client(budget=Budget(RateLimit(1, 1))) as client:
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.books(), Books)
        assert_type(client, Client)
        assert_type(client.budget.snapshot(), BudgetSnapshot)
        client.close()


def words(client: Client) -> None:
    plan = client.fleet.plan(all=True, action="restart", preflight="gates")
    assert_type(plan, Plan)
    client.fleet.plan(all=True, action=Action.RESTART, preflight=Preflight.GATES)
    client.fleet.plan(all=True, action="reboot")  # type: ignore[arg-type]
    client.fleet.plan(all=True, preflight="lists")  # type: ignore[arg-type]
    assert_type(FleetPolicy(on_ambiguous="resend").on_ambiguous, OnAmbiguous)
    FleetPolicy(on_ambiguous=OnAmbiguous.RESEND)
    FleetPolicy(on_ambiguous="send")  # type: ignore[arg-type]
    assert_type(Plan(action="reset", origin="https://a", ids=[]).action, Action)
    Plan(action="rest", origin="https://a", ids=[])  # type: ignore[arg-type]
    assert_type(Gates().of("stop"), Gate | None)


def data(report: FleetReport, error: FleetFailed, event: Event) -> None:
    assert_type(report.to_dict(), dict[str, Any])
    assert_type(error.report, FleetReport | None)
    assert_type((event.run_id, event.vps_id), tuple[str | None, str | None])
    assert_type((event.at, event.attempt, event.request_id), tuple[float, int | None, str | None])
    if isinstance(event, Accepted):
        assert_type(event.vps_id, str)
    if isinstance(event, RunEnded):
        assert_type(event.run_id, str)


def without_a_block(client: Client) -> None:
    assert_type(client.open(), Client)
    assert_type(client.budget, Budget)
    assert_type(client.fleet, FleetResource)
    client.close()
