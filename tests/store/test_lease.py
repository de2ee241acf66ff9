"""Who holds a run, and when another may take it: by sleeping processes, and whatever clocks say."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from store_tools import BEGAN, Clock, a_run, elsewhere, in_file, planned, stored
from tools import child_environment

from hostup_async import RunHeld, RunState, StoreError
from hostup_async._store.owner import Owner
from hostup_async._store.sql import SqlStore

LEASE = 30.0
TWO_LOOPS = """
import asyncio, os, sys
from store_tools import a_run, in_file, planned

async def begin():
    store = in_file(sys.argv[1])
    await store.open()
    await store.create(a_run("r1"), planned(1), cooldown=0)
    return store

async def go_on():
    async with in_file(sys.argv[1]) as store:
        print((await store.acquire("r1")).state, flush=True)

loop = asyncio.new_event_loop()
left_open = loop.run_until_complete(begin())
loop.close()
asyncio.run(go_on())
os._exit(0)  # the store that was left open cannot be closed any more
"""

SENDING = """
import asyncio, os, sys
import attrs
from store_tools import a_run, in_file, planned
from hostup_async import RunHeld
from hostup_async._store.owner import Owner

async def main():
    hidden = attrs.evolve(Owner.here(), processes="another space")
    async with in_file(sys.argv[1], owner=hidden, lease=0.5) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        book = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                await store.save("r1", [entry])
                os.write(book, b".")
                await asyncio.sleep(0)
        except RunHeld:
            pass

asyncio.run(main())
"""


class BootClock:
    """The clock of leases, moved by hand: a machine that slept, or was suspended."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = time.clock_gettime

    def __call__(self, clock: int) -> float:
        return self._real(clock) + self.ahead


@pytest.fixture
def boot_clock(monkeypatch: pytest.MonkeyPatch) -> BootClock:
    clock = BootClock()
    monkeypatch.setattr("time.clock_gettime", clock)
    return clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


def in_a_container() -> Owner:
    """An owner of this machine and boot, whose processes are not to be seen from here."""
    return attrs.evolve(Owner.here(), processes="another space", pid=7)


async def test_in_a_container_the_lease_counts_from_its_renewal(
    file: Path, boot_clock: BootClock
) -> None:
    async with in_file(file, owner=in_a_container()) as there, in_file(file) as here:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        with pytest.raises(RunHeld, match=r"process 7 on .* \(its lease ends in (30|29) s"):
            await here.acquire("r1")
        boot_clock.ahead += 29
        await there.save("r1", [entry])  # renews it
        boot_clock.ahead += 29
        with pytest.raises(RunHeld):
            await here.abandon("r1")
        boot_clock.ahead += 2
        await here.acquire("r1")
        with pytest.raises(RunHeld, match="nothing was recorded"):
            await there.save("r1", [entry.intended(BEGAN)])
        with pytest.raises(RunHeld):
            await there.release("r1", RunState.FINISHED)
        await here.save("r1", [entry])
    async with in_file(file) as store:
        assert await stored(store, "r1") == [entry]


@pytest.mark.parametrize("owner", [elsewhere, in_a_container])
@pytest.mark.parametrize("step", [-5e6, -31.0, 31.0, 86400.0, 5e6])
async def test_a_step_of_the_wall_clock_frees_no_run(
    file: Path, clock: Clock, owner: Callable[[], Owner], step: float
) -> None:
    async with (
        in_file(file, clock=clock, owner=owner(), lease=2.0) as there,
        in_file(file, clock=clock) as here,
    ):
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        clock.now += step
        with pytest.raises(RunHeld):
            await here.acquire("r1")
        await there.save("r1", [entry])


async def test_a_holder_on_another_machine_is_watched_for_signs_of_life(file: Path) -> None:
    async with in_file(file, owner=elsewhere(), lease=2.0) as there, in_file(file) as here:
        await there.create(a_run("r1"), planned(1), cooldown=0)
        for take in (here.acquire, here.abandon):
            with pytest.raises(RunHeld, match="process 4711 on faraway, which gives signs of life"):
                await take("r1")
        await there.release("r1", RunState.STOPPED)
        await here.acquire("r1")


async def test_a_holder_on_another_machine_without_a_sign_of_life_loses_its_run(
    file: Path,
) -> None:
    async with in_file(file, owner=elsewhere(), lease=0.2) as there, in_file(file) as here:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        suspend(there)
        await here.acquire("r1")
        with pytest.raises(RunHeld):
            await there.save("r1", [entry.intended(BEGAN)])
        assert not there.holds("r1")


def suspend(store: SqlStore) -> None:
    """Stop its heartbeat, as SIGSTOP does."""
    timer = store._held._timer
    assert timer
    timer.cancel()


async def test_one_sign_of_life_at_the_last_moment_is_enough(file: Path) -> None:
    async with in_file(file, owner=elsewhere(), lease=0.3) as there, in_file(file) as here:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        suspend(there)
        taking = asyncio.create_task(here.acquire("r1"))
        done, _ = await asyncio.wait([taking], timeout=0.1)
        assert not done
        await there.save("r1", [entry])
        with pytest.raises(RunHeld, match="gives signs of life"):
            await taking


