"""What an operator needs at night: what is left of a run, and how to go on with it."""

import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import anyio
import attrs
import pytest
from cli_tools import PATIENCE, events, here, line_with, running, sandbox, terminal

from hostup_async import (
    Entry,
    EntryState,
    FleetPolicy,
    OutcomeStatus,
    Plan,
    RunRecord,
    RunState,
    Store,
    open_store,
)
from hostup_async._config import ApiKey
from hostup_async.cli._work.from_run import read_statuses
from hostup_async.sandbox import Durations, ThreadedSandbox

pytestmark = pytest.mark.usefixtures("cli_home")
INSTANT = Durations(kind="instant")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    path = str(tmp_path / "fleet.db")
    monkeypatch.setenv("HOSTUP_STORE", path)
    return path


def record(
    store: str,
    served: ThreadedSandbox,
    run_id: str,
    found: Sequence[str],
    *,
    state: RunState | None = RunState.STOPPED,
    policy: FleetPolicy | None = None,
    detail: dict[str, Any] | None = None,
    key: str | None = None,
    **fields: Any,
) -> None:
    """Record a run over the first VPSes, in these states; None leaves it as a kill would."""
    ids = served.vps_ids[: len(found)]
    names = {vps_id: f"web-{position + 1}" for position, vps_id in enumerate(ids)}
    plan = Plan(action="reset", origin=served.url, ids=ids, names=names)
    run = RunRecord(
        id=run_id,
        action=plan.action,
        origin=served.url,
        fingerprint=ApiKey(key or served.api_key).fingerprint,
        plan=plan.to_json(),
        policy=(policy or FleetPolicy(cooldown=0)).to_json(),
        who="alice@web",
    )

    async def write() -> None:
        async with open_store(store) as opened:
            entries = [Entry(vps_id, position) for position, vps_id in enumerate(ids)]
            await opened.create(run, entries, cooldown=0)
            changed = [
                attrs.evolve(entry, state=EntryState(word), **fields)
                for entry, word in zip(entries, found, strict=True)
            ]
            await opened.save(run_id, changed)
            if state is not None:
                await opened.release(run_id, state, detail=json.dumps(detail or {}))

    anyio.run(write)


def test_resume_takes_the_newest_run_that_can_be_resumed_and_names_it(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=6, jobs=INSTANT) as served:
        record(store, served, "older", ["completed", "planned"])
        record(store, served, "wanted", ["failed", "failed", "planned"])
        record(store, served, "other-key", ["failed"] * 3 + ["planned"], key="sk_test_other")
        record(store, served, "over", ["completed"], state=RunState.FINISHED)
        ended = here("fleet", "resume")
        books = served.books()
    assert ended.returncode == 1  # two had failed before
    assert "Resume run wanted: reset at" in ended.stdout
    assert "stopped, begun" in ended.stdout
    assert "Still to be sent the action: 1 of 3 VPSes." in ended.stdout
    assert books.resets == {served.vps_ids[2]: 1}


