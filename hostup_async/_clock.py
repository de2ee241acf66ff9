"""Time and chance: the one module that asks the machine for them.

Call each by way of the module (`_clock.wall()`), never by a name that was imported or bound
before: a simulation puts its own functions here, and then a whole run, with every wait, token and
jitter in it, follows from one seed.
"""

import random
import secrets
import time
from collections.abc import Callable

wall: Callable[[], float] = time.time
"""Seconds since the epoch, by this machine's wall clock; it may be wrong, and may step."""

monotonic: Callable[[], float] = time.monotonic
"""Seconds that only grow, and mean nothing elsewhere; an event loop's `time` is the same clock."""


def _since_boot() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


boot: Callable[[], float] = _since_boot
"""Seconds since this machine booted, including those in which it slept.

Leases and evidence are measured by it: setting the wall clock does not move it, and a laptop that
was shut for an hour sees that the hour has passed.
"""

sleep: Callable[[float], None] = time.sleep
"""Block this thread for this many seconds."""

token: Callable[[int], bytes] = secrets.token_bytes
"""This many random bytes, for names that must not collide."""

chance: Callable[[], float] = random.random
"""A random number from 0.0 up to 1.0, for jitter."""
