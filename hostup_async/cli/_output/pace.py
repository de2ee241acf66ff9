"""How fast a run goes."""

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
