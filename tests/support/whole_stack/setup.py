"""What a seed stands for: the account and its API, the network, the policy, and what befalls."""

from collections.abc import Sequence
from typing import Any, Final, get_args

from attrs import evolve, frozen
from simulation.chance import Chance
from simulation.setup import RESEND

from hostup_async import FleetPolicy, RateLimit, Timeouts
from hostup_async._fleet.plan import PreflightWord
from hostup_async.sandbox import Durations, Fault, FaultRule, Limit, SandboxConfig
from hostup_async.sandbox._config import (
    Cursors,
    ErrorShape,
    FailureText,
    HeadersOn,
    PollShape,
    PowerDuringReset,
    RateCode,
    ResetFormat,
    Words,
)
from hostup_async.sandbox._faults import Target

PLOTS: Final = (
    "plain", "plain", "plain", "crash", "crash", "crash_twice", "stop", "leave", "rival", "direct",
)  # fmt: skip
TROUBLES: Final = ("cut", "answers_cut", "requests_cut", "connections_reset", "slow_line")
# Where a fault hits; most of them where it costs most.
_PLACES: Final[Sequence[Target]] = (
    "reset",
    "reset",
    "reset",
    "poll",
    "poll",
    "status",
    "list",
    "any",
)
_ONLY: Final[dict[Fault, Sequence[Target]]] = {
    Fault.FOREIGN_POLL_URL: ("reset",),
    Fault.FORGOTTEN_JOB: ("reset", "poll"),
}
# Answers that say neither that it was done nor that it was not: it may have been.
_MAY_ACT: Final = frozenset({
    Fault.ERROR_500, Fault.HTML_502, Fault.ERROR_503, Fault.ERROR_504, Fault.REDIRECT,
})  # fmt: skip
# Seconds within which evidence must not be read as "not done", in these histories.
_LONGEST_JOB: Final = 120.0


@frozen(kw_only=True)
class Setup:
    """One history's fixed facts. Times are seconds."""

    seed: int
    plot: str
    in_order: bool
    config: SandboxConfig
    policy: FleetPolicy
    preflight: PreflightWord
    timeouts: Timeouts
    given_limit: RateLimit | None
    latency: float
    lost_percent: int
    troubles: int
    trouble_rate: float
    client_off: float

    def __str__(self) -> str:
        faults = ", ".join(f"{rule.fault} of {rule.on}" for rule in self.config.faults) or "none"
        order = "in order" if self.in_order else "reordered"
        return f"{self.plot}, {self.config.vps} VPSes, {order}; faults: {faults}; {self.policy}"


def make_setup(seed: int, chance: Chance) -> Setup:
    """Draw what the seed stands for."""
    config = _config(seed, chance)
    setup = Setup(
        seed=seed,
        plot=chance.pick("plot", PLOTS),
        in_order=chance.draw("in order") < 0.3,
        config=config,
        policy=_policy(chance),
        preflight=chance.pick("preflight", ("none", "none", "list", "gates")),
        timeouts=chance.pick("timeouts", (Timeouts(), _SHORT, _SHORT)),
        given_limit=None,
        latency=chance.pick("latency", (0.001, 0.02, 0.3)),
        lost_percent=chance.pick("lost", (0, 0, 5, 30)),
        troubles=chance.whole("troubles", 0, 4),
        trouble_rate=chance.pick("trouble rate", (0.0, 0.7, 1.0)),
        client_off=chance.pick("client_off", (0.0, 0.0, -3600.0, 5.0, 86400.0)),
    )
    if config.limit is not None and chance.draw("given") < 0.2:
        known = RateLimit(config.limit.requests, config.limit.seconds)
        setup = evolve(setup, given_limit=known)
    return setup


_SHORT: Final = Timeouts(connect=5, read=5, request=20, call=60)


