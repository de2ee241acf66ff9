from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import astuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from hostup_async._ratelimit.headers import EMPTY, RateLimitReading, read_rate_limit

if TYPE_CHECKING:
    from random import Random

MOMENT = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
EPOCH = MOMENT.timestamp()
LINEAR = 2.0  # CPU seconds: far above what a busy machine takes, far below quadratic time
DATE = ("Date", format_datetime(MOMENT, usegmt=True))
TWO_HOURS = 7200.0
CLOCKS = pytest.mark.parametrize("now", [EPOCH - TWO_HOURS, EPOCH, EPOCH + TWO_HOURS])

FAMILIES = ["X-RateLimit", "X-Rate-Limit", "RateLimit"]
NAMES = [
    "Retry-After",
    "retry-after-ms",
    "RateLimit",
    "RateLimit-Policy",
    *(
        f"{family}-{m}"
        for family in FAMILIES
        for m in ("Limit", "Remaining", "Reset", "Reset-After")
    ),
]

Headers = list[tuple[str, str]]


def read(headers: Headers, body: object = None, now: float = EPOCH) -> RateLimitReading:
    return read_rate_limit(CIMultiDictProxy(CIMultiDict(headers)), body, now=now)


@CLOCKS
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0", 0),
        ("1.5", 1.5),
        ("1000000", 1_000_000),
        ("Mon, 23 Nov 2026 09:00:30 GMT", 30),
        ("Monday, 23-Nov-26 09:00:30 GMT", 30),
        ("Mon Nov 23 09:00:30 2026", 30),
        ("Mon Nov 23 2026 10:00:30 GMT+0100 (Central European Standard Time)", 30),
        ("2026-11-23T09:00:30Z", 30),
        (f"{EPOCH + 30:.0f}", 30),
        ("30s", 30),
        ("Mon, 23 Nov 2026 08:00:00 GMT", 0),
        ("Thu, 26 Nov 2026 09:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_retry_after_is_read_against_the_answers_own_date(
    text: str, seconds: float | None, now: float
) -> None:
    assert read([DATE, ("Retry-After", text)], now=now).retry_after == seconds


@CLOCKS
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "reset",
    [
        "30",
        "30.0",
        "30s",
        "0m30s",
        "2026-11-23T09:00:30Z",
        "2026-11-23T09:00:30.000Z",
        "2026-11-23T10:00:30+01:00",
        "2026-11-23T09:00:30",
        '"2026-11-23T09:00:30Z"',
        f"{EPOCH + 30:.0f}",
        f"{EPOCH + 30:.1f}",
        f"{EPOCH + 30:.0f}000",
        f"{EPOCH + 30:.0f}000000",
        "Mon, 23 Nov 2026 09:00:30 GMT",
        "Mon Nov 23 2026 10:00:30 GMT+0100 (Central European Standard Time)",
    ],
)
def test_a_family_of_headers_is_read_whatever_our_clock_says(
    family: str, reset: str, now: float
) -> None:
    headers = [(f"{family}-Limit", "100"), (f"{family}-Remaining", "7"), (f"{family}-Reset", reset)]
    expected = RateLimitReading(limit=100, remaining=7, reset_after=30)
    assert read([DATE, *headers], now=now) == expected


@pytest.mark.parametrize("date", [[], [("Date", "yesterday")]])
def test_without_a_usable_date_our_clock_serves(date: Headers) -> None:
    assert read([*date, ("X-RateLimit-Reset", f"{EPOCH + 30:.0f}")], now=EPOCH + 10) == (
        RateLimitReading(reset_after=20)
    )


