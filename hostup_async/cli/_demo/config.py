"""Turns the options of `demo` and `sandbox` into a sandbox's configuration."""

import re
from math import isfinite
from typing import Final

import typer

from hostup_async.sandbox import Durations, Fault, FaultRule, Limit, SandboxConfig

_LIMIT: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)", re.ASCII)
_BROKEN_ANSWERS: Final = (
    Fault.LOST_REPLY,
    Fault.DISCONNECT_BEFORE,
    Fault.ERROR_500,
    Fault.HTML_502,
    Fault.TRUNCATED_BODY,
)


def make_config(
    *, vps: int, limit: str, seed: int, job_seconds: float, faults: float
) -> SandboxConfig:
    """The configuration that the options describe.

    Raises:
        typer.BadParameter: An option cannot be used.
    """
    for option, value in (("--job-seconds", job_seconds), ("--faults", faults)):
        if not isfinite(value):  # some versions of Typer find nan within every range
            message = f"{value} is not a number of this kind"
            raise typer.BadParameter(message, param_hint=f"'{option}'")
    try:
        return SandboxConfig(
            vps=vps,
            limit=_read_limit(limit),
            seed=seed,
            jobs=Durations(kind="lognormal", median=job_seconds),
            faults=_fault_rules(faults),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def describe(config: SandboxConfig) -> str:
    """The rate limit, the job durations and the faults of a sandbox, in words."""
    limit = config.limit
    allowed = f"{limit.requests} requests per {limit.seconds:g} s" if limit else "no rate limit"
    faults = f"each fault at {100 * config.faults[0].rate:g} %" if config.faults else "no faults"
    return f"{allowed}, jobs of about {config.jobs.median:g} s, {faults}"


def _read_limit(text: str) -> Limit | None:
    if text.strip().lower() == "none":
        return None
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        message = f"{text!r} cannot be read: write REQUESTS/SECONDS, such as 100/5, or none."
        raise typer.BadParameter(message, param_hint="'--limit'")
    return Limit(requests=int(match[1]), seconds=float(match[2]))


def _fault_rules(rate: float) -> list[FaultRule]:
    if not rate:
        return []
    # The first reset, a demo's canary, meets none: it would end the demo before it has begun.
    resets = [FaultRule(fault, on="reset", rate=rate, skip=1) for fault in _BROKEN_ANSWERS]
    polls = [FaultRule(fault, on="poll", rate=rate) for fault in _BROKEN_ANSWERS]
    # At the reset, each job is forgotten with this rate; at a poll, those polled often would be.
    return [*resets, *polls, FaultRule(Fault.FORGOTTEN_JOB, on="reset", rate=rate, skip=1)]
