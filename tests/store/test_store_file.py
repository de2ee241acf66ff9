"""The store in a file: crashes, other processes, full disks, and files that are something else."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import attrs
import pytest
from sqlalchemy import create_engine
from store_tools import BEGAN, Clock, a_run, in_file, planned, states, stored
from tools import child_environment

from hostup_async import (
    ConfigurationError,
    Entry,
    EntryState,
    LearntRecord,
    RunHeld,
    RunState,
    StoreError,
    open_store,
)
from hostup_async._store.memory import MemoryStore
from hostup_async._store.sql import SqlStore, schema

CRASHING = """
import asyncio, os, sys
import attrs
from sqlalchemy import create_engine
from store_tools import a_run, in_file, planned
from hostup_async import EntryState

async def main():
    async with in_file(sys.argv[1]) as store:
        entries = iter(await store.create(a_run("r1"), planned(*range(5000)), cooldown=0))
        async def work():
            for entry in entries:
                await store.save("r1", [attrs.evolve(entry, state=EntryState.INTENT)])
                os.write(1, b"%d\\n" % entry.position)
        await asyncio.gather(*(work() for _ in range(16)))

asyncio.run(main())
"""
RACING = """
import asyncio, sys
from sqlalchemy import create_engine
from store_tools import a_run, in_file, planned
from hostup_async import EntryState

async def main():
    sys.stdin.readline()
    async with in_file(sys.argv[1]) as store:
        entries = await store.create(a_run(sys.argv[2]), planned(*range(300)), cooldown=60)
        print(sum(entry.state is EntryState.PLANNED for entry in entries), flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""
FORGETFUL = """
import asyncio, sys
from sqlalchemy import create_engine
from store_tools import a_run, in_file, planned

async def main():
    store = in_file(sys.argv[1])
    await store.open()
    await store.create(a_run("r1"), planned(1), cooldown=0)

asyncio.run(main())
"""


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqlStore]:
    async with in_file(file) as opened:
        yield opened


