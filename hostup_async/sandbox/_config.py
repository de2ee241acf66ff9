"""The settings of a sandbox."""

import math
import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import Factory, field, frozen

from ._faults import FaultRule, as_rules
from ._ids import vps_ids
from ._job_rules import JobRule, as_job_rules
from ._limiters import Limit, as_limit
from ._rules import check_vps_ids
from ._settings import above, at_least, between, maybe, one_of, some_of, to_json_types, whole

DurationKind: TypeAlias = Literal["constant", "lognormal", "bimodal", "instant"]
PowerDuringReset: TypeAlias = Literal["running", "stopped"]
Cursors: TypeAlias = Literal["offset", "opaque", "repeating"]
PollShape: TypeAlias = Literal["operation", "job", "status_data"]
Words: TypeAlias = Literal["documented", "queue"]
HeadersOn: TypeAlias = Literal["429", "always", "never"]
ResetFormat: TypeAlias = Literal["iso", "epoch", "epoch_ms", "delta"]
ErrorShape: TypeAlias = Literal["problem", "old"]
FailureText: TypeAlias = Literal["error", "failedReason", "progressMessage", "result"]
RateCode: TypeAlias = Literal["rate_limit_exceeded", "rate_limited"]

_USUAL_VPS: Final = 10
_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
GATED: Final = frozenset({"summary", "status", "details"})


