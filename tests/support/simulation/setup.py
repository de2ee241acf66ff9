"""What a seed stands for: the account, the API's manners, the policy, and what befalls the run."""

from typing import Final

from attrs import evolve, frozen

from hostup_async import FleetPolicy, RateLimit
from hostup_async._fleet.plan import PreflightWord
from hostup_async._fleet.policy import AmbiguousWord
from simulation.chance import Chance
from simulation.limits import LimitStyle, draw_limit

# What can go wrong with one request, and where: everywhere unless it is said.
FAULTS: Final = {
    "refused_connection": "",
    "lost_reply": "",
    "partial_reply": "",
    "disconnect_before": "",
    "stall": "",
    "stall_before": "",
    "error_500": "",
    "html_502": "",
    "error_503": "",
    "error_504": "",
    "truncated_body": "",
    "truncated_json": "",
    "huge_body": "",
    "empty_body": "",
    "html_body": "",
    "no_operation": "reset",
    "null_operation": "reset",
    "no_content": "",
    "success_false": "",
    "redirect": "",
    "html_403": "",
    "unauthorized": "",
    "forbidden": "",
    "conflict": "reset",
    "upstream_failed": "reset",
    "timeout_408": "",
    "misdirected_421": "",
    "too_early_425": "",
    "closed_499": "",
    "forgotten_job": "reset",
    "foreign_poll_url": "reset",
    "job_of_another": "poll",
    "job_named_twice": "reset",
    "status_of_another": "status",
    "uptime_zero": "status",
    "repeated": "",
    "sent_again": "read",
    "slow_answer": "",
    "slow_request": "",
}
# Seconds that a request may be on its way: it arrives after the client has given it up.
SLOWEST_REQUEST: Final = 60.0
PLOTS: Final = (
    "plain", "plain", "crash", "crash", "crash_twice", "takeover", "rival", "stop", "leave",
    "pause", "direct", "client_clock", "server_clock", "suspend",
)  # fmt: skip


@frozen(kw_only=True)
class Setup:
    """One history's fixed facts. Times are seconds, shares go from 0 to 1."""

    seed: int
    vps: int
    plot: str
    reordered: bool
    is_vast: bool
    """Whether there are very many VPSes: then each is cheap, no answer is late and no disk slow."""
    rates: dict[str, float]
    preflight: PreflightWord
    policy: FleetPolicy
    limit: LimitStyle | None
    given_limit: RateLimit | None
    latency: float
    queue: float
    job: float
    job_failures: float
    hollow_jobs: float
    untrue_jobs: float
    own_reboots: float
    names_jobs: bool
    poll_shape: str
    timestamps: bool
    uptime_known: bool
    uptime_stuck: bool
    off_during_reset: bool
    queue_words: bool
    has_date: bool
    client_off: float
    server_off: float

    @property
    def longest_job(self) -> float:
        """Seconds from its send to a job's end, at most."""
        travels = SLOWEST_REQUEST if "slow_request" in self.rates else 0.0
        return travels + 1.5 * self.queue + 4.0 * self.job


def make_setup(seed: int, chance: Chance) -> Setup:
    """Draw what the seed stands for."""
    plot = chance.pick("plot", PLOTS)
    job = chance.pick("job", (0.5, 2.0, 10.0, 30.0))
    limit = draw_limit(chance)
    setup = Setup(
        seed=seed,
        vps=chance.whole("vps", 4, 16),
        plot=plot,
        reordered=chance.draw("reordered") < 0.5,
        is_vast=False,
        rates=_rates(chance),
        preflight=chance.pick("preflight", ("none", "none", "list", "gates")),
        policy=_policy(chance),
        limit=limit,
        given_limit=None,
        latency=chance.pick("latency", (0.002, 0.03, 0.3)),
        queue=chance.pick("queue", (0.0, 0.0, 5.0, 60.0, 150.0)),
        job=job,
        job_failures=chance.pick("job_failures", (0.0, 0.0, 0.05, 0.3)),
        hollow_jobs=chance.pick("hollow_jobs", (0.0, 0.0, 0.0, 0.2)),
        untrue_jobs=chance.pick("untrue_jobs", (0.0, 0.0, 0.0, 0.2)),
        own_reboots=chance.pick("own_reboots", (0.0, 0.0, 0.2)),
        names_jobs=chance.draw("names_jobs") < 0.8,
        poll_shape=chance.pick("shape", ("operation", "job", "status_data")),
        timestamps=chance.draw("timestamps") < 0.6,
        uptime_known=chance.draw("uptime") < 0.9,
        uptime_stuck=chance.draw("stuck") < 0.05,
        off_during_reset=chance.draw("off during reset") < 0.3,
        queue_words=chance.draw("queue words") < 0.3,
        has_date=chance.draw("date") < 0.9,
        client_off=chance.pick("client_off", (0.0, 0.0, -3600.0, 5.0, 86400.0)),
        server_off=chance.pick("server_off", (0.0, 0.3, -7200.0, 40.0)),
    )
    if limit is not None and limit.is_simple and chance.draw("given") < 0.2:
        setup = evolve(setup, given_limit=RateLimit(limit.requests, limit.seconds))
    return _put_to_the_test(setup, chance)


