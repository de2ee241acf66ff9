"""Time and jobs in the hands of a test, on each kind of handle."""

import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest
from sandbox_tools import Caller, Desk, calling, eventually, served

from hostup_async.sandbox import (
    Durations,
    Fault,
    FaultRule,
    JobRule,
    Limit,
    RemoteSandbox,
    Sandbox,
    SandboxConfig,
    SandboxHandle,
    SandboxProcess,
    ThreadedSandbox,
)

ENDLESS = {"median": 600.0}


class InAThread(SandboxHandle):
    """A `ThreadedSandbox` behind the methods of the other handles."""

    def __init__(self, config: SandboxConfig) -> None:
        super().__init__(config)
        self.threaded = ThreadedSandbox(config)

    async def __aenter__(self) -> Self:
        self._url = self.threaded.__enter__().url
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.threaded.__exit__(*exc)

    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        rules = {"add_fault": FaultRule, "add_job_rule": JobRule}
        arguments = [rules[name](**settings)] if name in rules else []
        found = getattr(self.threaded, name)(*arguments, **({} if arguments else settings))
        return {"requests": [one.to_dict() for one in found]} if name == "request_log" else {}


@pytest.fixture(params=["here", "in a thread", "in a process", "remote"])
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Enters a handle of each kind, with a caller on it."""
    async with AsyncExitStack() as stack:

        async def enter(**settings: Any) -> Caller:
            config = SandboxConfig(**settings)
            handle: Any = {"in a thread": InAThread, "in a process": SandboxProcess}.get(
                request.param, Sandbox
            )(config)
            await stack.enter_async_context(handle)
            if request.param == "remote":
                handle = await stack.enter_async_context(RemoteSandbox(handle.url, config))
            return await stack.enter_async_context(calling(handle))

        yield enter


async def status_of(caller: Caller, reset: Any) -> str:
    poll = await caller("GET", reset.json["operation"]["pollUrl"])
    return str(poll.json["operation"]["status"])


async def uptime(caller: Caller, vps: int = 0) -> float:
    found = await caller("GET", f"/api/v2/vps/{caller.sandbox.vps_ids[vps]}/status")
    return float(found.json["uptimeSeconds"])


async def test_each_handle_moves_time_and_ends_jobs(start: Any) -> None:
    caller = await start(
        vps=3,
        frozen=True,
        jobs=ENDLESS,
        limit={"requests": 8, "seconds": 3600},
        job_rules=[JobRule("failed", skip=1, times=1, error="no disk")],
    )
    sandbox = caller.sandbox
    resets = [await caller.reset(n) for n in range(3)]
    assert [await status_of(caller, reset) for reset in resets] == ["queued"] * 3
    await sandbox.advance(600)
    assert [await status_of(caller, reset) for reset in resets[:2]] == ["completed", "failed"]
    assert (await caller("GET", "/api/v2/vps")).status == 429
    await sandbox.advance(3000)
    assert await uptime(caller) == 3000
    await caller.reset(0)
    await sandbox.finish(sandbox.vps_ids[0], error="the kernel is gone")
    log = await sandbox.request_log()
    assert [one.kind for one in log] == [*["reset"] * 3, *["poll"] * 5, "list", "status", "reset"]
    assert [one.at for one in log] == [*[0.0] * 6, *[600.0] * 3, *[3600.0] * 2]
    assert log[0].vps_id == log[3].vps_id == sandbox.vps_ids[0]
    assert log[0].headers["authorization"] == "Bearer ***"
    await sandbox.unfreeze()
    await sandbox.freeze()
    await sandbox.clear_job_rules()
    await sandbox.add_job_rule(JobRule("no_effect"))


MISUSES: list[tuple[str, Any, str]] = [
    ("advance", -1, "seconds must be 0 or more, not -1"),
    ("advance", "ten", "seconds must be a number, not 'ten'"),
    ("advance", float("inf"), "seconds must be 0 or more"),
    ("advance", float("nan"), "seconds must be 0 or more"),
    ("finish", "moon", "no VPS with the id 'moon'"),
    ("finish", "db-1", "the VPS with that name is 'a'"),
    ("finish", "a", "VPS 'a' has no job that could be finished: it never had one"),
    ("finish", "b", "VPS 'b' has no job that could be finished: its last one has ended"),
    ("add_job_rule", JobRule("failed", vps_ids=["moon"]), "no VPS 'moon'"),
    ("add_fault", FaultRule(Fault.STALL, vps_ids=["moon"]), "no VPS 'moon'"),
]


async def test_each_handle_refuses_a_misuse_at_once(start: Any) -> None:
    caller = await start(ids=["a", "b"], names=["db-1"], jobs={"kind": "instant"})
    await caller.reset(1)
    for name, argument, text in MISUSES:
        with pytest.raises(ValueError, match=text):
            await getattr(caller.sandbox, name)(argument)


@pytest.mark.parametrize("handle", [Sandbox, SandboxProcess, ThreadedSandbox])
async def test_a_command_before_the_start_says_what_is_missing(handle: Any) -> None:
    async def command() -> None:
        await handle().advance(1)

    with pytest.raises(RuntimeError, match=f"{handle.__name__} is not running: enter it"):
        await command()


def test_the_threaded_handle_has_the_methods_of_the_others() -> None:
    for name, method in inspect.getmembers(SandboxHandle, inspect.iscoroutinefunction):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(ThreadedSandbox, name))
            assert ours.parameters.keys() == inspect.signature(method).parameters.keys(), name


async def test_time_that_is_not_frozen_goes_on_after_a_move() -> None:
    async with served(vps=1, uptime_step=0.001, jobs={"kind": "instant"}) as caller:
        await caller.reset()
        await caller.sandbox.advance(50)
        first = await uptime(caller)
        await caller.sandbox.freeze()
        second = await uptime(caller)
        assert 50 <= first <= second == await uptime(caller)
        await caller.sandbox.unfreeze()

        async def is_later() -> bool:
            return await uptime(caller) > second

        assert await eventually(is_later)


def test_everything_that_has_a_time_moves() -> None:
    desk = Desk(
        vps=2,
        cooldown=100,
        forget_after=1000,
        jobs=ENDLESS,
        action_limit=Limit(requests=2, seconds=500, kind="bucket"),
        headers_on="always",
    )
    job = desk.accepted()
    date = desk.call("GET", "/api/v2/vps").headers["Date"]
    assert desk.act().status == 409
    desk.advance(99)
    assert desk.act().status == 429
    desk.advance(501)
    assert desk.act(action="restart").status == 202
    assert desk.uptime() == 0
    desk.advance(999)
    assert desk.get(job["pollUrl"])["operation"]["status"] == "completed"
    assert desk.uptime() == 399
    desk.advance(1)
    assert desk.call("GET", job["pollUrl"]).status == 404
    assert desk.call("GET", "/api/v2/vps").headers["Date"] > date


def test_thousands_of_jobs_end_by_one_move_in_no_time() -> None:
    desk = Desk(vps=2000, jobs=ENDLESS)
    for n in range(2000):
        desk.act(n)
    began = time.process_time()
    desk.advance(600)
    done = desk.api.books().resets
    assert len(done) == 2000
    assert time.process_time() - began < 1


def test_finish_ends_the_oldest_job_as_it_is_told() -> None:
    desk = Desk(ids=["a"], jobs=ENDLESS, job_rules=[JobRule("never", times=1)])
    first, second = desk.accepted(), desk.accepted()
    desk.advance(5)
    desk.api.finish("a", None)
    assert desk.uptime() == 0
    states = [desk.get(job["pollUrl"])["operation"]["status"] for job in (first, second)]
    assert states == ["completed", "queued"]
    desk.api.finish("a", "The disk is full.")
    found = desk.get(second["pollUrl"])["operation"]
    assert (found["status"], found["result"]["error"]) == ("failed", "The disk is full.")
    desk.advance(10_000)
    assert desk.uptime() == 10_000
    books = desk.api.books()
    assert books.resets == {"a": 1}
    assert [job.finished for job in books.jobs.values()] == [5, 5]


def test_a_forgotten_job_can_be_finished() -> None:
    desk = Desk(ids=["a"], jobs=ENDLESS, faults=[FaultRule(Fault.FORGOTTEN_JOB)])
    desk.act()
    desk.api.finish("a", None)
    assert desk.uptime() == 0
    assert desk.api.books().resets == {"a": 1}


def ends(desk: Desk, *vps: int) -> list[str]:
    jobs = [desk.accepted(n) for n in vps]
    desk.advance(1e6)
    found = [desk.get(job["pollUrl"])["operation"] for job in jobs]
    return [f"{one['status']} {(one['result'] or {}).get('error', '')}".strip() for one in found]


def test_rules_say_how_the_jobs_end() -> None:
    rules = [
        JobRule("failed", skip=1, times=1, error="second"),
        JobRule("failed", skip=3, times=1, error="fourth"),
        JobRule("success_false", vps_ids=["b"], skip=1, error="second of b"),
    ]
    desk = Desk(ids=["a", "b"], job_rules=rules)
    assert ends(desk, 0, 0, 1, 0, 1) == [
        "completed", "failed second", "completed", "failed fourth", "completed second of b",
    ]  # fmt: skip


def test_a_rule_can_count_for_each_vps() -> None:
    rule = JobRule("failed", skip=1, times=1, each_vps=True, error="x")
    assert ends(Desk(vps=2, job_rules=[rule]), 0, 1, 0, 0, 1) == [
        "completed", "completed", "failed x", "completed", "failed x",
    ]  # fmt: skip


def test_a_rule_sets_how_long_a_job_takes_and_whether_it_ends() -> None:
    rules = [JobRule("completed", on="reset", seconds=9, times=1), JobRule("never", on="reset")]
    desk = Desk(vps=2, job_rules=rules)
    first, second, other = desk.accepted(0), desk.accepted(1), desk.accepted(1, "restart")
    desk.advance(8.9)
    assert desk.get(first["pollUrl"])["operation"]["status"] == "in_progress"
    assert desk.get(other["pollUrl"])["operation"]["status"] == "completed"
    desk.advance(1e9)
    assert desk.get(first["pollUrl"])["operation"]["status"] == "completed"
    assert desk.get(second["pollUrl"])["operation"]["status"] == "in_progress"


def test_a_job_that_has_no_effect_leaves_the_vps_as_it_is() -> None:
    desk = Desk(vps=1, job_rules=[JobRule("no_effect")])
    before = desk.uptime()
    assert ends(desk, 0) == ["completed"]
    assert desk.uptime() > before


def test_a_fault_hits_the_second_request_alone() -> None:
    desk = Desk(vps=2, faults=[FaultRule(Fault.ERROR_500, on="list", skip=1, times=1)])
    found = [desk.call("GET", "/api/v2/vps").status for _ in range(3)]
    assert found == [200, 500, 200]


def test_vpses_have_the_names_and_ids_that_they_are_given() -> None:
    config = SandboxConfig(ids=["vps_db"], names=["db-1", "web-1"])
    assert (config.vps, config.vps_ids[0]) == (2, "vps_db")
    desk = Desk(**config.to_dict())
    rows = desk.get("/api/v2/vps")["data"]
    assert [row["name"] for row in rows] == ["db-1", "web-1"]
    assert [row["id"] for row in rows] == list(config.vps_ids)
    assert len(desk.get("/api/v2/vps?name=db-1")["data"]) == 1
    assert SandboxConfig(vps=3, names=["db-1"]).vps == 3


async def test_the_log_has_each_request_without_the_key() -> None:
    async with served(vps=1) as caller:
        key = caller.sandbox.api_key
        await caller("GET", f"/api/v2/vps?name={key}&limit=3", headers={"X-One": f"x{key}"})
        await caller("GET", f"/nowhere/{key}", headers={"Authorization": "Bearer another"})
        first, second = await caller.sandbox.request_log()
        await caller.sandbox.reset_books()
        assert await caller.sandbox.request_log() == ()
    assert (first.method, first.path, first.status) == ("GET", "/api/v2/vps", 200)
    assert first.query == {"name": "***", "limit": "3"}
    assert first.headers["x-one"] == "x***"
    assert (second.path, second.status) == ("/nowhere/***", 401)
    assert second.headers["authorization"] == "Bearer ***"
    assert "host" in second.headers


def test_jobs_draw_the_same_with_and_without_rules() -> None:
    settings: Any = {"vps": 1, "jobs": Durations(kind="lognormal", median=9), "seed": 4}
    plain, ruled = Desk(**settings), Desk(**settings, job_rules=[JobRule("failed", times=1)])
    for desk in (plain, ruled):
        desk.accepted()
        desk.accepted()
    ends_at = [
        [job.finished for job in desk.api._fleet.machines[desk.ids[0]].jobs]
        for desk in (plain, ruled)
    ]
    assert ends_at[0] == ends_at[1]
