"""The commands that act on VPSes: reset, restart, start, stop, shutdown."""

from collections.abc import Callable
from typing import Final

from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import EXIT_CODES, report_errors
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Ids,
    LimitOptions,
    Output,
    PolicyOptions,
    Selection,
    StoreOptions,
)
from hostup_async.cli._run_options import FromRun

_COMMON_HELP: Final = """

    Name the VPSes by their ids, or with --from FILE, --name or --all; or take them from the
    outcomes of an earlier run with --from-run RUN. The plan is shown before
    anything is sent; for more than ten VPSes you confirm by typing their number (--yes in
    scripts). Each VPS is sent the action at most once, as far as can be known, and its outcome
    is recorded.

    Ctrl-C stops the sending, waits for what is in flight, and prints the command that resumes
    the run. A second Ctrl-C leaves at once.

    """
_ACTIONS: Final = {
    "reset": "Force a hard reset, for guests that no longer answer.",
    "restart": "Ask guests to reboot; --force does not wait for them to agree.",
    "start": "Start stopped VPSes.",
    "stop": "Cut the power without warning the guest.",
    "shutdown": "Ask guests to power off.",
}


def _make_command(action: str, summary: str) -> Callable[..., None]:
    def command(  # noqa: PLR0913 - each is a group of options
        *,
        ids: Ids = None,
        selection: Selection,
        policy: PolicyOptions,
        confirmation: Confirmation,
        source: FromRun,
        output: Output,
        store: StoreOptions,
        account: AccountOptions,
        limits: LimitOptions,
    ) -> None:
        from hostup_async.cli._work.fleet import FleetCommand, act  # noqa: PLC0415 - --help need not wait

        act(
            FleetCommand(
                action=action,
                ids=ids or [],
                selection=selection,
                policy=policy,
                account=account,
                limits=limits,
                store=store,
                confirmation=confirmation,
                output=output,
                source=source,
            )
        )

    command.__name__ = action
    command.__doc__ = f"{summary}{_COMMON_HELP}{EXIT_CODES}"
    return report_errors(expand_option_groups(command))


POWER: Final = tuple(_make_command(action, summary) for action, summary in _ACTIONS.items())
RESET: Final = POWER[0]
