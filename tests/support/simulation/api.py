"""The API's side: machines, jobs, limits and answers, with everything that it did in its books.

Nothing runs here by itself. A job's fate is drawn when it is accepted, and what is true at a
moment follows from its times, so a thousand jobs cost nothing while time passes.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from attrs import define, field, frozen

from hostup_async.sandbox._limiters import LimitCheck
from simulation.chance import Chance
from simulation.limits import Limits, LimitStyle, iso, wait_in_body, write_headers
from simulation.loop import EPOCH, SimulatedLoop
from simulation.setup import FAULTS, Setup

ORIGIN: Final = "https://simulated.test"
_REFUSALS: Final = {
    "error_500": (500, "internal_error"),
    "error_503": (503, "upstream_unavailable"),
    "error_504": (504, "upstream_failed"),
    "unauthorized": (401, "unauthorized"),
    "forbidden": (403, "forbidden"),
    "conflict": (409, "vps_not_ready"),
    "upstream_failed": (409, "upstream_failed"),
    "timeout_408": (408, None),
    "misdirected_421": (421, None),
    "too_early_425": (425, None),
    "closed_499": (499, None),
}
# Those that a gateway may answer although the action goes on behind it.
_MAYBE_ACTS: Final = frozenset({
    "error_500", "html_502", "error_503", "error_504", "upstream_failed", "timeout_408",
    "misdirected_421", "too_early_425", "closed_499",
})  # fmt: skip
_NEVER_ACTS: Final = frozenset({
    "disconnect_before", "stall_before", "success_false", "redirect", "html_403", "unauthorized",
    "forbidden", "conflict",
})  # fmt: skip


# Rows of a page; those of very many VPSes are as large as the real API has them.
_SMALL_PAGE: Final = 5
_LARGE_PAGE: Final = 100


@define(eq=False)
class Job:
    """An action that was accepted, and what will become of it."""

    id: str
    vps_id: str
    accepted_at: float
    starts_at: float
    ends_at: float
    end: str
    reboots_at: float | None
    run_id: str
    forgotten: bool = False
    told: str = ""
    """The process that was told of it, in an answer without a fault."""


@define(eq=False)
class Machine:
    """One VPS."""

    id: str
    boots: list[float]
    jobs: list[Job] = field(factory=list[Job])
    refusals: frozenset[str] = frozenset()
    """The faults with which requests about it were refused, by a name of `FAULTS`."""

    def booted_between(self, begin: float, end: float) -> bool:
        return any(begin <= moment <= end for moment in self.boots)

    @property
    def has_untrue_job(self) -> bool:
        return any(job.end == "untrue" for job in self.jobs)

    def uptime(self, now: float) -> int:
        return math.floor(now - max(moment for moment in self.boots if moment <= now))


@frozen
class Call:
    """A request as it arrives."""

    method: str
    kind: str
    vps_id: str = ""
    job_id: str = ""
    run_id: str = ""
    process: str = ""
    cursor: int = 0


OnAccept = Callable[[Machine], None]


class Answer(NamedTuple):
    """What goes back; `how` is "whole", "cut", "huge", "lost" or "never"."""

    status: int = 0
    headers: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    body: bytes = b""
    how: str = "whole"
    fault: str = ""


class SimulatedApi:
    """An account with some VPSes, behind a rate limit, that misbehaves as the seed has it."""

    def __init__(
        self, loop: SimulatedLoop, chance: Chance, setup: Setup, on_accept: OnAccept
    ) -> None:
        self._loop: Final = loop
        self._chance: Final = chance
        self._setup: Final = setup
        self.clock_off = setup.server_off
        self._limits: Final = Limits(setup.limit, loop.now)
        self._ids: Final = [f"vps_{number:026d}" for number in range(setup.vps)]
        self.machines: Final = {one: Machine(one, self._own_boots(one)) for one in self._ids}
        self.jobs: Final[dict[str, Job]] = {}
        self._rates: Final[dict[str, list[tuple[str, float]]]] = {}
        self._on_accept: Final = on_accept
        self.requests: Final = defaultdict[str, int](int)

    def _own_boots(self, vps_id: str) -> list[float]:
        boots = [-100.0 - self._chance.draw_once(f"up {vps_id}") * 1e6]
        if self._chance.fires("own_reboot", self._setup.own_reboots, vps_id):
            boots.append(self._loop.now + self._chance.between(f"boot {vps_id}", 1.0, 300.0))
        return boots

    @property
    def wall(self) -> float:
        """What its own clock shows."""
        return EPOCH + self._loop.now + self.clock_off

    def answer(self, call: Call) -> Answer:
        """Do what is asked, or not, and say so, or something else."""
        self.requests[call.kind] += 1
        headers = {"Date": _date(math.floor(self.wall))} if self._setup.has_date else {}
        style, check = self._limits.style, self._limits.take(call.kind, self._loop.now)
        if style is not None and check is not None:
            headers |= write_headers(style, check, now=self._loop.now, wall=self.wall)
            if not check.allowed:
                return self._limited(call, style, check, headers)
        fault = self._fault(call)
        if fault in _NEVER_ACTS and call.vps_id:
            self.machines[call.vps_id].refusals |= {fault}
        if fault in _NEVER_ACTS or (fault in _MAYBE_ACTS and self._chance.draw("acts") < 0.5):
            return _spoil(fault, Answer(200, headers))
        status, body = self._work(call, fault)
        return _spoil(fault, Answer(status, headers, json.dumps(body).encode()))

    def _limited(
        self, call: Call, style: LimitStyle, check: LimitCheck, headers: dict[str, str]
    ) -> Answer:
        """Refuse a request that is above the limit."""
        self._chance.reached(f"{style.status} to {call.kind}")
        self._chance.reached(f"limited by {style.kind}")
        code = "rate_limit_exceeded" if style.status == 429 else "upstream_unavailable"
        body = _problem(style.status, code, wait_in_body(style, check))
        return Answer(style.status, headers, body)

    def _fault(self, call: Call) -> str:
        if call.kind not in self._rates:
            self._rates[call.kind] = self._rates_of(call)
        rates = self._rates[call.kind]
        if not rates:
            return ""
        is_vast, fires = self._setup.is_vast, self._chance.fires
        place = call.kind if is_vast else f"{call.kind} {call.vps_id or call.job_id}"
        return next((kind for kind, rate in rates if fires(kind, rate, place)), "")

    def _rates_of(self, call: Call) -> list[tuple[str, float]]:
        """What may go wrong with this kind of request on this side of the network."""
        meant = {"", call.kind, "read" if call.method == "GET" else "action"}
        rates = self._setup.rates.items()
        return [one for one in rates if one[0] not in _OF_THE_NETWORK and FAULTS[one[0]] in meant]

    def _work(self, call: Call, fault: str) -> tuple[int, Any]:
        match call.kind:
            case "reset":
                return self._reset(call, fault)
            case "poll":
                return self._poll(call, fault)
            case "list":
                return 200, self._page(call.cursor)
        machine = self.machines.get(call.vps_id)
        if machine is None:
            return 404, {"status": 404, "code": "vps_not_found"}
        if call.kind == "status":
            return 200, self._status(machine, fault)
        return 200, {"id": machine.id, "name": machine.id, "serviceStatus": "active"}

    def _reset(self, call: Call, fault: str) -> tuple[int, Any]:
        machine = self.machines[call.vps_id]
        job = self._accept(machine, call)
        job.forgotten = fault == "forgotten_job"
        job.told = call.process if not fault else ""
        named = job.id
        if fault == "job_named_twice":  # only who knows the other one's job can tell
            known = (one.id for one in self.jobs.values() if one.told == call.process)
            named = next(known, job.id)
        operation = {"status": "pending", "jobId": named, "pollUrl": f"/api/jobs/{named}"}
        if fault == "foreign_poll_url":
            operation["pollUrl"] = f"https://elsewhere.test/api/jobs/{named}"
        if fault in {"no_operation", "null_operation"}:
            return 202, {} if fault == "no_operation" else {"operation": None}
        return 202, {"operation": operation}

    def _accept(self, machine: Machine, call: Call) -> Job:
        """Begin a job whose whole course is known from now."""
        setup, chance, now = self._setup, self._chance, self._loop.now
        place = f"{machine.id} {len(machine.jobs)}"
        starts_at = now + setup.queue * (0.3 + 1.2 * chance.draw_once(f"queue {place}"))
        lasts = min(4 * setup.job, chance.lognormal(f"lasts {place}", setup.job, 0.5))
        end = self._draw_end(machine)
        reboots = end == "done" or (end != "untrue" and chance.draw_once(f"in part {place}") < 0.3)
        job = Job(
            id=f"job_{len(self.jobs) + 1}",
            vps_id=machine.id,
            accepted_at=now,
            starts_at=starts_at,
            ends_at=starts_at + lasts,
            end=end,
            reboots_at=starts_at + lasts * 0.8 if reboots else None,
            run_id=call.run_id,
        )
        if job.reboots_at is not None:
            machine.boots.append(job.reboots_at)
        machine.jobs.append(job)
        self.jobs[job.id] = job
        self._on_accept(machine)
        return job

    def _draw_end(self, machine: Machine) -> str:
        """How a job ends: "done", "failed", "hollow" (completed, but the result says that it was
        no success) or "untrue" (completed, and nothing was done).
        """
        setup, fires = self._setup, self._chance.fires
        if fires("job_failure", setup.job_failures, machine.id):
            return "failed"
        if fires("hollow_job", setup.hollow_jobs, machine.id):
            return "hollow"
        return "untrue" if fires("untrue_job", setup.untrue_jobs, machine.id) else "done"

    def _poll(self, call: Call, fault: str) -> tuple[int, Any]:
        job = self.jobs.get(call.job_id)
        if job is None or job.forgotten:
            return 404, {"status": 404, "code": "not_found"}
        if fault == "job_of_another" and self._setup.names_jobs:  # else no one could tell
            others = [one for one in self.jobs.values() if one is not job]
            job = others[0] if others else job
        return 200, self._shaped(job)

    def _shaped(self, job: Job) -> dict[str, Any]:
        now = self._loop.now
        status = "pending" if now < job.starts_at else "in_progress"
        if now >= job.ends_at:
            status = "failed" if job.end == "failed" else "completed"
        word = _QUEUE_WORDS.get(status, status) if self._setup.queue_words else status
        said: dict[str, Any] = {"status": word}
        if status == "completed":
            said["result"] = {"success": job.end != "hollow"}
        if self._setup.names_jobs:
            said["jobId"] = job.id
        if status == "failed":
            said["error"] = "the host said no"
        if self._setup.timestamps:
            said["createdAt"] = self._iso(job.accepted_at)
            if now >= job.ends_at:
                said["finishedAt"] = self._iso(job.ends_at)
        match self._setup.poll_shape:
            case "operation":
                return {"operation": said}
            case "job":
                return {"success": True, "requestId": "r", "data": said}
        return {"status": word, "data": said}

    def _status(self, machine: Machine, fault: str) -> dict[str, Any]:
        if fault == "status_of_another":
            machine = next(one for one in self.machines.values() if one is not machine)
        now = self._loop.now
        busy = any(job.starts_at <= now < job.ends_at for job in machine.jobs)
        is_off = self._setup.off_during_reset and any(
            job.starts_at <= now < (job.reboots_at or 0.0) for job in machine.jobs
        )
        uptime = 0 if is_off or fault == "uptime_zero" else machine.uptime(now)
        if self._setup.uptime_stuck:
            uptime = 4321
        return {
            "id": machine.id,
            "powerState": "stopped" if is_off else "running",
            "uptimeSeconds": uptime if self._setup.uptime_known else None,
            "pendingTasks": 1 if busy else 0,
        }

    def _page(self, cursor: int) -> dict[str, Any]:
        end = cursor + (_LARGE_PAGE if self._setup.is_vast else _SMALL_PAGE)
        ids = self._ids[cursor:end]
        rows = [{"id": one, "name": one, "serviceStatus": "active"} for one in ids]
        more = end < len(self._ids)
        return {"data": rows, "hasMore": more, "nextCursor": str(end) if more else None}

    def _iso(self, now: float) -> str:
        return iso(EPOCH + now + self.clock_off)


def _spoil(fault: str, answer: Answer) -> Answer:
    """The answer as it leaves, with the fault in it."""
    answer = answer._replace(fault=fault)
    if fault in _REFUSALS:
        status, code = _REFUSALS[fault]
        return answer._replace(status=status, body=_problem(status, code))
    if fault == "truncated_json":
        return answer._replace(body=answer.body[: len(answer.body) // 2])
    if fault == "truncated_body":
        return answer._replace(body=answer.body[: len(answer.body) // 2], how="cut")
    return answer._replace(**_SPOILT.get(fault, {}))


# What each fault does to the answer.
_SPOILT: Final[dict[str, dict[str, Any]]] = {
    "lost_reply": {"how": "lost"},
    "partial_reply": {"how": "lost"},
    "huge_body": {"how": "huge", "body": b"{"},
    "disconnect_before": {"how": "lost"},
    "stall": {"how": "never"},
    "stall_before": {"how": "never"},
    "empty_body": {"body": b""},
    "no_content": {"status": 204, "body": b""},
    "html_body": {"body": b"<html>Welcome</html>"},
    "html_502": {"status": 502, "headers": {}, "body": b"<html>Bad gateway</html>"},
    "html_403": {"status": 403, "headers": {}, "body": b"<html>Forbidden</html>"},
    "redirect": {"status": 307, "headers": {"Location": "https://elsewhere.test/"}, "body": b""},
    "success_false": {
        "status": 200,
        "body": b'{"success": false, "error": "Not ready", "code": "VPS_NOT_READY"}',
    },
}
_QUEUE_WORDS: Final = {"pending": "waiting", "in_progress": "active"}
_OF_THE_NETWORK: Final = frozenset({
    "refused_connection", "repeated", "sent_again", "slow_answer", "slow_request",
})  # fmt: skip


@lru_cache(maxsize=64)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _problem(
    status: int, code: str | None, more: Mapping[str, object] = MappingProxyType({})
) -> bytes:
    problem = {"title": "No", "status": status, "code": code, "detail": "no", **more}
    return json.dumps(problem).encode()
