"""Read what one HTTP answer says about rate limits, in any of the conventions in use.

HostUp documents, for answers of status 429, `Retry-After` in seconds and `X-RateLimit-Limit`,
`-Remaining` and `-Reset`, the last as an ISO 8601 timestamp; public clients have also met epoch
seconds, and older routes put an ISO `retryAfter` into the body. Everything else read here is what
other APIs, gateways and the IETF drafts (draft-ietf-httpapi-ratelimit-headers) do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from math import inf
from typing import Final, cast

from attrs import evolve, field, frozen

from hostup_async._ratelimit.timestamps import (
    MAX_DELTA,
    parse_delta,
    parse_moment,
    parse_number,
    parse_seconds_until,
    seconds_from_number,
)

MAX_COUNT: Final = 1e15
"""Counts of requests above this are junk."""

MAX_MEMBERS: Final = 16
"""Members of a list, and parameters of a member, beyond this many are ignored."""

_EPOCH_MILLISECONDS: Final = 1e11
"""Numbers from here on are moments in milliseconds, or finer."""

_ROUNDING: Final = 2.0
"""Seconds that a moment and the `Date` it is counted from can add, in whole seconds both."""

_FAMILIES: Final = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
_MEMBERS: Final = {"limit", "remaining", "reset", "reset-after"}
_NAMES: Final = frozenset(
    ["retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy"]
    + [family + member for family in _FAMILIES for member in _MEMBERS]
)
_BODY_KEYS: Final = ("retryAfter", "retry_after")
_BODY_OBJECTS: Final = ("error", "data", "extensions")

# Possessive throughout: whatever the text, no character is matched twice. Compiled by `re` at
# their first use: an import should not pay for them.
_QUOTED: Final = r'"(?:[^"\\]++|\\.)*+"?'
_DATE_COMMA: Final = r",(?=\s*+[0-9]{1,2}[ -][A-Za-z]{3})"
_MEMBER: Final = rf'(?:{_QUOTED}|[^",]++|{_DATE_COMMA})++'
_PARAMETER: Final = rf'(?:{_QUOTED}|[^";]++)++'


@frozen
class RateLimitReading:
    """What one answer says about one quota; what it does not say is None, and nothing is falsy.

    Attributes:
        limit: Requests a window.
        remaining: Requests left in this window.
        reset_after: Seconds from the answer's own moment until the window resets.
        retry_after: Seconds to wait before trying again, as the server says.
        window: Length of the window in seconds, where a policy names it.
        is_rounded: Whether the reset is a moment in whole seconds, and so up to 2 s too late: the
            moment was rounded up, and the `Date` that it is counted from down.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_after: float | None = None
    retry_after: float | None = None
    window: float | None = None
    is_rounded: bool = field(default=False, eq=False)

    def __bool__(self) -> bool:
        return self != EMPTY

    @property
    def wait(self) -> float | None:
        """Seconds until the window resets, or else until another try makes sense.

        Both are rounded up: where that is all the difference, the shorter one is nearer.
        """
        if self.reset_after is None or self.retry_after is None:
            return self.retry_after if self.reset_after is None else self.reset_after
        is_rounding = 0 < self.reset_after - self.retry_after < _ROUNDING
        return self.retry_after if is_rounding else self.reset_after

    @property
    def next_poll_after(self) -> float:
        """Seconds for which a success asks not to poll this job again.

        Some servers write the reset of their limit into `Retry-After` on every answer: that says
        nothing of this job.
        """
        wait = self.retry_after or 0.0
        is_reset = self.reset_after is not None and abs(wait - self.reset_after) < _ROUNDING
        return 0.0 if is_reset else wait


EMPTY: Final = RateLimitReading()
"""The reading of an answer that says nothing about rate limits."""


@frozen
class _Item:
    """A member of a structured field's list: `100;w=60`."""

    value: str
    params: Mapping[str, str]


def read_rate_limit(
    headers: Mapping[str, str], body: object = None, *, now: float
) -> RateLimitReading:
    """Read the rate limit from one answer; this never raises, and junk counts as absent.

    Of several quotas the most binding one is returned, whole: an exhausted one before any other
    (the longest to reset first), then the one with the least share remaining. `retry-after-ms`
    goes before `Retry-After`, and that before the body; of several waits the longest counts.

    Args:
        headers: The answer's headers, their names in any case, repeated ones included.
        body: The parsed JSON body, whose `retryAfter` or `retry_after` is read at the top and in
            its `error`, `data` and `extensions`. None to leave it alone.
        now: Our time in epoch seconds. Only used if the answer has no readable `Date`: otherwise
            moments are counted from that, so that the result is right with our clock hours off.
    """
    found = _pick(headers, _NAMES)
    if not found and body is None:
        return EMPTY
    reference = _answer_time(headers, now)
    retry_after = _header_wait(found, reference)
    if retry_after is None:
        retry_after = _body_wait(body, reference)
    quota = min(_quotas(found, reference), key=_slack, default=EMPTY)
    return evolve(quota, retry_after=retry_after) or EMPTY


