"""A model of a fleet on virtual time: N resets at R requests a second, under some policy.

Requests come out of one token bucket, first come, first served, and take `LATENCY` to be
answered. Nothing sleeps, nothing is sent, and all chance is seeded.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import exp, inf

from hostup_async._polling.durations import DurationModel
from hostup_async._polling.scheduler import Poll, PollScheduler, Rest

LATENCY = 0.05
Draw = Callable[[random.Random], float]
Process = Iterator[float]


def lognormal(median: float, sigma: float) -> Draw:
    return lambda chance: median * exp(sigma * chance.gauss(0, 1))


def bimodal(chance: random.Random) -> float:
    """Four in five take about 5 s, the fifth about 40 s."""
    return lognormal(5.0 if chance.random() < 0.8 else 40.0, 0.15)(chance)


@dataclass
class World:
    """What happens, and the books about it; a process yields the moments at which it goes on."""

    resets: int
    rate: float
    draw: Draw
    seed: int = 1
    now: float = 0.0
    requests: int = 0
    undetected: float = 0.0
    unknown: int = 0
    most_unknown: int = 0
    known: int = 0
    finished_at: float = 0.0
    _free_at: float = 0.0
    _ends: dict[int, float] = field(default_factory=dict)
    _events: list[tuple[float, int, Process]] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.durations = [self.draw(chance) for _ in range(self.resets)]

    def start(self, process: Process, at: float | None = None) -> None:
        heappush(self._events, (self.now if at is None else at, next(self._ids), process))

    def run(self) -> "World":
        while self._events and self.known < self.resets:
            self.now, _, process = heappop(self._events)
            again = next(process, None)
            if again is not None:
                self.start(process, max(again, self.now))
        assert self.known == self.resets
        return self

    def granted(self) -> float:
        """Take a token: when the request that it allows is sent."""
        moment = max(self.now, self._free_at)
        self._free_at = moment + 1 / self.rate
        self.requests += 1
        return moment

    @property
    def token_at(self) -> float:
        return max(self.now, self._free_at)

    def send(self, reset: int) -> None:
        """The server takes the action half a latency after it was sent."""
        self._ends[reset] = self.now + LATENCY / 2 + self.durations[reset]
        self.unknown += 1
        self.most_unknown = max(self.most_unknown, self.unknown)

    def poll(self, reset: int) -> bool:
        """Whether the job is over when the server reads the request."""
        over = self.now + LATENCY / 2 - self._ends[reset]
        if over < 0:
            return False
        self.undetected += over
        self.unknown -= 1
        self.known += 1
        self.finished_at = self.now + LATENCY
        return True

    def figures(self) -> dict[str, float]:
        floor = 2 * self.resets / self.rate
        return {
            "ratio": self.finished_at / floor if floor else inf,
            "requests": self.requests / self.resets,
            "undetected": self.undetected / self.resets,
            "unknown": self.most_unknown,
            "seconds": self.finished_at,
        }


Gap = Callable[[int], float]


def each_two_seconds(_: int) -> float:
    return 2.0


def exponential(poll: int) -> float:
    return float(min(1.5**poll, 30))


def follow(world: World, reset: int, gap: Gap) -> Process:
    """Send one reset, and poll it after each gap until it is over."""
    yield world.granted()
    world.send(reset)
    yield world.now + LATENCY
    for poll in count():
        yield world.now + gap(poll)
        yield world.granted()
        over = world.poll(reset)
        yield world.now + LATENCY
        if over:
            return


def worker(world: World, queue: Iterator[int], gap: Gap) -> Process:
    for reset in queue:
        yield from follow(world, reset, gap)


def workers(world: World, gap: Gap, at_once: int = 50) -> World:
    """`at_once` workers, each of which follows one reset at a time."""
    queue = iter(range(world.resets))
    for _ in range(at_once):
        world.start(worker(world, queue, gap))
    return world.run()


def sender(world: World, gap: Gap) -> Process:
    """Send with what the polls leave over."""
    for reset in range(world.resets):
        while world.token_at > world.now:
            yield world.token_at
        world.start(follow(world, reset, gap))
        yield world.now + 1 / world.rate


def follow_all(world: World, gap: Gap, *, polls_first: bool = False) -> World:
    """One task for each reset, all at once."""
    if polls_first:
        world.start(sender(world, gap))
    else:
        for reset in range(world.resets):
            world.start(follow(world, reset, gap))
    return world.run()


class Scheduled:
    """Our policy: the scheduler decides on each token."""

    def __init__(self, world: World, scheduler: PollScheduler[int], *, exact: bool = False) -> None:
        self.world = world
        self.scheduler = scheduler
        self.exact = exact
        self.sent = 0
        self.rests = 0
        self.resting = False

    def run(self) -> World:
        self.world.start(self.fly())
        return self.world.run()

    def fly(self) -> Process:
        world = self.world
        idle = inf if world.rate == inf else 0
        while True:
            yield world.token_at
            waiting = world.resets - self.sent
            decision = self.scheduler.decide(
                world.now, rate=world.rate, tokens_idle=idle, sends_waiting=waiting
            )
            if isinstance(decision, Rest):
                self.rests, self.resting = self.rests + 1, True
                if decision.until < inf:
                    world.start(self.alarm(self.rests), decision.until)
                return
            world.granted()
            if isinstance(decision, Poll):
                world.start(self.poll(decision.key, over=world.poll(decision.key)))
            else:
                world.send(self.sent)
                world.start(self.send(self.sent))
                self.sent += 1

    def alarm(self, rest: int) -> Process:
        if rest == self.rests:
            self.wake()
        yield from ()

    def wake(self) -> None:
        """Something happened, and the scheduler may decide otherwise."""
        if self.resting:
            self.resting = False
            self.world.start(self.fly())

    def send(self, reset: int) -> Process:
        began = self.world.now
        yield began + LATENCY
        self.scheduler.sent()
        self.scheduler.watch(reset, self.world.now, began_at=began)
        self.wake()

    def poll(self, reset: int, *, over: bool) -> Process:
        yield self.world.now + LATENCY
        exact = self.world.durations[reset] if over and self.exact else None
        self.scheduler.polled(reset, self.world.now, ended=over, exact_duration=exact)
        self.wake()


def ours(world: World, *, known: str | None = None, exact: bool = False) -> World:
    return Scheduled(world, PollScheduler(DurationModel.from_json(known)), exact=exact).run()


def learnt(draw: Draw, jobs: int = 1000, seed: int = 9) -> DurationModel:
    """What a store would have kept of earlier jobs."""
    chance, durations = random.Random(seed), DurationModel()
    for _ in range(jobs):
        took = draw(chance)
        durations.observe_running(0, took)
        durations.observe_end(took, took)
    return durations
