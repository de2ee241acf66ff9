"""The commands that act: reset, restart, start, stop, shutdown; one VPS or a fleet."""

from collections.abc import Callable
from typing import Final

from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import guarded
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Ids,
    Output,
    PolicyOptions,
    Selection,
    StoreOptions,
)

_MANNER: Final = """

    The VPSes come from arguments, --from FILE, --name or --all. The plan is shown before anything
    is sent, and above ten VPSes its count is to be typed (--yes for scripts). Each VPS is sent
    to at most once, as far as can be known; what it came to is recorded in the store.

    Ctrl-C sends nothing more, waits for what is in flight, and prints the command that resumes
    the run; a second one leaves at once.

    Exit codes: 0 all completed, 1 some failed, were refused or skipped, 2 wrong options,
    3 stopped by a failure budget or the canary, 4 of some nobody can tell, 5 the key is missing
    or refused, 130 interrupted.
    """
_DOES: Final = {
    "reset": "Force a hard reset: the power button held down, for guests that no longer answer.",
    "restart": "Ask guests to reboot; with --force, do not wait for them to agree.",
    "start": "Start stopped VPSes.",
    "stop": "Cut the power, without telling the guest.",
    "shutdown": "Ask guests to power off.",
}


def _acting(action: str, does: str) -> Callable[..., None]:
    def command(  # noqa: PLR0913 - each is a group of options
        *,
        ids: Ids = None,
        selection: Selection,
        bounds: PolicyOptions,
        consent: Confirmation,
        output: Output,
        stored: StoreOptions,
        connection: AccountOptions,
    ) -> None:
        from hostup_async.cli._work.fleet import FleetCommand, act  # noqa: PLC0415 - --help need not wait

        request = FleetCommand(action, ids or [], selection, connection, stored, consent, output)
        act(request, bounds)

    command.__name__ = action
    command.__doc__ = does + _MANNER
    return guarded(expand_option_groups(command))


POWER: Final = tuple(_acting(action, does) for action, does in _DOES.items())
RESET: Final = POWER[0]
