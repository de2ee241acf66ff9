"""Bugs that were once in the product, or could be: each is planted in a copy, and must be found.

Each replaces some text of one module. Where that text is gone, the bug has to be planted anew.
"""

from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Final

from attrs import frozen

PACKAGE: Final = Path(__file__).parents[2] / "hostup_async"


@frozen
class Bug:
    """A bug to plant.

    Attributes:
        name: What goes wrong.
        module: Where, below hostup_async.
        old: The text that is replaced; it stands there once.
        new: What it becomes.
        breaks: The invariants of which a history must find one broken.
        also: A module, text of it and what that becomes: where two guards stand behind each other,
            one of them alone is enough, and both have to go.
    """

    name: str
    module: str
    old: str
    new: str
    breaks: tuple[str, ...]
    also: tuple[str, str, str] | None = None

    @property
    def edits(self) -> dict[str, tuple[str, str]]:
        """The text that is replaced, and what it becomes, by module."""
        edits = {self.module: (self.old, self.new)}
        return edits if self.also is None else {**edits, self.also[0]: self.also[1:]}

    def plant(self, folder: Path) -> None:
        """Copy the package into a folder, with this bug."""
        copy = folder / "hostup_async"
        copytree(PACKAGE, copy, ignore=ignore_patterns("__pycache__"))
        for module in self.edits:
            (copy / module).write_text(self.planted(module))

    def planted(self, module: str) -> str:
        """The text of one of its modules with the bug in it."""
        old, new = self.edits[module]
        text = (PACKAGE / module).read_text()
        assert text.count(old) == 1, f"{self.name}: its place in {module} is gone"
        return text.replace(old, new)


