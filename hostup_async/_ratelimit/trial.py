"""Whether actions and reads have limits of their own: told by who is refused, and who passes."""

from typing import TYPE_CHECKING, Final

from hostup_async._ratelimit.limits import RequestClass

if TYPE_CHECKING:
    from hostup_async._ratelimit.queue import Permit

# Announced moments are rounded, mostly up to a second: shorter pauses may be over before.
SHORTEST_TRIED: Final = 2.0
# Sides that were shown to share their limit are not tried again for so many seconds.
TRIED_FOR: Final = 3600.0
_ROUNDING: Final = 1.0
_ANSWERS: Final = 6


def kinds_on(*, actions: bool) -> list[RequestClass]:
    """The classes on a side: the actions, or all that only read."""
    return [kind for kind in RequestClass if (kind is RequestClass.ACTION) is actions]


class Trial:
    """While one side is paused, both send one request in turn; together they tell.

    Three of the limited side refused again, and three of the other passed between them: these
    are two limits. Anything else ends the trial: it costs the other side one 429 at most.

    Attributes:
        limited_side: Whether it is the actions that are paused.
        until: When there is nothing more to be learnt.
        permit: The one that is out.
        is_over: Whether nothing more is to be sent.
    """

    def __init__(self, kind: RequestClass, paused_until: float) -> None:
        self.limited_side: Final = kind is RequestClass.ACTION
        self.until: Final = paused_until - _ROUNDING
        self.permit: Permit | None = None
        self.is_over = False
        self._answers = 0

    @property
    def splits(self) -> bool:
        """Whether the two sides turned out to have limits of their own."""
        return self._answers == _ANSWERS

    def next_side(self, now: float) -> bool | None:
        """Who sends next: True for an action, False for a read, None for nobody."""
        return None if self.permit is not None or now >= self.until else self._turn

    def hear(self, *, passed: bool, sent: bool) -> None:
        """The answer to what was sent last."""
        as_expected = sent and passed == (self._turn is not self.limited_side)
        self._answers += as_expected
        self.is_over = not as_expected or self.splits
        self.permit = None

    @property
    def _turn(self) -> bool:
        return self.limited_side == bool(self._answers % 2)
