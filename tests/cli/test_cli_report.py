import anyio
import pytest
from rich.console import Console

from hostup_async import Client
from hostup_async.cli._demo import Outcome, Resets, Status
from hostup_async.cli._report import Fate, Report
from hostup_async.cli._summary import print_summary
from hostup_async.sandbox import BookedJob, Books, Fault, FaultRule, Sandbox, SandboxConfig

DONE = Books(
    accepted={"vps_1": {"reset": 1}},
    performed={"vps_1": {"reset": 1}},
    jobs={"job_1": BookedJob("vps_1", "reset", "completed", 0.0, 1.0, performed=True)},
)
TWICE = Books(accepted={"vps_1": {"reset": 2}}, performed={"vps_1": {"reset": 2}})
RUNNING = Books(
    accepted={"vps_1": {"reset": 1}},
    jobs={"job_1": BookedJob("vps_1", "reset", "queued", 0.0, None, performed=False)},
)


def report(status: Status, books: Books, *, interrupted: bool = False) -> Report:
    return Report((Outcome("vps_1", status),), books, 1.0, interrupted)


@pytest.mark.parametrize(
    ("status", "books"),
    [
        (Status.COMPLETED, DONE),
        (Status.UNKNOWN, DONE),
        (Status.UNKNOWN, Books()),
        (Status.FAILED, Books()),
        (Status.REFUSED, Books()),
    ],
)
def test_a_good_end(status: Status, books: Books) -> None:
    assert report(status, books).exit_code == 0


@pytest.mark.parametrize(
    ("status", "books", "words"),
    [
        (Status.COMPLETED, TWICE, "Reset twice: vps_1"),
        (Status.COMPLETED, Books(), "says completed, the books say not done"),
        (Status.COMPLETED, RUNNING, "says completed, the books say running"),
        (Status.FAILED, DONE, "says failed, the books say done"),
        (Status.NOT_SENT, DONE, "says not sent, the books say done"),
        (Status.NOT_SENT, Books(), "has no outcome: not sent"),
        (Status.UNDER_WAY, RUNNING, "has no outcome: under way"),
    ],
)
def test_what_must_not_be(status: Status, books: Books, words: str) -> None:
    bad = report(status, books)
    assert bad.exit_code == 1
    assert any(words in problem for problem in bad.problems())
    console = Console(width=80)
    with console.capture() as told:
        print_summary(console, bad)
    assert words in told.get()


def test_many_problems_are_cut_short() -> None:
    outcomes = tuple(Outcome(f"vps_{n}", Status.COMPLETED) for n in range(13))
    console = Console(width=80)
    with console.capture() as told:
        print_summary(console, Report(outcomes, Books(), 1.0, interrupted=False))
    assert told.get().count("books say not done") == 10
    assert "... and 3 more." in told.get()


def test_an_interruption_is_no_failure() -> None:
    stopped = report(Status.NOT_SENT, Books(), interrupted=True)
    assert (stopped.exit_code, list(stopped.problems())) == (130, [])


async def reset_all(sandbox: Sandbox, *, stop_after: float | None = None) -> list[Outcome]:
    async with Client(sandbox.api_key, base_url=sandbox.url) as client:
        resets = Resets(sandbox.vps_ids)
        with anyio.move_on_after(stop_after):
            await resets.run(client)
        return list(resets.outcomes)


async def test_what_was_being_sent_when_stopped_is_under_way() -> None:
    async with Sandbox(SandboxConfig(vps=3, latency=0.5)) as sandbox:
        outcomes = await reset_all(sandbox, stop_after=0.2)
        books = await sandbox.books()
    assert {outcome.status for outcome in outcomes} == {Status.UNDER_WAY}
    assert books.requests == {"reset": 3}


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (Fault.LOST_REPLY, Status.UNKNOWN, "the connection closed unanswered"),
        (Fault.ERROR_500, Status.UNKNOWN, "the answer was 500"),
        (Fault.TRUNCATED_BODY, Status.UNKNOWN, "the answer was cut short"),
        (Fault.FORGOTTEN_JOB, Status.UNKNOWN, "the API forgot the job"),
        (Fault.NO_OPERATION, Status.UNKNOWN, "the answer named no job"),
        (Fault.FOREIGN_POLL_URL, Status.UNKNOWN, "is not on http://"),
        (Fault.CONFLICT, Status.REFUSED, "409"),
    ],
)
async def test_what_is_seen_of_a_fault(fault: Fault, status: Status, words: str) -> None:
    async with Sandbox(SandboxConfig(vps=1, faults=[FaultRule(fault)])) as sandbox:
        (outcome,) = await reset_all(sandbox)
    assert outcome.status is status
    assert words in outcome.reason


async def test_a_job_that_fails() -> None:
    async with Sandbox(SandboxConfig(vps=1, job_failure_rate=1)) as sandbox:
        (outcome,) = await reset_all(sandbox)
        books = await sandbox.books()
    assert outcome.status is Status.FAILED
    assert Report((outcome,), books, 1.0, interrupted=False).fates_of(Status.FAILED) == {
        Fate.NOT_DONE: 1
    }
