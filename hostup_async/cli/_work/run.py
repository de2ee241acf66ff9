"""A run from its begin to its end, under the operator's eyes and hands."""

from collections import Counter
from collections.abc import Callable

import anyio
from attrs import define, field, frozen

from hostup_async import Event, FleetReport, FleetRun, RequestDone
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._output.views import View, showing
from hostup_async.cli._signals import answering

_UNAUTHORIZED = 401
_FORBIDDEN = 403


@define
class StatusCounter:
    """Sees the answers of the API: the client's `on_event`.

    Attributes:
        statuses: Answers by HTTP status.
    """

    statuses: Counter[int | None] = field(factory=Counter[int | None])

    def __call__(self, event: Event) -> None:
        """Count one."""
        if isinstance(event, RequestDone):
            self.statuses[event.status] += 1

    @property
    def key_refused(self) -> bool:
        """Whether the API refused the key, for all or for the action."""
        return bool(self.statuses[_UNAUTHORIZED] or self.statuses[_FORBIDDEN])


@frozen
class FinishedRun:
    """A run that this process is done with.

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
    hands = _SignalActions(run, view)
    with hands.scope, answering(hands.stop, hands.leave):
        async with run:
            hands.begun = True
            on_begin()
            with showing(view, run.snapshot):
                async for outcome in run.outcomes():
                    view.tell(outcome)
    if not hands.begun:
        message = "interrupted before the run began; nothing was sent"
        raise CommandFailed(message, ExitCode.INTERRUPTED)
    return FinishedRun(await run.wait(), hands.stopped)


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
        self.run.stop("it was interrupted")
        self.view.say(
            "Stopped: nothing more is sent. Waiting for what is in flight; "
            "once more leaves at once, and everything is recorded."
        )

    def leave(self) -> None:
        self.scope.cancel()
