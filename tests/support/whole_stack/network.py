"""Time, network and machines, from a seed: the one module that knows `simloom`.

`simloom` was chosen over `simloop` 0.2.2: under it the product and the sandbox run as they are (a
server of `simloop` has no address that it could tell), a crash is a power cut and not a
cancellation, connections can be reset and cut in one direction, and time and chance of the standard
library follow the seed as well.
"""

import asyncio
import gc
import importlib
import importlib.util
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cache
from itertools import count
from typing import Any, Final, TypeAlias
from unittest import mock

from aiohttp.client_proto import ResponseHandler
from attrs import frozen

LIBRARY: Final = "simloom"
Work: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


def why_not() -> str | None:
    """Why nothing can be played here; None if it can."""
    if importlib.util.find_spec(LIBRARY) is not None:
        return None
    return f"{LIBRARY} is not installed: it needs Python 3.12, and is in the group `simulation`"


@cache
def _library() -> Any:
    library = importlib.import_module(LIBRARY)
    # It collects garbage at fixed steps, which takes a tenth of a second with all that is imported.
    gc.freeze()
    return library


@frozen
class Ended:
    """What came of a universe: what ended it early, the hash of its steps, and how long it was.

    Attributes:
        error: What ended it early, or reached no one.
        hash: Of every step.
        steps: How many these were.
        seconds: How long it took, in virtual time.
    """

    error: BaseException | None
    hash: str
    steps: int
    seconds: float


def run(main: "Main", *, seed: int, epoch: float, in_order: bool) -> Ended:
    """Run `main` in a universe of its own, whose wall clock begins at `epoch`, in seconds.

    The seed decides how long bytes take and, unless callbacks run `in_order` as in asyncio, which
    of those that are ready comes next.
    """
    simloom, ended = _library(), list[Network]()

    async def begin(world: Any) -> None:
        await main(network := Network(world))
        ended.append(network)

    # aiohttp keeps its connections in sets, whose order would be that of their addresses in memory.
    numbers = count()

    def number(one: ResponseHandler) -> int:
        return int(one.__dict__.setdefault("number", next(numbers)))

    with mock.patch.object(ResponseHandler, "__hash__", number):
        result = simloom.run(
            begin,
            seed=seed,
            raise_on_error=False,
            virtual_time=True,
            seed_randomness=True,
            wall_epoch=epoch,
            scheduler=(lambda _loop: _InOrder()) if in_order else None,
        )
    error, last = result.error, result.log.events[-1]
    if ended and ended[0].has_power_cuts and isinstance(error, simloom.SimDeadlockError):
        error = None  # the library then goes on with what a power cut ended, and waits for ever
    return Ended(error, result.digest, last["seq"], last["t"])


class _InOrder:
    descriptor: Final = "in order"

    def pick(self, _ready: Sequence[asyncio.Handle]) -> int:
        return 0


class Network:
    """Machines by their names, and the lines between them."""

    def __init__(self, world: Any) -> None:
        self._world: Final = world
        self.has_power_cuts = False

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return float(self._world.time)

    def start(self, machine: str, work: Work) -> asyncio.Task[Any]:
        """Run something on a machine."""
        task: asyncio.Task[Any] = self._world.host(machine).spawn(work)
        return task

    def cut_power(self, machine: str) -> None:
        """Nothing runs there any more, not even a `finally`; its connections are reset."""
        self.has_power_cuts = True
        self._world.host(machine).crash()

    def tasks(self, machine: str) -> list[asyncio.Task[Any]]:
        """What still runs on a machine."""
        return list(self._world.host(machine)._live_tasks())

    def connections(self, machine: str) -> int:
        """How many connections of a machine are open."""
        host = self._world.host(machine)
        return sum(one.owner is host for one in self._world.net._live_transports.values())

    def set_line(self, shortest: float, longest: float, lost_percent: int) -> None:
        """Seconds that bytes take on every line; what is lost is sent again, and takes longer."""
        self._world.net.set_latency(shortest, longest)
        self._world.net.set_loss(lost_percent)

    def cut(self, ways: Iterable[tuple[str, str]]) -> None:
        """Hold back what one machine sends to another, and its new connections."""
        for source, target in ways:
            self._world.net.block(self._world.host(source), self._world.host(target))

    def heal(self) -> None:
        """Deliver what was held back, and everything from now on."""
        self._world.net.heal()

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two machines."""
        self._world.net.reset_connections(self._world.host(one), self._world.host(other))


Main: TypeAlias = Callable[[Network], Coroutine[Any, Any, None]]