def test_a_repeated_date_counts_once() -> None:
    assert read([DATE, DATE, ("Retry-After", "2026-11-23T09:00:30Z")], now=0).retry_after == 30


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            [("RateLimit-Limit", "100, 100;w=60"), ("RateLimit-Remaining", "50")],
            RateLimitReading(limit=100, remaining=50, window=60),
            id="draft 6 names its window after the limit",
        ),
        pytest.param(
            [
                ("RateLimit-Limit", "1000"),
                ("RateLimit-Policy", "10;w=1, 1000;w=3600"),
                ("RateLimit-Remaining", "50"),
                ("RateLimit-Reset", "30"),
            ],
            RateLimitReading(limit=1000, remaining=50, reset_after=30, window=3600),
            id="draft 6 with a policy header",
        ),
        pytest.param(
            [
                ("X-RateLimit-Limit", '10, 10;w=1;name="a,b;c", 1000;w=3600'),
                ("X-RateLimit-Remaining", "0"),
                ("X-RateLimit-Reset", "1"),
            ],
            RateLimitReading(limit=10, remaining=0, reset_after=1, window=1),
            id="Envoy",
        ),
        pytest.param(
            [("RateLimit-Limit", "100;w=21600"), ("RateLimit-Remaining", "76;w=21600")],
            RateLimitReading(limit=100, remaining=76, window=21600),
            id="Docker Hub",
        ),
        pytest.param(
            [("RateLimit-Remaining", "76;w=21600")],
            RateLimitReading(remaining=76, window=21600),
            id="a window beside what remains",
        ),
        pytest.param(
            [("RateLimit", "limit=100, remaining=50, reset=30")],
            RateLimitReading(limit=100, remaining=50, reset_after=30),
            id="draft 7",
        ),
        pytest.param(
            [("RateLimit", "limit=100, remaining=50, reset=30"), ("RateLimit-Policy", "100;w=60")],
            RateLimitReading(limit=100, remaining=50, reset_after=30, window=60),
            id="draft 7 with a policy",
        ),
        pytest.param(
            [("RateLimit", '"default";r=50;t=30'), ("RateLimit-Policy", '"default";q=100;w=60')],
            RateLimitReading(limit=100, remaining=50, reset_after=30, window=60),
            id="draft 8",
        ),
        pytest.param(
            [
                ("RateLimit", '"a;b,\\"c";r=50;t=30, "daily";r=2;t=4000;pk=:Zm9v:'),
                ("RateLimit-Policy", '"a;b,\\"c";q=100;w=60,"daily";q=1000;w=86400'),
            ],
            RateLimitReading(limit=1000, remaining=2, reset_after=4000, window=86400),
            id="draft 8 with quoted separators, the least share first",
        ),
        pytest.param(
            [("RateLimit", '"a";r=5;t=30'), ("RateLimit-Policy", '"b";q=100;w=60')],
            RateLimitReading(remaining=5, reset_after=30),
            id="another quota's policy is not mixed in",
        ),
        pytest.param(
            [("RateLimit", '"plan=basic";r=5;t=30'), ("RateLimit-Policy", '"plan=basic";q=100')],
            RateLimitReading(limit=100, remaining=5, reset_after=30),
            id="a name that looks like a dictionary's member",
        ),
        pytest.param(
            [("RateLimit-Policy", '"burst";q=10;w=1, "daily";q=1000;w=86400')],
            RateLimitReading(limit=1000, window=86400),
            id="policies alone, the slowest rate first",
        ),
        pytest.param(
            [("RateLimit-Policy", "100;w=0")],
            RateLimitReading(limit=100),
            id="a window of nothing is none",
        ),
        pytest.param(
            [("X-RateLimit-Reset-After", "1.5"), ("X-RateLimit-Reset", "2026-11-23T09:00:09Z")],
            RateLimitReading(reset_after=1.5),
            id="a reset without a clock goes first",
        ),
        pytest.param(
            [("X-RateLimit-Reset-After", "later"), ("X-RateLimit-Reset", "2026-11-23T09:00:09Z")],
            RateLimitReading(reset_after=9),
            id="an unreadable one does not",
        ),
    ],
)
def test_structured_forms(headers: Headers, expected: RateLimitReading) -> None:
    assert read([DATE, *headers]) == expected


@pytest.mark.parametrize(
    ("limits", "remaining", "resets", "expected"),
    [
        ("10, 1000", "5, 20", "1, 3000", RateLimitReading(1000, 20, 3000)),
        ("10, 1000", "0, 20", "1, 3000", RateLimitReading(10, 0, 1)),
        ("10, 1000", "0, 0", "1, 3000", RateLimitReading(1000, 0, 3000)),
        ("10, 1000", "5, junk", "1, 3000", RateLimitReading(10, 5, 1)),
        ("10;w=1, 1000;w=3600", "9, 2", "1, 3000", RateLimitReading(1000, 2, 3000, None, 3600)),
        ("", "3, 0", "9, 4", RateLimitReading(None, 0, 4)),
    ],
)
def test_of_several_quotas_the_most_binding_is_returned_whole(
    limits: str, remaining: str, resets: str, expected: RateLimitReading
) -> None:
    headers = [
        ("X-RateLimit-Limit", limits),
        ("X-RateLimit-Remaining", remaining),
        ("X-RateLimit-Reset", resets),
    ]
    assert read(headers) == expected
    split = [(name, part) for name, text in headers for part in text.split(",")]
    assert read(split) == expected


def test_dates_in_a_list_keep_their_commas() -> None:
    resets = "Mon, 23 Nov 2026 09:00:30 GMT, Monday, 23-Nov-26 09:01:00 GMT"
    headers = [("X-RateLimit-Remaining", "5, 0"), ("X-RateLimit-Reset", resets)]
    assert read([DATE, *headers]) == RateLimitReading(remaining=0, reset_after=60)


def test_of_several_families_the_exhausted_one_is_returned() -> None:
    headers = [
        ("X-RateLimit-Limit", "100"),
        ("X-RateLimit-Remaining", "0"),
        ("RateLimit", "limit=10, remaining=1, reset=5"),
    ]
    assert read(headers) == RateLimitReading(limit=100, remaining=0)


def test_of_several_waits_the_longest_counts() -> None:
    assert (
        read([("Retry-After", "5"), ("Retry-After", "60"), ("Retry-After", "x")]).retry_after == 60
    )


