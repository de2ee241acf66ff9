"""The shared budget, on virtual time, and across threads on real time."""

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VIRTUAL, VirtualLoop, now

from hostup_async import Budget, ConfigurationError, RateLimit, RateLimited
from hostup_async._ratelimit import RateLimitReading


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL


def make_budget(limit: RateLimit | None = None, **options: Any) -> Budget:
    return Budget(limit, clock=lambda: asyncio.get_running_loop().time(), **options)


async def take(budget: Budget, order: list[int], number: int) -> float:
    await budget.acquire()
    order.append(number)
    budget.release()
    return now()


async def test_a_known_limit_is_kept_and_the_order_too() -> None:
    budget = make_budget(RateLimit(3, 10))
    order: list[int] = []
    moments = await asyncio.gather(*(take(budget, order, n) for n in range(8)))
    assert order == list(range(8))
    assert moments == [0, 0, 0, 10, 10, 10, 20, 20]


async def test_newcomers_do_not_overtake() -> None:
    budget = make_budget(RateLimit(1, 10))
    order: list[int] = []
    tasks = [asyncio.create_task(take(budget, order, n)) for n in range(3)]
    await asyncio.sleep(10)
    tasks.append(asyncio.create_task(take(budget, order, 3)))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_a_refusal_pauses_everyone_until_the_named_moment() -> None:
    budget = make_budget()
    await budget.acquire()
    assert budget.release(refused=True, reading=RateLimitReading(retry_after=17.0)) == 17
    snapshot = budget.snapshot()
    assert (snapshot.paused, snapshot.wait, snapshot.refusals) == (True, 17, 1)
    order: list[int] = []
    assert await asyncio.gather(*(take(budget, order, n) for n in range(5))) == [17] * 5


async def test_refusals_in_flight_are_one_pause_that_is_extended_at_most() -> None:
    budget = make_budget()
    for _ in range(200):
        await budget.acquire()
    pauses = [
        budget.release(refused=True, reading=RateLimitReading(retry_after=wait))
        for wait in [5.0] * 100 + [7.0] * 100
    ]
    assert [pause for pause in pauses if pause is not None] == [5.0]
    assert budget.snapshot().wait == 7


async def test_a_refusal_without_a_moment_pauses_30_seconds_and_then_twice_as_long() -> None:
    budget = make_budget()
    waits = []
    for _ in range(3):
        await budget.acquire()
        waits.append(budget.release(refused=True))
        await asyncio.sleep(budget.snapshot().wait)
    assert waits == [30, 60, 120]
    await budget.acquire()
    budget.release()
    await budget.acquire()
    assert budget.release(refused=True) == 30


async def test_a_refusal_that_says_now_is_not_tried_in_a_tight_loop() -> None:
    budget = make_budget()
    await budget.acquire()
    assert budget.release(refused=True, reading=RateLimitReading(retry_after=0.0)) == 0.1


async def test_the_headers_of_a_success_are_kept_to() -> None:
    budget = make_budget()
    await budget.acquire()
    budget.release(reading=RateLimitReading(limit=10, remaining=2, reset_after=30.0))
    assert budget.snapshot().left == 2
    order: list[int] = []
    assert await asyncio.gather(*(take(budget, order, n) for n in range(3))) == [0, 0, 30]


async def test_a_wait_known_to_be_too_long_fails_at_once() -> None:
    budget = make_budget(max_wait=60)
    await budget.acquire()
    budget.release(refused=True, reading=RateLimitReading(retry_after=1_000_000.0))
    with pytest.raises(RateLimited, match="1000000 s"):
        await budget.acquire()
    assert now() == 0


async def test_nobody_waits_longer_than_allowed() -> None:
    budget = make_budget(RateLimit(1, 10))
    waits = [asyncio.create_task(budget.acquire(max_wait=25)) for _ in range(5)]
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [RateLimited] * 2
    assert now() == 25


async def test_what_was_never_sent_costs_nothing_and_what_was_sent_twice_costs_two() -> None:
    budget = make_budget(RateLimit(10, 60))
    for sends in (0, 1, 2):
        await budget.acquire()
        budget.release(sends=sends)
    assert budget.snapshot().left == 7