def _config(seed: int, chance: Chance) -> SandboxConfig:
    def one_of(options: Any) -> Any:
        return chance.pick(str(options), get_args(options))

    def share(name: str) -> float:
        return chance.pick(name, (0.0, 0.0, 0.05, 0.3))

    return SandboxConfig(
        vps=chance.whole("vps", 18, 22),
        stopped=chance.pick("stopped", (0, 0, 0, 2)),
        not_ready=chance.pick("not_ready", (0, 0, 0, 2)),
        seed=seed,
        page_size_max=chance.pick("page", (5, 100)),
        cursors=one_of(Cursors),
        poll_shape=one_of(PollShape),
        words=one_of(Words),
        failure_text=one_of(FailureText),
        power_during_reset=one_of(PowerDuringReset),
        headers_on=one_of(HeadersOn),
        reset_format=one_of(ResetFormat),
        rate_limit_code=one_of(RateCode),
        error_shape=one_of(ErrorShape),
        job_timestamps=chance.draw("timestamps") < 0.7,
        uptime_known=chance.draw("uptime") < 0.9,
        date_header=chance.draw("date") < 0.9,
        retry_after=chance.draw("retry_after") < 0.7,
        limit=_limit(chance, "limit", 0.6),
        action_limit=_limit(chance, "action limit", 0.2),
        jobs=_durations(chance),
        job_failure_rate=share("job_failures"),
        completed_with_success_false_rate=share("hollow"),
        completed_without_effect_rate=share("untrue"),
        forget_after=chance.pick("forget", (None, None, 30.0)),
        clock_skew=chance.pick("skew", (0.0, 0.3, -7200.0, 40.0)),
        keepalive_timeout=chance.pick("keepalive", (5.0, 75.0, 0.5)),
        latency=chance.pick("work", (0.0, 0.05, 1.0)),
        faults=_faults(chance),
    )


def _durations(chance: Chance) -> Durations:
    return Durations(
        kind=chance.pick("jobs", ("constant", "constant", "bimodal", "instant")),
        median=chance.pick("job", (0.5, 3.0, _LONGEST_JOB / 10)),
    )


def _limit(chance: Chance, name: str, share: float) -> Limit | None:
    if chance.draw(f"has {name}") >= share:
        return None
    return Limit(
        requests=chance.pick(f"{name}: requests", (5, 20, 60)),
        seconds=chance.pick(f"{name}: window", (2.0, 10.0, 60.0)),
        kind=chance.pick(f"{name}: kind", ("fixed", "clock", "sliding", "bucket")),
    )


def _faults(chance: Chance) -> Sequence[FaultRule]:
    """A few kinds of faults, some often: those that are everywhere hide each other."""
    share = chance.pick("share of kinds", (0.0, 0.08, 0.15, 0.4))
    return [
        FaultRule(
            fault,
            on=chance.pick(f"place of {fault}", _ONLY.get(fault, _PLACES)),
            rate=chance.pick(f"rate of {fault}", (0.03, 0.1, 0.3)),
            acts=chance.pick(f"acts {fault}", (None, True)) if fault in _MAY_ACT else None,
            retry_after=chance.pick(f"retry after {fault}", (None, None, None, 0.0, 20.0)),
        )
        for fault in Fault
        if chance.fires(f"with {fault}", share)
    ]


def _policy(chance: Chance) -> FleetPolicy:
    return FleetPolicy(
        max_in_flight=chance.pick("max_in_flight", (None, None, 1, 3, 8)),
        canary=chance.pick("canary", (0, 0, 0, 2)),
        max_failures=chance.pick("max_failures", (None, None, None, 2)),
        max_ambiguous=chance.pick("max_ambiguous", (None, None, 3)),
        cooldown=86_400.0 * 365,
        job_timeout=chance.pick("job_timeout", (900.0, 900.0, 60.0)),
        deadline=chance.pick("deadline", (None, None, None, 60.0)),
        drain_timeout=chance.pick("drain", (900.0, 900.0, 5.0)),
        verify=chance.draw("verify") < 0.3,
        on_ambiguous=chance.pick("on_ambiguous", ("report", "report", "report", RESEND)),
        evidence_interval=chance.pick("evidence", (10.0, 3.0)),
    )
