from itertools import pairwise

import pytest
from html_tools import BEGUN, entry, line, run_of, unsent
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import FleetPolicy
from hostup_async._store.records import AuditRecord, Entry, EntryState
from hostup_async.cli._html.axis import Axis, make_axis
from hostup_async.cli._html.charts import _outline
from hostup_async.cli._html.timeline import Timeline, read_timeline

SECONDS = st.floats(0, 100_000)


def sent(after: float, *, known: float | None = None) -> Entry:
    """A VPS that was sent its action so long after the run was begun."""
    state = EntryState.ACCEPTED if known is None else EntryState.COMPLETED
    end = None if known is None else BEGUN + known
    return entry(0, state, sent_at=BEGUN + after, accepted_at=BEGUN + after, finished_at=end)


def timeline(*entries: Entry, audit: tuple[AuditRecord, ...] = (), canary: int = 0) -> Timeline:
    policy = FleetPolicy(canary=canary).to_json()
    return read_timeline(run_of([], policy=policy), entries, audit)


def pauses(told: Timeline) -> list[tuple[float, float, str | None]]:
    return [(one.begin - BEGUN, one.end - BEGUN, one.why) for one in told.pauses]


def test_in_flight_is_what_was_sent_and_is_not_known() -> None:
    told = timeline(sent(1, known=3), sent(2), sent(2.5, known=4))
    levels = [(at - BEGUN, level) for at, level in told.in_flight]
    assert levels == [(1, 1), (2, 2), (2.5, 3), (3, 2), (4, 1)]
    assert told.most_in_flight == 3
    assert (len(told.sent), len(told.accepted), len(told.known)) == (3, 3, 2)


def test_what_was_not_sent_is_not_on_the_timeline() -> None:
    left = Entry("vps_9", 9, EntryState.NOT_SENT, "stopped", finished_at=BEGUN + 5)
    told = timeline(unsent(0, EntryState.SKIPPED, "suspended"), left)
    assert (told.sent, told.known, told.in_flight, told.pauses) == ((), (), (), ())
    assert told.most_in_flight == 0


def test_two_clocks_never_make_less_than_nothing_in_flight() -> None:
    told = timeline(sent(10, known=2))
    assert [level for _, level in told.in_flight] == [1, 0]


def test_gaps_that_stand_out_are_pauses() -> None:
    burst = [n / 10 for n in range(50)]
    told = timeline(*map(sent, burst), *(sent(30 + at) for at in burst))
    ((begin, end, why),) = pauses(told)
    assert (begin, end) == pytest.approx((4.9, 30))
    assert why is None


def test_a_chart_of_many_is_true_where_nothing_happens() -> None:
    early = [sent(n / 100, known=n / 100 + 1) for n in range(2000)]
    told = timeline(*early, *(sent(21, known=900) for _ in range(3)))
    axis = make_axis(told)
    places, levels = _outline(told.in_flight, axis)
    assert len(places) <= 2 * 500 + 2
    assert max(levels) == told.most_in_flight
    halfway = max(at for at in places if at <= 450)
    assert levels[places.index(halfway)] == 3
    assert (places[0], levels[0], places[-1], levels[-1]) == (0, 0, axis.length, 0)


def test_a_short_peak_is_drawn() -> None:
    told = timeline(*(sent(100 + n / 1000, known=100.2) for n in range(40)), sent(1000))
    _, levels = _outline(told.in_flight, make_axis(told))
    assert levels == [0, 40, 0, 1, 1, 1]


def test_an_even_pace_has_no_pauses() -> None:
    assert timeline(*(sent(20.0 * n) for n in range(10))).pauses == ()


def test_the_wait_for_the_canaries_is_named() -> None:
    told = timeline(sent(0), sent(0.5), sent(25), sent(25.5), canary=2)
    assert pauses(told) == [(0.5, 25, "canary: the results of 2 were awaited")]


def test_a_stop_lasts_until_the_run_is_taken_up() -> None:
    stopped = line(5, "stopped", stopped="SIGINT", seconds=5.0)
    told = timeline(sent(1), sent(600), audit=(stopped, line(599, "resumed")))
    assert pauses(told) == [(5, 599, "stopped: SIGINT")]


def test_a_run_that_was_killed_was_cut_off_after_its_last_sign_of_life() -> None:
    told = timeline(sent(1, known=4), sent(600), audit=(line(0, "created"), line(599, "resumed")))
    assert pauses(told) == [(4, 599, "cut off (a crash or a kill)")]


def test_a_stopped_run_may_be_abandoned() -> None:
    told = timeline(sent(1), audit=(line(3, "stopped"), line(100, "abandoned")))
    assert pauses(told) == [(3, 100, "stopped")]
    assert told.end == BEGUN + 100


def test_a_stop_at_the_end_is_no_pause() -> None:
    assert timeline(sent(1), audit=(line(3, "stopped"),)).pauses == ()