async def test_a_waiter_cancelled_while_it_queues_lets_the_next_one_go() -> None:
    budget = make_budget(RateLimit(1, 10))
    order: list[int] = []
    tasks = [asyncio.create_task(take(budget, order, n)) for n in range(4)]
    await asyncio.sleep(5)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 2, 3]
    assert now() == 20


async def test_a_waiter_cancelled_in_the_tick_of_its_grant_gives_the_permit_back() -> None:
    budget = make_budget(RateLimit(1, 10))
    order: list[int] = []
    await take(budget, order, 0)
    first = asyncio.create_task(take(budget, order, 1))
    second = asyncio.create_task(take(budget, order, 2))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(
        10, lambda: asyncio.get_running_loop().call_soon(first.cancel)
    )
    await asyncio.gather(first, second, return_exceptions=True)
    assert order == [0, 2]
    assert budget.snapshot().in_flight == 0


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "answer", "refuse", "unsent", "cancel", "sleep"]),
        st.integers(0, 9),
    ),
    max_size=60,
)


@given(steps=STEPS, limit=st.none() | st.builds(RateLimit, st.integers(1, 4), st.integers(1, 9)))
@settings(max_examples=150, deadline=None)
def test_no_permit_is_lost_or_made_whatever_happens(
    steps: list[Step], limit: RateLimit | None
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play(steps, make_budget(limit)))


async def play(steps: list[Step], budget: Budget) -> None:
    waiting: list[asyncio.Task[None]] = []
    holding = 0
    for step, number in steps:
        match step:
            case "acquire":
                waiting.append(asyncio.create_task(budget.acquire()))
            case "cancel" if waiting:
                waiting.pop(number % len(waiting)).cancel()
            case "sleep":
                await asyncio.sleep(number)
            case "answer" | "refuse" | "unsent" if holding:
                holding -= 1
                budget.release(sends=int(step != "unsent"), refused=step == "refuse")
        await asyncio.sleep(0)
        granted = [task for task in waiting if task.done() and not task.cancelled()]
        holding += len([task for task in granted if task.exception() is None])
        waiting = [task for task in waiting if not task.done()]
    for task in waiting:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    holding += sum(result is None for result in results)
    assert budget.snapshot().in_flight == holding
    assert budget.snapshot().queued == 0
    await asyncio.sleep(1000)
    await budget.acquire()


@pytest.mark.parametrize("requests", [0, -1, 1.5, True, "10"])
def test_a_limit_that_allows_nothing_is_refused(requests: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        RateLimit(requests, 10)


@pytest.mark.parametrize("window", [0, -1, float("nan"), float("inf"), "10", None])
def test_a_window_that_is_no_length_of_time_is_refused(window: Any) -> None:
    with pytest.raises(ConfigurationError, match="window"):
        RateLimit(10, window)


def test_event_loops_in_several_threads_share_one_limit_in_order() -> None:
    budget = Budget(RateLimit(20, 0.2))
    moments: list[float] = []

    async def work() -> None:
        async def one() -> None:
            await budget.acquire()
            moments.append(asyncio.get_running_loop().time())
            budget.release()

        await asyncio.gather(*(one() for _ in range(20)))

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    moments.sort()
    assert len(moments) == 80
    # A permit is granted on one thread and noted on another: allow the hand-over some time.
    assert all(later - first > 0.15 for first, later in zip(moments, moments[20:], strict=False))


def test_a_loop_that_ends_takes_no_permit_with_it() -> None:
    budget = Budget(RateLimit(1, 0.1))

    async def leave_a_waiter() -> None:
        await budget.acquire()
        budget.release()
        left = asyncio.create_task(budget.acquire())
        await asyncio.sleep(0)
        assert not left.done()

    asyncio.run(leave_a_waiter())
    asyncio.run(asyncio.wait_for(budget.acquire(), 5))
    budget.release()
    assert budget.snapshot().in_flight == 0
