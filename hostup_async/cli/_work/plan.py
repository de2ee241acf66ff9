"""Shows the plan before anything is sent, and asks for confirmation."""

import sys
from collections.abc import Iterator
from typing import Final

from rich.console import Console

from hostup_async import FleetPolicy, OnAmbiguous, Plan
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode, usage
from hostup_async.cli._options import Confirmation
from hostup_async.cli._output.reasons import in_columns, label
from hostup_async.cli._output.screen import truncate, vpses

_UNASKED: Final = 10  # VPSes that need no confirmation
_SHOWN: Final = 10


def show_plan(console: Console, plan: Plan, policy: FleetPolicy, *, verbose: bool = False) -> None:
    """Print the plan: its VPSes, those left out and why, and how many can fail at most."""
    most = len(plan) + len(plan.excluded) if verbose else _SHOWN
    force = " (forced)" if plan.force else ""
    console.print(
        f"{plan.action.capitalize()}{force} {vpses(len(plan))} at {plan.origin}", style="bold"
    )
    for line in truncate((in_columns(one, plan.names) for one in plan.ids), most):
        console.print(f"  {printable(line)}", soft_wrap=True)
    if plan.excluded:
        console.print(f"Left out: {len(plan.excluded)}", style="yellow")
    reasons = (f"{label(one.vps_id, plan.names)}: {one.reason}" for one in plan.excluded)
    for line in truncate(reasons, most):
        console.print(f"  {printable(line)}", soft_wrap=True)
    if len(plan):
        for line in _limits_in_words(plan, policy):
            console.print(line, soft_wrap=True)
    console.print(f"Plan {plan.id}, hash {plan.hash}", style="dim")


def _limits_in_words(plan: Plan, policy: FleetPolicy) -> Iterator[str]:
    """What the policy promises for this plan."""
    if policy.canary and policy.canary < len(plan):
        canaries = "1 VPS goes" if policy.canary == 1 else f"{policy.canary} VPSes go"
        yield f"{canaries} first, as canary. Nothing more is sent unless all of them complete."
    yield _at_most(len(plan), policy)
    if len(plan) > 1:
        allowed = policy.ambiguous_allowed(of=len(plan))
        doubts = f"{policy.AMBIGUOUS_IN_A_ROW} in a row" if allowed is None else str(allowed)
        yield f"Nothing more is sent after {doubts} whose outcome is unknown."
    if policy.on_ambiguous is OnAmbiguous.RESEND:
        yield (
            "What a VPS's status shows not to have taken place is sent once more. A job that "
            "queues for longer than five minutes can then be carried out twice."
        )


def _at_most(total: int, policy: FleetPolicy) -> str:
    failures, window = policy.failures_allowed(of=total), policy.max_in_flight
    if total == 1:
        return "The action is sent at most once."
    if failures is None:
        return f"No limit on failures: all {total} can fail. See --max-failures."
    if window is None:
        return (
            f"At most {failures} + W can fail, where W is the number in flight that the rate limit "
            "allows. See --max-in-flight."
        )
    return f"At most {failures} + {window} = {min(total, failures + window)} can fail."


def confirm(plan: Plan, confirmation: Confirmation) -> None:
    """Ask for the number of VPSes, when they are more than ten.

    Raises:
        CommandFailed: The number is wrong, or there is no terminal to ask at.
    """
    if confirmation.yes or len(plan) <= _UNASKED:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"{len(plan)} VPSes need confirmation, and there is no terminal: add --yes"
        raise usage(message)
    sys.stderr.write(f"To {plan.action} {len(plan)} VPSes, type their number: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != str(len(plan)):
        message = "this is not the number of VPSes; nothing was sent"
        raise CommandFailed(message, ExitCode.USAGE)
