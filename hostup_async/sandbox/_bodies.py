"""The JSON of VPSes and jobs, in every shape they may have."""

from typing import Any, Final

from attrs import asdict, define

from ._clock import Clock
from ._config import SandboxConfig
from ._machines import Fleet, Machine, SandboxJob
from ._replies import Json

_SYSTEM: Final = {
    "displayName": "Debian 13",
    "family": "debian",
    "version": "13",
    "variant": "server",
}
_BILLING: Final = {
    "amount": 99.0,
    "currencyCode": "SEK",
    "billingCycle": "monthly",
    "isPayg": False,
    "periodYears": None,
}
_RESOURCES: Final = {"cpuCores": 2, "memoryGb": 4, "storageGb": 50}
_QUEUE_WORDS: Final = {
    "queued": ("waiting", "delayed", "prioritized", "waiting-children", "paused"),
    "in_progress": ("active", "running", "unknown"),
}


@define(eq=False)
class VpsBodies:
    """Writes the JSON about a VPS."""

    config: SandboxConfig
    clock: Clock
    fleet: Fleet

    def summary(self, machine: Machine, now: float) -> Json:
        """A row of the list, and the answer for one VPS."""
        body: Json = {
            "id": machine.id,
            "name": machine.name,
            "primaryIp": machine.ip,
            "serviceStatus": _service(machine),
            "powerState": _power(machine),
            "operatingSystem": _SYSTEM,
            "billing": _BILLING,
            "resources": _RESOURCES,
            "tags": [],
        }
        return body | self._gates("summary", machine, now)

    def details(self, machine: Machine, now: float) -> Json:
        """The contract behind a VPS."""
        body: Json = {
            "id": machine.id,
            "productName": "VPS 4 GB",
            "hostname": machine.name,
            "serviceStatus": _service(machine),
            "createdAt": "2026-01-15T09:30:00.000Z",
            "nextDueAt": "2027-01-15T09:30:00.000Z",
            "billing": _BILLING,
            **_RESOURCES,
            "bandwidth": None,
        }
        return body | self._gates("details", machine, now)

    def status(self, machine: Machine, now: float) -> Json:
        """The state of a VPS at this moment."""
        body: Json = {
            "powerState": "stopped" if self._is_off(machine) else _power(machine),
            "uptimeSeconds": self._uptime(machine, now) if self.config.uptime_known else None,
            "cpuUsagePercent": 3.5 if machine.running else 0.0,
            "memory": {"usedGb": 1.2, "totalGb": _RESOURCES["memoryGb"]},
            "storage": {"usedGb": 11.0, "totalGb": _RESOURCES["storageGb"]},
            "network": {"inBytes": 0, "outBytes": 0},
            "pendingTasks": machine.pending,
        }
        return body | self._gates("status", machine, now)

    def _is_off(self, machine: Machine) -> bool:
        """Whether an action under way has it powered off."""
        return machine.pending > 0 and self.config.power_during_reset == "stopped"

    def _uptime(self, machine: Machine, now: float) -> float:
        if self.config.uptime_stuck is not None:
            return self.config.uptime_stuck
        step, is_running = self.config.uptime_step, machine.running and not self._is_off(machine)
        uptime = (now - machine.booted) // step * step if is_running else 0.0
        return int(uptime) if uptime.is_integer() else uptime

    def _gates(self, where: str, machine: Machine, now: float) -> Json:
        if where not in self.config.gates_on:
            return {}
        gates = self.fleet.gates(machine, now)
        return {"actions": {f"can{name.capitalize()}": asdict(g) for name, g in gates.items()}}


def _service(machine: Machine) -> str:
    return "suspended" if machine.suspended else "active"


def _power(machine: Machine) -> str:
    return "running" if machine.running else "stopped"


@define(eq=False)
class JobBodies:
    """Writes the JSON about a job."""

    config: SandboxConfig
    clock: Clock

    def accepted(self, job: SandboxJob, now: float) -> Json:
        """The 202: the documented envelope."""
        operation: Json = {"status": job.status(now), "jobId": job.id, "pollUrl": self.url(job)}
        if job.is_over(now):
            operation["result"] = self._result(job, now)
        return {"operation": operation}

    def polled(self, job: SandboxJob, now: float) -> Json:
        """What a poll finds, in the configured shape."""
        if self.config.poll_shape == "operation":
            return {"operation": self._operation(job, now)}
        if self.config.poll_shape == "status_data":
            return {"status": self._word(job, now), "data": self._facts(job, now)}
        return {
            "success": True,
            "timestamp": self.clock.stamp(now),
            "requestId": f"req_{job.id[-26:]}",
            "data": self._old(job, now),
        }

    def url(self, job: SandboxJob) -> str:
        """The job's `pollUrl`."""
        return self.config.poll_path.replace("{job_id}", job.id)

    def _operation(self, job: SandboxJob, now: float) -> Json:
        return {
            "status": self._word(job, now),
            "jobId": job.id,
            "pollUrl": self.url(job),
            "result": self._result(job, now),
        }

    def _facts(self, job: SandboxJob, now: float) -> Json:
        facts: Json = {
            "jobId": job.id,
            "progress": job.progress(now),
            "result": self._result(job, now),
        }
        if self.config.job_timestamps:
            finished = self.clock.stamp(job.finished) if job.is_over(now) else None
            facts |= {"createdAt": self.clock.stamp(job.created), "finishedAt": finished}
        return facts | self._failure(job, now)

    def _old(self, job: SandboxJob, now: float) -> Json:
        word, status, progress = self._word(job, now), job.status(now), job.progress(now)
        body: Json = {
            "queueType": "vps",
            "type": job.action,
            "state": word,
            "status": word,
            "progressMessage": status.replace("_", " "),
            "progressDetails": {
                "percentage": progress,
                "message": status.replace("_", " "),
                "current": progress,
                "total": 100,
            },
            "isCompleted": status == "completed",
            "isFailed": status == "failed",
            "isRunning": status == "in_progress",
            "isWaiting": status == "queued",
            "jobName": f"vps-{job.action}",
            "vmId": job.number + 1,
        }
        return body | self._facts(job, now)

    def _word(self, job: SandboxJob, now: float) -> str:
        status = job.status(now)
        words = _QUEUE_WORDS.get(status, (status,))
        return status if self.config.words == "documented" else words[job.number % len(words)]

    def _result(self, job: SandboxJob, now: float) -> dict[str, Any] | None:
        if not job.is_over(now):
            return None
        if job.end in {"completed", "no_effect"}:
            return {"success": True}
        # Only `result` can carry the reason where the shape has no other place for it.
        tells = self.config.poll_shape == "operation" or self.config.failure_text == "result"
        if job.end == "success_false" or tells:
            return {"success": False, "error": _why(job)}
        return None

    def _failure(self, job: SandboxJob, now: float) -> Json:
        failed = job.status(now) == "failed" and self.config.failure_text != "result"
        return {self.config.failure_text: _why(job)} if failed else {}


def _why(job: SandboxJob) -> str:
    return job.error or f"The hypervisor could not {job.action} the VPS."
