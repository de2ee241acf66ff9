"""Time and chance: the one module that asks the machine for them.

Call each by way of the module (`_clock.wall()`), never by a name that was imported or bound
before: a simulation puts its own functions here, and then a whole run, with every wait, token and
jitter in it, follows from one seed.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable

wall: Callable[[], float] = time.time
"""Seconds since the epoch, by this machine's wall clock; it may be wrong, and may step."""


_running_loop = asyncio._get_running_loop  # noqa: SLF001 - the public function is twice as slow
_USUAL_TIME = asyncio.BaseEventLoop.time


def _has_its_own_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a test gave a loop another clock, such as one that jumps over waits.

    uvloop's is the machine's, read seldom, so that asking the machine is the better way.
    """
    kind = type(loop)
    return kind.time is not _USUAL_TIME and kind.__module__.partition(".")[0] != "uvloop"


def _monotonic() -> float:
    loop = _running_loop()
    if loop is None or not _has_its_own_time(loop):
        return time.monotonic()
    return loop.time()


monotonic: Callable[[], float] = _monotonic
"""Seconds that only grow, and mean nothing elsewhere; an event loop's `time` is the same clock."""


def monotonic_to_keep() -> Callable[[], float]:
    """`monotonic` for what asks it often, on this loop alone: without finding the loop each time.

    That takes a microsecond on Python 3.11, which asks for the process's id on the way.
    """
    loop = _running_loop()
    is_usual = monotonic is _monotonic and loop is not None and not _has_its_own_time(loop)
    return time.monotonic if is_usual else monotonic


def _since_boot() -> float:
    now = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    loop = _running_loop()
    if loop is None or not _has_its_own_time(loop):
        return now
    return now + loop.time() - time.clock_gettime(time.CLOCK_MONOTONIC)


boot: Callable[[], float] = _since_boot
"""Seconds since this machine booted, including those in which it slept.

Leases and evidence are measured by it: setting the wall clock does not move it, and a laptop that
was shut for an hour sees that the hour has passed. On a loop with a time of its own it goes with
that one.
"""

sleep: Callable[[float], None] = time.sleep
"""Block this thread for this many seconds."""

token: Callable[[int], bytes] = secrets.token_bytes
"""This many random bytes, for names that must not collide."""

chance: Callable[[], float] = random.random
"""A random number from 0.0 up to 1.0, for jitter."""
