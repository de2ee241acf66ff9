"""A place among the sends of the poller, and the permits to send with."""

from collections.abc import Callable
from typing import Final, Self

from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit


def _ignore() -> None:
    pass


class SendSlot:
    """A target's place to send from: its first permit is the poller's, later ones the limiter's.

    As a context manager it ends itself: what was granted and not used is given back, and the
    poller is told, once, that the action is answered or was not sent after all.

    Args:
        limiter: Grants the permits of later sends, or of the first if none is `granted`.
        granted: A permit that the poller took already.
        on_end: Called once, at the first end of the slot.
    """

    __slots__ = ("_granted", "_limiter", "_on_end")

    def __init__(
        self, limiter: RateLimiter, *granted: Permit, on_end: Callable[[], None] = _ignore
    ) -> None:
        self._limiter: Final = limiter
        self._granted: Final = list(granted)
        self._on_end = on_end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refund()
        on_end, self._on_end = self._on_end, _ignore
        on_end()

    async def take(self) -> Permit:
        """A permit for one send, to be used as a context manager.

        Raises:
            RateLimited: The wait for it would be longer than the budget allows.
        """
        if self._granted:
            return self._granted.pop()
        return await self._limiter.acquire(RequestClass.ACTION)

    def refund(self) -> None:
        """Give back what was granted: something else is done before the send."""
        while self._granted:
            self._granted.pop().refund()