def intent(entry: Entry) -> Entry:
    return attrs.evolve(entry, state=EntryState.INTENT, sent_at=BEGAN)


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_saved_outlives_a_kill_and_is_resumed_at_once(file: Path, seed: int) -> None:
    lines = random.Random(seed).randrange(1, 400)
    with child(CRASHING, file) as process:
        assert process.stdout
        told = [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    async with in_file(file) as store:
        assert (await store.acquire("r1")).state is RunState.RUNNING
        entries = await stored(store, "r1")
        assert len(entries) == 5000
        intents = {entry.position for entry in entries if entry.state is EntryState.INTENT}
        assert set(told) <= intents
        assert len(intents) <= len(told) + 2 * 16


async def test_a_kill_while_a_run_is_created_leaves_all_of_it_or_nothing(file: Path) -> None:
    async with in_file(file):
        pass
    with child(CRASHING, file) as process:
        while not size(file.with_name("fleet.db-wal")):
            await asyncio.sleep(0)
        process.kill()
    async with in_file(file) as store:
        for run in await store.runs():
            assert sum(run.counts.values()) == 5000


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def test_of_two_runs_begun_at_once_one_has_the_vpses(file: Path) -> None:
    with child(RACING, file, "r1") as one, child(RACING, file, "r2") as two:
        racers = [one, two]
        for go in range(2):
            for process in racers:
                assert process.stdin
                process.stdin.write("go\n")
                process.stdin.flush()
            if not go:
                counts = [int(process.stdout.readline()) for process in racers if process.stdout]
    assert sorted(counts) == [0, 300]
    assert [one.returncode, two.returncode] == [0, 0]


async def test_a_process_that_never_closed_its_store_ends_all_the_same(file: Path) -> None:
    with child(FORGETFUL, file) as process:
        assert process.wait(timeout=30) == 0
    async with in_file(file) as store:
        await store.acquire("r1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads, on purpose
async def test_a_forked_process_is_told_to_open_its_own(store: SqlStore) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        with os.fdopen(writing, "w") as pipe:
            pipe.write(_try_in_a_child(store))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert "opened before a fork" in pipe.read()
    os.waitpid(pid, 0)  # noqa: ASYNC222 - it has written its last words
    await store.save("r1", list(planned(1)))


def _try_in_a_child(store: SqlStore) -> str:
    asyncio.events._set_running_loop(None)
    coroutine = store._database.transact(lambda _: asyncio.sleep(0))
    try:
        coroutine.send(None)
    except StoreError as error:
        return str(error)
    return "no error"


async def test_the_file_is_for_its_owner_alone(file: Path, store: SqlStore) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


async def test_each_commit_is_forced_to_the_disk(store: SqlStore) -> None:
    connection = store._database._connection
    assert connection
    async with connection.begin():
        asked = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert asked == ["wal", 2, 1]


async def test_a_living_process_holds_its_run_whatever_the_clock_says(
    file: Path, clock: Clock
) -> None:
    with child(RACING, file, "r1") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline()
        clock.now += 1e9
        async with in_file(file, clock=clock) as store:
            with pytest.raises(RunHeld, match=f"process {process.pid} on"):
                await store.acquire("r1")
            process.kill()
            process.wait()
            await store.acquire("r1")


async def test_a_full_disk_reaches_every_waiter_and_what_was_saved_stays(store: SqlStore) -> None:
    entries = await store.create(a_run("r1"), planned(*range(100)), cooldown=0)
    connection = store._database._connection
    assert connection
    await store.save("r1", [intent(entries[0])])

    async def limit(pages: int) -> None:
        async with connection.begin():
            await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await limit(1)
    long = [attrs.evolve(entry, reason="x" * 10_000) for entry in entries]
    saves = [store.save("r1", [entry]) for entry in long]
    errors = await asyncio.gather(*saves, return_exceptions=True)
    assert {type(error) for error in errors} == {StoreError}
    assert {str(error).partition(" is ")[2] for error in errors} == {
        "full: make room on the disk, then resume the run."
    }
    assert len(set(map(id, errors))) == len(errors)
    await limit(1_000_000)
    assert await stored(store, "r1") == [intent(entries[0]), *entries[1:]]
    await store.save("r1", long)
    assert await stored(store, "r1") == long


async def test_a_file_that_another_locks_is_said_so(
    file: Path, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    monkeypatch.setattr("hostup_async._store.sql.sqlite.BUSY_SECONDS", 0.01)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with in_file(file) as reader:
        assert len(await reader.runs()) == 1
        with pytest.raises(StoreError, match="has been locked by another process for too long"):
            await reader.forget()
        other.execute("COMMIT")
        await reader.forget()
    other.close()


async def test_a_new_file_that_another_is_setting_up_is_waited_for(file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        schema.create(connection)
    engine.dispose()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # no write-ahead log yet
    store = in_file(file)
    opening = asyncio.create_task(store.open())
    done, _ = await asyncio.wait([opening], timeout=0.1)
    assert not done
    other.execute("COMMIT")
    other.close()
    await opening
    await store.aclose()


async def test_a_cancelled_save_is_whole_or_not_at_all(store: SqlStore) -> None:
    entries = await store.create(a_run("r1"), planned(*range(200)), cooldown=0)
    tasks = [
        asyncio.create_task(store.save("r1", list(map(intent, entries[start : start + 2]))))
        for start in range(0, 200, 2)
    ]
    for turn, task in enumerate(tasks):
        await asyncio.sleep(0)
        if turn % 2:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.aclose()
    await store.open()
    kept = states(await stored(store, "r1"))
    for number, task in enumerate(tasks):
        assert kept[2 * number] == kept[2 * number + 1]
        assert task.cancelled() or kept[2 * number] is EntryState.INTENT


def directory(path: Path) -> None:
    path.mkdir()


def some_text(path: Path) -> None:
    path.write_text("this is no database, and long enough to be seen as none " * 50)


def another_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def newer_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE hostup_store (id, version)")
        connection.execute("INSERT INTO hostup_store VALUES (1, 99)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (directory, "cannot be opened: check the permissions"),
        (some_text, "is not an SQLite database: name another file"),
        (another_database, "is the database of something else: name another file"),
        (
            newer_version,
            "of version 99, and this hostup knows version 4: use the hostup that made them",
        ),
    ],
)
async def test_what_is_no_store_is_refused_and_left_alone(
    file: Path, make: Callable[[Path], None], said: str
) -> None:
    make(file)
    before = tables(file)
    for _ in range(2):
        with pytest.raises(StoreError, match=said):
            await in_file(file).open()
    assert tables(file) == before


def tables(file: Path) -> list[str]:
    if file.is_dir():
        return []
    connection = sqlite3.connect(file)
    try:
        return sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))
    except sqlite3.DatabaseError:
        return [file.read_text()]
    finally:
        connection.close()


async def test_a_directory_that_is_missing_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="in a directory that exists"):
        await in_file(tmp_path / "missing" / "fleet.db").open()