def _pick(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        if (known := name.lower()) in names:
            found.setdefault(known, []).append(value)
    return found


def _answer_time(headers: Mapping[str, str], now: float) -> float:
    dates = _items(_pick(headers, frozenset({"date"})), "date")
    return next(_present(parse_moment(date.value) for date in dates), now)


def _header_wait(found: Mapping[str, list[str]], reference: float) -> float | None:
    numbers = _present(parse_number(item.value) for item in _items(found, "retry-after-ms"))
    exact = [number / 1000 for number in numbers if number / 1000 < MAX_DELTA]
    texts = (item.value for item in _items(found, "retry-after"))
    waits = exact or _present(parse_seconds_until(text, reference=reference) for text in texts)
    return max(waits, default=None)


def _body_wait(body: object, reference: float) -> float | None:
    top = _json_object(body)
    if not top:
        return None
    objects = [top, *(_json_object(top.get(key)) for key in _BODY_OBJECTS)]
    values = (found.get(key) for found in objects for key in _BODY_KEYS)
    return next(_present(_json_wait(value, reference) for value in values), None)


def _json_object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _json_wait(value: object, reference: float) -> float | None:
    if isinstance(value, str):
        return parse_seconds_until(value, reference=reference)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return seconds_from_number(value, reference=reference)
    return None


def _slack(quota: RateLimitReading) -> tuple[float, float, float]:
    """Order quotas by how little they leave: the share left, the longest wait, the slowest rate."""
    rate = quota.limit / quota.window if quota.limit and quota.window else inf
    return _share(quota), -(quota.reset_after or 0.0), rate


def _share(quota: RateLimitReading) -> float:
    if quota.remaining is None:
        return inf
    if quota.limit:
        return quota.remaining / quota.limit
    return float(quota.remaining > 0)


def _quotas(found: Mapping[str, list[str]], reference: float) -> list[RateLimitReading]:
    policies = _policies(_items(found, "ratelimit-policy"))
    quotas = _field_quotas(_items(found, "ratelimit"), policies, reference)
    for family in _FAMILIES:
        if any(name.startswith(family) for name in found):
            quotas += _family_quotas(found, family, policies.values(), reference)
    return [quota for quota in quotas if quota] or list(policies.values())


def _policies(items: Iterable[_Item]) -> dict[str, RateLimitReading]:
    """Read `"default";q=100;w=60`, or `100;w=60` as drafts up to 7 have it, by name."""
    return {
        item.value: RateLimitReading(
            limit=_count(item.params.get("q", item.value)), window=_window(item)
        )
        for item in items
    }


def _field_quotas(
    items: list[_Item], policies: Mapping[str, RateLimitReading], reference: float
) -> list[RateLimitReading]:
    """Read the field `RateLimit`: draft 7 makes it one quota's dictionary, later ones a list."""
    pairs = ((item, *item.value.partition("=")) for item in items)
    members = {key.strip(): evolve(item, value=value) for item, key, _, value in pairs if value}
    if members.keys() & _MEMBERS:
        parts = (members.get("limit"), members.get("remaining"), members.get("reset"))
        return [_quota(*parts, policies.values(), reference)]
    return [
        evolve(
            policies.get(item.value, EMPTY),
            remaining=_count(item.params.get("r", "")),
            reset_after=parse_seconds_until(item.params.get("t", ""), reference=reference),
        )
        for item in items
    ]


def _family_quotas(
    found: Mapping[str, list[str]],
    family: str,
    policies: Iterable[RateLimitReading],
    reference: float,
) -> list[RateLimitReading]:
    """Read a family of headers, such as `X-RateLimit-*`.

    Where what remains, or the reset, is a list, the lists are matched by position. Otherwise
    a list of limits is the limit in force and then the policies (drafts up to 6, Envoy).
    """
    limits = _items(found, f"{family}limit")
    remaining = _items(found, f"{family}remaining")
    resets = _resets(found, family)
    if len(remaining) <= 1 and len(resets) <= 1:
        policies = [*_policies(limits[1:]).values(), *policies]
        limits = limits[:1]
    rows = zip_longest(limits, remaining, resets)
    return [_quota(*row, policies, reference) for row in rows]


def _resets(found: Mapping[str, list[str]], family: str) -> list[_Item]:
    after = _items(found, f"{family}reset-after")
    readable = after and all(parse_delta(item.value) is not None for item in after)
    return after if readable else _items(found, f"{family}reset")


def _quota(
    limit: _Item | None,
    remaining: _Item | None,
    reset: _Item | None,
    policies: Iterable[RateLimitReading],
    reference: float,
) -> RateLimitReading:
    requests = _count(limit.value) if limit else None
    windows = [_window(item) for item in (limit, remaining) if item]
    if requests is not None:
        windows += [policy.window for policy in policies if policy.limit == requests]
    return RateLimitReading(
        limit=requests,
        remaining=_count(remaining.value) if remaining else None,
        reset_after=parse_seconds_until(reset.value, reference=reference) if reset else None,
        window=next(_present(windows), None),
        is_rounded=reset is not None and _is_epoch(reset.value),
    )


def _is_epoch(text: str) -> bool:
    number = parse_number(text)
    return number is not None and MAX_DELTA <= number < _EPOCH_MILLISECONDS


def _count(text: str) -> int | None:
    number = parse_number(text)
    return int(number) if number is not None and number <= MAX_COUNT else None


def _window(item: _Item) -> float | None:
    return parse_delta(item.params.get("w", "")) or None


def _present(values: Iterable[float | None]) -> Iterator[float]:
    return (value for value in values if value is not None)


def _items(found: Mapping[str, list[str]], name: str) -> list[_Item]:
    """Split a header into its members, at the commas outside quotes and dates."""
    if name not in found:
        return []
    texts = re.finditer(_MEMBER, ", ".join(found[name]), re.DOTALL)
    return [_item(text[0]) for text in islice(texts, MAX_MEMBERS)]


def _item(text: str) -> _Item:
    parts = [
        part[0].strip() for part in islice(re.finditer(_PARAMETER, text, re.DOTALL), MAX_MEMBERS)
    ]
    pairs = (part.partition("=") for part in parts[1:])
    params = {key.strip().lower(): value.strip() for key, _, value in pairs}
    return _Item("".join(parts[:1]).strip('"'), params)
