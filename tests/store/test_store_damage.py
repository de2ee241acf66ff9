"""A damaged file: whatever is wrong with a row, it is a `StoreError` that names the row."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from store_tools import ORIGIN, a_run, in_file, planned, stored

from hostup_async import HostUpError, RunState, Store, StoreError

COUNT = 20
ENTRY = "UPDATE hostup_entries SET {} WHERE position = 15"
RUN = "UPDATE hostup_runs SET {}"
IN_ENTRIES = {
    "a vps_id of the plan again": ENTRY.format("vps_id = 'vps_0'"),
    "another vps_id": ENTRY.format("vps_id = 'vps_99'"),
    "an empty vps_id": ENTRY.format("vps_id = ''"),
    "a vps_id of bytes": ENTRY.format("vps_id = x'00ff'"),
    "a position far off": ENTRY.format("position = 99"),
    "a negative position": ENTRY.format("position = -1"),
    "a position between two": ENTRY.format("position = 15.5"),
    "an unknown state": ENTRY.format("state = 'acceptee'"),
    "an empty state": ENTRY.format("state = ''"),
    "another known state": ENTRY.format("state = 'completed'"),
    "back to planned": "UPDATE hostup_entries SET state = 'planned' WHERE position = 0",
    "a state of bytes": ENTRY.format("state = x'ff'"),
    "attempts that are no number": ENTRY.format("attempts = 'many'"),
    "attempts out of range": ENTRY.format("attempts = -5"),
    "a moment that is no number": ENTRY.format("sent_at = 'noon'"),
    "a moment lost": "UPDATE hostup_entries SET sent_at = NULL WHERE position = 0",
    "a moment by the server's clock": ENTRY.format("sent_server_high = 1e300"),
    "request ids that are no JSON": ENTRY.format("request_ids = '[\"a'"),
    "request ids that are a number": ENTRY.format("request_ids = '5'"),
    "a job id": ENTRY.format("job_id = 'another'"),
    "a poll URL": ENTRY.format("poll_url = 'https://elsewhere/'"),
    "a reason": ENTRY.format("reason = 'x'"),
    "a wrong checksum": ENTRY.format("checksum = checksum + 1"),
    "a checksum that is no number": ENTRY.format("checksum = 'x'"),
    "a missing row": "DELETE FROM hostup_entries WHERE position = 15",
    "the last row missing": "DELETE FROM hostup_entries WHERE position = 19",
    "all rows missing": "DELETE FROM hostup_entries",
    "a row twice": (
        "INSERT INTO hostup_entries SELECT run_id, 20, vps_id, state, reason, job_id, poll_url, "
        "request_ids, attempts, sent_at, accepted_at, finished_at, evidence, sent_server_low, "
        "sent_server_high, checksum FROM hostup_entries WHERE position = 15"
    ),
    "two rows that swapped their VPSes": (
        "UPDATE hostup_entries SET vps_id = CASE position WHEN 14 THEN 'vps_15' ELSE 'vps_14' END "
        "WHERE position IN (14, 15)"
    ),
}
IN_RUNS = {
    "an unknown state of the run": RUN.format("state = 'runing'"),
    "another known state of the run": RUN.format("state = 'running'"),
    "an unknown action": RUN.format("action = 'reboot'"),
    "another action": RUN.format("action = 'stop'"),
    "another origin": RUN.format("origin = 'https://elsewhere'"),
    "another fingerprint": RUN.format("fingerprint = 'x'"),
    "another plan hash": RUN.format("plan_hash = 'x'"),
    "a plan that is no JSON": RUN.format("plan = substr(plan, 1, 50)"),
    "another plan": RUN.format("plan = replace(plan, 'vps_15', 'vps_16')"),
    "a policy that is no JSON": RUN.format("policy = '{'"),
    "counts that are no JSON": RUN.format("counts = '{'"),
    "counts that are a list": RUN.format("counts = '[1]'"),
    "counts of an unknown state": RUN.format("counts = '{\"resting\": 20}'"),
    "a moment of the run that is no number": RUN.format("created_at = 'noon'"),
    "another number of entries": RUN.format("size = 19"),
    "a number of entries that is none": RUN.format("size = 'x'"),
    "a last moment lost": RUN.format("last_sent_at = NULL"),
    "a possible loss forgotten": RUN.format("possible_loss = 'none'"),
    "a lease that is no number": RUN.format("lease = 'x'"),
}
HOLDERS = {
    "an owner that is no JSON": "'x'",
    "an owner that is a number": "'5'",
    "an owner of few words": "'[\"a\"]'",
    "an owner of other types": "'[1, 2, 3, 4, 5, 6]'",
    "an owner of bytes": "x'00'",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


async def make_run(file: Path) -> None:
    """A stopped run of which one VPS was sent, one is accepted, and the rest is planned."""
    plan = json.dumps({"ids": [f"vps_{number}" for number in range(COUNT)]})
    async with in_file(file) as store:
        run = a_run("r1", plan=plan, policy="{}", plan_hash="h", fingerprint="f")
        first, second, *_ = await store.create(run, planned(*range(COUNT)), cooldown=0)
        await store.save("r1", [first.intended(1.8e9, (1.8e9, 1.8e9 + 1))])
        await store.save("r1", [second.intended(1.8e9)])
        await store.release("r1", RunState.STOPPED)


def damage(file: Path, sql: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute(sql)
    connection.commit()
    connection.close()


async def read_entries(store: Store) -> None:
    await stored(store, "r1")


async def acquire(store: Store) -> None:
    await store.acquire("r1")


@pytest.mark.parametrize("read", [acquire, read_entries])
@pytest.mark.parametrize("sql", IN_ENTRIES.values(), ids=IN_ENTRIES)
async def test_a_damaged_entry_is_named_and_nothing_is_resumed(
    file: Path, sql: str, read: Callable[[Store], Awaitable[None]]
) -> None:
    await make_run(file)
    damage(file, sql)
    async with in_file(file) as store:
        with pytest.raises(StoreError, match=r"is damaged at entry .* of run r1.*restore a backup"):
            await read(store)
        assert (await store.runs())[0].id == "r1"
    async with in_file(file) as store:  # and it was not taken
        assert "resumed" not in {line.what for line in await store.audit("r1")}


@pytest.mark.parametrize("sql", IN_RUNS.values(), ids=IN_RUNS)
async def test_a_damaged_run_is_named_and_not_resumed(file: Path, sql: str) -> None:
    await make_run(file)
    damage(file, sql)
    async with in_file(file) as store:
        for call in (store.acquire, store.abandon, store.run):
            with pytest.raises(StoreError, match=r"is damaged at .* of run r1.*restore a backup"):
                await call("r1")
        with pytest.raises(StoreError):
            await stored(store, "r1")


@pytest.mark.parametrize("owner", HOLDERS.values(), ids=HOLDERS)
async def test_a_damaged_holder_is_named_and_keeps_its_run(file: Path, owner: str) -> None:
    await make_run(file)
    damage(file, RUN.format(f"owner = {owner}, beats = 1, renewed_at = 1.0"))
    async with in_file(file) as store:
        for call in (store.acquire, store.abandon):
            with pytest.raises(StoreError, match="is damaged at its holder of run r1"):
                await call("r1")
        assert len(await store.runs()) == 1


@pytest.mark.parametrize(
    "sql", [*IN_ENTRIES.values(), *IN_RUNS.values()], ids=[*IN_ENTRIES, *IN_RUNS]
)
async def test_no_other_error_ever_escapes(file: Path, sql: str) -> None:
    """Whatever is damaged, each call works or raises an error of ours."""
    await make_run(file)
    damage(file, sql)
    async with in_file(file) as store:
        calls: list[Callable[[], Awaitable[object]]] = [
            store.runs,
            lambda: store.run("r1"),
            lambda: stored(store, "r1"),
            lambda: store.audit("r1"),
            lambda: store.note("r1", "paused"),
            lambda: store.create(a_run("r2"), planned(*range(5)), cooldown=600),
            lambda: store.create(a_run("r3"), planned(*range(COUNT)), cooldown=600, server_now=1e9),
            lambda: store.create(a_run("r4"), planned(*range(900)), cooldown=0),
            lambda: store.acquire("r1"),
            lambda: store.save("r1", planned(*range(COUNT))),
            lambda: store.release("r1", RunState.STOPPED),
            lambda: store.abandon("r1"),
        ]
        for call in calls:
            try:
                await call()
            except HostUpError as error:
                assert str(error)  # noqa: PT017 - no error is right as well


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE hostup_entries SET state = 'acceptee' WHERE position = 0",
        "UPDATE hostup_entries SET job_id = 'x' WHERE position = 0",
        "UPDATE hostup_runs SET state = 'runing'",
    ],
)
async def test_a_new_run_does_not_take_what_a_damaged_one_holds(file: Path, sql: str) -> None:
    await make_run(file)
    damage(file, sql)
    async with in_file(file) as store:
        with pytest.raises(StoreError, match="is damaged"):
            await store.create(a_run("r2"), planned(0), cooldown=0)
        await store.create(a_run("r2", origin=f"{ORIGIN}/elsewhere"), planned(0), cooldown=0)


async def test_a_possible_loss_does_not_mend_a_damaged_run(file: Path, tmp_path: Path) -> None:
    await make_run(file)
    damage(file, "UPDATE hostup_runs SET fingerprint = 'x'")
    copy = tmp_path / "copy.db"
    copy.write_bytes(file.read_bytes())  # noqa: ASYNC240 - a test's
    async with in_file(copy) as store:
        with pytest.raises(StoreError, match="is damaged at its row of run r1"):
            await store.acquire("r1")


@pytest.mark.parametrize("change", ["at = 'noon'", "detail = '{'", "detail = x'00'"])
async def test_a_damaged_line_of_the_audit_trail_is_named(file: Path, change: str) -> None:
    await make_run(file)
    damage(file, f"UPDATE hostup_audit SET {change} WHERE id = 2")  # noqa: S608 - a test's
    async with in_file(file) as store:
        with pytest.raises(StoreError, match="damaged at line 2 of the audit trail of run r1"):
            await store.audit("r1")


@pytest.mark.parametrize("table", ["hostup_entries", "hostup_runs", "hostup_audit"])
async def test_a_missing_table_is_said_so(file: Path, table: str) -> None:
    await make_run(file)
    damage(file, f"DROP TABLE {table}")
    with pytest.raises(StoreError, match=f"no such table: {table}"):
        async with in_file(file) as store:
            await store.create(a_run("r2"), planned(1), cooldown=0)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
async def test_a_page_that_was_overwritten_is_an_error_of_ours(file: Path, byte: bytes) -> None:
    await make_run(file)
    content = bytearray(file.read_bytes())  # noqa: ASYNC240 - a test's
    for start in range(4096, len(content), 4096):
        overwritten = content[:start] + byte * 4096 + content[start + 4096 :]
        file.write_bytes(overwritten)  # noqa: ASYNC240 - a test's
        try:
            async with in_file(file) as store:
                before = await store.acquire("r1")
                entries = await stored(store, "r1")
        except StoreError:
            continue
        assert (len(entries), before.state) == (COUNT, RunState.STOPPED)  # another table's page


async def test_a_text_that_no_database_takes_is_recorded_readably_or_refused(file: Path) -> None:
    async with in_file(file) as store:
        (entry,) = await store.create(a_run("r1"), planned(1), cooldown=0)
        await store.save("r1", [entry.skipped("the API said \ud83d")])
        assert (await stored(store, "r1"))[0].reason == "the API said \\ud83d"
        broken = a_run("r2", fingerprint="\ud83d")
        with pytest.raises(StoreError, match="cannot record a value"):
            await store.create(broken, planned(2), cooldown=0)
