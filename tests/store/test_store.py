"""What every store does alike: one suite, run against each."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
from store_tools import BEGAN, ORIGIN, Clock, OpenStore, a_run, in_file, planned, states, stored

from hostup_async import (
    AuditEvent,
    ConfigurationError,
    Entry,
    EntryState,
    LearntRecord,
    RunHeld,
    RunState,
    Store,
    StoreError,
)
from hostup_async._store.memory import MemoryStore

EVERYTHING = Entry(
    "vps_1",
    0,
    EntryState.COMPLETED,
    reason="why",
    job_id="job",
    poll_url="/api/v2/jobs/job",
    request_ids=("req 1", 'req "2"'),
    attempts=2,
    sent_at=BEGAN + 0.123456,
    accepted_at=BEGAN + 1.5,
    finished_at=BEGAN + 2.5,
    evidence="uptime",
    sent_server_low=BEGAN - 7.25,
    sent_server_high=BEGAN - 6.5,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def open_again(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[OpenStore]:
    """Opens the same store each time: the same file, or the same memory."""
    memory = MemoryStore(clock=clock)
    async with AsyncExitStack() as stack:

        async def open_one() -> Store:
            file = tmp_path / "fleet.db"
            store = memory if request.param == "memory" else in_file(file, clock=clock)
            return await stack.enter_async_context(store)

        yield open_one


@pytest.fixture
async def store(open_again: OpenStore) -> Store:
    return await open_again()


def intent(entry: Entry, at: float = BEGAN) -> Entry:
    return attrs.evolve(entry, state=EntryState.INTENT, sent_at=at, attempts=1)


async def test_what_is_created_is_there(store: Store) -> None:
    run = a_run("r1", plan='{"p": 1}', policy='{"q": 2}', who="me", reason="kernel", plan_hash="h")
    entries = await store.create(run, planned(1, 2), cooldown=0)
    assert entries == planned(1, 2) == await stored(store, "r1")
    assert await store.run("r1") == attrs.evolve(run, counts={EntryState.PLANNED: 2})
    assert [(line.what, line.who) for line in await store.audit("r1")] == [("created", "me")]


async def test_every_field_of_an_entry_comes_back(store: Store, open_again: OpenStore) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [EVERYTHING])
    await store.aclose()
    assert await stored(await open_again(), "r1") == [EVERYTHING]


async def test_an_entry_saved_again_replaces_the_one_before(store: Store) -> None:
    first, second = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    await store.save("r1", [intent(first), intent(second)])
    await store.save("r1", [first])
    assert states(await stored(store, "r1")) == [EntryState.PLANNED, EntryState.INTENT]
    assert (await store.run("r1")).counts == {EntryState.PLANNED: 1, EntryState.INTENT: 1}


async def test_concurrent_saves_are_all_there(store: Store) -> None:
    entries = await store.create(a_run("r1"), planned(*range(500)), cooldown=0)
    await asyncio.gather(*(store.save("r1", [intent(entry)]) for entry in entries))
    assert set(states(await stored(store, "r1"))) == {EntryState.INTENT}


async def test_entries_come_in_the_order_of_positions(store: Store) -> None:
    many = [Entry(f"vps_{number}", number) for number in range(2500)]
    await store.create(a_run("r1"), many[::-1], cooldown=0)
    assert await stored(store, "r1") == many


@pytest.mark.parametrize(
    "twins", [planned(1, 1), [Entry("vps_1", 0), Entry("vps_2", 0)]], ids=["vps", "position"]
)
async def test_a_vps_or_a_position_that_stands_twice_is_refused(
    store: Store, twins: list[Entry]
) -> None:
    with pytest.raises(ConfigurationError, match="is in the plan twice"):
        await store.create(a_run("r1"), twins, cooldown=0)
    assert await store.runs() == []


async def test_a_run_id_is_given_once(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    with pytest.raises(ConfigurationError, match="already has a run 'r1'"):
        await store.create(a_run("r1"), planned(2), cooldown=0)
    assert await stored(store, "r1") == planned(1)


async def test_a_vps_that_an_open_run_holds_is_skipped(store: Store) -> None:
    await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    held, free = await store.create(a_run("r2"), planned(2, 3), cooldown=0)
    assert held.state is EntryState.SKIPPED
    assert held.reason == "run r1 holds this VPS: resume that run or abandon it"
    assert free.state is EntryState.PLANNED
    assert await stored(store, "r2") == [held, free]


async def test_a_stopped_run_holds_what_is_unsettled_and_an_ended_one_nothing(store: Store) -> None:
    first, _ = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    await store.save("r1", [attrs.evolve(first, state=EntryState.COMPLETED, sent_at=BEGAN)])
    await store.release("r1", RunState.STOPPED)
    entries = await store.create(a_run("r2"), planned(1, 2), cooldown=0)
    assert states(entries) == [EntryState.PLANNED, EntryState.SKIPPED]
    await store.release("r2", RunState.FINISHED)
    await store.abandon("r1")
    entries = await store.create(a_run("r3"), planned(1, 2), cooldown=0)
    assert states(entries) == [EntryState.PLANNED, EntryState.PLANNED]


async def test_other_origins_are_other_vpses(store: Store) -> None:
    first, second = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    await store.save(
        "r1", [intent(first), attrs.evolve(intent(second), state=EntryState.COMPLETED)]
    )
    there = a_run("r2", origin="https://elsewhere")
    assert await store.create(there, planned(1, 2), cooldown=600) == planned(1, 2)


@pytest.mark.parametrize(
    ("age", "skipped", "shown"),
    [(0, True, "0 s"), (599, True, "599 s"), (601, False, ""), (-3600, True, "0 s")],
    ids=["now", "just within", "over", "a clock set back"],
)
async def test_a_vps_acted_on_just_now_is_left_alone(
    store: Store, clock: Clock, *, age: float, skipped: bool, shown: str
) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [attrs.evolve(intent(entry), state=EntryState.COMPLETED)])
    await store.release("r1", RunState.FINISHED)
    clock.now += age
    (again,) = await store.create(a_run("r2"), planned(1), cooldown=600)
    assert (again.state is EntryState.SKIPPED) is skipped
    assert f"r1 acted on this VPS {shown} ago" in (again.reason or "") or not skipped


async def test_a_cooldown_of_nothing_lets_a_clock_that_was_set_back_through(
    store: Store, clock: Clock
) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [attrs.evolve(intent(entry), state=EntryState.COMPLETED)])
    await store.release("r1", RunState.FINISHED)
    clock.now -= 3600
    assert await store.create(a_run("r2"), planned(1), cooldown=0) == planned(1)


@pytest.mark.parametrize("state", [state for state in EntryState if state.is_terminal])
async def test_the_cooldown_counts_what_may_have_been_done(store: Store, state: EntryState) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [attrs.evolve(intent(entry), state=state)])
    await store.release("r1", RunState.FINISHED)
    (again,) = await store.create(a_run("r2"), planned(1), cooldown=60)
    untouched = {EntryState.REFUSED, EntryState.SKIPPED, EntryState.NOT_SENT}
    assert (again.state is EntryState.PLANNED) is (state in untouched)


async def test_the_latest_of_several_runs_counts(store: Store, clock: Clock) -> None:
    for number in (1, 2, 3):
        (entry,) = await store.create(a_run(f"r{number}"), planned(1), cooldown=0)
        done = attrs.evolve(intent(entry, clock.now), state=EntryState.COMPLETED)
        await store.save(f"r{number}", [done])
        await store.release(f"r{number}", RunState.FINISHED)
        clock.now += 100
    (again,) = await store.create(a_run("r4"), planned(1), cooldown=600)
    assert "r3 acted on this VPS 100 s ago" in (again.reason or "")


def sent(entry: Entry, at: float, server: tuple[float, float] | None) -> Entry:
    return attrs.evolve(entry.intended(at, server), state=EntryState.COMPLETED)


@pytest.mark.parametrize("step", [-60 * 86400.0, -3600.0, -1.0, 1.0, 3600.0, 60 * 86400.0])
@pytest.mark.parametrize(
    ("server_age", "skipped"), [(0.0, True), (590.0, True), (599.0, True), (602.0, False)]
)
async def test_where_the_servers_time_is_known_the_wall_clock_decides_nothing(
    store: Store, clock: Clock, *, step: float, server_age: float, skipped: bool
) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [sent(entry, clock.now, (5000.0, 5001.0))])
    await store.release("r1", RunState.FINISHED)
    clock.now += step
    run, server_now = a_run("r2"), 5000.0 + server_age
    (again,) = await store.create(run, planned(1), cooldown=600, server_now=server_now)
    assert (again.state is EntryState.SKIPPED) is skipped
    age = max(0.0, server_age - 1.0)  # from the latest that the send may have been
    assert f"acted on this VPS {age:.0f} s ago" in (again.reason or "") or not skipped


async def test_where_one_of_the_servers_times_is_unknown_the_wall_clock_must_do(
    store: Store, clock: Clock
) -> None:
    first, second = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    saved = [sent(first, clock.now, (5000.0, 5001.0)), sent(second, clock.now, None)]
    await store.save("r1", saved)
    await store.release("r1", RunState.FINISHED)
    clock.now += 500
    without = await store.create(a_run("r2"), planned(1, 2), cooldown=600)
    assert states(without) == [EntryState.SKIPPED, EntryState.SKIPPED]
    await store.release("r2", RunState.FINISHED)
    much_later = await store.create(a_run("r3"), planned(1, 2), cooldown=600, server_now=9e9)
    assert states(much_later) == [EntryState.PLANNED, EntryState.SKIPPED]


async def test_a_cooldown_of_nothing_asks_no_clock(store: Store) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [sent(entry, BEGAN, (5000.0, 5001.0))])
    await store.release("r1", RunState.FINISHED)
    assert await store.create(a_run("r2"), planned(1), cooldown=0, server_now=1.0) == planned(1)


async def test_a_run_remembers_when_it_was_begun_by_the_servers_clock(store: Store) -> None:
    await store.create(a_run("r1", created_server_low=5000.5), planned(1), cooldown=0)
    await store.create(a_run("r2"), planned(2), cooldown=0)
    assert (await store.run("r1")).created_server_low == 5000.5
    assert (await store.run("r2")).created_server_low is None


async def test_no_loss_is_possible_where_nothing_was_lost(store: Store) -> None:
    await store.create(a_run("r1", possible_loss="made up"), planned(1), cooldown=0)
    assert (await store.run("r1")).possible_loss is None
    await store.release("r1", RunState.STOPPED)
    assert (await store.acquire("r1")).possible_loss is None


async def test_a_store_says_which_runs_it_holds(store: Store) -> None:
    assert not store.holds("r1")
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    assert store.holds("r1")
    await store.release("r1", RunState.STOPPED)
    assert not store.holds("r1")
    for call in (store.save("r1", [entry]), store.wait_until_lost("r1"), store.save("r9", [])):
        with pytest.raises(RunHeld, match="is not held by this client, or no longer"):
            await call
    await store.acquire("r1")
    assert store.holds("r1")
    await store.aclose()
    assert not store.holds("r1")
    with pytest.raises(StoreError, match="not open"):
        await store.save("r1", [entry])


async def test_a_run_that_nobody_takes_is_never_lost(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    lost = asyncio.create_task(store.wait_until_lost("r1"))
    done, _ = await asyncio.wait([lost], timeout=0.05)
    assert not done
    lost.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lost


async def test_the_key_that_a_run_was_begun_with_comes_back(store: Store) -> None:
    await store.create(a_run("r1", fingerprint="0123456789ab"), planned(1), cooldown=0)
    await store.release("r1", RunState.STOPPED)
    assert (await store.acquire("r1")).fingerprint == "0123456789ab"


async def test_an_entry_that_is_not_planned_stays_as_it_is(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    excluded = Entry("vps_1", 0, EntryState.SKIPPED, reason="excluded")
    assert await store.create(a_run("r2"), [excluded], cooldown=60) == [excluded]


async def test_a_large_run_meets_the_obstacles_of_a_small_one(store: Store) -> None:
    (entry,) = await store.create(a_run("r1"), planned(700), cooldown=0)
    await store.save("r1", [intent(entry)])
    entries = await store.create(a_run("r2"), planned(*range(1500)), cooldown=60)
    assert [entry.vps_id for entry in entries if entry.state is EntryState.SKIPPED] == ["vps_700"]


async def test_only_the_holder_saves(store: Store) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.release("r1", RunState.STOPPED)
    with pytest.raises(RunHeld, match="nothing was recorded"):
        await store.save("r1", [intent(entry)])
    with pytest.raises(RunHeld):
        await store.release("r1", RunState.FINISHED)
    with pytest.raises(RunHeld):
        await store.save("nobody's", [entry])
    assert await stored(store, "r1") == [entry]


@pytest.mark.parametrize("stranger", [Entry("vps_9", 0), Entry("vps_1", 9)])
async def test_an_entry_that_the_run_does_not_have_is_refused(
    store: Store, stranger: Entry
) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    with pytest.raises(StoreError, match="no such entries"):
        await store.save("r1", [stranger])
    assert await stored(store, "r1") == planned(1)


async def test_a_run_goes_on_in_another_store(store: Store, open_again: OpenStore) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.save("r1", [intent(entry)])
    await store.aclose()
    other = await open_again()
    before = await other.acquire("r1", who="she")
    assert (before.state, before.counts) == (RunState.RUNNING, {EntryState.INTENT: 1})
    await other.save("r1", [attrs.evolve(intent(entry), state=EntryState.COMPLETED)])
    await other.release("r1", RunState.FINISHED, detail='{"why": "done"}')
    run = await other.run("r1")
    assert (run.state, run.finished_at) == (RunState.FINISHED, BEGAN)
    assert run.counts == {EntryState.COMPLETED: 1}
    trail = await other.audit("r1")
    assert [(line.what, line.detail) for line in trail] == [
        ("created", "{}"),
        ("resumed", "{}"),
        ("finished", '{"why": "done"}'),
    ]
    assert trail[1].who == "she"


async def test_a_resumed_run_keeps_the_policy_that_it_is_given(
    store: Store, open_again: OpenStore
) -> None:
    run = a_run("r1", plan='{"p": 1}', policy='{"canary": 1, "verify": false}')
    await store.create(run, planned(1), cooldown=0)
    for policy in ('{"canary": 0, "verify": false}', '{"verify": false, "canary": 0}', None):
        await store.release("r1", RunState.STOPPED)
        await store.acquire("r1", policy=policy)
    await store.aclose()
    other = await open_again()
    record = await other.run("r1")
    assert json.loads(record.policy) == {"canary": 0, "verify": False}
    assert record.plan == '{"p": 1}'
    details = [line.detail for line in await other.audit("r1") if line.what == "resumed"]
    assert details == ['{"policy": {"canary": 0}}', "{}", "{}"]
    assert (await other.acquire("r1")).policy == record.policy


async def test_a_run_says_who_works_on_it(store: Store, open_again: OpenStore) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    at_work = await store.run("r1")
    assert at_work.holder
    assert not at_work.is_interrupted
    assert [run.holder for run in await store.runs()] == [at_work.holder]
    await store.aclose()
    other = await open_again()
    cut_off = await other.run("r1")
    assert (cut_off.holder, cut_off.is_interrupted) == (None, True)
    await other.acquire("r1")
    await other.release("r1", RunState.STOPPED)
    stopped = await other.run("r1")
    assert (stopped.holder, stopped.is_interrupted) == (None, False)


async def test_conflicts_are_found_and_nothing_is_recorded(store: Store, clock: Clock) -> None:
    first, _ = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    await store.save("r1", [attrs.evolve(first, state=EntryState.FAILED, sent_at=BEGAN)])
    clock.now += 60
    found = await store.find_conflicts(ORIGIN, planned(1, 2, 3), cooldown=300)
    assert [entry.state for entry in found] == ["skipped", "skipped", "planned"]
    assert "acted on this VPS 60 s ago" in (found[0].reason or "")
    assert found[1].reason == "run r1 holds this VPS: resume that run or abandon it"
    elsewhere = await store.find_conflicts("https://other.example", planned(1, 2), cooldown=300)
    assert states(elsewhere) == ["planned", "planned"]
    assert [run.id for run in await store.runs()] == ["r1"]


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FINISHED])
async def test_what_was_accepted_is_settled_later(store: Store, state: RunState) -> None:
    entries = await store.create(a_run("r1"), planned(1, 2, 3, 4), cooldown=0)
    later = ["accepted", "timed_out", "not_followed", "completed"]
    await store.save(
        "r1",
        [attrs.evolve(e, state=EntryState(s)) for e, s in zip(entries, later, strict=True)],
    )
    failed = [attrs.evolve(entry, state=EntryState.FAILED, reason="late") for entry in entries]
    with pytest.raises(RunHeld):
        await store.settle("r1", failed)
    await store.release("r1", state)
    with pytest.raises(ConfigurationError, match="vps_1 of run r1 cannot be settled as accepted"):
        await store.settle("r1", [attrs.evolve(entries[0], state=EntryState.ACCEPTED)])
    assert await store.settle("r1", failed) == failed[:3]
    assert await store.settle("r1", failed) == []
    assert states(await stored(store, "r1")) == ["failed", "failed", "failed", "completed"]
    record = await store.run("r1")
    assert record.state is state
    assert record.counts == {EntryState.FAILED: 3, EntryState.COMPLETED: 1}


@pytest.mark.parametrize("stranger", [Entry("vps_9", 0), Entry("vps_1", 9)], ids=["vps", "place"])
async def test_a_stranger_is_not_settled(store: Store, stranger: Entry) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.release("r1", RunState.STOPPED)
    with pytest.raises(StoreError, match="no such entries"):
        await store.settle("r1", [attrs.evolve(stranger, state=EntryState.FAILED)])


async def test_what_was_never_answered_is_not_settled(store: Store) -> None:
    (entry, other) = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
    await store.save("r1", [intent(entry)])
    await store.release("r1", RunState.STOPPED)
    done = [attrs.evolve(one, state=EntryState.COMPLETED) for one in (entry, other)]
    assert await store.settle("r1", done) == []
    assert states(await stored(store, "r1")) == ["intent", "planned"]


async def test_a_pause_lasts_until_the_run_is_unpaused_or_resumed(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    assert await store.pause_of("r1") is None
    await store.note("r1", AuditEvent.PAUSED, who="she", detail='{"why": "load"}')
    await store.note("r1", AuditEvent.RATE_LIMITED)
    pause = await store.pause_of("r1")
    assert pause is not None
    assert (pause.who, json.loads(pause.detail)) == ("she", {"why": "load"})
    await store.note("r1", AuditEvent.UNPAUSED)
    assert await store.pause_of("r1") is None
    await store.note("r1", AuditEvent.PAUSED)
    await store.release("r1", RunState.STOPPED)
    assert await store.pause_of("r1") is None


async def test_a_run_that_is_held_is_neither_acquired_nor_abandoned(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    for take in (store.acquire, store.abandon):
        with pytest.raises(
            RunHeld, match=r"is held by this client\. Wait until it ends, or stop it"
        ):
            await take("r1")
    await store.release("r1", RunState.STOPPED)
    assert (await store.acquire("r1")).state is RunState.STOPPED
    assert (await store.run("r1")).state is RunState.RUNNING


async def test_an_ended_run_is_neither_acquired_nor_abandoned(store: Store) -> None:
    for run_id in ("r1", "r2"):
        await store.create(a_run(run_id), planned(1), cooldown=0)
        await store.release(run_id, RunState.FINISHED if run_id == "r1" else RunState.STOPPED)
    await store.abandon("r2")
    for run_id, word in (("r1", "finished"), ("r2", "abandoned")):
        for take in (store.acquire, store.abandon):
            with pytest.raises(ConfigurationError, match=f"{run_id} is {word}"):
                await take(run_id)


async def test_an_abandoned_run_settles_its_entries(store: Store, clock: Clock) -> None:
    entries = await store.create(a_run("r1"), planned(1, 2, 3, 4), cooldown=0)
    await store.save("r1", [intent(entries[1])])
    await store.save("r1", [attrs.evolve(entries[2], state=EntryState.ACCEPTED)])
    await store.save("r1", [attrs.evolve(entries[3], state=EntryState.FAILED, reason="disk")])
    await store.release("r1", RunState.STOPPED)
    clock.now += 5
    run = await store.abandon("r1", who="she", reason="wrong fleet")
    assert (run.state, run.finished_at) == (RunState.ABANDONED, BEGAN + 5)
    left = await stored(store, "r1")
    assert states(left) == ["not_sent", "ambiguous", "not_followed", "failed"]
    assert [entry.reason for entry in left] == [*["wrong fleet"] * 3, "disk"]
    last = (await store.audit("r1"))[-1]
    assert (last.what, last.who, json.loads(last.detail)) == (
        "abandoned",
        "she",
        {"reason": "wrong fleet"},
    )


async def test_runs_come_in_the_reverse_order_of_creation_whatever_clocks_say(
    store: Store,
) -> None:
    for number, clock in ((1, 5), (2, 7200), (3, -3600)):
        run = a_run(f"r{number}", created_at=BEGAN + clock, plan="long", policy="long")
        await store.create(run, planned(number), cooldown=0)
    runs = await store.runs(limit=2)
    assert [(run.id, run.plan, run.policy) for run in runs] == [("r3", "", ""), ("r2", "", "")]
    assert runs[0].counts == {EntryState.PLANNED: 1}
    assert (await store.run("r3")).plan == "long"


async def test_a_run_that_is_not_there_is_said_so(store: Store) -> None:
    for ask in (store.run, store.audit, store.acquire, store.abandon):
        with pytest.raises(ConfigurationError, match="no run 'r9'"):
            await ask("r9")
    with pytest.raises(ConfigurationError):
        await store.note("r9", "word")
    with pytest.raises(ConfigurationError):
        await stored(store, "r9")


async def test_the_audit_trail_takes_notes(store: Store, clock: Clock) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    clock.now += 1
    await store.note("r1", AuditEvent.RATE_LIMITED, who="budget", detail='{"seconds": 3}')
    line = (await store.audit("r1"))[-1]
    assert attrs.astuple(line) == ("r1", BEGAN + 1, "budget", "rate_limited", '{"seconds": 3}')


async def test_the_audit_trail_keeps_words_that_it_does_not_know(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.note("r1", "paused")
    await store.note("r1", "knighted")
    words = [line.what for line in await store.audit("r1")]
    assert words == ["created", "paused", "knighted"]
    assert [type(word) for word in words] == [AuditEvent, AuditEvent, str]


def a_lesson(text: str, *, origin: str = "o", key: str = "k", what: str = "reset") -> LearntRecord:
    return LearntRecord(origin=origin, fingerprint=key, what=what, text=text, learnt_at=BEGAN)


async def test_what_was_learnt_is_kept_by_api_and_key(store: Store, open_again: OpenStore) -> None:
    assert await store.learnt() == []
    others = [a_lesson("[5]", origin="p"), a_lesson("[4]", key="l")]
    await store.learn([a_lesson("[1]"), a_lesson("[2]", what="limits"), *others])
    await store.learn([a_lesson("[3]")])
    await store.aclose()
    again = await open_again()
    ours = [a_lesson("[2]", what="limits"), a_lesson("[3]")]
    assert await again.learnt("o", "k") == ours
    assert await again.learnt() == [*ours, *reversed(others)]
    assert await again.forget("o", "k") == 2
    assert await again.learnt() == [*reversed(others)]
    assert (await again.forget(), await again.forget(), await again.learnt()) == (2, 0, [])


async def test_a_closed_store_says_so_and_closes_again(store: Store) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    await store.open()
    is_open = [store.is_open]
    await store.aclose()
    await store.aclose()
    assert [*is_open, store.is_open] == [True, False]
    closed = re.escape("not open: use it inside `async with`")
    for call in (store.run("r1"), store.runs(), store.save("r1", []), store.note("r1", "x")):
        with pytest.raises(StoreError, match=closed):
            await call
    with pytest.raises(StoreError, match=closed):
        await store.create(a_run("r2"), planned(2), cooldown=0)
