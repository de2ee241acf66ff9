"""The facade over real sockets; how the client behaves is tested once, on the async one."""

import re
import threading
from collections.abc import Iterator

import pytest

import hostup_async
from hostup_sync import (
    Budget,
    Client,
    ClientClosed,
    ConfigurationError,
    Gates,
    Job,
    NotFound,
    RateLimit,
)
from hostup_sync.sandbox import (
    Durations,
    Fault,
    FaultRule,
    Limit,
    Sandbox,
    SandboxConfig,
    SandboxHandle,
    SandboxProcess,
)

QUICK = Durations(kind="constant", median=0.05)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(vps=130, jobs=QUICK)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
        yield client
    assert not [one for one in threading.enumerate() if one.name.startswith("hostup-helper")]


def test_everything_can_be_read(client: Client, sandbox: Sandbox) -> None:
    ids = [vps.id for vps in client.vps.list()]
    assert ids == list(sandbox.vps_ids)
    name = client.vps.get(ids[0]).name
    assert [vps.id for vps in client.vps.list(name=name)] == ids[:1]
    assert client.vps.details(ids[0]).id == ids[0]
    assert client.vps.status(ids[0]).power_state == "running"
    assert isinstance(client.vps.gates(ids[0]), Gates)
    with pytest.raises(NotFound):
        client.vps.get("vps_nobody")


@pytest.mark.parametrize("action", ["reset", "stop", "start", "shutdown", "restart"])
def test_every_action_is_followed_to_its_end(client: Client, sandbox: Sandbox, action: str) -> None:
    vps_id = sandbox.vps_ids[0]
    if action == "start":
        client.vps.stop(vps_id).wait()
    operation = getattr(client.vps, action)(vps_id)
    assert (operation.vps_id, operation.action) == (vps_id, action)
    assert operation.sent_at <= operation.accepted_at
    assert operation.wait(timeout=20).succeeded
    assert operation.poll() is operation.job
    again = client.operation(operation.token())
    assert (again.job_id, again.poll_url) == (operation.job_id, operation.poll_url)
    assert again.wait(timeout=20).succeeded


def test_operations_are_equal_and_usable_as_keys(client: Client, sandbox: Sandbox) -> None:
    numbers = {client.vps.reset(vps_id): n for n, vps_id in enumerate(sandbox.vps_ids[:5])}
    found = {}
    for operation, result in client.wait_all(numbers, timeout=20):
        assert isinstance(result, Job)
        found[operation] = numbers[operation]
    assert found == numbers
    assert client.vps == client.vps
    assert client.vps != client.fleet
    assert client.vps != "a resource"
    assert sandbox.books().reset_twice == ()


def test_handles_say_what_they_are(client: Client, sandbox: Sandbox) -> None:
    assert repr(client).startswith(f"<Client of {sandbox.url}, key ")
    assert sandbox.api_key not in repr(client)
    assert "Operation: reset" in repr(client.vps.reset(sandbox.vps_ids[0]))


def test_a_budget_is_one_object_in_both_packages(sandbox: Sandbox) -> None:
    budget = Budget(RateLimit(100, 10))
    assert isinstance(budget, hostup_async.Budget)
    with Client(sandbox.api_key, base_url=sandbox.url, budget=budget) as client:
        client.vps.get(sandbox.vps_ids[0])
        assert client.budget is budget
    assert budget.snapshot().left == 99


def test_a_client_is_opened_and_closed_like_the_async_one(sandbox: Sandbox) -> None:
    client = Client(sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(ClientClosed):
        client.vps.get(sandbox.vps_ids[0])
    client.close()
    with client:
        with pytest.raises(ConfigurationError, match="open already"), client:
            pytest.fail("never entered")
        client.vps.get(sandbox.vps_ids[0])
        client.close()
        client.close()
        with pytest.raises(ClientClosed):
            list(client.vps.list())
    with client:
        client.vps.get(sandbox.vps_ids[0])


def test_the_key_is_in_no_frame_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSTUP_API_KEY", raising=False)
    with pytest.raises(ConfigurationError) as raised:
        Client("sk_secret", base_url="ftp://nowhere")
    frames = [entry.frame.f_locals for entry in raised.traceback if "hostup" in str(entry.path)]
    ours = [values for values in frames if "raised" not in values]
    assert ours
    assert "sk_secret" not in repr([list(values.values()) for values in ours])


def test_the_sandboxes_have_their_sync_form_too() -> None:
    with SandboxProcess(SandboxConfig(vps=2)) as sandbox:
        assert isinstance(sandbox, SandboxHandle)
        assert sandbox.pid > 0
        assert sandbox.config.vps == 2
        sandbox.add_fault(FaultRule(Fault.HTML_502, on="get", times=1))
        sandbox.clear_faults()
        sandbox.set_limit(Limit(requests=10, seconds=60))
        with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
            client.vps.reset(sandbox.vps_ids[0])
        assert sandbox.books().total_requests == 1
        sandbox.reset_books()
        assert sandbox.books().total_requests == 0
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url


def test_a_client_is_opened_and_closed_without_a_block(sandbox: Sandbox) -> None:
    client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
    assert repr(client).endswith(", not open>")
    for _ in range(2):
        assert client.open() is client
        assert repr(client).endswith(", open>")
        assert client.vps.get(sandbox.vps_ids[0]).id == sandbox.vps_ids[0]
        with pytest.raises(ConfigurationError, match="open already"):
            client.open()
        client.close()
        assert repr(client).endswith(", not open>")
        with pytest.raises(ClientClosed):
            client.vps.get(sandbox.vps_ids[0])


def test_the_listener_runs_on_the_thread_of_the_loop(sandbox: Sandbox) -> None:
    threads: set[str] = set()
    client = Client(
        sandbox.api_key,
        base_url=sandbox.url,
        budget=Budget(),
        on_event=lambda _: threads.add(threading.current_thread().name),
    )
    with client:
        client.vps.get(sandbox.vps_ids[0])
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


def test_reprs_say_the_state_and_never_the_key(client: Client, sandbox: Sandbox) -> None:
    plan = client.fleet.plan(all=True, preflight="none")
    run = client.fleet.run(plan)
    operation = client.vps.reset(sandbox.vps_ids[0])
    assert repr(run) == f"<FleetRun {run.id}, not begun: reset of 130 VPSes>"
    assert f"reset of {sandbox.vps_ids[0]}" in repr(operation)
    assert repr(client.vps) == f"<VpsResource of {sandbox.url}>"
    assert repr(client.fleet) == f"<FleetResource of {sandbox.url}>"
    assert repr(sandbox) == f"<Sandbox, at {sandbox.url}: 130 VPSes>"
    handles = (client, client.vps, client.fleet, client.budget, operation, run, sandbox)
    assert not [one for one in handles if sandbox.api_key in repr(one)]
    with run:
        run.stop()
        assert re.match(f"<FleetRun {run.id}, (stopping|ended): ", repr(run))
    assert repr(run).startswith(f"<FleetRun {run.id}, ended: reset of 130 VPSes, ")