BUGS: Final = (
    Bug(
        "an action in doubt is sent again",
        "_http/retry.py",
        "RequestOutcome.IN_DOUBT: (Decision.OUTCOME_UNKNOWN, Decision.RETRY)",
        "RequestOutcome.IN_DOUBT: (Decision.RETRY, Decision.RETRY)",
        ("reset twice",),
    ),
    Bug(
        "408, 421, 425 and 499 count as refusals",
        "_http/retry.py",
        "    if status in _IN_DOUBT or status not in _ABOVE_SUCCESS:\n",
        "    if status in _IN_DOUBT:\n        return RequestOutcome.REFUSED\n"
        "    if status not in _ABOVE_SUCCESS:\n",
        ("untrue refused",),
    ),
    Bug(
        "a 409 upstream_failed counts as a refusal",
        "_http/problems.py",
        "    if problem.status in _CLIENT_ERRORS and meant >= HTTPStatus.TOO_MANY_REQUESTS:\n"
        "        return meant\n",
        "",
        ("untrue refused",),
    ),
    Bug(
        "the answer about another job or VPS is believed",
        "_http/identity.py",
        "    if subject is not None and name is not None:\n",
        "    if False and subject is not None and name is not None:\n",
        ("untrue completed",),
    ),
    Bug(
        "the status of another VPS is evidence",
        "_vps.py",
        "partial(read_object, VpsStatus), kind, subject=subject)",
        "partial(read_object, VpsStatus), kind)",
        ("untrue completed", "untrue not_done"),
    ),
    Bug(
        "one job settles two VPSes",
        "_http/accepted.py",
        "return not self._disputed.isdisjoint(names)",
        "return False",
        ("untrue completed",),
    ),
    Bug(
        "the intent is recorded in memory alone",
        "_fleet/target.py",
        "        try:\n            await self._context.journal.put(self._entry)\n"
        "        except StoreError:\n            self._entry = before\n            raise\n",
        "        self._context.journal.keep(self._entry)\n",
        ("sent without an intent",),
    ),
    Bug(
        "a process that slept sends what another has taken",
        "_fleet/target.py",
        "        if _clock.boot() >= self._send_by:\n",
        "        if False and _clock.boot() >= self._send_by:\n",
        ("sent without the lease", "sent without an intent", "reset twice"),
    ),
    Bug(
        "a 429 pauses no one",
        "_ratelimit/pauses.py",
        "            return max(asked or 0.0, SHORTEST_PAUSE)\n",
        "            return SHORTEST_PAUSE\n",
        ("sent in a pause",),
    ),
    Bug(
        "a known limit is exceeded by one",
        "_ratelimit/ledger.py",
        "        return room - self.in_flight\n",
        "        return room - self.in_flight + 1\n",
        ("above the known limit",),
    ),
    Bug(
        "failures do not stop the sending",
        "_fleet/rollout.py",
        "self._failures >= self._max_failures:",
        "self._failures > 99:",
        ("sent after the stop", "more failures than k + W"),
    ),
    Bug(
        "the bound on VPSes in flight is ignored",
        "_fleet/engine.py",
        "return self._context.policy.max_in_flight",
        "return None",
        ("more in flight than W", "more failures than k + W"),
    ),
    Bug(
        "a cancelled waiter stays in the queue",
        "_ratelimit/limiter.py",
        "            elif waiter.is_queued:\n                self._leave(waiter)",
        "            elif False:\n                self._leave(waiter)",
        ("left behind", "never ends"),
    ),
    Bug(
        "an outcome is lost when the run ends early",
        "_fleet/journal.py",
        "return [entry.outcome() for entry in self._entries]",
        "return [entry.outcome() for entry in self._entries if entry.finished_at]",
        ("an outcome is missing",),
    ),
    Bug(
        "an intent of a crashed process is taken for planned",
        "_fleet/target.py",
        "EntryState.INTENT: self._settle,",
        "EntryState.INTENT: self._send,",
        ("reset twice",),
    ),
    Bug(
        "what another run holds is reset all the same",
        "_store/conflicts.py",
        "if is_open and entry.state in UNSETTLED:",
        "if False and is_open:",
        ("reset twice",),
    ),
    Bug(
        "the cooldown is measured and not kept",
        "_store/conflicts.py",
        "            if age < self._cooldown:\n",
        "            if age < self._cooldown - 1e9:\n",
        ("reset twice",),
    ),
    Bug(
        "a failed job counts as completed",
        "_fleet/settle.py",
        "    if job.status == JobStatus.FAILED:\n",
        "    if False and job.status == JobStatus.FAILED:\n",
        ("untrue completed",),
    ),
    Bug(
        "an action that ends under a cancellation is taken for unsent",
        "_http/requester.py",
        "if drops_cancellation and sent.decision in _ENDS and _uncancel():",
        "if False and drops_cancellation and sent.decision in _ENDS:",
        ("reset twice", "untrue not_sent", "unexpected error"),
    ),
    Bug(
        "an intent that was abandoned counts as not sent",
        "_store/records.py",
        "EntryState.INTENT: EntryState.AMBIGUOUS,",
        "EntryState.INTENT: EntryState.NOT_SENT,",
        ("untrue not_sent",),
    ),
    Bug(
        "a permit is given back twice",
        "_ratelimit/ledger.py",
        "        self.in_flight -= 1\n        self.answered += 1\n        is_fresh =",
        "        self.in_flight -= 2\n        self.answered += 1\n        is_fresh =",
        ("permits",),
    ),
    Bug(
        "the poller forgets to wake when a job is watched",
        "_polling/poller.py",
        "        return watch\n\n    async def follow",
        "        self._watches.clear()\n        return watch\n\n    async def follow",
        ("untrue timed_out", "never ends", "left behind"),
    ),
    Bug(
        "an action goes out where answers to other requests arrive",
        "_http/call.py",
        "        return request.subject is None or request.subject.model in",
        "        return request.subject is not None and request.subject.model in",
        ("reset twice", "untrue completed", "untrue refused", "an outcome is missing"),
        also=(
            "_http/attempt.py",
            (
                "            is_shared=exchange.is_shared,\n        )\n"
                "        proved = is_proved(request.subject, parsed.result)\n"
            ),
            ("            is_shared=False,\n        )\n        proved = True\n"),
        ),
    ),
    Bug(
        "another process's send is dated by the wall clock",
        "_fleet/evidence.py",
        "        least, most = now[0] - high, now[1] - low\n",
        "        least = most = _clock.wall() - (entry.sent_at or 0.0)\n",
        ("untrue completed", "untrue not_done"),
    ),
    Bug(
        "an uptime of 0 counts as a boot",
        "_fleet/boot.py",
        "        if self._last is None or (self._last.uptime or 0.0) < SECOND:\n",
        "        if self._last is None:\n",
        ("untrue completed",),
    ),
    Bug(
        "an action that still queues is taken for one that was not done",
        "_fleet/evidence.py",
        "        return sent + self.longest_wait(resends=resends)\n",
        "        return sent\n",
        ("untrue not_done", "reset twice"),
    ),
    Bug(
        "what failed before a crash counts for nothing",
        "_fleet/rollout.py",
        "            if entry.state in _UNSENT:\n",
        "            if entry.state in _UNSENT or entry.state.is_terminal:\n",
        ("sent after the stop", "more failures than k + W", "more than the canaries"),
    ),
    Bug(
        "all are sent after the first canary",
        "_fleet/rollout.py",
        "        needed = self._size if self._step == 0 else self._size / 2\n",
        "        needed = self._size / 2\n",
        ("more than the canaries",),
    ),
    Bug(
        "a wrong key decides about VPSes",
        "_fleet/settle.py",
        "    return isinstance(error, RateLimited | Unauthorized)\n",
        "    return isinstance(error, RateLimited)\n",
        ("refused by a wrong key",),
    ),
    Bug(
        "one stray poll stops everything",
        "_polling/watch.py",
        "        if not isinstance(error, _REFUSALS):\n            return\n",
        "        raise error\n",
        ("stopped for no reason",),
    ),
    Bug(
        "a run that has ended is held for ever",
        "_fleet/run.py",
        "            await store.release(self.id, state, detail=json.dumps(detail))\n",
        "            json.dumps(detail)\n",
        ("left behind",),
    ),
    Bug(
        "refusals do not count as failures",
        "_fleet/rollout.py",
        "        self._failures += status.is_failure\n",
        "        self._failures += status is OutcomeStatus.FAILED\n",
        ("more failures than k + W",),
    ),
    Bug(
        "doubts are not counted",
        "_fleet/rollout.py",
        "        self._ambiguous += is_ambiguous\n",
        "",
        ("more doubts than k + W",),
    ),
    Bug(
        "no last poll at the end of a job's time",
        "_polling/poller.py",
        "            await self._wait_for_last_poll(watch)\n",
        "            watch.resolve(TimeoutError())\n",
        ("untrue timed_out",),
    ),
    Bug(
        "no last poll at the end of a run's time",
        "_fleet/target.py",
        "            self._context.poller.hasten(self._watched)\n",
        "            self.leave()\n",
        ("untrue timed_out",),
    ),
    Bug(
        "the end of the last VPS does not end the run",
        "_fleet/engine.py",
        "            self._context.rollout.take_back(target.step)\n        self._check()\n",
        "            self._context.rollout.take_back(target.step)\n",
        ("never ends",),
    ),
)
