"""The API without the network: from a call to its reply."""

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from ._bodies import JobBodies, VpsBodies
from ._books import BookedRequest, BookKeeper, Books
from ._clock import Clock
from ._config import SandboxConfig
from ._effects import FaultContext, apply_fault
from ._faults import FaultRule
from ._job_rules import JobRule
from ._limiters import Limit, LimitCheck, Limiters
from ._machines import Fleet, Machine, SandboxJob
from ._pages import include, page
from ._replies import Code, ErrorReply, ErrorWriter, Flaw, Reply, rate_headers
from ._routes import Route, Router
from ._rules import RuleBox, check_vps_ids


@frozen
class IncomingCall:
    """A request as it came in.

    Attributes:
        method: HTTP method.
        target: Path and query as they came.
        query: The query, decoded.
        authorization: The `Authorization` header.
        content: The body.
        headers: All headers, as they came.
    """

    method: str
    target: str
    query: Mapping[str, str]
    authorization: str | None
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.split("?", 1)[0]


class Api:
    """Answers calls, and keeps the books."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.book_keeper = BookKeeper(config.log_cap)
        self.faults = RuleBox(config.faults, config.seed, "faults")
        self._fleet = Fleet(config)
        self._limits = Limiters.of(config.limit, config.action_limit)
        self._errors = ErrorWriter(config, clock)
        self._vps = VpsBodies(config, clock, self._fleet)
        self._jobs = JobBodies(config, clock)
        self._router = Router(config)

    def books(self) -> Books:
        """The books at this moment."""
        now = self.clock.now()
        self._settle(now)
        return self.book_keeper.snapshot(now)

    @property
    def job_rules(self) -> RuleBox[JobRule]:
        """The rules on how jobs end."""
        return self._fleet.rules

    def add_fault(self, rule: FaultRule) -> None:
        """Put a fault rule in force."""
        check_vps_ids([rule], self._fleet.machines)
        self.faults.add(rule)

    def add_job_rule(self, rule: JobRule) -> None:
        """Put a rule on how jobs end in force."""
        check_vps_ids([rule], self._fleet.machines)
        self.job_rules.add(rule)

    def finish(self, vps_id: str, error: str | None) -> None:
        """End the oldest job of a VPS at this moment."""
        now = self.clock.now()
        self._settle(now)
        self._fleet.finish(vps_id, error, now)
        self._settle(now)

    def change_limit(self, limit: Limit | None) -> None:
        """Replace the general limit while running."""
        self._limits.change(limit)

    def is_keyed(self, authorization: str | None) -> bool:
        """Whether a call carries the key."""
        scheme, _, key = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and key.strip() == self.config.api_key

    def answer(self, call: IncomingCall) -> Reply:
        """The reply to a call, with the limits and faults of the configuration applied."""
        now = self.clock.now()
        self._settle(now)
        route = self._router.find(call.method, call.target)
        reply = self._limited(call, route, now)
        self.book_keeper.note(self._booked(call, route, reply, now))
        date = self.clock.date(now) if self.config.date_header else ""
        return evolve(reply, headers={"Date": date, **reply.headers})

    def _booked(self, call: IncomingCall, route: Route, reply: Reply, now: float) -> BookedRequest:
        key, subject = self.config.api_key, self._subject(route)
        path, headers = _hidden(call.path, key), _booked_headers(call.headers, key)
        query = {_hidden(name, key): _hidden(text, key) for name, text in call.query.items()}
        return BookedRequest(
            now, route.kind, subject, call.method, path, query, headers, reply.booked
        )

    def _settle(self, now: float) -> None:
        for job in self._fleet.settle(now):
            self.book_keeper.perform(job)

    def _limited(self, call: IncomingCall, route: Route, now: float) -> Reply:
        if not self.is_keyed(call.authorization):
            self.book_keeper.foreign += 1
            return self._errors.write(ErrorReply(Code.UNAUTHORIZED), call.path, now)
        wall = self.clock.wall(now)
        limiter = self._limits.of_route(action=route.is_action)
        if limiter is None:
            return self._after_limit(call, route, now)
        check = limiter.take(wall)
        reply = self._judged(check, call, route, now)
        headers = {**rate_headers(self.config, check, wall), **reply.headers}
        return evolve(reply, headers=headers, held=limiter if check.allowed else None)

    def _judged(self, check: LimitCheck, call: IncomingCall, route: Route, now: float) -> Reply:
        if check.allowed:
            return self._after_limit(call, route, now)
        return self._errors.too_many(check, call.path, now)

    def _after_limit(self, call: IncomingCall, route: Route, now: float) -> Reply:
        rule = self.faults.pick(route.kind, self._subject(route))
        if rule is None:
            return self._worked(call, route, now)
        reply = Reply(202 if route.is_action else 200, {})
        if rule.does_work:
            reply = self._worked(call, route, now)
        return reply if _is_error(reply) else self._faulted(rule, reply, call, route, now)

    def _faulted(
        self, rule: FaultRule, reply: Reply, call: IncomingCall, route: Route, now: float
    ) -> Reply:
        self.book_keeper.count_fault(rule.fault.value)
        context = FaultContext(self.config, self._errors, self._fleet, call.path, route.job_id, now)
        return apply_fault(rule, reply, context)

    def _subject(self, route: Route) -> str | None:
        job = self._fleet.jobs.get(route.job_id) if route.job_id else None
        return job.vps_id if job else route.vps_id

    def _worked(self, call: IncomingCall, route: Route, now: float) -> Reply:
        try:
            return self._work(call, route, now)
        except ErrorReply as refusal:
            return self._errors.write(refusal, call.path, now)

    def _work(self, call: IncomingCall, route: Route, now: float) -> Reply:
        if route.scope and route.scope not in self.config.scopes:
            raise ErrorReply(Code.FORBIDDEN)
        if route.kind == "list":
            return self._list(call, now)
        if route.kind == "poll":
            return Reply(200, self._jobs.polled(self._job(route, now), now))
        machine = self._machine(route)
        if route.is_action:
            return self._act(call, route.kind, machine, now)
        write = {"get": self._vps.summary, "details": self._vps.details}
        return Reply(200, write.get(route.kind, self._vps.status)(machine, now))

    def _list(self, call: IncomingCall, now: float) -> Reply:
        extra: dict[str, Any] = {"pendingMaintenance": None} if include(call.query) else {}
        found = page(self._fleet, self.config, call.query)
        rows = [self._vps.summary(machine, now) | extra for machine in found.rows]
        return Reply(200, {"data": rows, **found.more})

    def _act(self, call: IncomingCall, action: str, machine: Machine, now: float) -> Reply:
        flaws = _flaws(call.content, {"force"} if action == "restart" else set())
        if flaws:
            raise ErrorReply(Code.INVALID_REQUEST, flaws=flaws)
        gate = self._fleet.gate(machine, action, now)
        if gate.code is not None:
            raise ErrorReply(Code(gate.code), gate.reason)
        job = self._fleet.accept(machine, action, now)
        self.book_keeper.accept(job)
        return Reply(202, self._jobs.accepted(job, now))

    def _machine(self, route: Route) -> Machine:
        if route.vps_id is None:
            raise ErrorReply(Code.NOT_FOUND)
        machine = self._fleet.machines.get(route.vps_id)
        if machine is None:
            raise ErrorReply(Code.VPS_NOT_FOUND)
        return machine

    def _job(self, route: Route, now: float) -> SandboxJob:
        job = self._fleet.job(route.job_id or "", now)
        if job is None:
            raise ErrorReply(Code.NOT_FOUND)
        return job


def _hidden(text: str, key: str) -> str:
    return text.replace(key, "***")


@lru_cache(maxsize=64)  # a client sends nearly the same ones each time
def _booked_headers(headers: tuple[tuple[str, str], ...], key: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, text in headers:
        # Also another key than ours is somebody's secret.
        shown = text.partition(" ")[0] + " ***" if name.lower() == "authorization" else text
        before = f"{found[name.lower()]}, " if name.lower() in found else ""
        found[name.lower()] = before + _hidden(shown, key)
    return MappingProxyType(found)


def _is_error(reply: Reply) -> bool:
    return reply.status >= 400  # noqa: PLR2004 - HTTP's own boundary


def _flaws(content: bytes, known: set[str]) -> tuple[Flaw, ...]:
    if not content:
        return ()
    if not known:
        return (Flaw("", "This route takes no request body."),)
    try:
        body: dict[str, object] = dict(json.loads(content).items())
    except (AttributeError, ValueError):
        return (Flaw("", "The body must be a JSON object."),)
    found = (_field_flaw(key, value, known) for key, value in body.items())
    return tuple(flaw for flaw in found if flaw)


def _field_flaw(key: str, value: object, known: set[str]) -> Flaw | None:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    if key not in known:
        return Flaw(pointer, f"`{key}` is not a known field.")
    return None if isinstance(value, bool) else Flaw(pointer, f"`{key}` must be a boolean.")
