"""The shared budget, on virtual time, and across threads on real time."""

import asyncio
import contextlib
import threading
from math import inf
from typing import Any

import pytest
from virtual_time import VIRTUAL, now, suspend

from hostup_async import Budget, Client, ConfigurationError, RateLimit, RateLimited, WaitReason
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit

ACTION, POLL, PREFLIGHT = RequestClass


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL


def make_limiter(limit: RateLimit | None = None, **options: Any) -> RateLimiter:
    return Budget(limit, clock=lambda: asyncio.get_running_loop().time(), **options)._limiter


def named(limit: int, wait: float) -> RateLimitReading:
    return RateLimitReading(limit=limit, remaining=0, reset_after=wait, retry_after=wait)


async def take(
    limiter: RateLimiter, order: list[Any], number: Any, kind: RequestClass = ACTION, **options: Any
) -> float:
    permit = await limiter.acquire(kind, **options)
    order.append(number)
    permit.spend()
    return now()


async def be_refused(limiter: RateLimiter, wait: float, limit: int = 10) -> float | None:
    return (await limiter.acquire()).spend(throttled=True, reading=named(limit, wait))


async def test_a_known_limit_is_kept_and_the_order_too() -> None:
    limiter, order = make_limiter(RateLimit(3, 10)), list[int]()
    moments = await asyncio.gather(*(take(limiter, order, n) for n in range(8)))
    assert order == list(range(8))
    assert moments == [0, 0, 0, 10, 10, 10, 20, 20]


async def fill(limiter: RateLimiter) -> list[Permit]:
    """Have as many in flight as are allowed while nothing is known."""
    held: list[Permit] = []
    with contextlib.suppress(RateLimited):
        while True:
            held.append(await limiter.acquire(max_wait=0.0))
    return held


async def sleep_through_a_wait() -> tuple[list[Permit], asyncio.Task[Permit]]:
    """What is in flight, and a wait of at most a minute that the process slept through."""
    limiter = make_limiter(max_wait=60)
    held = await fill(limiter)
    waits = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(10)
    suspend(10_000)
    return held, waits


async def test_a_wait_that_was_slept_through_begins_anew() -> None:
    held, waits = await sleep_through_a_wait()
    await asyncio.sleep(59)
    assert not waits.done()
    held.pop().spend()
    (await waits).spend()


async def test_a_wait_that_was_slept_through_is_not_hopeless_after_a_429() -> None:
    held, waits = await sleep_through_a_wait()
    for permit in held:  # their answers are read before any timer fires
        permit.spend(throttled=True, reading=named(10, 5))
    (await waits).spend()


async def test_a_wait_of_a_process_that_is_awake_ends_in_time() -> None:
    limiter = make_limiter(max_wait=60)
    held = await fill(limiter)
    with pytest.raises(RateLimited):
        await limiter.acquire()
    assert now() == 60
    held.pop().spend()


async def test_newcomers_do_not_overtake() -> None:
    limiter, order = make_limiter(RateLimit(1, 10)), list[int]()
    tasks = [asyncio.create_task(take(limiter, order, n)) for n in range(3)]
    await asyncio.sleep(10)
    tasks.append(asyncio.create_task(take(limiter, order, 3)))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_the_more_urgent_go_first_and_none_starves() -> None:
    limiter, order = make_limiter(RateLimit(1, 4)), list[str]()
    await take(limiter, order, "first")
    tasks = [
        asyncio.create_task(take(limiter, order, str(kind), kind))
        for kind in (PREFLIGHT, POLL, ACTION)
    ]
    for _ in range(20):
        await asyncio.sleep(4)
        tasks.append(asyncio.create_task(take(limiter, order, "newer action")))
    await asyncio.gather(*tasks)
    assert order[1] == "action"
    assert order.index("poll") == 3  # the newer actions of 5 seconds later wait behind it
    assert 3 < order.index("preflight") < 11


