"""The budget that users see: one for each origin and key in a process."""

import os
import threading
from collections.abc import Callable
from typing import ClassVar, Final
from weakref import WeakValueDictionary

from hostup_async import _clock
from hostup_async._config import Seconds, seconds
from hostup_async._errors import ConfigurationError
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RateLimit
from hostup_async._ratelimit.snapshot import BudgetSnapshot, summarize

DEFAULT_MAX_WAIT: Final = 900.0
"""Seconds that a request may wait for a permit: a quarter of an hour, a usual window of limits."""


class Budget:
    """Grants permits to send, first come, first served, across tasks, clients and threads.

    Args:
        limit: The limit, where you know it, or `RateLimit.UNLIMITED`; otherwise it is learnt
            from the API's answers.
        read_limit: The limit of requests that only read (polls, status, lists), where you know
            that they have one of their own. Actions then keep to `limit`, or it is learnt for
            them. Without it, both share one limit until the API's 429s show that there are two.
        share: The part of the limit that is yours, such as 0.7, where other programs use the same
            key: the rest is left to them. It holds as soon as the limit is known.
        max_wait: How long one request may wait for a permit, in seconds; a wait that is known to
            be longer fails at once with `RateLimited`.
        clock: Where the time comes from, in seconds; for tests.

    Example:
        >>> Budget(RateLimit(100, 10), max_wait=60).snapshot().left
        100
        >>> Budget(limit=RateLimit(60, 60), read_limit=RateLimit(600, 60)).snapshot().is_split
        True
    """

    _shared: ClassVar[WeakValueDictionary[tuple[str, str], "Budget"]] = WeakValueDictionary()
    _shared_lock = threading.Lock()
    # A forked child begins anew: the parent's requests are not its own. The lock is held across
    # the fork: held by another thread, it would never be released in the child.
    os.register_at_fork(before=_shared_lock.acquire, after_in_parent=_shared_lock.release)
    os.register_at_fork(after_in_child=_shared.clear)
    os.register_at_fork(after_in_child=_shared_lock.release)

    def __init__(
        self,
        limit: RateLimit | None = None,
        *,
        read_limit: RateLimit | None = None,
        share: float = 1.0,
        max_wait: Seconds = DEFAULT_MAX_WAIT,
        clock: Callable[[], float] | None = None,
    ) -> None:
        limits: dict[str, object] = {"limit": limit, "read_limit": read_limit}
        for name, value in limits.items():
            if value is not None and not isinstance(value, RateLimit):
                msg = f"{name} must be a RateLimit, such as RateLimit(60, 60), not {value!r}."
                raise ConfigurationError(msg)
        share = _checked_share(share)
        longest = seconds(max_wait, name="max_wait")
        self._limiter: Final[RateLimiter] = RateLimiter(
            limit, longest, clock or _clock.monotonic_to_keep(), read_limit=read_limit, share=share
        )

    def __repr__(self) -> str:
        return f"<Budget {summarize(self.snapshot())}>"

    @classmethod
    def shared(cls, origin: str, fingerprint: str) -> "Budget":
        """The process's one budget for an API and a key; it lives while a client uses it."""
        with cls._shared_lock:
            budget = cls._shared.get((origin, fingerprint))
            if budget is None:
                budget = cls._shared[origin, fingerprint] = cls()
            return budget

    @property
    def max_wait(self) -> float:
        """How long one request may wait, in seconds."""
        return self._limiter.max_wait

    def snapshot(self) -> BudgetSnapshot:
        """Where the budget stands, and why requests wait."""
        return self._limiter.snapshot()


def _checked_share(share: object) -> float:
    if isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1:
        return share
    msg = f"share must be above 0 and at most 1, such as 0.7, not {share!r}."
    raise ConfigurationError(msg)


def limiter_of(budget: Budget) -> RateLimiter:
    """What a client sends with."""
    # For the client alone, and not for users.
    return budget._limiter  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