def test_new_bounds_are_kept_with_the_run(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    policy = FleetPolicy(canary=1, max_failures=1, cooldown=0)
    with sandbox(monkeypatch, vps=4, jobs=INSTANT, job_failure_rate=1) as served:
        record(store, served, "r1", ["failed", "planned", "planned", "planned"], policy=policy)
        shown = here("fleet", "resume", "--canary", "0", "--max-failures", "none", "--dry-run")
        assert served.books().total_requests == 0
        unchanged = here("fleet", "status", "r1").stdout
        ended = here("fleet", "resume", "--canary", "0", "--max-failures", "none", "--json")
        status = here("fleet", "status", "r1")
        assert len(served.books().accepted) == 3
    assert shown.returncode == 0
    assert "New bounds: canary 0, max_failures none" in shown.stdout
    assert "No limit on failures: all 4 can fail." in shown.stdout
    assert "Dry run: nothing was sent, and nothing was recorded." in shown.stdout
    assert "resumed" not in unchanged
    (announced,) = events(ended.stdout, "resume")
    assert announced["changes"] == {"canary": 0, "max_failures": None}
    assert (announced["to_send"], announced["dry_run"]) == (3, False)
    assert events(ended.stdout, "report")[0]["counts"] == {"failed": 4}
    assert "Policy: canary 0, cooldown 0.0" in status.stdout
    assert re.search(r"resumed  \S+  canary 0, max_failures None", status.stdout)


def test_a_bound_that_cannot_be_read_is_2(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "r1", ["planned"])
        ended = here("fleet", "resume", "--max-failures", "many")
    assert ended.returncode == 2
    assert "--max-failures 'many' must be a count" in ended.stderr


def test_many_vpses_of_a_run_that_was_not_named_are_confirmed(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=11, jobs=INSTANT) as served:
        record(store, served, "r1", ["planned"] * 11)
        unasked = here("fleet", "resume")
        assert served.books().resets == {}
        meant = here("fleet", "resume", "--yes")
    assert unasked.returncode == 2
    assert "11 VPSes need confirmation, and there is no terminal: add --yes" in unasked.stderr
    assert meant.returncode == 0


def test_a_run_of_what_an_old_one_left(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    found = ["completed", "failed", "refused", "not_done", "ambiguous", "timed_out", "skipped"]
    with sandbox(monkeypatch, vps=7, jobs=INSTANT) as served:
        record(store, served, "old", found, state=RunState.FINISHED)
        planned = here("fleet", "plan", "--from-run", "last")
        ended = here("reset", "--from-run", "old")
        books = served.books()
    assert "From run old (reset): 1 failed, 1 refused, 1 not done" in planned.stdout
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert books.resets == dict.fromkeys(served.vps_ids[1:4], 1)


def test_what_may_act_twice_is_named_and_confirmed(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=2, jobs=INSTANT) as served:
        record(store, served, "old", ["ambiguous", "timed_out"], state=RunState.FINISHED)
        command = ("reset", "--from-run", "old", "--only", "ambiguous,timed-out")
        unasked = here(*command)
        assert served.books().resets == {}
        meant = here(*command, "--yes")
        assert len(served.books().resets) == 2
    assert unasked.returncode == 2
    assert "ambiguous in run old: 1; if the action took place, this does it a second time" in (
        unasked.stderr
    )
    assert "hostup fleet follow old" in unasked.stderr
    assert "2 VPSes need confirmation" in unasked.stderr
    assert meant.returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--from-run", "old", "--only", "broken"), 2, "names an outcome that does not exist"),
        (("--from-run", "nope"), 2, "no run 'nope'"),
        (("--only", "failed"), 2, "add --from-run RUN"),
        (("--from-run", "old", "--all"), 2, "leave out ids"),
        (("--from-run", "old"), 1, "no VPS that is failed or not done or refused; it has 1 comp"),
    ],
)
def test_what_cannot_be_taken_from_a_run_is_said(
    monkeypatch: pytest.MonkeyPatch, store: str, options: Sequence[str], code: int, message: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "old", ["completed"], state=RunState.FINISHED)
        ended = here("reset", *options)
        assert served.books().total_requests == 0
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr


def test_a_run_of_another_api_names_no_vps_here(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "old", ["failed"], state=RunState.FINISHED)
    with sandbox(monkeypatch, vps=1):
        ended = here("reset", "--from-run", "old", "--preflight", "none")
    assert ended.returncode == 2
    assert "run old was made at http" in ended.stderr


def test_each_outcome_can_be_named() -> None:
    assert read_statuses(",".join(OutcomeStatus)) == list(OutcomeStatus)


@pytest.mark.parametrize("command", [("reset", "--dry-run"), ("fleet", "plan")])
def test_a_dry_run_looks_at_other_runs_and_records_nothing(
    monkeypatch: pytest.MonkeyPatch, store: str, command: Sequence[str]
) -> None:
    with sandbox(monkeypatch, vps=3, jobs=INSTANT) as served:
        record(
            store, served, "done", ["completed"], state=RunState.FINISHED, sent_at=time.time() - 9
        )
        record(store, served, "open", ["skipped", "planned"])
        ended = here(*command, "--all")
        cool = here(*command, "--all", "--cooldown", "0", "--json")
        runs = events(here("fleet", "runs", "--json").stdout, "run")
    assert ended.returncode == 0
    assert "Skipped if sent now: 2" in ended.stdout
    assert re.search(f"{served.vps_ids[0]}: run done acted on this VPS \\d+ s ago", ended.stdout)
    assert f"{served.vps_ids[1]}: run open holds this VPS" in ended.stdout
    (plan,) = events(cool.stdout, "plan")
    assert plan["skipped"] == [
        [served.vps_ids[1], "run open holds this VPS: resume that run or abandon it"]
    ]
    assert [run["id"] for run in runs] == ["open", "done"]


