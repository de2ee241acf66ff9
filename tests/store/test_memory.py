"""The memory store that the runs of a process share."""

import asyncio
import gc
import os
import threading
import tracemalloc

import attrs
import pytest
from store_tools import BEGAN, a_run, planned, states, stored

from hostup_async import ConfigurationError, EntryState, RunHeld, RunState, StoreError, open_store
from hostup_async._store import memory
from hostup_async._store.memory import MemoryStore
from hostup_async._store.open import store_for


async def finished_run(store: MemoryStore, run_id: str, *numbers: int) -> None:
    entries = await store.create(a_run(run_id), planned(*numbers), cooldown=0)
    done = [attrs.evolve(one.intended(BEGAN), state=EntryState.COMPLETED) for one in entries]
    await store.save(run_id, done)
    await store.release(run_id, RunState.FINISHED)


def test_none_is_one_store_for_each_origin_and_key() -> None:
    store = store_for(None, "https://a", "key 1")
    assert store is store_for(None, "https://a", "key 1")
    assert store is not store_for(None, "https://a", "key 2")
    assert store is not store_for(None, "https://b", "key 1")
    assert store_for("fleet.db", "https://a", "key 1") == "fleet.db"


async def test_the_shared_store_stays_open() -> None:
    shared = store_for(None, "https://a", "key 1")
    async with open_store(shared) as store:
        await store.create(a_run("r1"), planned(1), cooldown=0)
        async with open_store(shared) as other:
            (held,) = await other.create(a_run("r2"), planned(1), cooldown=0)
            assert held.reason == "run r1 holds this VPS: resume that run or abandon it"
        assert store.holds("r1")
    async with open_store(shared) as again:
        with pytest.raises(RunHeld):
            await again.acquire("r1")


def test_threads_with_loops_of_their_own_share_it() -> None:
    sent: list[str] = []
    together = threading.Barrier(8)

    async def begin(name: str) -> None:
        store = MemoryStore.shared("https://a", "key 1")
        together.wait()
        entries = await store.create(a_run(name), planned(*range(300)), cooldown=60)
        sent.extend(one.vps_id for one in entries if one.state is EntryState.PLANNED)
        together.wait()

    threads = [
        threading.Thread(target=lambda name=name: asyncio.run(begin(name))) for name in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == len(set(sent)) == 300


def test_a_run_whose_event_loop_has_ended_can_be_resumed() -> None:
    store = MemoryStore.shared("https://a", "key 1")

    async def begin() -> None:
        await store.create(a_run("r1"), planned(1), cooldown=0)

    async def go_on() -> RunState:
        return (await store.acquire("r1")).state

    asyncio.run(begin())
    assert asyncio.run(go_on()) is RunState.RUNNING


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads, on purpose
async def test_a_forked_child_begins_anew() -> None:
    shared, lent = MemoryStore.shared("https://a", "key 1"), MemoryStore()
    await lent.open()
    for store in (shared, lent):
        await store.create(a_run("r1"), planned(1), cooldown=0)
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        with os.fdopen(writing, "w") as pipe:
            pipe.write(_in_a_child(shared, lent))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "refused, new, open again, empty"
    os.waitpid(pid, 0)  # noqa: ASYNC222 - it has written its last words
    for store in (shared, lent):
        assert store.holds("r1")
        assert (await store.run("r1")).counts == {EntryState.PLANNED: 1}


def _in_a_child(shared: MemoryStore, lent: MemoryStore) -> str:
    told = []
    try:
        _finish(shared.save("r1", []))
    except StoreError as error:
        told.append("refused" if "before a fork" in str(error) else str(error))
    told.append("new" if MemoryStore.shared("https://a", "key 1") is not shared else "the same")
    _finish(lent.open())
    told.append("open again" if lent.is_open else "closed")
    told.append("empty" if _finish(lent.runs()) == [] else "full")
    return ", ".join(told)


def _finish(coroutine: object) -> object:
    """The result of a coroutine that waits for nothing, without a loop of the parent's."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    raise AssertionError


async def test_the_oldest_ended_runs_are_forgotten_but_for_the_cooldown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "KEPT_RUNS", 3)
    async with MemoryStore(clock=lambda: BEGAN + 100) as store:
        await store.create(a_run("open"), planned(99), cooldown=0)
        for number in range(6):
            await finished_run(store, f"r{number}", number)
        assert [run.id for run in await store.runs()] == ["r5", "r4", "r3", "open"]
        with pytest.raises(ConfigurationError, match="no run 'r0'"):
            await store.run("r0")
        entries = await store.create(a_run("new"), planned(0, 5, 99, 7), cooldown=600)
        reasons = [(entry.reason or "").partition(" ago,")[0] for entry in entries]
        assert reasons == [
            "run r0 acted on this VPS 100 s",
            "run r5 acted on this VPS 100 s",
            "run open holds this VPS: resume that run or abandon it",
            "",
        ]


async def test_large_ended_runs_are_forgotten_sooner_but_never_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "KEPT_ENTRIES", 25)
    async with MemoryStore() as store:
        for number in range(3):
            await finished_run(store, f"r{number}", *range(10 * number, 10 * number + 10))
        assert [run.id for run in await store.runs()] == ["r2", "r1"]
        await finished_run(store, "large", *range(100))
        assert [run.id for run in await store.runs()] == ["large"]
        assert len(await stored(store, "large")) == 100


async def test_what_the_api_refused_is_forgotten_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT_RUNS", 1)
    async with MemoryStore(clock=lambda: BEGAN) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        refused = attrs.evolve(entry.intended(BEGAN), state=EntryState.REFUSED)
        await store.save("r1", [refused])
        await store.release("r1", RunState.FINISHED)
        await finished_run(store, "r2", 2)
        assert states(await store.create(a_run("r3"), planned(1, 2), cooldown=60)) == [
            EntryState.PLANNED,
            EntryState.SKIPPED,
        ]


async def test_memory_is_bounded_however_many_runs_there_were() -> None:
    async with MemoryStore() as store:
        for number in range(100):
            await finished_run(store, f"r{number}", *range(50))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100, 300):
            await finished_run(store, f"r{number}", *range(50))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    kept = memory.KEPT_RUNS * 50 * 1000  # bytes: what was kept before was not traced
    assert grown < kept
