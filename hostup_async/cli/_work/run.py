"""Executes a run: shows it as it goes, and lets signals stop it."""

from collections.abc import Callable

import anyio
from attrs import define, field, frozen

from hostup_async import FleetReport, FleetRun, StopCause
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._output.views import View, showing
from hostup_async.cli._signals import on_signals


@frozen
class FinishedRun:
    """A run that this process has finished with.

    Attributes:
        report: Its report.
        interrupted: Whether a signal came, also after something else had stopped it: then the
            report's `stop_cause` is that.
    """

    report: FleetReport
    interrupted: bool


async def execute(run: FleetRun, view: View, on_begin: Callable[[], None]) -> FinishedRun:
    """Execute a run. The first signal stops the sending, the second leaves at once.

    Args:
        run: The run, not begun yet.
        view: Shows the run as it goes.
        on_begin: Called once the run is recorded, so that it can be resumed from then on.
    """
    actions = _SignalActions(run, view)
    with actions.scope, on_signals(actions.stop, actions.leave):
        async with run:
            actions.begun = True
            on_begin()
            with showing(view, run.snapshot):
                async for outcome in run.outcomes():
                    view.show_outcome(outcome)
    if not actions.begun:
        message = "interrupted before the run began; nothing was sent"
        raise CommandFailed(message, ExitCode.INTERRUPTED)
    return FinishedRun(await run.wait(), actions.stopped)


@define
class _SignalActions:
    """The actions of the first and of the second signal on a run."""

    run: FleetRun
    view: View
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    begun: bool = False
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True
        if not self.begun:
            self.scope.cancel()
            return
        self.run.stop("it was interrupted", cause=StopCause.INTERRUPTED)
        self.view.show_message(
            "Stopped: nothing more is sent. Waiting for what is in flight; press Ctrl-C again to "
            "leave at once. Everything is recorded."
        )

    def leave(self) -> None:
        self.scope.cancel()