def test_a_dry_run_makes_no_store(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with sandbox(monkeypatch, vps=1):
        assert here("reset", "--all", "--dry-run").returncode == 0
    assert not Path(store).exists()


def test_abandon_asks_first(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with sandbox(monkeypatch, vps=2) as served:
        record(store, served, "r1", ["planned", "intent"])
        record(store, served, "r2", ["completed"], state=RunState.FINISHED)
        unasked = here("fleet", "abandon", "last")
        still = here("fleet", "runs").stdout
        with terminal("fleet", "abandon", "r1") as asked:
            asked.read_until("type abandon: ")
            asked.type("no\n")
            assert asked.end() == 2
        with terminal("fleet", "abandon", "r1") as asked:
            asked.read_until("type abandon: ")
            asked.type("abandon\n")
            assert asked.end() == 0
        none = here("fleet", "abandon", "last")
    assert unasked.returncode == 2
    assert "to abandon run r1 needs confirmation, and there is no terminal" in unasked.stderr
    assert "stopped" in still
    assert "1 ambiguous, 1 not sent" in asked.told
    assert none.returncode == 1


def test_a_killed_run_is_interrupted_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=3) as served:
        sent_at = time.time() - 75
        record(
            store, served, "r1", ["accepted", "planned"], state=None, sent_at=sent_at,
            policy=FleetPolicy(canary=1, max_failures=5, cooldown=0),
        )  # fmt: skip
        status = here("fleet", "status", "r1")
        listed = here("fleet", "runs")
        (told,) = events(here("fleet", "status", "r1", "--json").stdout, "run")
        waited = here("fleet", "status", "r1", "--wait")
    assert "State: interrupted. Its process ended without a word" in status.stdout
    assert f"Resume with: hostup fleet resume r1 --store {store}\n" in status.stdout
    assert "Policy: canary 1, max_failures 5, cooldown 0.0" in status.stdout
    assert re.search(f"{served.vps_ids[0]}  web-1  accepted for 1 min 1[5-9] s", status.stdout)
    assert "interrupted" in listed.stdout
    assert told["holder"] is None
    assert waited.returncode == 130


@pytest.mark.parametrize(
    ("found", "cause", "code"),
    [
        (["completed"], None, 0),
        (["failed"], None, 1),
        (["failed", "not_sent"], "canary", 3),
        (["ambiguous"], None, 4),
        (["planned"], "key_refused", 5),
        (["planned"], "interrupted", 130),
    ],
)
@pytest.mark.parametrize("option", ["--wait", "--watch"])
def test_waiting_for_a_run_exits_with_its_own_code(
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    option: str,
    found: Sequence[str],
    cause: str | None,
    code: int,
) -> None:
    with sandbox(monkeypatch, vps=2) as served:
        state = RunState.STOPPED if "planned" in found else RunState.FINISHED
        record(store, served, "r1", found, state=state, detail={"cause": cause})
        assert here("fleet", "status", "r1", option).returncode == code
        assert here("fleet", "status", "r1").returncode == 0


@contextmanager
def held(store: str, run_id: str, end: Callable[[Store], Awaitable[None]]) -> Iterator[Event]:
    """A run that a store of another thread holds, until the event is set and it has ended."""
    is_held, may_end = Event(), Event()

    async def hold() -> None:
        async with open_store(store) as opened:
            await opened.acquire(run_id)
            is_held.set()
            await anyio.to_thread.run_sync(may_end.wait)
            await end(opened)

    thread = Thread(target=anyio.run, args=(hold,))
    thread.start()
    try:
        assert is_held.wait(PATIENCE)
        yield may_end
    finally:
        may_end.set()
        thread.join()


async def finish(opened: Store) -> None:
    """Complete the run r1."""
    entries = [one async for one in opened.entries("r1")]
    await opened.save("r1", [attrs.evolve(one, state=EntryState.COMPLETED) for one in entries])
    await opened.release("r1", RunState.FINISHED)


def test_a_run_is_watched_to_its_end(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    monkeypatch.setattr("hostup_async.cli._work.status._INTERVAL", 0.02)
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "r1", ["planned"])
        with held(store, "r1", finish) as may_end:
            status = here("fleet", "status", "r1")
            may_end.set()
            watched = here("fleet", "status", "r1", "--watch")
    assert "State: running, worked on by process" in status.stdout
    assert "Resume with" not in status.stdout
    assert watched.returncode == 0
    assert "finished: 1 completed" in watched.stdout


def test_a_run_that_is_at_work_is_not_resumed(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "r1", ["planned"])
        with held(store, "r1", finish):
            ended = here("fleet", "resume", "r1")
            newest = here("fleet", "resume", "--dry-run")
    assert ended.returncode == 1
    assert "run r1 is worked on by process" in ended.stderr
    assert "hostup fleet status r1 --watch" in ended.stderr
    assert "no run can be resumed: process" in newest.stderr


def test_a_run_is_watched_on_a_terminal(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "r1", ["planned"])
        with held(store, "r1", finish) as may_end, terminal("fleet", "status", "--watch") as watch:
            watch.read_until("State: running, worked on by process", "1  planned")
            may_end.set()
            assert watch.end() == 0
    assert "State: finished" in watch.told
    assert "1  completed" in watch.told


@pytest.mark.usefixtures("store")
def test_a_run_is_paused_from_another_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        sandbox(monkeypatch, vps=8, jobs=Durations(median=0.5)) as served,
        running("reset", "--all", "--canary", "0", "--max-in-flight", "1") as run,
    ):
        line_with(run, "1 accepted")
        paused = here("fleet", "pause", "last", "--reason", "load")
        line_with(run, "paused: nothing is sent until hostup fleet unpause")
        status = here("fleet", "status", "last")
        unpaused = here("fleet", "unpause", "last")
        _, errors = run.communicate(timeout=PATIENCE)
        trail = here("fleet", "status").stdout
        assert served.books().reset_twice == ()
    assert (run.returncode, errors) == (0, "")
    assert (paused.returncode, unpaused.returncode) == (0, 0)
    assert re.search(r"Paused by \S+ since .* \(load\): nothing is sent until", status.stdout)
    assert re.search(r"paused  \S+  load\n", trail)
    assert re.search(r"unpaused  \S+\n", trail)


