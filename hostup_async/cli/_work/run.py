"""A run from its begin to its end, shown to the operator and stopped by signals."""

from collections.abc import Callable
from http import HTTPStatus

import anyio
from attrs import define, field, frozen

from hostup_async import Event, FleetReport, FleetRun, RequestDone, StopCause
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._output.views import View, showing
from hostup_async.cli._signals import answering


@define
class ForbiddenWatch:
    """Notes whether the API answered 403: the client's `on_event`.

    Attributes:
        was_forbidden: Whether it did.
    """

    was_forbidden: bool = False

    def __call__(self, event: Event) -> None:
        """Look at one event."""
        if isinstance(event, RequestDone) and event.status == HTTPStatus.FORBIDDEN:
            self.was_forbidden = True


@frozen
class FinishedRun:
    """A run that has ended in this process.

    Attributes:
        report: What became of it.
        interrupted: Whether a signal stopped it.
    """

    report: FleetReport
    interrupted: bool


async def carry_out(run: FleetRun, view: View, on_begin: Callable[[], None]) -> FinishedRun:
    """Work on a run to its end; the first signal stops the sending, the second leaves at once.

    Args:
        run: The run, not begun yet.
        view: What shows it.
        on_begin: Called once the run is recorded, so that it can be resumed from then on.
    """
    signals = _SignalActions(run, view)
    with signals.scope, answering(signals.stop, signals.leave):
        async with run:
            signals.begun = True
            on_begin()
            with showing(view, run.snapshot):
                async for outcome in run.outcomes():
                    view.tell(outcome)
    if not signals.begun:
        message = "interrupted before the run began; nothing was sent"
        raise CommandFailed(message, ExitCode.INTERRUPTED)
    return FinishedRun(await run.wait(), signals.stopped)


@define
class _SignalActions:
    """What signals do to a run."""

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
        self.view.say(
            "Stopped: nothing more is sent. Waiting for what is in flight; a second signal "
            "leaves at once. Everything is recorded."
        )

    def leave(self) -> None:
        self.scope.cancel()