async def test_a_cancelled_watch_takes_nothing(file: Path) -> None:
    async with in_file(file, owner=elsewhere(), lease=60) as there, in_file(file) as here:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(here.acquire("r1"), 0.1)
        await there.save("r1", [entry.intended(BEGAN)])


async def test_a_lease_is_renewed_while_nothing_is_saved(file: Path) -> None:
    async with in_file(file, lease=0.03) as store:
        await store.create(a_run("r1"), planned(1), cooldown=0)
        connection = sqlite3.connect(file)
        while connection.execute("SELECT beats FROM hostup_runs").fetchone()[0] < 3:
            await asyncio.sleep(0.001)
        connection.close()


async def test_a_save_finds_that_another_process_has_taken_the_run(file: Path) -> None:
    async with in_file(file) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        with_another_owner(file)
        assert store.send_window < LEASE  # so that before others may, nothing is sent any more
        with pytest.raises(RunHeld, match="Stop sending"):
            await store.save("r1", [entry])
        assert not store.holds("r1")
        with pytest.raises(RunHeld):
            await store.save("r1", [entry])


def with_another_owner(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE hostup_runs SET owner = ?", [elsewhere().text])
    connection.commit()
    connection.close()


async def test_a_process_that_slept_goes_on_if_nobody_took_its_run(
    file: Path, boot_clock: BootClock
) -> None:
    async with in_file(file) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        for _ in range(2):
            boot_clock.ahead += 10 * LEASE
            await store.save("r1", [entry])
            await store.save("r1", [entry])
        assert store.holds("r1")


async def test_a_process_that_slept_while_its_run_was_taken_sends_nothing(
    file: Path, boot_clock: BootClock
) -> None:
    async with in_file(file, owner=in_a_container()) as there, in_file(file) as here:
        (entry,) = await there.create(a_run("r1"), planned(1), cooldown=0)
        boot_clock.ahead += LEASE + 1
        await here.abandon("r1")
        with pytest.raises(RunHeld):
            await there.save("r1", [entry])


async def test_a_process_that_was_stopped_for_longer_than_its_lease_sends_nothing_more(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostup_async._store.sql.sqlite.BUSY_SECONDS", 1.0)
    book = tmp_path / "sent"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDING, str(file), str(book), env=child_environment()
    )
    while not size(book):
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    async with in_file(file) as here:
        while not await taken(here, process):
            await asyncio.sleep(0.01)
        before = size(book)
        process.send_signal(signal.SIGCONT)
        assert await process.wait() == 0
    # At most the one whose check was over when the process was stopped.
    assert size(book) - before <= 1


def size(book: Path) -> int:
    return book.stat().st_size if book.exists() else 0


async def taken(store: SqlStore, process: asyncio.subprocess.Process) -> bool:
    """Whether the run could be taken from a stopped process."""
    try:
        await store.abandon("r1")
    except RunHeld:
        return False
    except StoreError:  # it was stopped amid a commit, and so locks the file: try again
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        return False
    return True


async def test_a_holder_that_cannot_ask_the_database_does_not_send(
    file: Path, boot_clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostup_async._store.sql.sqlite.BUSY_SECONDS", 0.01)
    async with in_file(file) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        boot_clock.ahead += LEASE
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            await store.save("r1", [entry])
        assert store.holds("r1")  # for all that is known
        other.execute("COMMIT")
        other.close()
        await store.save("r1", [entry])


async def test_a_heartbeat_that_finds_the_lease_lost_says_so_at_once(file: Path) -> None:
    async with in_file(file, lease=0.05) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        lost = asyncio.create_task(store.wait_until_lost("r1"))
        done, _ = await asyncio.wait([lost], timeout=0.1)
        assert not done
        with_another_owner(file)
        assert isinstance(await lost, RunHeld)
        assert not store.holds("r1")
        with pytest.raises(RunHeld):
            await store.save("r1", [entry])
        assert isinstance(await store.wait_until_lost("r1"), RunHeld)


async def test_a_released_run_is_not_lost_but_not_held_either(file: Path) -> None:
    async with in_file(file, lease=0.03) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        lost = asyncio.create_task(store.wait_until_lost("r1"))
        await asyncio.sleep(0)
        await store.release("r1", RunState.STOPPED)
        done, _ = await asyncio.wait([lost], timeout=0.1)
        assert not done
        lost.cancel()
        assert not store.holds("r1")
        with pytest.raises(RunHeld):
            await store.save("r1", [entry])
        with pytest.raises(RunHeld):
            await store.wait_until_lost("r1")
        await store.acquire("r1")
        assert store.holds("r1")


async def test_another_store_of_this_process_holds_its_run_until_it_closes(file: Path) -> None:
    async with in_file(file) as here:
        async with in_file(file) as there:
            await there.create(a_run("r1"), planned(1), cooldown=0)
            with pytest.raises(RunHeld, match="is held by process"):
                await here.acquire("r1")
        await here.acquire("r1")


def test_a_store_whose_event_loop_ended_without_closing_it_holds_nothing(file: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TWO_LOOPS, file],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "running\n"), ended.stderr
