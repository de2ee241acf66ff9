"""Arbitrary interleavings of all that can happen to a limiter, and what must hold in each."""

import asyncio
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tools import examples
from virtual_time import VirtualLoop, now

from hostup_async import Budget, RateLimit, RateLimited
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit

READINGS = st.builds(
    RateLimitReading,
    limit=st.none() | st.integers(1, 6),
    remaining=st.none() | st.integers(0, 5),
    reset_after=st.none() | st.floats(0, 30),
    retry_after=st.none() | st.floats(0, 30),
)
# As often as they are in life: strange things happen between many ordinary ones.
WHAT = (
    ["acquire"] * 12
    + ["answer"] * 6
    + ["sleep"] * 6
    + ["cancel", "cancel in the tick", "unsent", "twice", "429", "headers"]
)


class Step(NamedTuple):
    what: str
    which: int
    kind: RequestClass
    seconds: float
    max_wait: float | None
    reading: RateLimitReading


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(WHAT),
        which=st.integers(0, 9),
        kind=st.sampled_from(RequestClass),
        seconds=st.sampled_from([0.25, 0.5, 1.0, 2.5, 6.0, 12.0]),
        max_wait=st.sampled_from([None] * 9 + [0.0, 3.0, 50.0]),
        reading=READINGS,
    ),
    min_size=25,
    max_size=70,
)
LIMITS = st.builds(RateLimit, st.integers(1, 4), st.integers(1, 9))
NO_LIMIT = st.sampled_from([None, RateLimit.UNLIMITED])


class Send:
    """One request that was granted, from its grant to its end."""

    def __init__(self, permit: Permit, kind: RequestClass, number: int) -> None:
        self.permit, self.kind, self.number = permit, kind, number
        self.granted_at = now()
        self.over_at = float("inf")
        self.sends = 1


class Play:
    """Carries out steps, and keeps its own books."""

    def __init__(self, limit: RateLimit | None) -> None:
        self.limit = limit
        self.limiter = Budget(limit, clock=asyncio.get_running_loop().time)._limiter
        self.waiting: list[asyncio.Task[None]] = []
        self.held: list[Send] = []
        self.all: list[Send] = []
        # Of each pause: when it began, when it ends, and whom it concerns.
        self.pauses: list[tuple[float, float, set[RequestClass]]] = []
        self.number = 0

    def acquire(self, kind: RequestClass, max_wait: float | None) -> None:
        self.number += 1
        task = asyncio.create_task(self._acquire(kind, max_wait, self.number))
        self.waiting.append(task)

    async def _acquire(self, kind: RequestClass, max_wait: float | None, number: int) -> None:
        asked_at = now()
        try:
            permit = await self.limiter.acquire(kind, max_wait=max_wait)
        except RateLimited:
            longest = self.limiter.max_wait if max_wait is None else max_wait
            assert now() <= asked_at + longest + 1e-6
            return
        send = Send(permit, kind, number)
        self.held.append(send)
        self.all.append(send)

    def cancel(self, index: int) -> None:
        if self.waiting:
            self.waiting[index % len(self.waiting)].cancel()

    async def cancel_in_the_tick(self, index: int) -> None:
        """At the very moment of the next grant, after the timer and before the waiter runs."""
        wait = self.limiter.snapshot().wait
        asyncio.get_running_loop().call_at(now() + wait, self.cancel, index)
        await asyncio.sleep(wait)

    def release(self, index: int, sends: int = 1, **answer: Any) -> None:
        if self.held:
            send = self.held.pop(index % len(self.held))
            send.over_at, send.sends = now(), sends
            send.permit.spend(sends=sends, **answer)
            if answer.get("throttled"):
                self.note_pause(send.kind, answer["reading"])

    def note_pause(self, kind: RequestClass, reading: RateLimitReading) -> None:
        asked = reading.reset_after if reading.retry_after is None else reading.retry_after
        queues = self.limiter._queues
        paused = {other for other in RequestClass if queues[other] is queues[kind]}
        self.pauses.append((now(), now() + max(0.1, asked or 0.0), paused))

    async def step(self, step: Step) -> None:
        match step.what:
            case "acquire":
                self.acquire(step.kind, step.max_wait)
            case "sleep":
                await asyncio.sleep(step.seconds)
            case "cancel":
                self.cancel(step.which)
            case "cancel in the tick":
                await self.cancel_in_the_tick(step.which)
            case "429" | "headers":
                throttled = step.what == "429"
                self.release(step.which, throttled=throttled, reading=step.reading or EMPTY)
            case _:
                self.release(step.which, {"answer": 1, "unsent": 0, "twice": 2}[step.what])
        for _ in range(3):
            await asyncio.sleep(0)
        self.waiting = [task for task in self.waiting if not task.done()]

    def check(self) -> None:
        snapshot = self.limiter.snapshot()
        assert snapshot.in_flight == len(self.held)
        assert snapshot.queued == len(self.waiting)
        assert snapshot.wait >= 0
        assert snapshot.why

    def check_order(self) -> None:
        for kind in RequestClass:
            numbers = [send.number for send in self.all if send.kind is kind]
            assert numbers == sorted(numbers)

    def check_pauses(self) -> None:
        for begin, end, paused in self.pauses:
            for send in self.all:
                assert send.kind not in paused or not begin < send.granted_at < end - 1e-9

    def check_limit(self, limit: RateLimit) -> None:
        """A request counts from its grant to its answer, and then for a window."""
        for last in self.all:
            if last.sends:
                begin = last.granted_at - limit.window
                before = [send for send in self.all if send.granted_at <= last.granted_at]
                counted = [one for one in before if one.over_at > begin + 1e-9 and one.sends]
                extra = sum(one.sends - 1 for one in counted)
                assert len(counted) <= limit.requests + extra

    async def end(self) -> None:
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        self.waiting = []
        while self.held:
            self.release(0)
        self.check()
        await asyncio.sleep(10_000)
        (await self.limiter.acquire(max_wait=1)).spend()


async def play(steps: list[Step], limit: RateLimit | None) -> None:
    game = Play(limit)
    for step in steps:
        await game.step(step)
        game.check()
    game.check_order()
    game.check_pauses()
    if limit is not None and limit != RateLimit.UNLIMITED:
        game.check_limit(limit)
    await game.end()


def run(steps: list[Step], limit: RateLimit | None) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play(steps, limit))


@given(steps=STEPS, limit=NO_LIMIT)
@settings(max_examples=examples(60), deadline=None)
def test_no_permit_is_lost_or_made_while_the_limit_is_learnt(
    steps: list[Step], limit: RateLimit | None
) -> None:
    run(steps, limit)


@given(steps=STEPS, limit=LIMITS)
@settings(max_examples=examples(60), deadline=None)
def test_a_known_limit_is_never_passed_in_any_window(steps: list[Step], limit: RateLimit) -> None:
    run(steps, limit)
