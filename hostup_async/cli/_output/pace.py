"""How fast a run goes, and how long it still takes."""

from collections import deque
from typing import Final

from hostup_async import RunSnapshot

_SPAN: Final = 15.0


class Pace:
    """Learns from the snapshots that are shown."""

    def __init__(self) -> None:
        self._seen: Final[deque[tuple[float, int]]] = deque()

    def see(self, snapshot: RunSnapshot) -> float:
        """VPSes a second that become known, over the last seconds."""
        self._seen.append((snapshot.seconds, snapshot.known))
        while len(self._seen) > 2 and snapshot.seconds - self._seen[0][0] > _SPAN:  # noqa: PLR2004 - it takes two
            self._seen.popleft()
        began, known = self._seen[0]
        passed = snapshot.seconds - began
        return (snapshot.known - known) / passed if passed else 0.0

    @staticmethod
    def left(snapshot: RunSnapshot, rate: float) -> float | None:
        """Seconds until the end, by the rate limit and by the pace; None where neither tells."""
        by_pace = (snapshot.total - snapshot.known) / rate if rate else None
        told = [one for one in (snapshot.seconds_left, by_pace) if one is not None]
        return max(told, default=None)


def format_duration(seconds: float) -> str:
    """A length of time as a clock shows it.

    Example:
        >>> format_duration(75.2), format_duration(7325)
        ('1:15', '2:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