def test_a_run_that_is_not_at_work_is_not_paused(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        record(store, served, "r1", ["planned"])
        named, newest = here("fleet", "pause", "r1"), here("fleet", "pause", "last")
        unpaused = here("fleet", "unpause", "r1")
    assert (named.returncode, newest.returncode, unpaused.returncode) == (2, 1, 2)
    assert "no process works on it" in named.stderr
    assert "no process works on a run" in newest.stderr
    assert "not paused" in unpaused.stderr


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("job_failure_rate", "code"), [(0, 0), (1, 1)])
def test_a_run_is_asked_again_for_the_ends_of_its_jobs(
    monkeypatch: pytest.MonkeyPatch, job_failure_rate: float, code: int
) -> None:
    jobs = Durations(median=1.5)
    with sandbox(monkeypatch, vps=2, jobs=jobs, job_failure_rate=job_failure_rate) as served:
        first = here("reset", "--all", "--canary", "0", "--job-timeout", "0.3s")
        too_soon = here("fleet", "follow", "--timeout", "0.1s", "--json")
        found = here("fleet", "follow", "last", "--timeout", "20s")
        again = here("fleet", "follow")
        status = here("fleet", "status").stdout
        books = served.books()
    assert first.returncode == 1
    assert "2  timed out" in first.stdout
    assert [one["event"] for one in events(too_soon.stdout)] == ["report"]
    assert events(too_soon.stdout)[0]["exit_code"] == too_soon.returncode == 1
    assert found.returncode == again.returncode == code
    assert "2 VPSes to ask about" in found.stdout
    assert "0 VPSes to ask about" in again.stdout
    word = "failed" if job_failure_rate else "completed"
    assert f"{served.vps_ids[0]}  web-1.example.com  {word}" in found.stdout
    assert re.search(rf"followed  \S+  {word} 2", status)
    assert books.requests["reset"] == 2
