"""One history of very many VPSes: `python -m simulation --vps 1000000`."""

from typing import Final

from attrs import evolve

from hostup_async import FleetPolicy, RateLimit
from simulation.chance import Chance
from simulation.limits import LimitStyle
from simulation.play import Result, play_setup
from simulation.setup import Setup, make_setup

# The limit of an account with very many VPSes.
_LIMIT: Final = LimitStyle(kind="fixed", requests=6_000, seconds=60.0)


def large(vps: int) -> Setup:
    """A fleet of this size, with a few faults of each kind that a fleet sees in passing."""
    setup = make_setup(0, Chance(0))
    return evolve(
        setup,
        vps=vps,
        plot="plain",
        reordered=False,
        is_vast=True,
        rates={"lost_reply": 1e-4, "error_503": 1e-4, "forgotten_job": 1e-4},
        preflight="list",
        policy=FleetPolicy(cooldown=86_400.0),
        limit=_LIMIT,
        given_limit=RateLimit(_LIMIT.requests, _LIMIT.seconds),
        latency=0.03,
        queue=0.0,
        job=10.0,
        job_failures=1e-4,
        hollow_jobs=0.0,
        untrue_jobs=1e-4,
        own_reboots=0.0,
        names_jobs=True,
        poll_shape="operation",
        timestamps=True,
        uptime_known=True,
        uptime_stuck=False,
        off_during_reset=False,
        queue_words=False,
        has_date=True,
        client_off=0.0,
        server_off=0.3,
    )


def play_large(vps: int) -> Result:
    """Play it."""
    return play_setup(large(vps))