async def test_one_that_was_limited_keeps_its_place() -> None:
    limiter, order = make_limiter(RateLimit(1, 10)), list[str]()
    await take(limiter, order, "first")
    await asyncio.sleep(1)
    others = [asyncio.create_task(take(limiter, order, "later")) for _ in range(3)]
    await asyncio.sleep(1)
    await asyncio.gather(take(limiter, order, "again", since=0.0), *others)
    assert order == ["first", "again", "later", "later", "later"]


async def test_a_429_pauses_everyone_until_the_named_moment() -> None:
    limiter = make_limiter()
    assert await be_refused(limiter, 17.0) == 17
    snapshot = limiter.snapshot()
    assert (snapshot.reason, snapshot.wait, snapshot.limited) == (WaitReason.LIMITED, 17, 1)
    assert snapshot.paused
    order = list[int]()
    assert await asyncio.gather(*(take(limiter, order, n) for n in range(5))) == [17] * 5
    assert order == list(range(5))


@pytest.mark.parametrize("kind", RequestClass)
async def test_nothing_is_sent_between_a_429_and_the_end_of_its_pause(kind: RequestClass) -> None:
    limiter = make_limiter()
    earlier = [await limiter.acquire(one) for one in RequestClass]
    sends = list[float]()

    async def keep_sending(one: RequestClass) -> None:
        while now() < 60:
            permit = await limiter.acquire(one)
            sends.append(now())
            await asyncio.sleep(0.05)
            permit.spend()

    (await limiter.acquire(kind)).spend(named(10, 20.0), throttled=True)
    senders = [asyncio.create_task(keep_sending(one)) for one in RequestClass for _ in range(3)]
    await asyncio.sleep(5)
    for permit in earlier:  # what was sent before may say anything: accepted, refused, not sent
        permit.spend(named(10, 2.0), throttled=permit.kind is kind, sends=permit.kind is not POLL)
    await asyncio.gather(*senders)
    assert min(sends) == 20
    assert len(sends) > 9


async def test_200_answers_of_429_are_one_pause_that_is_extended_at_most() -> None:
    limiter = make_limiter(RateLimit.UNLIMITED)
    permits = [await limiter.acquire() for _ in range(200)]
    pauses = [
        permit.spend(throttled=True, reading=named(100, wait))
        for permit, wait in zip(permits, [5.0] * 100 + [7.0] * 50 + [3.0] * 50, strict=True)
    ]
    assert [pause for pause in pauses if pause is not None] == [5.0]
    assert limiter.snapshot().wait == 7
    assert limiter.snapshot().limited == 200


async def test_after_a_pause_one_goes_first_and_not_a_herd() -> None:
    limiter = make_limiter()
    await be_refused(limiter, 5.0, limit=100)
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(200)]
    await asyncio.sleep(6)
    assert sum(task.done() for task in waiting) == 1
    waiting[0].result().spend()
    await asyncio.sleep(1)
    assert 1 < sum(task.done() for task in waiting) < 12
    for task in waiting:
        task.cancel()


async def test_what_is_left_over_counts_until_the_window_has_moved_on() -> None:
    limiter, order = make_limiter(RateLimit(100, 10)), list[int]()
    assert limiter.plan().surplus == 100
    for pause in (9.0, 0.5):
        for number in range(45):
            await take(limiter, order, number)
        await asyncio.sleep(pause)
    assert limiter.plan().surplus == 10
    await asyncio.sleep(0.5)
    assert limiter.plan().surplus == 55
    # 35 are left over, less a quarter of those that are wanted; and 200 fill this window and two.
    assert limiter.plan(wanted=20).surplus == 55 - 20 - 5
    assert limiter.plan(wanted=200).surplus == 55 + 200 - 200 - 50
    assert make_limiter().plan().surplus == inf


