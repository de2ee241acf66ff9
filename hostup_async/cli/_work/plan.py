"""What is about to happen, shown before anything is sent; and whether it is really meant."""

import sys
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console

from hostup_async import FleetPolicy, OnAmbiguous, Plan
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode, usage
from hostup_async.cli._options import Confirmation
from hostup_async.cli._output.screen import truncate, vpses

_UNASKED: Final = 10
_SHOWN: Final = 10


def show_plan(
    console: Console, plan: Plan, policy: FleetPolicy | None, *, verbose: bool = False
) -> None:
    """Print the plan: how many, which, what is left out and why, and what can go wrong at most."""
    most = len(plan) + len(plan.excluded) if verbose else _SHOWN
    force = " (forced)" if plan.force else ""
    console.print(
        f"{plan.action.capitalize()}{force} {vpses(len(plan))} at {plan.origin}", style="bold"
    )
    for line in truncate(map(_named(plan), plan.ids), most):
        console.print(f"  {line}", soft_wrap=True)
    if plan.excluded:
        console.print(f"Left out: {len(plan.excluded)}", style="yellow")
    for line in truncate((f"{one.vps_id}: {one.reason}" for one in plan.excluded), most):
        console.print(f"  {printable(line)}", soft_wrap=True)
    if policy is not None and len(plan):
        for line in bounds_in_words(plan, policy):
            console.print(line, soft_wrap=True)
    console.print(f"Plan {plan.id}, hash {plan.hash}", style="dim")


def _named(plan: Plan) -> Callable[[str], str]:
    def told(vps_id: str) -> str:
        name = plan.names.get(vps_id)
        return printable(f"{vps_id}  {name}" if name else vps_id)

    return told


def bounds_in_words(plan: Plan, policy: FleetPolicy) -> Iterator[str]:
    """What the policy promises of this plan."""
    if policy.canary and policy.canary < len(plan):
        first = "1 goes" if policy.canary == 1 else f"{policy.canary} go"
        yield f"{first} first as canary: unless it completes, nothing more is sent."
    yield _at_most(len(plan), policy)
    if policy.on_ambiguous is OnAmbiguous.RESEND:
        yield "What is proved not to have been done is sent once more."


def _at_most(total: int, policy: FleetPolicy) -> str:
    failures, window = policy.failures_allowed(of=total), policy.max_in_flight
    if total == 1:
        return "It is sent at most once."
    if failures is None:
        return f"No bound on failures: all {total} can fail. See --max-failures."
    if window is None:
        return (
            f"At most {failures} + W can fail, W being what the rate limit lets be unknown at "
            "once. See --max-in-flight."
        )
    return f"At most {failures} + {window} = {min(total, failures + window)} can fail."


def agree(plan: Plan, consent: Confirmation) -> None:
    """Return if it is meant; above ten VPSes the count is to be typed.

    Raises:
        CommandFailed: It is not, or nobody can be asked.
    """
    if consent.yes or len(plan) <= _UNASKED:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"{len(plan)} VPSes, and no terminal to ask at: add --yes if it is meant"
        raise usage(message)
    sys.stderr.write(f"To {plan.action} {len(plan)} VPSes, type their number: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != str(len(plan)):
        message = "that is not the number; nothing was sent"
        raise CommandFailed(message, ExitCode.USAGE)
