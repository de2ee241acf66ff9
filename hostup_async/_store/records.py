"""What a store keeps: runs, an entry for each VPS, the audit trail, and what was learnt.

Moments are seconds since the epoch, by the clock of the machine that wrote them.
"""

import json
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final

from attrs import evolve, field, fields, frozen

from hostup_async import _clock
from hostup_async._json import JsonReady
from hostup_async._models import Action
from hostup_async._outcome import Outcome, OutcomeStatus

# Without letters that look like digits, so that an id can be read out over the telephone.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class EntryState(StrEnum):
    """How far a run has come with one VPS: `planned`, `intent`, `accepted`, then one last state.

    The last states are those of `OutcomeStatus`.
    """

    PLANNED = "planned"
    """Nothing was sent."""
    INTENT = "intent"
    """About to be sent, so perhaps sent: recorded before the first byte leaves."""
    ACCEPTED = "accepted"
    """The API accepted it, and its job goes on."""
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"
    AMBIGUOUS = "ambiguous"
    NOT_DONE = "not_done"
    TIMED_OUT = "timed_out"
    NOT_FOLLOWED = "not_followed"
    NOT_SENT = "not_sent"

    @property
    def is_terminal(self) -> bool:
        """Whether the run is done with the VPS."""
        return self not in _IF_ABANDONED

    @property
    def if_abandoned(self) -> "EntryState":
        """The state that an entry ends in if its run is abandoned: its own, where it is terminal.

        Example:
            >>> EntryState.INTENT.if_abandoned
            <EntryState.AMBIGUOUS: 'ambiguous'>
        """
        return _IF_ABANDONED.get(self, self)


_IF_ABANDONED: Final = {
    EntryState.PLANNED: EntryState.NOT_SENT,
    EntryState.INTENT: EntryState.AMBIGUOUS,
    EntryState.ACCEPTED: EntryState.NOT_FOLLOWED,
}
UNSETTLED: Final = tuple(_IF_ABANDONED)
# The states of an accepted action whose job may have ended since.
FOLLOWABLE: Final = (EntryState.ACCEPTED, EntryState.TIMED_OUT, EntryState.NOT_FOLLOWED)
# The states in which nothing was done to the VPS.
UNTOUCHED: Final = (EntryState.REFUSED, EntryState.SKIPPED, EntryState.NOT_SENT)


@frozen
class Entry(JsonReady):
    """How far a run has come with one VPS; the fields are those of `Outcome`.

    Attributes:
        vps_id: The VPS.
        position: Its place in the plan, from 0.
        state: How far the run has come with it.
        sent_at: When it was last sent; set it with the intent, since the cooldown reads it.
        sent_server_low: When it was sent, by the server's clock: not before this; None if unknown.
        sent_server_high: When it was sent, by the server's clock: not after this; None if unknown.
    """

    vps_id: str
    position: int
    state: EntryState = EntryState.PLANNED
    reason: str | None = None
    job_id: str | None = None
    poll_url: str | None = None
    request_ids: tuple[str, ...] = ()
    attempts: int = 0
    sent_at: float | None = None
    accepted_at: float | None = None
    finished_at: float | None = None
    evidence: str | None = None
    sent_server_low: float | None = None
    sent_server_high: float | None = None

    def skipped(self, reason: str) -> "Entry":
        """The entry if it is not sent, and why."""
        return evolve(self, state=EntryState.SKIPPED, reason=reason)

    def intended(self, at: float, server: tuple[float, float] | None = None) -> "Entry":
        """The entry before it is sent, perhaps once more.

        Args:
            at: Now, by this machine's clock.
            server: Now, by the server's clock: the earliest and the latest that it may be.
        """
        low, high = server or (None, None)
        return evolve(
            self,
            state=EntryState.INTENT,
            attempts=self.attempts + 1,
            sent_at=at,
            sent_server_low=low,
            sent_server_high=high,
        )

    def reverted(self, reason: str) -> "Entry":
        """The entry as before its intent, once it is proved that nothing was sent."""
        attempts = self.attempts - 1
        before = evolve(self, state=EntryState.PLANNED, attempts=attempts, reason=reason)
        if attempts:
            return before
        return evolve(before, sent_at=None, sent_server_low=None, sent_server_high=None)

    def abandoned(self, reason: str, at: float) -> "Entry":
        """The entry as it ends if its run is abandoned; itself where it is terminal."""
        if self.state.is_terminal:
            return self
        return evolve(self, state=self.state.if_abandoned, reason=reason, finished_at=at)

    def outcome(self) -> Outcome:
        """What became of the VPS; for an unsettled entry, as if the run had been abandoned."""
        values = {name: getattr(self, name) for name in _SHARED}
        return Outcome(status=OutcomeStatus(self.state.if_abandoned.value), **values)


_SHARED: Final = [one.name for one in fields(Outcome) if one.name != "status"]


class RunState(StrEnum):
    """The state of a run as a whole."""

    RUNNING = "running"
    """At work, or cut off by a crash or a kill and to be resumed."""
    STOPPED = "stopped"
    """Ended early, with something left to do: to be resumed or abandoned."""
    FINISHED = "finished"
    """Nothing is left to do."""
    ABANDONED = "abandoned"
    """Given up: never to be resumed."""

    @property
    def is_open(self) -> bool:
        """Whether it can be resumed. While it is open, no other run acts on its unsettled VPSes."""
        return self in OPEN


OPEN: Final = (RunState.RUNNING, RunState.STOPPED)


