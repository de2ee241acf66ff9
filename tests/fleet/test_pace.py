"""How soon a lost reply is settled, and at what cost, in virtual time: 300 VPSes each."""

import asyncio
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define
from virtual_time import VIRTUAL, now

from hostup_async import Action, Entry, EntryState, PowerState, VpsStatus, _clock
from hostup_async._fleet import evidence
from hostup_async._fleet.boot import Finding
from hostup_async._fleet.evidence import Evidence, SendTime
from hostup_async._fleet.pace import longest_wait
from hostup_async._http.server_clock import ServerClock
from hostup_async._polling.durations import DurationModel

SIZE = 300


@pytest.fixture(autouse=True)
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.fixture(autouse=True)
def short_waits() -> None:
    """The waits are as they are: here nothing waits for them."""


@define
class Machine:
    """A VPS that reboots at a moment, if it does."""

    booted: float
    reads: int = 0
    pending: bool = False


class Machines:
    """Takes the place of the API: each status takes 50 ms, and tells whole seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, rate: float | None = None) -> None:
        self.durations = DurationModel()
        self.machines: dict[str, Machine] = {}
        monkeypatch.setattr(_clock, "boot", now)
        monkeypatch.setattr(evidence, "read_status", self.read)
        requester = SimpleNamespace(
            transport=SimpleNamespace(server_clock=ServerClock("test")),
            limiter=SimpleNamespace(rate=lambda _: rate),
        )
        poller = SimpleNamespace(durations=lambda _: self.durations)
        self.evidence = Evidence(
            Action.RESET, cast("Any", requester), cast("Any", poller), interval=10, patience=900
        )

    async def read(self, _: Any, vps_id: str, __: Any) -> VpsStatus:
        machine = self.machines[vps_id]
        machine.reads += 1
        await asyncio.sleep(random.uniform(0, 0.05))
        booted = machine.booted if now() >= machine.booted else -5000.0
        status = VpsStatus(
            power_state=PowerState.RUNNING,
            uptime_seconds=math.floor(now() - booted),
            pending_tasks=int(machine.pending),
        )
        await asyncio.sleep(random.uniform(0, 0.05))
        return status

    async def lose(self, number: int, takes: float, **options: Any) -> tuple[Finding, float, int]:
        """Send a reset, lose its reply; the finding, its delay after the reboot, the reads."""
        vps_id = f"vps_{number}"
        self.machines[vps_id] = machine = Machine(now() + takes)
        sent = SendTime.since(now())
        finding = await self.evidence.find(Entry(vps_id, number), sent, **options)
        return finding, now() - machine.booted, machine.reads


def lognormal(median: float, sigma: float) -> Callable[[], float]:
    return lambda: median * math.exp(random.gauss(0, sigma))


def share(values: list[float], at: float) -> float:
    return sorted(values)[min(len(values) - 1, int(at * len(values)))]


@pytest.mark.parametrize("median", [1.0, 3.0, 5.0])
async def test_300_at_once_are_settled_within_3_s_of_their_reboots(
    monkeypatch: pytest.MonkeyPatch, median: float
) -> None:
    random.seed(median)
    machines, draw = Machines(monkeypatch), lognormal(median, 0.3)
    takes = [min(draw(), 9.0) for _ in range(SIZE)]
    found = await asyncio.gather(*(machines.lose(n, one) for n, one in enumerate(takes)))
    assert {finding for finding, _, _ in found} == {Finding.DONE}
    assert share([delay for _, delay, _ in found], 0.99) <= 3
    assert share([reads for *_, reads in found], 0.99) <= 5
    assert machines.durations.quantile(0.5) == pytest.approx(median, abs=1.2)


@pytest.mark.parametrize("median", [1.0, 3.0, 6.0])
async def test_each_alone_and_cold_is_settled_as_soon(
    monkeypatch: pytest.MonkeyPatch, median: float
) -> None:
    random.seed(median)
    draw = lognormal(median, 0.2)
    found = [await Machines(monkeypatch).lose(n, min(draw(), 9.0)) for n in range(SIZE)]
    assert {finding for finding, _, _ in found} == {Finding.DONE}
    assert share([delay for _, delay, _ in found], 0.99) <= 3
    assert share([reads for *_, reads in found], 0.99) <= 5


@pytest.mark.parametrize("takes", [0.4, 20.0, 90.0])
async def test_other_durations_are_found_too(monkeypatch: pytest.MonkeyPatch, takes: float) -> None:
    finding, delay, reads = await Machines(monkeypatch).lose(0, takes)
    assert finding is Finding.DONE
    assert delay < 0.1 * takes + 6
    assert reads < 30


@pytest.mark.parametrize("takes", [0.15, 0.3, 0.5, 0.7, 0.9])
async def test_a_reboot_within_the_second_of_the_send_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    """By a read just after a whole number of seconds since the send."""
    for number in range(50):
        finding, delay, reads = await Machines(monkeypatch).lose(number, takes)
        assert finding is Finding.DONE
        assert (delay < 3, reads <= 3) == (True, True)


async def test_a_rate_limit_stretches_the_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch, rate=10)
    found = await asyncio.gather(*(machines.lose(n, 30) for n in range(SIZE)))
    assert {finding for finding, _, _ in found} == {Finding.DONE}
    total = sum(reads for *_, reads in found)
    assert total - SIZE <= 10 / 2 * now()


@pytest.mark.parametrize(("known", "least"), [(0, 300), (5, 300), (60, 60)])
async def test_not_done_is_said_late(
    monkeypatch: pytest.MonkeyPatch, known: int, least: float
) -> None:
    machines = Machines(monkeypatch)
    for _ in range(known):
        machines.durations.observe_running(0, 4)
        machines.durations.observe_end(4, 4)
    wait = longest_wait(machines.durations, resends=False)
    finding, _, reads = await machines.lose(0, math.inf)
    assert finding is Finding.NOT_DONE
    assert least <= wait <= now() <= wait + 15
    assert reads <= 50


async def test_a_longer_queue_and_a_resend_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = DurationModel()
    for _ in range(60):
        durations.observe_running(0, 4)
        durations.observe_end(4, 4)
    assert longest_wait(durations, resends=False) == 60
    assert longest_wait(durations, resends=True) == 300
    durations.observe_running(0, 400)
    durations.observe_end(400, 400)
    assert longest_wait(durations, resends=False) == 400
    assert DurationModel.from_json(durations.to_json()).longest == 400
    machines = Machines(monkeypatch)
    machines.durations = durations
    finding, _, _ = await machines.lose(0, 380.0, resends=True)
    assert finding is Finding.DONE


@pytest.mark.parametrize("queues", [15.0, 90.0, 290.0])
async def test_a_job_that_queues_is_not_taken_for_one_that_was_not_done(
    monkeypatch: pytest.MonkeyPatch, queues: float
) -> None:
    machines = Machines(monkeypatch)
    for _ in range(60):
        machines.durations.observe_running(0, 1)
        machines.durations.observe_end(1, 1)
    finding, delay, _ = await machines.lose(0, queues, resends=True)
    assert (finding, delay < 35) == (Finding.DONE, True)


async def test_an_older_job_that_goes_on_shows_how_long_the_queue_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines = Machines(monkeypatch)
    for _ in range(60):
        machines.durations.observe_running(0, 1)
        machines.durations.observe_end(1, 1)
    older = Entry("vps_1", 1, EntryState.ACCEPTED)
    machines.evidence.note(older)
    ends = asyncio.get_running_loop().call_later(500, machines.evidence.note, Entry("vps_1", 1))
    finding, _, _ = await machines.lose(0, math.inf)
    assert finding is Finding.NOT_DONE
    assert ends.when() <= now() < ends.when() + 45


async def test_a_task_that_is_pending_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch)
    losing = asyncio.create_task(machines.lose(0, math.inf))
    await asyncio.sleep(0)
    machines.machines["vps_0"].pending = True
    assert (await losing)[0] is Finding.INCONCLUSIVE
    assert now() >= 900