async def test_requests_in_flight_are_few_until_the_limit_is_known() -> None:
    limiter = make_limiter()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(100)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) == 4
    snapshot = limiter.snapshot()
    assert (snapshot.reason, snapshot.queued) == (WaitReason.LEARNING, 96)
    assert "96 queued" in snapshot.why
    for task in waiting:
        task.cancel()


async def test_after_a_429_without_a_moment_single_requests_probe_ever_later() -> None:
    limiter = make_limiter()
    (await limiter.acquire()).spend()
    waits: list[float] = []
    for _ in range(8):
        wait = (await limiter.acquire()).spend(throttled=True)
        assert wait is not None
        waits.append(wait)
        await asyncio.sleep(limiter.snapshot().wait)
    assert waits[0] <= 1.1
    assert sum(waits) > 20
    (await limiter.acquire()).spend()
    again = (await limiter.acquire()).spend(throttled=True)
    assert again is not None
    assert again < sum(waits)


async def test_a_given_limit_pauses_briefly_again_after_a_success() -> None:
    limiter = make_limiter(RateLimit(100, 10))
    waits: list[float] = []
    for throttled in (True, True, False, True):
        wait = (await limiter.acquire()).spend(throttled=throttled) or 0.0
        waits += [wait] * throttled
        await asyncio.sleep(wait)
    assert waits[1] > waits[0]
    assert waits[2] == waits[0]


async def test_a_429_that_says_now_is_not_tried_in_a_tight_loop() -> None:
    assert await be_refused(make_limiter(), 0.0) == 0.1


async def test_the_headers_of_a_success_are_kept_to() -> None:
    limiter, order = make_limiter(), list[int]()
    reading = RateLimitReading(limit=10, remaining=2, reset_after=30.0)
    (await limiter.acquire()).spend(reading=reading)
    assert limiter.snapshot().left == 2
    assert await asyncio.gather(*(take(limiter, order, n) for n in range(3))) == [0, 0, 30]


async def test_retry_after_a_million_fails_at_once_and_says_so() -> None:
    limiter = make_limiter(max_wait=60)
    await be_refused(limiter, 1_000_000.0)
    with pytest.raises(RateLimited, match="1000000 s") as caught:
        await limiter.acquire()
    assert (now(), caught.value.retry_after) == (0, 1_000_000)


async def test_a_429_wakes_those_for_whom_it_is_hopeless() -> None:
    limiter = make_limiter()
    permits = [await limiter.acquire() for _ in range(4)]
    patient, hasty = (
        asyncio.create_task(limiter.acquire(max_wait=wait)) for wait in (2_000_000, 50)
    )
    await asyncio.sleep(1)
    permits[0].spend(throttled=True, reading=named(10, 1000.0))
    with pytest.raises(RateLimited, match="1000 s"):
        await hasty
    assert now() == 1
    assert not patient.done()
    patient.cancel()


async def test_nobody_waits_longer_than_allowed() -> None:
    limiter = make_limiter(RateLimit(1, 10))
    waits = [asyncio.create_task(limiter.acquire(max_wait=25)) for _ in range(2)]
    for task in waits:
        (await asyncio.gather(task))[0].spend()
    held = await limiter.acquire()
    with pytest.raises(RateLimited):
        await limiter.acquire(max_wait=7)
    assert now() == 27
    held.spend()


async def test_a_wait_of_zero_is_no_wait() -> None:
    limiter = make_limiter(RateLimit(1, 10))
    held = await limiter.acquire(max_wait=0.0)
    with pytest.raises(RateLimited):
        await limiter.acquire(max_wait=0.0)
    assert now() == 0
    held.spend()


async def test_a_place_too_far_behind_fails_at_once_with_the_computed_wait() -> None:
    limiter, order = make_limiter(RateLimit(10, 10), max_wait=1000), list[int]()
    tasks = [asyncio.create_task(take(limiter, order, n)) for n in range(60)]
    await asyncio.sleep(1)
    with pytest.raises(RateLimited) as caught:
        await limiter.acquire(max_wait=30)
    assert caught.value.retry_after == pytest.approx(59, abs=10)
    assert now() == 1
    await asyncio.gather(*tasks)