@frozen(kw_only=True)
class RunRecord(JsonReady):
    """One run of a fleet, as a store keeps it.

    Attributes:
        id: The run's id, from `new_run_id`; ids sort by time.
        action: What is done to each VPS.
        origin: The API that it is done at.
        fingerprint: Of the key that it is done with.
        plan_hash: Of the plan.
        plan: The plan, as JSON; empty in a list of runs.
        policy: The policy, as JSON; empty in a list of runs.
        who: Who began it.
        reason: Why, in the words of who began it.
        created_at: When it was begun.
        finished_at: When it ended; None while it is open.
        created_server_low: When it was begun, by the server's clock: not before this moment; None
            if unknown.
        state: Its state; kept by the store.
        counts: How many entries are in which state; kept by the store.
        possible_loss: Why the store may have lost what this run did, such as "its file is a copy,
            or was moved"; None where it has all. Kept by the store. While it stands, `planned`
            does not mean that nothing was sent: send such a VPS its action only when its uptime
            shows that it has not booted since the run was begun.
        holder: Who works on it, such as "process 4711 on web-1", as far as can be known; None
            where no living process does. Kept by the store.
    """

    id: str
    action: Action
    origin: str
    fingerprint: str = ""
    plan_hash: str = ""
    plan: str = field(default="", repr=False)
    policy: str = field(default="", repr=False)
    who: str = ""
    reason: str | None = None
    created_at: float = field(factory=lambda: _clock.wall())  # noqa: PLW0108 - bound late
    created_server_low: float | None = None
    finished_at: float | None = None
    state: RunState = RunState.RUNNING
    counts: Mapping[EntryState, int] = field(factory=dict[EntryState, int])
    possible_loss: str | None = None
    holder: str | None = field(default=None, eq=False)

    @property
    def is_interrupted(self) -> bool:
        """Whether its process ended without a word: it was killed, or its machine went down."""
        return self.state is RunState.RUNNING and self.holder is None

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON can carry it; plan and policy are objects, or None where empty."""
        parsed = {name: json.loads(getattr(self, name) or "null") for name in ("plan", "policy")}
        return super().to_dict() | parsed


class AuditEvent(StrEnum):
    """What happened to a run, as its audit trail has it."""

    CREATED = "created"
    """Recorded, and begun."""
    RESUMED = "resumed"
    """Taken up again, by the same process or another; the detail `policy` is what it changed."""
    STOPPED = "stopped"
    """Ended with something left to do."""
    FINISHED = "finished"
    """Ended with nothing left to do."""
    ABANDONED = "abandoned"
    """Given up, never to be resumed."""
    PAUSED = "paused"
    """Its operator paused the sending."""
    UNPAUSED = "unpaused"
    """Its operator let the sending go on."""
    FOLLOWED = "followed"
    """It was asked again what became of its jobs; the detail `counts` is what was found."""
    RATE_LIMITED = "rate_limited"
    """The API's rate limit paused the sending; the detail `until` is when the pause ends."""


def changed_members(before: str, after: str | None) -> dict[str, Any]:
    """The members of a JSON object that another one changes, with their new values.

    Args:
        before: The object as JSON, or an empty text for none.
        after: The other one; None for the same.

    Example:
        >>> changed_members('{"canary": 1, "verify": false}', '{"canary": 0, "verify": false}')
        {'canary': 0}
    """
    if after is None:
        return {}
    known: dict[str, Any] = json.loads(before or "{}")
    new: dict[str, Any] = json.loads(after)
    return {name: value for name, value in new.items() if known.get(name) != value}


def policy_detail(changes: Mapping[str, Any]) -> str:
    """The detail of the event that resumes a run, with what it changes of the policy."""
    return json.dumps({"policy": changes} if changes else {})


def _known_event(word: str) -> AuditEvent | str:
    try:
        return AuditEvent(word)
    except ValueError:
        return word


@frozen
class AuditRecord(JsonReady):
    """One event in a run's audit trail.

    Attributes:
        run_id: The run.
        at: When it happened.
        who: Who did it.
        what: What happened; a word that `AuditEvent` does not list stays a plain string.
        detail: Details, as a JSON object.
    """

    run_id: str
    at: float
    who: str
    what: AuditEvent | str = field(converter=_known_event)
    detail: str = "{}"

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON can carry it; the detail is an object."""
        return super().to_dict() | {"detail": json.loads(self.detail)}


@frozen(kw_only=True)
class LearntRecord(JsonReady):
    """Something that was learnt of one key at one API, for a later run to begin with.

    Attributes:
        origin: The API.
        fingerprint: Of the key.
        what: `LIMITS`, or the action whose durations it is.
        text: What was learnt, as JSON.
        learnt_at: When, in seconds since the epoch.
    """

    LIMITS: ClassVar[str] = "limits"

    origin: str
    fingerprint: str
    what: str
    text: str = field(repr=False)
    learnt_at: float

    def is_about(self, origin: str | None, fingerprint: str | None) -> bool:
        """Whether it is of this key at this API; None means any."""
        return origin in {None, self.origin} and fingerprint in {None, self.fingerprint}

    @property
    def age(self) -> float:
        """Seconds since it was learnt, by this machine's clock; 0.0 where that was set back."""
        return max(0.0, _clock.wall() - self.learnt_at)


def new_run_id(now: float | None = None) -> str:
    """An id for a run: the moment in UTC, and five letters against a tie.

    Example:
        >>> new_run_id(0.0).startswith("19700101-000000-")
        True
    """
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(_clock.wall() if now is None else now))
    return f"{moment}-{''.join(_LETTERS[byte % len(_LETTERS)] for byte in _clock.token(5))}"
