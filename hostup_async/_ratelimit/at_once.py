"""How many requests may be in flight, where that is what an API limits. Pure.

It shows by a 429 of a request that had more in flight beside it than any that was accepted. A
request on its way counts here and not yet there, so now and then one more than the number is
accepted, and the number believed is one too high: a refusal within it lowers it. It is refuted
where such refusals come one after the other, or where nothing else was in flight. One more is tried
now and then, ever less often if it is refused.
"""

from math import inf
from typing import Final

_ONE_MORE_AFTER: Final = 256
"""Requests accepted for each that may be in flight, until one more is tried; doubles if refused."""

_SOON: Final = 8
"""Requests accepted for each where the number was learnt before: it may have been raised since."""

_HOLDS: Final = 8
"""Requests accepted for each that may be in flight, between two refusals, by which the number is
shown to be nearly right. A window or a rate that is used up refuses more."""

_FIRST: Final = 4
"""Requests in flight while nothing is confirmed. All of them may be refused at once when the limit
is met, so finding it costs about this many 429s; fewer would leave the line idle."""

_ACCEPTED_FOR_ONE_MORE: Final = 32
"""One more may be in flight for each this many accepted: refusals stay near 3 % of what passed."""


def most_unconfirmed(accepted: int, *, is_first: bool) -> int:
    """How many may be in flight while a limit is being found out.

    Args:
        accepted: Requests accepted since the 429 before.
        is_first: Whether there was none yet.
    """
    most = _FIRST + accepted // _ACCEPTED_FOR_ONE_MORE
    # A bucket lets one pass after a pause, and refuses all others.
    return most if is_first else min(most, 1 + accepted)


class AtOnce:
    """The most requests in flight.

    Attributes:
        most: How many may be in flight, infinite where that is not what is limited.
    """

    __slots__ = ("_accepted", "_is_refuted", "_one_more_after", "_tries_one_more", "most")

    def __init__(self) -> None:
        self.most: float = inf
        self._is_refuted = self._tries_one_more = False
        self._accepted = 0
        self._one_more_after = _ONE_MORE_AFTER

    def restore(self, most: float) -> None:
        """Begin with a number that was learnt before, and soon try one more."""
        self.most, self._one_more_after = max(1, most), _SOON

    @property
    def is_limited(self) -> bool:
        """Whether it is what the API limits, as far as is known."""
        return self.most < inf

    def accept(self) -> None:
        """A request was accepted."""
        self._accepted += 1
        if self.is_limited and self._accepted >= self._one_more_after * self.most:
            self._accepted, self.most, self._tries_one_more = 0, self.most + 1, True

    def explains(self, in_flight: int, most_accepted: int) -> bool:
        """Whether a 429 comes of the number in flight; what is believed of it then changes.

        Args:
            in_flight: How many were, with the request that was refused.
            most_accepted: The most with which requests were accepted.
        """
        if not self.is_limited:
            is_explained = not self._is_refuted and 1 < in_flight >= most_accepted > 0
            self.most = min(most_accepted, in_flight - 1) if is_explained else inf
            self._accepted = 0
            return is_explained
        if in_flight > self.most:
            return True  # it was in flight since before
        is_alone = in_flight == 1 or self._accepted < _HOLDS * self.most
        if is_alone and not self._tries_one_more:
            self.most, self._is_refuted = inf, self._one_more_after >= _ONE_MORE_AFTER
            return False
        if self._tries_one_more:
            self._one_more_after = max(_ONE_MORE_AFTER, 2 * self._one_more_after)
        self.most -= 1
        self._tries_one_more, self._accepted = False, 0
        return True
