"""Whether actions and reads have limits of their own, told from what their answers name."""

from itertools import pairwise
from typing import Final

_TURNS: Final = 6
"""Successes that name two limits in turn, as many show that each belongs to a kind. Fewer could be
answers that overtook each other while one limit for all was changed."""


class NamedLimits:
    """The limits that answers name in `X-RateLimit-Limit`, for actions and for reads.

    HostUp does not say whether its limit holds for all requests or by kind. Nothing is sent to
    find out: a 429 asks for a pause. The answers that come anyway tell enough. Those of actions and
    those of reads name different limits

    - in two 429s, one right after the other, with nothing accepted in between, or
    - alternately: one side names again what it named before the other side named another one.

    A single pair further apart proves nothing: one limit for both may have been changed meanwhile.
    Then the old one is never named again. Successes that name limits tell as much by many turns.
    """

    def __init__(self) -> None:
        # The newest three, oldest first, none equal to the one before: (is an action, limit).
        self._named: Final[list[tuple[bool, int]]] = []
        # The same of successes, as many as it takes.
        self._told: Final[list[tuple[bool, int]]] = []

    def differ(self, limit: int, *, is_action: bool, in_a_row: bool) -> bool:
        """Note what one more 429 names.

        Args:
            limit: The limit that it names, in requests a window.
            is_action: Whether it refused an action, and not a read.
            in_a_row: Whether nothing was accepted since the 429 before.

        Returns:
            Whether actions and reads are shown to have limits of their own.
        """
        named, newest = self._named, (is_action, limit)
        is_repeated = newest in named[-1:]
        if not is_repeated:
            named.append(newest)
            del named[:-3]
        if len(named) < 2:  # noqa: PLR2004 - it takes two to differ
            return False
        other_is_action, other_limit = named[-2]
        if other_is_action is is_action or other_limit == limit:
            return False
        is_alternating = named[0] == newest
        return is_alternating or (in_a_row and not is_repeated)

    def alternate(self, limit: int, *, is_action: bool) -> bool:
        """Note what a success names; whether it is shown that the two kinds differ."""
        told, newest = self._told, (is_action, limit)
        if newest in told[-1:]:
            return False
        told.append(newest)
        del told[:-_TURNS]
        is_in_turn = len(told) == _TURNS and len(set(told)) == len(set(told[:2]))
        return is_in_turn and all(a[0] is not b[0] and a[1] != b[1] for a, b in pairwise(told))