@frozen(kw_only=True)
class Durations:
    """How long jobs take.

    Attributes:
        kind: `constant` is always `median`; `lognormal` spreads around it by `sigma`; `bimodal` is
            `median` for most jobs and `slow` times that for `slow_share` of them; `instant` is done
            before the answer is sent, which then already says so.
        median: Seconds from acceptance to the end.
        sigma: Standard deviation of the logarithm, for `lognormal`.
        slow: Factor of the slow jobs, for `bimodal`.
        slow_share: Share of the slow jobs, for `bimodal`.
        queued: Share of its time that a job waits before it starts.

    Example:
        >>> Durations(kind="lognormal", median=20, sigma=0.6).median
        20
    """

    kind: DurationKind = field(default="constant", validator=one_of(get_args(DurationKind)))
    median: float = field(default=0.05, validator=at_least(0))
    sigma: float = field(default=0.5, validator=at_least(0))
    slow: float = field(default=10.0, validator=above(0))
    slow_share: float = field(default=0.1, validator=between(0, 1))
    queued: float = field(default=0.2, validator=between(0, 1))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can carry them; `Durations(**settings)` reads them back."""
        return to_json_types(self)

    def draw(self, rng: Random) -> float:
        """Seconds that one job takes."""
        if self.kind == "lognormal":
            return self.median * math.exp(rng.gauss(0, self.sigma))
        if self.kind == "bimodal":
            return self.median * (self.slow if rng.random() < self.slow_share else 1)
        return 0.0 if self.kind == "instant" else self.median


def _as_durations(value: Durations | Mapping[str, Any]) -> Durations:
    return value if isinstance(value, Durations) else Durations(**value)


def _as_names(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


def _as_tuple(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        message = f"a list of texts is needed, not the single text {value!r}"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is a ValueError
    texts = tuple(value)
    if wrong := [text for text in texts if type(text) is not str]:
        message = f"a list of texts is needed, which {wrong[0]!r} does not fit in"
        raise ValueError(message)
    return texts


def _count(config: "SandboxConfig") -> int:
    return max(len(config.ids), len(config.names)) or _USUAL_VPS


@frozen(kw_only=True)
class SandboxConfig:
    """The settings of a sandbox. Where the real API is not documented, a setting picks one reading.

    Times are in seconds, shares go from 0 to 1.

    Attributes:
        vps: How many VPSes the account has: where it is left out, one for each of `ids` or
            `names`, or else 10.
        ids: Ids of the first VPSes, in the order of the list; the others get made-up ones.
        names: Names of the first VPSes, in the order of the list; the others have made-up ones.
        stopped: How many of them, counted from the end of the list, are powered off at first.
        not_ready: How many, from the beginning of the list, are suspended: actions answer 409.
        api_key: The key that is accepted.
        scopes: What that key may do.
        seed: Makes ids, durations and failures repeatable, whatever order requests come in.
        page_size: Rows in a page when the request names no `limit`.
        page_size_max: Rows that a page never exceeds, whatever the request's `limit`.
        cursors: `offset` encodes a position and ends with null; `opaque` encodes the last id and is
            absent at the end; `repeating` repeats a row as if the list had grown, has no `hasMore`,
            and repeats its last cursor for ever.
        poll_path: Path of a job; holds `{job_id}`.
        job_prefixes: Beginnings of job ids, of which each job draws one; `{action}` is replaced.
        poll_shape: Envelope of a polled job: `operation` is `{"operation": ...}`, `job` the old
            `{"success", ..., "data"}`, `status_data` is `{"status", "data"}`.
        words: Status words of a polled job: the documented ones, or those of the queue beneath.
        job_timestamps: Whether polled jobs carry `createdAt` and `finishedAt`.
        failure_text: Where a failed job says why.
        gates_on: Which answers carry the action gates: `summary`, `status`, `details`.
        uptime_known: Whether `/status` knows `uptimeSeconds`, or says null.
        uptime_stuck: `uptimeSeconds` is always this, whatever happens; None for the true one.
        power_during_reset: What `/status` says of a VPS while an action on it is pending: `running`
            with the old uptime, or `stopped` with an uptime of 0.
        date_header: Whether the `Date` of answers says anything; it is empty where not.
        uptime_step: `uptimeSeconds` is rounded down to a multiple of this; the API tells whole
            seconds (assumed), and a smaller step lets tests find evidence of a reset sooner.
        limit: Limit on all requests, polls included; None for none.
        action_limit: A limit of their own for actions, which `limit` then leaves out.
        headers_on: When `X-RateLimit-*` headers are sent.
        reset_format: How `X-RateLimit-Reset` is written.
        retry_after: Whether a 429 carries `Retry-After`, in whole seconds.
        rate_limit_code: The `code` of a 429.
        error_shape: RFC 7807 problems, or the old `{"error", "message", ...}`.
        jobs: How long jobs take.
        job_rules: Which jobs end otherwise than that, and how.
        job_failure_rate: Share of jobs that fail.
        completed_without_effect_rate: Share of jobs that say `completed` and never touch the VPS.
        completed_with_success_false_rate: Share of jobs that say `completed` while their result
            says `success: false`; nothing happens to the VPS.
        forget_after: A finished job answers 404 after this time; None for never.
        cooldown: Time after an accepted action in which the VPS answers 409 `cooldown_active`.
        frozen: Whether the sandbox's time stands still, so that `advance` alone moves it.
        clock_skew: How far the server's wall clock is ahead.
        keepalive_timeout: An idle connection is closed after this time.
        latency: Time between doing the work and sending the answer.
        foreign_origin: Another origin, for the faults that point there.
        faults: Rules in force from the start.
        log_cap: Requests that the books remember one by one; older ones are only counted.

    Example:
        >>> SandboxConfig(vps=2, seed=7).vps_ids == SandboxConfig(vps=2, seed=7).vps_ids
        True
    """

    ids: tuple[str, ...] = field(default=(), converter=_as_tuple)
    names: tuple[str, ...] = field(default=(), converter=_as_tuple)
    vps: int = field(default=Factory(_count, takes_self=True), validator=whole(0))
    stopped: int = field(default=0, validator=whole(0))
    not_ready: int = field(default=0, validator=whole(0))
    api_key: str = field(default="sk_test_sandbox", repr=False)
    scopes: frozenset[str] = field(default=frozenset({"read:vm", "power:vm"}), converter=_as_names)
    seed: int = field(default=0, validator=whole())
    page_size: int = field(default=25, validator=whole(1, 100))
    page_size_max: int = field(default=100, validator=whole(1, 100))
    cursors: Cursors = field(default="offset", validator=one_of(get_args(Cursors)))
    poll_path: str = "/api/jobs/{job_id}"
    job_prefixes: tuple[str, ...] = field(
        default=("job_", "dbj_", "{action}-17122-"), converter=_as_tuple
    )
    poll_shape: PollShape = field(default="operation", validator=one_of(get_args(PollShape)))
    words: Words = field(default="documented", validator=one_of(get_args(Words)))
    job_timestamps: bool = True
    failure_text: FailureText = field(default="error", validator=one_of(get_args(FailureText)))
    gates_on: frozenset[str] = field(default=GATED, converter=_as_names, validator=some_of(GATED))
    uptime_known: bool = True
    uptime_stuck: float | None = field(default=None, validator=maybe(at_least(0)))
    power_during_reset: PowerDuringReset = field(
        default="running", validator=one_of(get_args(PowerDuringReset))
    )
    date_header: bool = True
    uptime_step: float = field(default=1.0, validator=above(0))
    limit: Limit | None = field(default=None, converter=as_limit)
    action_limit: Limit | None = field(default=None, converter=as_limit)
    headers_on: HeadersOn = field(default="429", validator=one_of(get_args(HeadersOn)))
    reset_format: ResetFormat = field(default="iso", validator=one_of(get_args(ResetFormat)))
    retry_after: bool = True
    rate_limit_code: RateCode = field(
        default="rate_limit_exceeded", validator=one_of(get_args(RateCode))
    )
    error_shape: ErrorShape = field(default="problem", validator=one_of(get_args(ErrorShape)))
    jobs: Durations = field(default=Durations(), converter=_as_durations)
    job_rules: tuple[JobRule, ...] = field(default=(), converter=as_job_rules)
    job_failure_rate: float = field(default=0.0, validator=between(0, 1))
    completed_without_effect_rate: float = field(default=0.0, validator=between(0, 1))
    completed_with_success_false_rate: float = field(default=0.0, validator=between(0, 1))
    forget_after: float | None = field(default=None, validator=maybe(at_least(0)))
    cooldown: float = field(default=0.0, validator=at_least(0))
    frozen: bool = False
    clock_skew: float = field(default=0.0, validator=between(-1e9, 1e9))
    keepalive_timeout: float = field(default=5.0, validator=at_least(0))
    latency: float = field(default=0.0, validator=at_least(0))
    foreign_origin: str = "http://127.0.0.1:9"
    faults: tuple[FaultRule, ...] = field(default=(), converter=as_rules)
    log_cap: int = field(default=200_000, validator=whole(0))

    def __attrs_post_init__(self) -> None:
        for wrong, message in (
            ("{job_id}" not in self.poll_path, "poll_path must hold {job_id}"),
            (not self.poll_path.startswith("/"), "poll_path must begin with /"),
            (not self.api_key, "api_key must not be empty"),
            (not self.job_prefixes, "job_prefixes must not be empty"),
            (len(self.ids) > self.vps, "ids must not be more than vps"),
            (len(self.names) > self.vps, "names must not be more than vps"),
            (len({*self.ids}) < len(self.ids), "ids must not hold one twice"),
            (not all(map(_ID.fullmatch, self.ids)), "ids may hold only letters, digits, _ and -"),
            (self.stopped + self.not_ready > self.vps, "stopped + not_ready must not exceed vps"),
            (self._untrue_share() > 1, "the shares of jobs that go wrong must not exceed 1"),
        ):
            if wrong:
                raise ValueError(message)
        check_vps_ids((*self.faults, *self.job_rules), self.vps_ids)

    def _untrue_share(self) -> float:
        """The share of jobs that do not what they were asked for."""
        completed = self.completed_with_success_false_rate + self.completed_without_effect_rate
        return self.job_failure_rate + completed

    @property
    def vps_ids(self) -> tuple[str, ...]:
        """The ids that the sandbox will have, in the order of the list."""
        made_up = vps_ids(self.seed, self.vps)
        return (*self.ids, *made_up[len(self.ids) :]) if self.ids else made_up

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can carry them; `SandboxConfig(**settings)` reads them back."""
        return to_json_types(self)