_TESTS: Final = (
    "job_timeout", "job_timeout", "conflict", "upstream_failed", "deadline", "deadline", "identity",
)  # fmt: skip
# Answers are lost, and those that come are about another job or VPS.
_MIXED_UP: Final = {
    "upstream_failed": 0.3, "job_named_twice": 0.3, "job_of_another": 0.3, "status_of_another": 0.3,
    "repeated": 0.3,
}  # fmt: skip


def _put_to_the_test(setup: Setup, chance: Chance) -> Setup:
    """Now and then one guarantee is put to the test: in most histories other things hide it."""
    test = chance.pick("test", (*[""] * 11, *_TESTS))
    calm = evolve(setup, rates={}, limit=None, given_limit=None)
    match test:
        case "":
            return setup
        case "identity":
            return evolve(calm, rates=_MIXED_UP, names_jobs=True, uptime_known=True)
        case "conflict" | "upstream_failed":
            return _trouble(calm, chance, test)
    return _short_time(calm, test, chance.between("time", 15.0, 60.0))


def _short_time(setup: Setup, bound: str, seconds: float) -> Setup:
    """The time of the run, or of each job, is over while many jobs are under way."""
    policy = evolve(
        setup.policy,
        canary=0,
        max_in_flight=None,
        deadline=seconds if bound == "deadline" else None,
        job_timeout=seconds if bound == "job_timeout" else setup.policy.job_timeout,
    )
    return evolve(setup, vps=16, queue=0.0, job=30.0, policy=policy)


def _trouble(setup: Setup, chance: Chance, kind: str) -> Setup:
    """Most actions are refused, or end in doubt.

    There are twice as many VPSes as may be in flight, and the bound is low: a second half that is
    sent in spite of it makes more failures or doubts than the bound and those in flight together.
    """
    most, in_flight = chance.pick("troubles", (1, 2)), chance.pick("in flight", (3, 8))
    policy = evolve(
        setup.policy,
        canary=0,
        deadline=None,
        max_in_flight=in_flight,
        max_failures=most if kind == "conflict" else None,
        max_ambiguous=most if kind == "upstream_failed" else None,
    )
    return evolve(setup, vps=2 * in_flight, rates={kind: 0.9}, uptime_known=False, policy=policy)


def _rates(chance: Chance) -> dict[str, float]:
    """A few kinds of faults, some often: those that are everywhere hide each other."""
    if chance.draw("calm") < 0.2:
        return {}
    share = chance.pick("share of kinds", (0.05, 0.15, 0.4))
    return {
        kind: chance.pick(f"rate of {kind}", (0.02, 0.1, 0.3))
        for kind in FAULTS
        if chance.draw(f"with {kind}") < share
    }


def _policy(chance: Chance) -> FleetPolicy:
    return FleetPolicy(
        max_in_flight=chance.pick("max_in_flight", (None, None, 1, 3, 8)),
        canary=chance.pick("canary", (0, 0, 1, 2)),
        max_failures=chance.pick("max_failures", (None, None, 1, 3)),
        max_ambiguous=chance.pick("max_ambiguous", (None, None, 1, 3)),
        cooldown=86_400.0 * 365,
        job_timeout=chance.pick("job_timeout", (900.0, 900.0, 60.0)),
        deadline=chance.pick("deadline", (None, None, None, 15.0, 40.0)),
        drain_timeout=chance.pick("drain", (900.0, 5.0)),
        verify=chance.draw("verify") < 0.2,
        on_ambiguous=chance.pick("on_ambiguous", ("report", "report", "report", RESEND)),
        evidence_interval=chance.pick("evidence", (10.0, 3.0)),
    )


def _resend() -> AmbiguousWord:
    from hostup_async import OnAmbiguous  # noqa: PLC0415 - its value is about to be renamed

    return OnAmbiguous.RESEND.value


RESEND: Final = _resend()