async def test_what_was_never_sent_costs_nothing_and_what_was_sent_twice_costs_two() -> None:
    limiter = make_limiter(RateLimit(10, 60))
    for sends in (0, 1, 2):
        (await limiter.acquire()).spend(sends=sends)
    assert limiter.snapshot().left == 7


async def test_a_refund_does_not_forget_a_later_send() -> None:
    clock = [0.0]
    budget = Budget(RateLimit(2, 60), clock=lambda: clock[0])
    limiter = budget._limiter
    first = await limiter.acquire()
    clock[0] = 10.0
    second = await limiter.acquire()
    first.refund()
    second.spend()
    clock[0] = 20.0
    (await limiter.acquire()).spend()
    clock[0] = 60.0
    with pytest.raises(RateLimited):
        await limiter.acquire(max_wait=5)


async def test_a_waiter_cancelled_while_it_queues_lets_the_next_one_go() -> None:
    limiter, order = make_limiter(RateLimit(1, 10)), list[int]()
    tasks = [asyncio.create_task(take(limiter, order, n)) for n in range(4)]
    await asyncio.sleep(5)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (order, now()) == ([0, 2, 3], 20)


async def test_a_waiter_cancelled_in_the_tick_of_its_grant_gives_the_permit_back() -> None:
    limiter, order = make_limiter(RateLimit(1, 10)), list[int]()
    await take(limiter, order, 0)
    first = asyncio.create_task(take(limiter, order, 1))
    second = asyncio.create_task(take(limiter, order, 2))
    await asyncio.sleep(0)
    granted = list[int]()

    def cancel() -> None:
        granted.append(limiter.snapshot().in_flight)
        first.cancel()

    asyncio.get_running_loop().call_at(10, cancel)
    await asyncio.gather(first, second, return_exceptions=True)
    assert (order, granted, limiter.snapshot().in_flight) == ([0, 2], [1], 0)


