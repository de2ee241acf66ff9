"""A file that may have lost commits is not believed, and one that is lost is not written to."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from store_tools import BEGAN, a_run, elsewhere, in_file, planned, states, stored
from tools import child_environment

from hostup_async import ConfigurationError, Entry, EntryState, RunHeld, RunState, StoreError
from hostup_async._store.sql import SqliteFile, SqlStore

COUNT = 400
SENDING = """
import asyncio, os, sys
from store_tools import a_run, in_file, planned

async def main():
    async with in_file(sys.argv[1]) as store:
        entries = iter(await store.create(a_run("r1"), planned(*range(400)), cooldown=0))
        async def work():
            for entry in entries:
                await store.save("r1", [entry.intended(1.8e9)])
                os.write(1, b"%d\\n" % entry.position)
        await asyncio.gather(*(work() for _ in range(8)))
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqlStore]:
    async with in_file(file) as opened:
        yield opened


def beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def killed_while_sending(file: Path, lines: int = 100) -> set[int]:
    """Kill a process amid its saves; the positions whose intents were confirmed."""
    with subprocess.Popen(
        [sys.executable, "-c", SENDING, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    ) as process:
        assert process.stdout
        confirmed = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        confirmed += [line for line in process.stdout if line.endswith("\n")]
    return set(map(int, confirmed))


async def resumed(file: Path) -> tuple[str | None, set[int]]:
    """What the store may have lost of the run, and which of its entries it has as sent."""
    async with in_file(file) as store:
        run = await store.acquire("r1")
        entries = await stored(store, "r1")
    assert len(entries) == COUNT
    return run.possible_loss, {one.position for one in entries if one.state is EntryState.INTENT}


async def test_what_a_killed_process_left_in_place_is_whole(file: Path) -> None:
    confirmed = killed_while_sending(file)
    possible_loss, sent = await resumed(file)
    assert possible_loss is None
    assert confirmed <= sent


async def test_reading_what_a_killed_process_left_raises_no_alarm_later(file: Path) -> None:
    confirmed = killed_while_sending(file)
    for _ in range(2):  # as `fleet status` does; closing takes the log away
        async with in_file(file) as store:
            assert (await store.run("r1")).possible_loss is None
        assert not beside(file, "-wal").exists()
    possible_loss, sent = await resumed(file)
    assert possible_loss is None
    assert confirmed <= sent


async def test_a_file_copied_without_its_log_has_all_that_was_confirmed_and_is_marked(
    file: Path, tmp_path: Path
) -> None:
    confirmed = killed_while_sending(file)
    copy = tmp_path / "copy.db"
    shutil.copy(file, copy)
    possible_loss, sent = await resumed(copy)
    assert possible_loss == "its file is a copy, or was moved"
    assert confirmed <= sent


async def test_a_copy_with_its_log_is_marked_as_well_since_the_original_may_have_gone_on(
    file: Path, tmp_path: Path
) -> None:
    killed_while_sending(file)
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(beside(file, suffix), beside(copy, suffix))
    assert (await resumed(copy))[0] == "its file is a copy, or was moved"


def remove(log: Path) -> None:
    log.unlink()


def empty(log: Path) -> None:
    os.truncate(log, 0)


def cut_off(log: Path) -> None:
    os.truncate(log, 20)


@pytest.mark.parametrize("damage", [remove, empty, cut_off])
async def test_a_log_that_was_removed_is_noticed_and_nothing_confirmed_is_lost(
    file: Path, damage: Callable[[Path], None]
) -> None:
    confirmed = killed_while_sending(file)
    damage(beside(file, "-wal"))
    possible_loss, sent = await resumed(file)
    assert possible_loss == "its write-ahead log was removed"
    assert confirmed <= sent


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
async def test_of_a_log_that_was_cut_off_nothing_confirmed_is_lost(
    file: Path, share: float
) -> None:
    confirmed = killed_while_sending(file)
    log = beside(file, "-wal")
    os.truncate(log, int(log.stat().st_size * share))
    _, sent = await resumed(file)
    assert confirmed <= sent


async def test_a_backup_restored_over_the_file_is_marked(file: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    async with in_file(file) as store:
        await create_and_stop(store)
    make_older_copy(file, backup)
    async with in_file(file) as store:
        await store.acquire("r1")
        await store.save("r1", [entry.intended(BEGAN) for entry in await stored(store, "r1")])
        await store.release("r1", RunState.STOPPED)
    inode = inode_of(file)
    shutil.copyfile(backup, file)  # over it, so that the file is the same one
    assert inode_of(file) == inode
    possible_loss, sent = await resumed(file)
    assert possible_loss == "its file was changed by something else, such as restoring a backup"
    assert sent == set()  # which is why


def inode_of(file: Path) -> int:
    return file.stat().st_ino


def make_older_copy(file: Path, backup: Path) -> None:
    """A backup as it would be an hour later."""
    shutil.copy(file, backup)
    connection = sqlite3.connect(backup)
    connection.execute("UPDATE hostup_runs SET written_at = written_at - 3600")
    connection.execute("UPDATE hostup_store SET written_at = written_at - 3600")
    connection.execute("UPDATE hostup_audit SET at = at - 3600")
    connection.commit()
    connection.close()


async def test_a_run_that_was_stopped_in_place_is_not_marked(file: Path) -> None:
    for action in (create_and_stop, acquire_and_stop, acquire_and_stop, learn_durations):
        async with in_file(file) as store:
            await action(store)
    assert (await resumed(file))[0] is None


async def create_and_stop(store: SqlStore) -> None:
    await store.create(a_run("r1"), planned(*range(COUNT)), cooldown=0)
    await store.release("r1", RunState.STOPPED)


async def acquire_and_stop(store: SqlStore) -> None:
    await store.acquire("r1")
    await store.note("r1", "paused")
    await store.release("r1", RunState.STOPPED)


async def learn_durations(store: SqlStore) -> None:
    await store.save_durations("o", a_run("r1").action, "[]")


async def test_the_mark_stays_until_the_run_has_ended(file: Path, tmp_path: Path) -> None:
    async with in_file(file) as store:
        await create_and_stop(store)
    copy = tmp_path / "copy.db"
    shutil.copy(file, copy)
    for _ in range(2):
        assert (await resumed(copy))[0] == "its file is a copy, or was moved"
    async with in_file(copy) as store:
        assert (await store.runs())[0].possible_loss == "its file is a copy, or was moved"
        await store.abandon("r1")
        await store.create(a_run("r2"), planned(*range(COUNT)), cooldown=0)
        assert (await store.run("r2")).possible_loss is None
    assert (await resumed(file))[0] is None


async def test_a_copy_of_a_file_whose_owner_lives_is_held(
    file: Path, store: SqlStore, tmp_path: Path
) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    copy = tmp_path / "copy.db"
    shutil.copy(file, copy)
    async with in_file(copy) as other:
        with pytest.raises(RunHeld):
            await other.acquire("r1")


async def test_each_confirmed_save_is_in_the_file_itself(file: Path, store: SqlStore) -> None:
    entries = await store.create(a_run("r1"), planned(*range(50)), cooldown=0)
    for number, entry in enumerate(entries):
        await store.save("r1", [entry.intended(BEGAN)])
        connection = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)
        query = "SELECT count(*) FROM hostup_entries WHERE state = 'intent'"
        assert connection.execute(query).fetchone() == (number + 1,)
        connection.close()


async def test_a_reader_that_holds_an_old_view_stops_nobody(file: Path, store: SqlStore) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM hostup_entries").fetchone() == (1,)
    await store.save("r1", [entry.intended(BEGAN)])
    reader.close()
    assert states(await stored(store, "r1")) == [EntryState.INTENT]


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    """As `cp` does with a backup: the same file, of the same size."""
    path.write_bytes(path.read_bytes())


def linked(path: Path) -> None:
    os.link(path, path.with_name("another name"))


BREACHES = [
    (deleted, "", r"was deleted or moved while it was in use \(fleet\.db\)"),
    (deleted, "-wal", r"was deleted or moved while it was in use \(fleet\.db-wal\)"),
    (deleted, "-shm", r"was deleted or moved while it was in use \(fleet\.db-shm\)"),
    (moved, "", r"was deleted or moved while it was in use \(fleet\.db\)"),
    (replaced, "", r"was replaced while it was in use \(fleet\.db\)"),
    (replaced, "-wal", r"was replaced while it was in use \(fleet\.db-wal\)"),
    (truncated, "", r"was cut off while it was in use \(fleet\.db\)"),
    (truncated, "-wal", r"was cut off while it was in use \(fleet\.db-wal\)"),
    (overwritten, "", "was overwritten while it was in use"),
    (linked, "", "was given a second name"),
]
EACH_BREACH = pytest.mark.parametrize(("breach", "suffix", "said"), BREACHES)


@EACH_BREACH
async def test_what_happens_to_a_file_in_use_ends_the_saving_for_good(
    file: Path, breach: Callable[[Path], None], suffix: str, said: str
) -> None:
    async with in_file(file) as store:
        first, second = await store.create(a_run("r1"), planned(1, 2), cooldown=0)
        await store.save("r1", [first.intended(BEGAN)])
        breach(beside(file, suffix))
        for _ in range(2):
            with pytest.raises(StoreError, match=said):
                await store.save("r1", [second.intended(BEGAN)])
        with pytest.raises(StoreError, match=said):
            await store.runs()


@pytest.mark.parametrize(
    ("breach", "suffix", "said"), [one for one in BREACHES if "overw" not in one[2]]
)
async def test_a_send_that_waited_is_not_let_go_on_once_the_file_is_lost(
    file: Path, breach: Callable[[Path], None], suffix: str, said: str
) -> None:
    async with in_file(file) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        await store.save("r1", [entry.intended(BEGAN)])
        breach(beside(file, suffix))
        with pytest.raises(StoreError, match=said):
            await store.save("r1", [entry.intended(BEGAN)])


async def test_stores_that_write_to_one_file_at_once_take_nothing_for_a_breach(
    file: Path,
) -> None:
    async with in_file(file) as one, in_file(file) as two, in_file(file) as reader:
        stores = {"r1": one, "r2": two}

        async def work(run_id: str, begin: int) -> None:
            store, numbers = stores[run_id], range(begin, begin + 150)
            for entry in await store.create(a_run(run_id), planned(*numbers), cooldown=0):
                await store.save(run_id, [entry.intended(BEGAN)])

        async def read() -> None:
            for _ in range(50):
                await reader.runs()

        await asyncio.gather(work("r1", 0), work("r2", 1000), read())
        for run_id in stores:
            assert set(states(await stored(reader, run_id))) == {EntryState.INTENT}


async def test_a_process_that_was_suspended_before_its_copy_is_no_breach(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It committed before this store was opened, and copies this store's commits as well."""
    async with in_file(file) as store:
        await store.create(a_run("r1"), planned(1), cooldown=0)
    suspended = sqlite3.connect(file, isolation_level=None)
    suspended.execute("PRAGMA wal_autocheckpoint=0")
    suspended.execute("UPDATE hostup_store SET version = version")
    async with in_file(file) as store:
        (first, second) = await store.create(a_run("r2"), planned(2, 3), cooldown=0)
        await store.save("r2", [first.intended(BEGAN)])
        confirm = SqliteFile.confirm

        async def later(self: SqliteFile, connection: AsyncConnection) -> None:
            suspended.execute("PRAGMA wal_checkpoint(PASSIVE)")
            await confirm(self, connection)

        monkeypatch.setattr(SqliteFile, "confirm", later)
        await store.save("r2", [second.intended(BEGAN)])
        assert states(await stored(store, "r2")) == [EntryState.INTENT, EntryState.INTENT]
    suspended.close()


@EACH_BREACH
async def test_the_heartbeat_notices_what_happens_to_a_file_in_use(
    file: Path, breach: Callable[[Path], None], suffix: str, said: str
) -> None:
    async with in_file(file, lease=0.05) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        breach(beside(file, suffix))
        error = await asyncio.wait_for(store.wait_until_lost("r1"), 20)
        assert not isinstance(error, RunHeld)
        with pytest.raises(StoreError, match=said):
            raise error
        assert not store.holds("r1")
        with pytest.raises(StoreError, match=said):
            await store.save("r1", [entry])


async def test_a_file_that_is_lost_during_a_commit_confirms_nothing(
    file: Path, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
    check = store._database._backend.check

    def lose_it_then() -> None:
        check()
        file.unlink(missing_ok=True)

    monkeypatch.setattr(store._database._backend, "check", lose_it_then)
    with pytest.raises(StoreError, match="was deleted or moved"):
        await store.save("r1", [entry.intended(BEGAN)])


async def test_a_store_whose_file_was_replaced_leaves_the_new_one_alone(file: Path) -> None:
    async with in_file(file) as store:
        await store.create(a_run("r1"), planned(1), cooldown=0)
        for suffix in ("", "-wal", "-shm"):
            beside(file, suffix).unlink()
        async with in_file(file) as new:
            (entry,) = await new.create(a_run("r2"), planned(2), cooldown=0)
            await store.aclose()
            await new.save("r2", [entry.intended(BEGAN)])
    async with in_file(file) as again:
        assert [run.id for run in await again.runs()] == ["r2"]
        assert states(await stored(again, "r2")) == [EntryState.INTENT]


async def test_a_file_with_two_names_is_refused_by_both(file: Path) -> None:
    async with in_file(file) as store:
        await create_and_stop(store)
    os.link(file, beside(file, "-too"))
    for path in (file, beside(file, "-too")):
        with pytest.raises(StoreError, match="has 2 names"):
            await in_file(path).open()
    deleted(file)
    async with in_file(beside(file, "-too")) as store:
        await store.acquire("r1")


async def test_a_symbolic_link_leads_to_the_one_file(file: Path, store: SqlStore) -> None:
    await store.create(a_run("r1"), planned(1), cooldown=0)
    link = beside(file, "-link")
    link.symlink_to(file)
    async with in_file(link) as other:
        assert str(file) in repr(other)
        with pytest.raises(RunHeld):
            await other.acquire("r1")
        (entry,) = await other.create(a_run("r2"), planned(1), cooldown=0)
        assert entry.state is EntryState.SKIPPED
    assert not beside(link, "-wal").exists()


async def test_links_in_a_circle_are_refused(file: Path) -> None:
    link(file)
    with pytest.raises((ConfigurationError, StoreError), match=r"leads nowhere|cannot be read"):
        await in_file(file).open()


def link(file: Path) -> None:
    """To itself: Python 3.13 no longer minds when it resolves that."""
    file.symlink_to(file)


async def test_a_truncated_file_is_refused(file: Path) -> None:
    async with in_file(file) as store:
        await store.create(a_run("r1"), planned(*range(2000)), cooldown=0)
    truncated(file)
    with pytest.raises(StoreError, match="is damaged"):
        async with in_file(file) as store:
            await store.acquire("r1")


async def test_a_file_that_a_run_elsewhere_holds_is_watched_in_its_copy_too(
    file: Path, tmp_path: Path
) -> None:
    async with in_file(file, owner=elsewhere(), lease=0.1) as there:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        copy = tmp_path / "copy.db"
        shutil.copy(file, copy)
        async with in_file(copy) as here:
            before = await here.acquire("r1")
        assert before.possible_loss == "its file is a copy, or was moved"
        await there.save("r1", [Entry("vps_1", 0).intended(BEGAN)])
        assert entry.state is EntryState.PLANNED
