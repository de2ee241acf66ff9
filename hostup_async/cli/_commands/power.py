"""The commands that act on VPSes: reset, restart, start, stop, shutdown."""

from collections.abc import Callable
from typing import Final

from hostup_async.cli._commands.help import Commands
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import EXIT_CODES, report_errors
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Force,
    Ids,
    LimitOptions,
    Output,
    PolicyOptions,
    Selection,
    StoreOptions,
)
from hostup_async.cli._run_options import FromRun

_COMMON_HELP: Final = """

    Name the VPSes by their ids, or with --from FILE, --all, or --name, --tag and --power; or take
    them from the outcomes of an earlier run with --from-run RUN. The plan is shown before anything
    is sent; for more than ten VPSes you confirm by typing their number (--yes in scripts). Each VPS
    is sent the action at most once, as far as can be known, and its outcome is recorded.

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
_EXAMPLES: Final = (
    "hostup {0} vps_01hxa3b4c5d6e7f8g9h0j1k2m3",
    "hostup {0} --name 'web-*' --exclude keep.txt --dry-run",
    "hostup {0} --from ids.txt --max-failures 5 --max-in-flight 20 --reason 'kernel hang'",
    "hostup vps list --power {1} -o id | hostup {0} --yes -",
)
_ACTED_ON: Final = {"start": "stopped"}  # the power state in the example


def _make_command(action: str) -> Callable[..., None]:
    def command(  # noqa: PLR0913 - each is a group of options
        *,
        ids: Ids = None,
        selection: Selection,
        force: Force,
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
                force=force.force,
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
    command.__doc__ = f"{_ACTIONS[action]}{_COMMON_HELP}{EXIT_CODES}"
    without = () if action == "restart" else ("force",)
    return report_errors(expand_option_groups(command, without=without))


POWER: Final = {action: _make_command(action) for action in _ACTIONS}


def add_power_command(commands: Commands, action: str, *, panel: str | None = None) -> None:
    """Add the command for an action to a group of commands."""
    examples = [line.format(action, _ACTED_ON.get(action, "running")) for line in _EXAMPLES]
    add = commands.command(no_args_is_help=True, examples=examples, rich_help_panel=panel)
    add(POWER[action])