@pytest.mark.parametrize(("text", "seconds"), [("1500", 1.5), ("-1", 7), ("9" * 20, 7), ("1s", 7)])
def test_milliseconds_go_first_where_they_are_readable(text: str, seconds: float) -> None:
    assert read([("Retry-After", "7"), ("retry-after-ms", text)]).retry_after == seconds


@CLOCKS
@pytest.mark.parametrize(
    "value", [30, 30.0, "30", "2026-11-23T09:00:30Z", "2026-11-23T09:00:30.000Z", EPOCH + 30]
)
@pytest.mark.parametrize("key", ["retryAfter", "retry_after"])
@pytest.mark.parametrize("inside", [None, "error", "data", "extensions"])
def test_the_body_is_read(value: object, key: str, inside: str | None, now: float) -> None:
    body: dict[str, object] = {key: value}
    assert read([DATE], {inside: body} if inside else body, now) == RateLimitReading(retry_after=30)


def test_headers_go_before_the_body() -> None:
    assert read([("Retry-After", "5")], {"retryAfter": 60}).retry_after == 5
    assert read([("Retry-After", "junk")], {"retryAfter": 60}).retry_after == 60


def test_the_body_completes_the_headers() -> None:
    reading = read([("X-RateLimit-Limit", "100")], {"retryAfter": 60})
    assert reading == RateLimitReading(limit=100, retry_after=60)


def test_the_first_readable_member_of_the_body_counts() -> None:
    assert read([], {"retryAfter": None, "error": {"retry_after": 3}}).retry_after == 3


@pytest.mark.parametrize(
    "value",
    [True, None, -1, math.nan, math.inf, 10**5000, [], {}, "", "-1", "9" * 1_000_000],
    ids=lambda value: type(value).__name__,
)
def test_junk_in_the_body_is_nothing(value: object) -> None:
    assert read([], {"retryAfter": value, "error": value, "data": [value]}) is EMPTY
    assert read([], value) is EMPTY


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text", ["", ",", ";", "=", '"', '"\\', "-1", "nan", "9" * 30, "\u0663", "x"]
)
def test_junk_headers_are_nothing(name: str, text: str) -> None:
    assert read([(name, text)]) is EMPTY


def test_an_answer_without_such_headers_is_the_shared_empty_reading() -> None:
    reading = read([DATE, ("Content-Type", "application/json")])
    assert reading is EMPTY
    assert not reading
    assert RateLimitReading(remaining=0)


def test_any_mapping_in_any_case_reads_the_same() -> None:
    headers = {"retry-AFTER": "Mon, 23 Nov 2026 09:00:30 GMT", "dAtE": DATE[1]}
    assert read_rate_limit(headers, now=0).retry_after == 30


texts = st.text() | st.lists(
    st.sampled_from(
        [
            *'0123456789,;="\\ .-:',
            "limit=",
            "remaining=",
            "reset=",
            "w=",
            "q=",
            "r=",
            "t=",
            "default",
            "2026-11-23T09:00:30Z",
            "Mon, 23 Nov 2026 09:00:30 GMT",
            "1795424400",
            "s",
        ]
    ),
    max_size=30,
).map("".join)
known_headers = st.lists(st.tuples(st.sampled_from([*NAMES, "Date"]), texts), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["retryAfter", "retry_after", "error", "data", "extensions", "x"]),
            inner,
        )
    ),
)


def numbers(reading: RateLimitReading) -> list[Any]:
    return [value for value in astuple(reading)[:-1] if value is not None]


@given(known_headers, json_values)
def test_anything_gives_finite_numbers_or_none(headers: Headers, body: object) -> None:
    reading = read(headers, body)
    assert all(0 <= value < math.inf for value in numbers(reading))
    assert bool(reading) == bool(numbers(reading))


@given(st.dictionaries(st.sampled_from([*NAMES, "Date"]), texts), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.too_slow])  # it measures how busy the machine is
def test_the_case_of_names_changes_nothing(headers: dict[str, str], random: Random) -> None:
    recased = {
        "".join(random.choice((char.lower(), char.upper())) for char in name): text
        for name, text in headers.items()
    }
    expected = read(list(headers.items()))
    assert read_rate_limit(recased, now=EPOCH) == expected
    assert read_rate_limit(headers, now=EPOCH) == expected


@given(known_headers, st.floats(0, 1e10), st.floats(0, 1e10))
def test_with_a_date_our_clock_changes_nothing(headers: Headers, now: float, then: float) -> None:
    dated = [DATE, *(pair for pair in headers if pair[0] != "Date")]
    assert read(dated, now=now) == read(dated, now=then)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "unit", ["9", '"', "\\", '"\\', ",", ", ", ";", "a=", " ", "1,", ";w=1", "é"]
)
def test_a_megabyte_takes_linear_time(name: str, unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = process_time()
    read([(name, text)])
    assert process_time() - started < LINEAR


def test_ten_thousand_repeated_headers_take_linear_time() -> None:
    started = process_time()
    assert read([(name, "5") for name in NAMES] * 10_000)
    assert process_time() - started < LINEAR
