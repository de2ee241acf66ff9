"""A store in a file is open or closed when `open` or `aclose` ends, however it is cancelled."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from store_tools import a_run, elsewhere, in_file, planned

from hostup_async import RunState
from hostup_async._store.sql import SqlStore

Call = Callable[[], Awaitable[None]]


async def plainly(call: Call, turns: int) -> None:
    """Cancel once, after a number of the loop's turns; 0 is before the call's first step."""
    task = asyncio.ensure_future(call())
    await pass_turns(turns)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def twice(call: Call, turns: int) -> None:
    task = asyncio.ensure_future(call())
    for _ in range(2):
        await pass_turns(turns)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_a_scope(call: Call, turns: int) -> None:
    """Cancel by an anyio scope, which cancels again at each await; 0 is before it is entered."""
    async with anyio.create_task_group() as group:

        async def cancel() -> None:
            await pass_turns(turns)
            scope.cancel()

        with anyio.CancelScope() as scope:
            if turns:
                group.start_soon(cancel)
            else:
                scope.cancel()
            await call()
    assert scope.cancelled_caught


async def pass_turns(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


WAYS = pytest.mark.parametrize("cancelled", [plainly, twice, by_a_scope])
TURNS = pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 30])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


def threads_beside(before: list[threading.Thread]) -> list[threading.Thread]:
    """Threads begun since then that still run: SQLite's driver has one for each connection."""
    return [thread for thread in threading.enumerate() if thread not in before]


async def ended(before: list[threading.Thread]) -> None:
    while threads_beside(before):
        await asyncio.sleep(0)


@WAYS
@TURNS
async def test_a_cancelled_opening_leaves_nothing_open(
    file: Path, cancelled: Callable[[Call, int], Awaitable[None]], turns: int
) -> None:
    before = threading.enumerate()
    store = in_file(file)
    await cancelled(store.open, turns)
    assert not store.is_open
    assert store._database._connection is None
    await ended(before)
    async with store:
        assert store.is_open


@WAYS
@pytest.mark.parametrize("turns", [1, 2, 5, 10])
async def test_a_cancelled_closing_has_closed_when_it_ends(
    file: Path, cancelled: Callable[[Call, int], Awaitable[None]], turns: int
) -> None:
    before = threading.enumerate()
    async with in_file(file) as store:
        await store.create(a_run("r1"), planned(1), cooldown=0)
        await cancelled(store.aclose, turns)
        assert not store.is_open
        await ended(before)
        assert not file.with_name("fleet.db-wal").exists()  # the last connection takes it away


async def test_a_scope_cancelled_before_the_closing_closes_all_the_same(file: Path) -> None:
    store = in_file(file)
    await store.open()
    await by_a_scope(store.aclose, 0)
    assert not store.is_open


async def test_a_closing_cancelled_before_its_first_step_can_be_repeated(file: Path) -> None:
    store = in_file(file)
    await store.open()
    await plainly(store.aclose, 0)
    assert store.is_open
    await store.aclose()
    assert not store.is_open


async def test_a_cancelled_opening_of_an_open_store_leaves_it_open(file: Path) -> None:
    async with in_file(file) as store:
        await plainly(store.open, 0)
        assert await store.runs() == []


@WAYS
@TURNS
async def test_a_cancelled_call_leaves_no_run_held(
    file: Path, cancelled: Callable[[Call, int], Awaitable[None]], turns: int
) -> None:
    async with in_file(file) as store, in_file(file, owner=elsewhere()) as other:
        await cancelled(lambda: create(store), turns)
        for run in await store.runs():
            assert run.state is RunState.ABANDONED
        await store.create(a_run("r2"), planned(1, 2), cooldown=0)
        await store.release("r2", RunState.STOPPED)
        await cancelled(lambda: acquire(store), turns)
        await other.acquire("r2")


async def create(store: SqlStore) -> None:
    await store.create(a_run("r1"), planned(1, 2), cooldown=0)


async def acquire(store: SqlStore) -> None:
    await store.acquire("r2")
