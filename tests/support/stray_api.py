"""A small HostUp whose every answer a test can replace."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from tools import RawServer, http

PROBLEM: Final = "Content-Type: application/problem+json"
HTML: Final = "Content-Type: text/html"


@frozen
class Asked:
    """One request: which it is of its kind (`post`, `poll` or `status`), from 1, and for what."""

    kind: str
    number: int
    name: str


def problem(status: int, code: str) -> bytes:
    """An error in the API's own form."""
    members = {"status": status, "code": code, "detail": code, "requestId": "req_1"}
    return http(json.dumps(members).encode(), f"{status} Error", PROBLEM)


def page(status: int) -> bytes:
    """An error from something on the way, which is not the API."""
    return http(b"<html>no</html>", f"{status} Error", HTML, "Location: /login")


class StrayApi(RawServer):
    """Accepts each action with a job that ends after `job` seconds, and resets the VPS then.

    Args:
        job: Seconds.
        stray: The answer to a request, or None for the usual one. The action is done all the
            same.

    Attributes:
        asked: How many requests came, by kind.
        accepted: The VPSes whose action was done, in order.
    """

    def __init__(
        self, stray: Callable[[Asked], bytes | None] = lambda _: None, *, job: float = 0.05
    ) -> None:
        super().__init__()
        self.asked: dict[str, int] = {"post": 0, "poll": 0, "status": 0}
        self.accepted: list[str] = []
        self._stray = stray
        self._job = job
        self._began = time.monotonic()
        self._ends: dict[str, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            writer.write(self._answer(method, path.split("/")))
            await writer.drain()

    def _answer(self, method: str, path: list[str]) -> bytes:
        kind = "post" if method == "POST" else "status" if path[-1] == "status" else "poll"
        name = path[-1] if kind == "poll" else path[4]
        self.asked[kind] += 1
        usual = {"post": self._begin, "status": self._status, "poll": self._poll}[kind](name)
        stray = self._stray(Asked(kind, self.asked[kind], name))
        return usual if stray is None else stray

    def _begin(self, vps_id: str) -> bytes:
        self.accepted.append(vps_id)
        self._ends[vps_id] = time.monotonic() + self._job
        operation = {"jobId": vps_id, "pollUrl": f"/api/jobs/{vps_id}", "status": "queued"}
        return http(json.dumps({"operation": operation}).encode(), "202 Accepted")

    def _poll(self, job_id: str) -> bytes:
        is_over = time.monotonic() >= self._ends[job_id]
        members: dict[str, Any] = {
            "jobId": job_id,
            "status": "completed" if is_over else "in_progress",
        }
        return http(json.dumps({"success": True, "data": members}).encode())

    def _status(self, vps_id: str) -> bytes:
        now, end = time.monotonic(), self._ends.get(vps_id, self._began - 10_000)
        uptime = round(now - (end if end <= now else self._began - 10_000), 2)
        members = {"id": vps_id, "powerState": "running", "uptimeSeconds": uptime}
        return http(json.dumps(members).encode())