async def test_many_that_leave_leave_nothing_behind() -> None:
    limiter = make_limiter(RateLimit(1, 1000), max_wait=100_000)
    held = await limiter.acquire()
    for _ in range(20):
        tasks = [asyncio.create_task(limiter.acquire()) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(limiter._queues[ACTION]._heap) < 200
    assert len(limiter._deadlines._heap) < 200
    assert limiter.snapshot().queued == 0
    held.spend()


async def test_the_limiter_says_what_it_could_grant_and_at_which_rate() -> None:
    unknown, unlimited = make_limiter(), make_limiter(RateLimit.UNLIMITED)
    known = make_limiter(RateLimit(20, 10))
    assert (unknown.rate(), unlimited.rate(), known.rate()) == (None, float("inf"), 2)
    permits = [await known.acquire() for _ in range(19)]
    assert known.plan(ACTION).surplus >= 1
    permits.append(await known.acquire())
    assert known.plan(ACTION).surplus < 1
    for permit in permits:
        permit.spend()
    await asyncio.sleep(10)
    assert known.plan(POLL).surplus >= 1


async def test_an_unlimited_budget_still_waits_out_a_429() -> None:
    limiter, order = make_limiter(RateLimit.UNLIMITED), list[int]()
    moments = await asyncio.gather(*(take(limiter, order, n) for n in range(500)))
    await be_refused(limiter, 9.0)
    assert (set(moments), await take(limiter, order, 500)) == ({0}, 9)
    assert limiter.rate() == float("inf")


async def test_those_that_wait_are_told_once_why() -> None:
    limiter, reasons = make_limiter(RateLimit(1, 10)), list[str]()
    (await limiter.acquire()).spend()
    permit = await limiter.acquire(on_wait=lambda snapshot: reasons.append(snapshot.why))
    permit.spend()
    assert reasons == ["1 requests in 10 s are used up: 10.0 s to go, 1 queued"]


@pytest.mark.parametrize("name", ["limit", "read_limit"])
@pytest.mark.parametrize("limit", [100, "60/60", (60, 60)])
def test_what_is_passed_as_a_limit_is_a_rate_limit(name: str, limit: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be a RateLimit"):
        Budget(**{name: limit})


async def test_a_repr_shows_the_state() -> None:
    budget = Budget(RateLimit(3, 10), clock=now)
    permit = await budget._limiter.acquire()
    assert repr(budget) == "<Budget 2 of 3 left, 1 in flight, 0 queued>"
    permit.spend()
    assert repr(budget._limiter) == "<RateLimiter 2 of 3 left, 0 in flight, 0 queued>"
    assert repr(budget._limiter._queues[ACTION].ledger) == (
        "<Ledger 1 counted, 0 in flight, 0 refused, <LimitEstimate 3 of 3 in 10 s, given>>"
    )
    assert repr(Budget()) == "<Budget no limit known, 0 in flight, 0 queued>"


@pytest.mark.parametrize("requests", [0, -1, 1.5, True, "10", float("inf")])
def test_a_limit_that_allows_nothing_is_refused(requests: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        RateLimit(requests, 10)


@pytest.mark.parametrize("window", [0, -1, float("nan"), float("inf"), "10", None])
def test_a_window_that_is_no_length_of_time_is_refused(window: Any) -> None:
    with pytest.raises(ConfigurationError, match="window"):
        RateLimit(10, window)


@pytest.mark.parametrize("budget", [5, "budget", RateLimit(1, 1), object()])
def test_a_client_refuses_a_budget_that_is_none(budget: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        Client("sk_test", budget=budget)


def test_event_loops_in_several_threads_share_one_limit_in_order() -> None:
    limiter = Budget(RateLimit(20, 0.2))._limiter
    moments: list[float] = []

    async def work() -> None:
        async def one() -> None:
            permit = await limiter.acquire()
            moments.append(asyncio.get_running_loop().time())
            permit.spend()

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
    assert limiter.snapshot().in_flight == 0


def test_threads_that_hurry_lose_no_permit() -> None:
    limiter = Budget(RateLimit.UNLIMITED)._limiter

    async def work() -> None:
        for _ in range(5000):
            (await limiter.acquire()).spend()

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert limiter.snapshot().in_flight == 0


def test_a_loop_that_ends_takes_no_permit_with_it() -> None:
    limiter = Budget(RateLimit(1, 0.1))._limiter

    async def leave_a_waiter() -> None:
        (await limiter.acquire()).spend()
        left = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        assert not left.done()

    async def take_one() -> None:
        (await asyncio.wait_for(limiter.acquire(), 5)).spend()

    asyncio.run(leave_a_waiter())
    asyncio.run(take_one())
    assert limiter.snapshot().in_flight == 0


def test_a_loop_that_ends_takes_no_timer_with_it() -> None:
    limiter = Budget(RateLimit(1, 0.5))._limiter
    queued, ended = threading.Event(), threading.Event()

    async def be_first_and_go() -> None:
        held = await limiter.acquire()
        held.spend()
        first = asyncio.create_task(limiter.acquire())  # its loop holds the timer
        await asyncio.sleep(0)
        queued.set()
        await asyncio.to_thread(ended.wait, 5)
        assert not first.done()

    async def wait_behind() -> None:
        await asyncio.to_thread(queued.wait, 5)
        second = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        ended.set()
        (await asyncio.wait_for(second, 5)).spend()

    threads = [
        threading.Thread(target=lambda one=one: asyncio.run(one()))
        for one in (be_first_and_go, wait_behind)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert limiter.snapshot().in_flight == 0
    assert limiter.snapshot().queued == 0
