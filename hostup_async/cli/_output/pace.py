"""How fast a run goes, and how many seconds are left."""

from collections import deque
from typing import Final

from hostup_async import RunSnapshot

_SPAN: Final = 15.0  # seconds: enough to be steady, and still of now


class Pace:
    """The pace of a run over the last 15 seconds, from the snapshots that are shown."""

    def __init__(self) -> None:
        self._points: Final[deque[tuple[float, int]]] = deque()

    def add(self, snapshot: RunSnapshot) -> float:
        """Take a snapshot into account; returns how many VPSes a second become known."""
        self._points.append((snapshot.seconds, snapshot.known))
        while len(self._points) > 2 and snapshot.seconds - self._points[0][0] > _SPAN:  # noqa: PLR2004 - it takes two
            self._points.popleft()
        began, known = self._points[0]
        passed = snapshot.seconds - began
        return (snapshot.known - known) / passed if passed else 0.0

    @staticmethod
    def left(snapshot: RunSnapshot, rate: float) -> float | None:
        """Seconds until the end: the larger of the rate limit's estimate and the pace's, if any."""
        by_pace = (snapshot.total - snapshot.known) / rate if rate else None
        estimates = [one for one in (snapshot.seconds_left, by_pace) if one is not None]
        return max(estimates, default=None)