@pytest.mark.parametrize("spelling", ["{}", "sqlite:///{}"])
async def test_a_path_names_a_file(file: Path, spelling: str) -> None:
    async with open_store(spelling.format(file)) as opened:
        await opened.create(a_run("r1"), planned(1), cooldown=0)
        assert str(file) in repr(opened)
    async with open_store(file) as opened:
        assert len(await opened.runs()) == 1


async def test_a_lent_store_is_closed_by_the_last_that_uses_it(file: Path) -> None:
    lent = in_file(file)
    async with AsyncExitStack() as last:
        async with open_store(lent):
            await last.enter_async_context(open_store(lent))
        assert await lent.runs() == []
    assert not lent.is_open
    async with lent:
        async with open_store(lent):
            pass
        assert lent.is_open


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside threads, on purpose
async def test_a_child_that_leaves_the_block_of_a_store_closes_its_own_copy() -> None:
    block = open_store(None)
    store = await block.__aenter__()
    if not (pid := os.fork()):
        os._exit(_leave(block))
    _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once
    assert os.waitstatus_to_exitcode(status) == 0
    assert await store.runs() == []
    await block.__aexit__(None, None, None)
    assert not store.is_open


def _leave(block: AbstractAsyncContextManager[object]) -> int:
    """Leave a block in a forked child, where the loop runs no more; an exit code."""
    try:
        block.__aexit__(None, None, None).send(None)
    except StopIteration:
        return 0
    except BaseException:  # noqa: BLE001 - the parent has to hear of it
        traceback.print_exc()
    return 1


async def test_a_store_is_lent_and_none_is_memory() -> None:
    async with open_store(None) as memory:
        assert isinstance(memory, MemoryStore)
        async with open_store(memory) as same:
            assert same is memory
        assert memory.is_open
    async with open_store(memory) as same:
        assert same.is_open
    assert not memory.is_open


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@host/db", "mysql://hunter2", "sqlite://", ":memory:", ""]
)
async def test_what_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="None for memory") as caught:
        async with open_store(url):
            pass
    assert "hunter2" not in str(caught.value)


async def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hostup\[store\]'"):
        async with open_store("fleet.db"):
            pass


def test_importing_the_package_imports_no_sqlalchemy() -> None:
    code = "import sys, hostup_async; hostup_async.Store, hostup_async.open_store; "
    code += "sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_file_of_version_3_is_brought_up_to_date_and_not_marked(file: Path) -> None:
    async with in_file(file) as store:
        await store.create(a_run("r1"), planned(2), cooldown=0)
        await store.release("r1", RunState.STOPPED)
    some_time_ago = time.time() - 100
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("DROP TABLE hostup_learnt")
        connection.execute("CREATE TABLE hostup_durations (origin, action, text)")
        connection.execute("UPDATE hostup_store SET version = 3, written_at = ?", (some_time_ago,))
        connection.execute("UPDATE hostup_runs SET written_at = ?", (some_time_ago,))
        connection.execute("UPDATE hostup_audit SET at = ?", (some_time_ago,))
    connection.close()
    os.utime(file, (some_time_ago, some_time_ago))
    async with in_file(file):  # writes the missing table, which changes the file
        pass
    record = LearntRecord(origin="o", fingerprint="k", what="reset", text="[1]", learnt_at=BEGAN)
    async with in_file(file) as store:
        assert (await store.run("r1")).possible_loss is None
        await store.learn([record])
        assert await store.learnt() == [record]
    assert "hostup_durations" in tables(file)  # an older process may be using it


async def test_a_file_that_is_only_read_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    async with in_file(path) as store:
        await store.create(a_run("r1"), planned(0, 1), cooldown=0)
    before = path.read_bytes()
    async with open_store(path, read_only=True) as store:
        assert [run.id for run in await store.runs()] == ["r1"]
        assert len([entry async for entry in store.entries("r1")]) == 2
        with pytest.raises(StoreError, match="cannot be written"):
            await store.forget()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["fleet.db"]  # noqa: PTH208 - the path's own way blocks, too


async def test_a_file_in_use_can_be_read_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    async with in_file(path) as store:
        await store.create(a_run("r1"), planned(0), cooldown=0)
        async with open_store(path, read_only=True) as reader:
            (run,) = await reader.runs()
            assert run.state is RunState.RUNNING
            await store.release("r1", RunState.STOPPED)
            (run,) = await reader.runs()
            assert run.state is RunState.STOPPED


async def test_to_read_a_file_it_must_be_there_and_a_store(tmp_path: Path) -> None:
    for name, content in (("none.db", None), ("empty.db", b"")):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(StoreError):
            async with open_store(path, read_only=True):
                pass
        assert path.exists() is (content is not None)
