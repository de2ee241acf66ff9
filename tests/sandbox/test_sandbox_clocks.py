"""Tests whose time stands still, or jumps: neither the sandbox nor a client hangs or misjudges."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest
from virtual_time import NetworkLoop

from hostup_async import Budget, Client, FleetPolicy, FleetReport
from hostup_async.sandbox import (
    Durations,
    Fault,
    FaultRule,
    Limit,
    Sandbox,
    SandboxConfig,
    SandboxHandle,
    SandboxProcess,
)

YEAR_2033 = 2_000_000_000.0
SHORT = SandboxConfig(
    vps=3,
    uptime_step=0.01,
    jobs=Durations(median=0.2),
    limit=Limit(requests=10, seconds=1),
    faults=[FaultRule(Fault.LOST_REPLY, skip=1, times=1)],
)


def machine_time() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@asynccontextmanager
async def client_on(sandbox: SandboxHandle) -> AsyncIterator[Client]:
    async with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
        yield client


async def reset_all(sandbox: SandboxHandle) -> FleetReport:
    async with client_on(sandbox) as client:
        plan = await client.fleet.plan(all=True)
        async with client.fleet.run(plan, FleetPolicy(canary=1)) as run:
            report = await run.wait()
    books = await sandbox.books()
    assert books.reset_twice == ()
    assert {outcome.vps_id for outcome in report.outcomes} == books.resets.keys()
    return report


def statuses(report: FleetReport) -> set[str]:
    return {outcome.status.value for outcome in report.outcomes}


@contextmanager
def stand_in() -> Iterator[None]:
    """What the libraries that freeze time do, without one of them: `time.time` stands still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: YEAR_2033)
        patch.setattr("hostup_async._clock.wall", time.time)
        yield


def frozen(library: str) -> AbstractContextManager[Any]:
    if library == "stand-in":
        return stand_in()
    module = pytest.importorskip(library)
    if library == "time_machine":
        return module.travel(YEAR_2033, tick=False)  # type: ignore[no-any-return]
    return module.freeze_time("2033-05-18", real_asyncio=True)  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def known_moments(precise_uptime: None) -> None:
    """Evidence of a reset comes soon."""


LIBRARIES = pytest.mark.parametrize("library", ["stand-in", "freezegun", "time_machine"])


@pytest.mark.parametrize(
    ("library", "handle"),
    [
        ("stand-in", Sandbox),
        ("freezegun", Sandbox),
        ("time_machine", Sandbox),
        ("stand-in", SandboxProcess),
    ],
)
def test_a_fleet_is_reset_while_wall_time_stands_still(library: str, handle: Any) -> None:
    async def main() -> FleetReport:
        async with handle(SHORT) as sandbox:
            return await reset_all(sandbox)

    with frozen(library):
        assert statuses(asyncio.run(main())) == {"completed"}


@LIBRARIES
def test_time_that_is_frozen_amid_a_test_moves_no_job(library: str) -> None:
    async def main() -> None:
        config = SandboxConfig(vps=2, jobs=Durations(median=600))
        async with Sandbox(config) as sandbox, client_on(sandbox) as client:
            await client.vps.reset(sandbox.vps_ids[0])
            with frozen(library):
                operation = await client.vps.reset(sandbox.vps_ids[1])
                assert (await operation.poll()).is_final is False
                await sandbox.advance(600)
                assert (await operation.wait(timeout=60)).status == "completed"
            finished = {job.status for job in (await sandbox.books()).jobs.values()}
            assert finished == {"completed"}

    asyncio.run(main())


@pytest.mark.parametrize("library", ["freezegun"])
def test_a_monotonic_clock_that_stands_still_stops_no_sandbox(library: str) -> None:
    async def main() -> None:
        config = SandboxConfig(vps=1, uptime_step=0.001, jobs=Durations(kind="instant"))
        async with Sandbox(config) as sandbox, client_on(sandbox) as client:
            with importlib.import_module(library).freeze_time("2033-05-18"):
                await client.vps.reset(sandbox.vps_ids[0])
                first = (await client.vps.status(sandbox.vps_ids[0])).uptime_seconds
                second = (await client.vps.status(sandbox.vps_ids[0])).uptime_seconds
            assert first is not None
            assert second is not None
            assert first < second < 1000

    pytest.importorskip(library)
    asyncio.run(main())


def jumping(main: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    """Run on a loop whose time jumps; with how far it came, in seconds."""
    with asyncio.Runner(loop_factory=NetworkLoop) as runner:
        return runner.run(main), runner.get_loop().time()


def test_on_a_loop_that_jumps_an_hour_of_jobs_and_limits_takes_moments() -> None:
    async def main() -> FleetReport:
        config = SandboxConfig(
            vps=4, jobs=Durations(median=600), limit=Limit(requests=10, seconds=60)
        )
        async with Sandbox(config) as sandbox:
            report = await reset_all(sandbox)
            assert (await sandbox.books()).refused < 5
            return report

    began = machine_time()
    report, passed = jumping(main())
    assert statuses(report) == {"completed"}
    assert 1200 < passed < 20_000
    assert machine_time() - began < 60


def test_on_a_loop_that_jumps_the_evidence_is_not_misread() -> None:
    async def main() -> FleetReport:
        rule = FaultRule(Fault.LOST_REPLY, each_vps=True, times=1)
        config = SandboxConfig(vps=4, jobs=Durations(median=30), faults=[rule])
        async with Sandbox(config) as sandbox:
            return await reset_all(sandbox)

    report, passed = jumping(main())
    assert statuses(report) == {"completed"}
    assert passed > 30


def test_on_a_loop_that_jumps_a_time_out_comes_when_it_should() -> None:
    async def main() -> None:
        config = SandboxConfig(vps=1, frozen=True)
        async with Sandbox(config) as sandbox, client_on(sandbox) as client:
            operation = await client.vps.reset(sandbox.vps_ids[0])
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(TimeoutError):
                await operation.wait(timeout=600)
            assert 600 <= loop.time() - began < 700

    jumping(main())
