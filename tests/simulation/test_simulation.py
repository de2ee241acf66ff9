"""The simulation's own parts: a tool that proves things has to be right itself."""

import asyncio
import random

import pytest
from attrs import evolve
from simulation.api import Call, SimulatedApi
from simulation.chance import Chance
from simulation.loop import PROCESS, NeverEnds, Process, SimulatedLoop
from simulation.play import play
from simulation.setup import make_setup
from simulation.shrink import _leave_out


@pytest.fixture(autouse=True)
def short_waits() -> None:
    """Overrides that of all tests: a history has time, and the real waits are to be proved."""


def run_in(loop: SimulatedLoop, process: Process, seconds: float, done: list[str]) -> None:
    async def work() -> None:
        await asyncio.sleep(seconds)
        done.append(process.name)

    process.context.run(loop.create_task, work())


def sleep(loop: SimulatedLoop, seconds: float) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


def test_a_suspended_process_goes_on_where_it_stood() -> None:
    loop, process, done = SimulatedLoop(), Process("one"), list[str]()
    run_in(loop, process, 5.0, done)
    sleep(loop, 1.0)
    loop.suspend(process)
    sleep(loop, 100.0)
    assert done == []
    loop.resume(process)
    sleep(loop, 0.0)
    sleep(loop, 0.0)
    assert done == ["one"]
    loop.close()


def test_each_process_has_a_monotonic_clock_of_its_own() -> None:
    loop, process, done = SimulatedLoop(), Process("one", monotonic_off=1e5), list[str]()
    assert process.context.run(loop.time) - loop.now == 1e5
    run_in(loop, process, 5.0, done)
    sleep(loop, 5.1)
    assert done == ["one"]
    assert PROCESS.get() is None
    loop.close()


def test_a_deadlock_is_seen() -> None:
    loop = SimulatedLoop()
    with pytest.raises(NeverEnds):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_a_seed_orders_what_is_ready() -> None:
    orders = set[tuple[int, ...]]()
    for seed in range(20):
        loop, seen = SimulatedLoop(random.Random(seed).randrange), list[int]()
        for number in range(4):
            loop.call_soon(seen.append, number)
        sleep(loop, 1.0)
        loop.close()
        assert sorted(seen) == [0, 1, 2, 3]
        orders.add(tuple(seen))
    assert len(orders) > 5


def test_a_deviation_that_is_left_out_changes_no_other_draw() -> None:
    whole, part = Chance(1), Chance(1, frozenset({"stall/a/3"}))
    fired = [[chance.fires("stall", 0.5, "a") for _ in range(9)] for chance in (whole, part)]
    different = [one != other for one, other in zip(*fired, strict=True)]
    assert sum(different) <= 1
    assert [whole.draw("x") for _ in range(3)] == [part.draw("x") for _ in range(3)]


def test_shrinking_leaves_what_is_needed() -> None:
    fired = [str(number) for number in range(40)]

    def still_fails(without: frozenset[str]) -> bool:
        left = [name for name in fired if name not in without]
        if {"7", "31"} <= set(left):
            fired[:] = left
            return True
        return False

    _leave_out(lambda: list(fired), still_fails)
    assert fired == ["7", "31"]


def test_a_job_has_its_whole_course_from_the_beginning() -> None:
    loop, chance = SimulatedLoop(), Chance(3)
    setup = evolve(make_setup(3, chance), rates={}, limit=None, job_failures=0.0)
    accepted = list[str]()
    api = SimulatedApi(loop, chance, setup, lambda machine: accepted.append(machine.id))
    vps_id = next(iter(api.machines))
    before = api.machines[vps_id].uptime(loop.now)
    answer = api.answer(Call("POST", "reset", vps_id))
    assert answer.status == 202
    assert accepted == [vps_id]
    [job] = api.machines[vps_id].jobs
    sleep(loop, job.ends_at - loop.now + 1.0)
    assert b"completed" in api.answer(Call("GET", "poll", job_id=job.id)).body
    assert api.machines[vps_id].uptime(loop.now) < before
    loop.close()


def test_leaving_out_all_faults_makes_a_calm_history() -> None:
    noisy = next(result for seed in range(40) if len((result := play(seed)).fired) > 5)
    without, calm = frozenset[str](), noisy
    while kinds := frozenset(name.partition("/")[0] for name in calm.fired):
        assert kinds.isdisjoint(without)
        without |= kinds
        calm = play(noisy.seed, without)
    assert calm.broken == ()
