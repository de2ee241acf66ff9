"""The server's clock is never thought to be known better than it is, whatever any clock does."""

import random
from math import floor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostup_async._http.server_clock import SPREAD, Moment, ServerClock, ServerTime

EPOCH = 1.7e9


class World:
    """Real time, our two clocks, the servers' clocks, and all moments that somebody may ask for."""

    def __init__(self, offsets: list[float], ppm: list[float], **settings: Any) -> None:
        self.time = 0.0
        self.suspended = 0.0
        self.wall_set = 0.0
        self.server_set = 0.0
        self.offsets = offsets
        self.ppm = ppm
        self.clock = ServerClock("here", **settings)
        self.moments: list[tuple[Moment, list[float]]] = []

    def here(self) -> Moment:
        wall = EPOCH + 1e6 + self.time + self.wall_set
        return Moment(100.0 + self.time - self.suspended, wall)

    def servers(self) -> list[float]:
        return [
            EPOCH + offset + self.server_set + self.time * (1 + ppm * 1e-6)
            for offset, ppm in zip(self.offsets, self.ppm, strict=True)
        ]

    def note(self) -> None:
        self.moments.append((self.here(), self.servers()))

    def wait(self, seconds: float) -> None:
        self.note()
        self.time += seconds
        self.note()

    def exchange(self, server: int, up: float, down: float) -> None:
        self.note()
        sent = self.here()
        self.time += up
        date = floor(self.servers()[server % len(self.offsets)])
        self.time += down
        self.clock.observe(float(date), sent, self.here())
        self.note()

    def suspend(self, seconds: float) -> None:
        self.wait(0)
        self.time += seconds
        self.suspended += seconds
        self.note()

    def check(self) -> None:
        """Nothing that is told of any moment is wrong for any of the servers."""
        for moment, servers in self.moments:
            told = self.clock.at(moment)
            if told is not None:
                assert told.earliest - 1e-4 <= min(servers)
                assert max(servers) <= told.latest + 1e-4


LATENCY = st.floats(0, 30) | st.floats(0, 0.2)
WAIT = st.floats(0, 5) | st.floats(0, 3600)
EXCHANGE = st.tuples(st.just("exchange"), st.integers(0, 2), LATENCY, LATENCY)
EVENTS = st.lists(EXCHANGE | st.tuples(st.just("wait"), WAIT), min_size=1, max_size=40)
PPM = st.floats(-500, 500)


def play(world: World, events: list[tuple[Any, ...]]) -> None:
    for name, *arguments in events:
        getattr(world, name)(*arguments)
        world.check()


@given(EVENTS, st.floats(-1e9, 1e9), PPM)
def test_the_truth_lies_within_whatever_the_latencies(
    events: list[tuple[Any, ...]], offset: float, ppm: float
) -> None:
    world = World([offset], [ppm], spread=0.0)
    play(world, events)
    assert world.clock.steps == 0
    learnt = any(name == "exchange" for name, *_ in events)
    assert (world.clock.at(world.here()) is not None) == learnt


@given(EVENTS, st.lists(st.floats(0, 2), min_size=1, max_size=3))
def test_servers_that_differ_by_two_seconds_are_all_within(
    events: list[tuple[Any, ...]], offsets: list[float]
) -> None:
    world = World(offsets, [0.0] * len(offsets))
    play(world, events)
    assert world.clock.steps == 0


# Together no wall step and no suspensions cancel each other out: whole seconds, and half ones.
SUSPEND = st.tuples(st.just("suspend"), st.integers(1, 10) | st.integers(1, 10**6))


@given(
    st.lists(EXCHANGE | SUSPEND | st.tuples(st.just("wait"), st.floats(0, 60)), max_size=30),
    st.integers(0, 30),
    st.integers(-60 * 86_400, 60 * 86_400) | st.integers(-10, 10),
)
def test_suspensions_and_a_wall_clock_that_is_set_make_nothing_wrong(
    events: list[tuple[Any, ...]], place: int, step: int
) -> None:
    world = World([0.3], [0.0])
    play(world, events[:place])
    world.wait(0)
    world.wall_set = step + 0.5
    world.wait(0)
    play(world, events[place:])


