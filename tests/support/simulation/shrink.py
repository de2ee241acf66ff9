"""Makes a failing history small: the fewest deviations with which the same invariant breaks."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from simulation.checks import Broken


class _Result(Protocol):
    @property
    def seed(self) -> int: ...
    @property
    def broken(self) -> tuple[Broken, ...]: ...
    @property
    def fired(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=_Result)


def shrink(
    result: R, play: Callable[[int, frozenset[str]], R], *, tries: int = 200
) -> tuple[R, frozenset[str]]:
    """The smallest failing history found, and the deviations left out of the seed's own.

    First whole kinds are left out, then halves and quarters of what is left, down to one by one.

    Args:
        result: A history in which an invariant broke.
        play: Plays a seed without some deviations.
        tries: How many histories are played at most.
    """
    invariant = result.broken[0].invariant
    best, without = result, frozenset[str]()
    left = tries

    def still_fails(more: frozenset[str]) -> bool:
        nonlocal best, without, left
        if left <= 0:
            return False
        left -= 1
        tried = play(result.seed, without | more)
        if not any(one.invariant == invariant for one in tried.broken[:1]):
            return False
        best, without = tried, without | more
        return True

    for kind in sorted({name.partition("/")[0] for name in result.fired}):
        still_fails(frozenset({kind}))
    _leave_out(lambda: best.fired, still_fails)
    return best, without


def _leave_out(
    fired: Callable[[], Sequence[str]], still_fails: Callable[[frozenset[str]], bool]
) -> None:
    size = max(1, len(fired()) // 2)
    while True:
        names, place, gained = list(fired()), 0, False
        while place < len(names):
            part = frozenset(names[place : place + size])
            if still_fails(part):
                gained = True
                names = [name for name in names if name not in part]
            else:
                place += size
        if size == 1 and not gained:
            return
        size = max(1, size // 2)
