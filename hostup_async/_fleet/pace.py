"""When to read a VPS's status for evidence, and when an action must be over. Pure.

The first read comes a second after the send, the next ones every 2.5 s: that bounds the delay from
a reboot to its discovery to 3 s, and a reboot within 10 s of the send costs at most 5 reads. From
there on the gaps grow with the age, so that a long job costs few reads. A read that finds an
uptime about as old as the send is repeated soon. Just after a whole number of seconds since the
send, the uptime of a VPS that booted after it is smaller by one than the age, and that of one that
booted before is not: this is when such a read decides, unless the uptime is rounded up. Once enough
is known of how long such actions take, the reads before the earliest of them are left out.

"It did not take place" cannot be read off a clock: a job may queue longer than any that was seen.
So that is believed only after twice the time in which 95 % of all jobs end, after the longest that
was seen, and after a minute at least; and after five minutes where few were seen, or where the
action would be sent again.

Ages and durations are in seconds. `second` is what the uptime is rounded to.
"""

from math import ceil
from typing import Final

from hostup_async._polling.durations import DurationModel

# The head comment has the reasons. Gaps of reads are in units of what the uptime is rounded to
# (`second`), so that they fit an API which tells it more finely.
_JUST_AFTER: Final = 0.02  # past a whole number of them: where a read decides, with room for jitter
_FIRST: Final = 1.0 + _JUST_AFTER  # the first read: before that, no uptime can have fallen
_GAP: Final = 2.5  # between the next reads
_DENSE: Final = 5  # reads, before the gaps grow
_SHARE: Final = 0.08  # of the age: the gap of an old action, so 9 reads from one age to its double
_LONGEST_GAP: Final = 30.0  # seconds; the delay from a reboot to its discovery, at most
# When a read that nearly decides is repeated: two reads within one second show the same uptime.
_REPEAT: Final = 1.1  # where any later read decides: a second, and room for jitter
_LEAST_REPEAT: Final = 0.9  # else at the next moment that decides, and not sooner than this
# The age that few jobs end before, as a share of them, is believed from this confidence on: about
# seven ends.
_KNOWS_EARLIEST: Final = 0.15
_EARLY: Final = 0.02
# The share of the rate limit that reads for evidence may take: half is left for sends and polls.
_READS_SHARE: Final = 0.5

# Seconds from the send after which an action must be over, at the least: of jobs that are known,
# and of a queue that is not. Tests shorten both.
LEAST: float = 60.0
UNKNOWN_QUEUE: float = 300.0
# This many times the age by which this share of all jobs has ended.
_PATIENCE: Final = 2.0
_LATE: Final = 0.95
# From this confidence on, the jobs that were seen show how long the queue is.
_KNOWS_QUEUE: Final = 0.5


def next_gap(reads: int, age: float, durations: DurationModel, second: float) -> float:
    """Seconds from one read to the next.

    Args:
        reads: How many were made.
        age: The age of the action at the last of them, or now.
        durations: How long such actions take.
        second: What the uptime is rounded to.
    """
    if not reads:
        return max(0.0, _FIRST * second - age)
    gap = _GAP * second
    if reads >= _DENSE:
        gap = max(gap, min(_SHARE * age, _LONGEST_GAP))
    if durations.confidence() > _KNOWS_EARLIEST:
        gap = max(gap, min(durations.quantile(_EARLY) + second - age, _LONGEST_GAP))
    return gap


def repeat_gap(age: float, second: float, *, fell: bool) -> float:
    """Seconds from a read that nearly decides to the next one.

    Args:
        age: The age of the action now.
        second: What the uptime is rounded to.
        fell: Whether the uptime was seen to fall, so that any read decides which is not too soon.
    """
    if fell:
        return _REPEAT * second
    whole = ceil(age / second + _LEAST_REPEAT - _JUST_AFTER)
    return (whole + _JUST_AFTER) * second - age


def gap_at_rate(reading: int, rate: float | None) -> float:
    """Seconds between two reads of each VPS while this many are read at a rate of requests."""
    return reading / (_READS_SHARE * rate) if rate else 0.0


def longest_wait(durations: DurationModel, *, resends: bool) -> float:
    """Seconds from the send after which the action must be over."""
    longest = max(LEAST, _PATIENCE * durations.quantile(_LATE), durations.longest)
    if resends or durations.confidence() < _KNOWS_QUEUE:
        return max(longest, UNKNOWN_QUEUE)
    return longest