def known(latency: float = 0.05, **settings: Any) -> World:
    """A clock that a hundred answers have taught."""
    chance, world = random.Random(1), World([0.4], [0.0], **settings)
    for _ in range(100):
        world.wait(chance.uniform(0, 2))
        world.exchange(0, latency / 2, latency / 2)
    return world


def told(world: World) -> ServerTime:
    moment = world.clock.at(world.here())
    assert moment is not None
    return moment


def test_it_narrows_far_below_the_seconds_that_a_date_tells() -> None:
    world, first = known(), World([0.4], [0.0])
    first.exchange(0, 0.025, 0.025)
    narrow, wide = told(world), told(first)
    # What no number of answers takes away: other servers, and a suspension too short to notice.
    always = 2 * (SPREAD + 0.25)
    assert wide.latest - wide.earliest > always + 1
    assert narrow.latest - narrow.earliest < always + 0.15


def test_without_any_date_nothing_is_known() -> None:
    world = known()
    clock = ServerClock("other")
    for moment, _ in world.moments:
        clock.observe(None, moment, moment)
        assert clock.at(moment) is None
    assert repr(clock) == "<ServerClock 'other': no Date seen>"


@given(st.floats(7, 60 * 86_400), st.sampled_from([1, -1]), st.floats(0, 1), st.floats(0, 1))
def test_a_step_of_the_servers_clock_makes_what_was_before_unknown(
    size: float, sign: int, up: float, down: float
) -> None:
    world = known()
    before = world.here()
    world.wait(1)
    world.server_set += sign * size
    world.moments.clear()
    world.exchange(0, up, down)
    world.check()
    assert world.clock.steps == 1
    assert world.clock.at(before) is None
    assert "1 steps" in repr(world.clock)


@given(st.floats(0, 10), st.sampled_from([1, -1]), st.floats(0, 5), st.floats(0, 5))
def test_even_a_step_too_small_to_notice_leaves_the_present_true(
    size: float, sign: int, up: float, down: float
) -> None:
    world = known()
    world.server_set += sign * size
    world.exchange(0, up, down)
    present = told(world)
    assert present.earliest <= world.servers()[0] <= present.latest


def test_a_machine_that_stood_still_with_both_its_clocks_knows_nothing_of_before() -> None:
    world = known()
    before = world.here()
    world.suspend(30)
    world.wall_set -= 30
    world.wait(0.001)
    world.moments.clear()
    world.exchange(0, 0.02, 0.02)
    world.check()
    assert world.clock.at(before) is None


def test_a_suspended_machine_knows_nothing_until_an_answer_comes_and_then_compares() -> None:
    world = known()
    sent = told(world)
    world.suspend(3600)
    assert world.clock.at(world.here()) is None
    woken = world.here()
    world.wait(2)
    world.exchange(0, 0.02, 0.02)
    assert world.clock.steps == 0
    assert told(world).earliest > sent.latest
    assert sent.earliest <= told(world).latest
    after_waking = world.clock.at(woken)
    assert after_waking is not None
    assert after_waking.earliest > sent.latest


def test_a_wall_clock_that_is_set_spoils_no_comparison() -> None:
    world = known()
    sent = told(world)
    world.wait(10)
    world.wall_set -= 86_400
    world.exchange(0, 0.02, 0.02)
    assert world.clock.steps == 0
    assert told(world).earliest > sent.latest


def test_an_answer_that_a_suspension_overtook_teaches_nothing() -> None:
    world = known()
    sent = world.here()
    date = floor(world.servers()[0])
    world.suspend(600)
    world.clock.observe(float(date), sent, world.here())
    assert world.clock.at(world.here()) is None
    world.exchange(0, 0.02, 0.02)
    assert world.clock.steps == 0


def test_what_was_kept_is_compared_on_a_machine_whose_clock_is_hours_off() -> None:
    world = known()
    sent = told(world)
    world.wait(120)
    world.clock, world.wall_set, world.suspended = ServerClock("elsewhere"), 1e5, -5e5
    world.exchange(0, 0.02, 0.02)
    passed = told(world)
    assert passed.earliest - sent.latest < 120 < passed.latest - sent.earliest
    assert passed.earliest - sent.latest > 120 - 10


def test_now_reads_both_clocks() -> None:
    first, second = Moment.now(), Moment.now()
    assert second.agrees(first)
    assert second.monotonic >= first.monotonic
