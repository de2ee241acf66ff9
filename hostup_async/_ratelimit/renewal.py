"""Whether a reset gives back all requests of a window at once, or each when its own time is over.

A fixed window gives back all, a sliding one does not. Where the API names a reset it is taken to
give back all. A 429 that what was spent before the reset explains shows that windows slide; more
requests accepted within the length of a window than it has show that they do not. Pure. Units:
moments are seconds of the budget's clock.
"""

from collections import deque
from typing import Final

from hostup_async._ratelimit.window import EARLY

_SURELY: Final = 1.1
"""The part of the limit that must pass within the length of a window to show that a reset gave
back all of it."""


class Renewal:
    """How the requests of a window come back.

    Attributes:
        is_fixed: Whether they come back all at once, None until that is known.
    """

    __slots__ = ("_before", "is_fixed")

    is_fixed: bool | None

    def __init__(self) -> None:
        self.is_fixed = None
        self._before: deque[float] = deque()  # spent before the reset, while that is unknown

    def reset(self, spent: deque[float], at: float) -> None:
        """A named reset is over: what was spent before it counts no more, unless windows slide."""
        self._before.clear()
        while self.is_fixed is not False and spent and spent[0] < at:
            self._before.append(spent.popleft())

    def accept(self, counted_since: float, accepted: int, cap: float) -> None:
        """Note how many passed since the reset; what was spent earlier may count with them."""
        if self.is_fixed is not None or not self._before:
            return
        while self._before and self._before[0] <= counted_since:
            self._before.popleft()
        if accepted + len(self._before) > _SURELY * cap:
            self.is_fixed = True

    def refuse(self, spent: deque[float], begin: float, cap: float) -> None:
        """A 429 came; `begin` is when the last window's length began."""
        counted = [moment for moment in self._before if moment > begin]
        if self.is_fixed is None and counted and len(spent) < EARLY * cap:
            self.is_fixed = False
            spent.extendleft(reversed(counted))
        self._before.clear()
