"""Shows the plan before anything is sent, and asks for confirmation."""

import sys
from collections.abc import Iterator, Mapping
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


def show_plan(
    console: Console,
    plan: Plan,
    policy: FleetPolicy,
    *,
    skipped: Mapping[str, str] | None = None,
    verbose: bool = False,
) -> None:
    """Print the plan: its VPSes, those left out and why, and how many can fail at most.

    Args:
        console: Where to print.
        plan: The plan.
        policy: How it would be run.
        skipped: VPSes that a run would skip now, because of other runs, and why.
        verbose: Whether every VPS is shown.
    """
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
    if skipped:
        console.print(f"Skipped if sent now: {len(skipped)}", style="yellow")
        for line in truncate((f"{one}: {why}" for one, why in skipped.items()), most):
            console.print(f"  {printable(line)}", soft_wrap=True)
    if len(plan):
        for line in limits_in_words(plan, policy):
            console.print(line, soft_wrap=True)
    console.print(f"Plan {plan.id}, hash {plan.hash}", style="dim")


def limits_in_words(plan: Plan, policy: FleetPolicy) -> Iterator[str]:
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


def confirm_number(
    action: str, count: int, confirmation: Confirmation, *, always: bool = False
) -> None:
    """Ask for the number of VPSes, when they are more than ten.

    Args:
        action: What is done to them.
        count: The number.
        confirmation: Whether the operator has confirmed already.
        always: Whether to ask for any number of them.

    Raises:
        CommandFailed: The number is wrong, or there is no terminal to ask at.
    """
    if count > _UNASKED or (always and count):
        need = f"{vpses(count)} need{'s' * (count == 1)} confirmation"
        ask(f"To {action} {vpses(count)}, type their number: ", str(count), need, confirmation)


def ask(question: str, answer: str, need: str, confirmation: Confirmation) -> None:
    """Ask a question that one answer confirms, unless --yes has confirmed it already.

    Args:
        question: What is asked.
        answer: The answer that confirms it.
        need: What needs the confirmation, for the error where there is no terminal.
        confirmation: Whether the operator has confirmed already.

    Raises:
        CommandFailed: The answer is another one, or there is no terminal to ask at.
    """
    if confirmation.yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"{need}, and there is no terminal: add --yes"
        raise usage(message)
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != answer:
        message = f"the answer was not {answer}; nothing was sent"
        raise CommandFailed(message, ExitCode.USAGE)