@pytest.mark.parametrize("until", [BEGUN + 40, BEGUN + 4000, float("inf")])
def test_a_wait_that_the_audit_trail_tells_of_is_named(until: float) -> None:
    wait = line(10, "rate_limited", seconds=until - BEGUN, until=until)
    told = timeline(sent(1), sent(40), audit=(wait,))
    assert pauses(told) == [(10, 40, "rate limited (429)")]


@pytest.mark.parametrize("until", ["soon", None, BEGUN, float("nan")])
def test_a_line_without_an_end_is_no_pause(until: object) -> None:
    told = timeline(sent(1), sent(2), audit=(line(10, "rate_limited", until=until),))
    assert told.pauses == ()


def test_a_pause_of_the_rate_limit_lasts_until_its_end() -> None:
    audit = (line(10, "rate_limited", until=BEGUN + 40, why="the API asked for it"),)
    expected = [(10, 40, "rate limited (429): the API asked for it")]
    assert pauses(timeline(sent(1), sent(60), audit=audit)) == expected


def test_paused_until_unpaused() -> None:
    audit = (line(10, "paused", why="lunch"), line(20, "stopped"), line(30, "unpaused"))
    assert pauses(timeline(sent(1), audit=audit)) == [(10, 30, "paused: lunch")]


@pytest.mark.parametrize("stop", [(), (line(70, "stopped"),)])
def test_a_pause_that_is_not_over_lasts_to_the_end(stop: tuple[AuditRecord, ...]) -> None:
    told = timeline(sent(1, known=90), audit=(line(60, "paused"), *stop))
    assert pauses(told) == [(60, 90, "paused")]


@given(st.lists(st.tuples(SECONDS, st.none() | SECONDS), max_size=30))
def test_the_levels_add_up(moments: list[tuple[float, float | None]]) -> None:
    told = timeline(*(sent(at, known=end) for at, end in moments))
    levels = [level for _, level in told.in_flight]
    assert all(level >= 0 for level in levels)
    assert [at for at, _ in told.in_flight] == sorted(at for at, _ in told.in_flight)
    unknown = sum(1 for _, end in moments if end is None)
    assert (levels or [0])[-1] == unknown
    for pause in told.pauses:
        assert told.begin <= pause.begin < pause.end <= told.end


@st.composite
def interrupted(draw: st.DrawFn) -> Timeline:
    stops = sorted(draw(st.lists(SECONDS, max_size=6, unique=True)))
    words = [line(at, word) for at, word in zip(stops, ("stopped", "resumed") * 3, strict=False)]
    moments = draw(st.lists(SECONDS, max_size=20))
    return timeline(*map(sent, moments), audit=tuple(words))


@given(interrupted(), st.lists(st.floats(0, 1), max_size=20))
def test_the_axis_keeps_the_order(told: Timeline, shares: list[float]) -> None:
    axis = make_axis(told)
    length = told.end - told.begin
    places = axis.places(told.begin + share * length for share in sorted(shares))
    assert places == sorted(places)
    assert all(0 <= place <= axis.length * (1 + 1e-9) for place in places)
    ticks = [place for place, _ in axis.ticks()]
    assert all(one < other for one, other in pairwise(ticks))
    assert len(ticks) <= 12


def axis_of(length: float, *audit: AuditRecord) -> Axis:
    return make_axis(timeline(sent(0), sent(length), audit=audit))


def test_a_long_interruption_is_drawn_short() -> None:
    axis = axis_of(36_060, line(30, "stopped"), line(36_030, "resumed"))
    assert axis.shortened == ((BEGUN + 30, BEGUN + 36_030),)
    assert axis.place(BEGUN + 30) == 30
    assert axis.length < 65
    assert axis.length - axis.place(BEGUN + 36_030) == pytest.approx(30)


def test_a_short_interruption_is_drawn_as_it_was() -> None:
    axis = axis_of(600, line(30, "stopped"), line(50, "resumed"))
    assert axis.shortened == ()
    assert axis.place(BEGUN + 300) == 300


@pytest.mark.parametrize(
    ("length", "first", "second"),
    [
        (6, "14:13:20", "14:13:21"),
        (50, "14:13:20", "14:13:30"),
        (900, "14:14", "14:16"),
        (20_000, "15:00", "16:00"),
    ],
)
def test_ticks_stand_at_round_moments(length: float, first: str, second: str) -> None:
    assert [words for _, words in axis_of(length).ticks()][:2] == [first, second]


def test_the_steps_of_the_ramp_are_named() -> None:
    moments = [0, 10, 10.25, 30, 30.25, 30.5, 30.75, 60]  # a canary, 2, 4, and the first of 8
    told = timeline(*map(sent, moments), canary=1)
    assert pauses(told) == [
        (0, 10, "canary: its result was awaited"),
        (10.25, 30, "ramp: 4 more, once half of the 2 before were known"),
        (30.75, 60, "ramp: 8 more, once half of the 4 before were known"),
    ]
    assert all(pause.why for pause in told.pauses)
