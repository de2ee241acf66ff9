"""What was learnt of a limit, as a small value that can be kept and given back to a later run."""

from enum import StrEnum

from attrs import frozen


class LimitStyle(StrEnum):
    """In which dimension a limit is."""

    WINDOW = "window"
    """A count of requests in a window."""
    RATE = "rate"
    """An even rate: a bucket, a gap between requests, or a sliding counter."""
    AT_ONCE = "at_once"
    """A number of requests in flight."""


@frozen
class LearntLimit:
    """One limit, as far as it was learnt.

    Attributes:
        style: In which dimension it is.
        requests: Requests a window, requests a second or requests in flight.
        window: The length of the window in seconds; 1.0 for the other two.
        age: Seconds since the API last showed that it holds, by a 429 or by headers.
        is_named: Whether the API named the number of requests.
        is_fixed: Whether the requests of a window come back all at once; None where unknown.
    """

    style: LimitStyle
    requests: float
    window: float = 1.0
    age: float = 0.0
    is_named: bool = False
    is_fixed: bool | None = None


@frozen
class LearntLimits:
    """The limit of actions and that of reads; the same one where they share a limit.

    Attributes:
        actions: That of actions, None where nothing was learnt.
        reads: That of reads, None where nothing was learnt.
        is_split: Whether they were found to be two.
    """

    actions: LearntLimit | None = None
    reads: LearntLimit | None = None
    is_split: bool = False
