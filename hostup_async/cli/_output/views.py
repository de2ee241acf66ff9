"""The views of a running run: live on a terminal, lines on a pipe, JSON for programs."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Final, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from hostup_async import Outcome, OutcomeStatus, RunSnapshot
from hostup_async._text import printable
from hostup_async.cli._options import Output
from hostup_async.cli._output import json_lines, words
from hostup_async.cli._output.pace import Pace
from hostup_async.cli._output.reasons import in_columns
from hostup_async.cli._output.screen import Screen, emit

_LONG_RUN: Final = 60.0  # seconds; after that, a log of the run need not grow each second
_BETWEEN_LINES: Final = 10.0  # seconds, in a long run


class View(Protocol):
    """Something that shows a run.

    Attributes:
        interval: Seconds between two snapshots.
    """

    interval: float

    def update(self, snapshot: RunSnapshot) -> None:
        """Show this moment."""
        ...

    def show_outcome(self, outcome: Outcome) -> None:
        """Show the outcome of one VPS."""
        ...

    def show_message(self, text: str) -> None:
        """Show a message."""
        ...

    def close(self) -> None:
        """End the view."""
        ...


def make_view(
    console: Screen,
    output: Output,
    run_id: str,
    *,
    wait: Callable[[RunSnapshot], str],
    names: Mapping[str, str] | None = None,
    plain: bool = False,
) -> View:
    """The view that suits the options and the terminal.

    Args:
        console: Where it is drawn.
        output: How much is shown, and in which form.
        run_id: The run that is shown.
        wait: What it waits for, in words.
        names: The names of VPSes, by id, as far as they are known.
        plain: Whether lines are asked for everywhere.
    """
    names = names or {}
    if output.json:
        return JsonView(console, run_id, names)
    is_quiet = plain or output.quiet
    if console.is_live and not console.is_dumb_terminal and not is_quiet:
        return LiveView(console, wait, names, verbose=output.verbose)
    return PlainView(console, wait, names, verbose=output.verbose, quiet=output.quiet)


@contextmanager
def showing(view: View, read: Callable[[], RunSnapshot]) -> Generator[None]:
    """Keep a view up to date until the block ends."""
    task = asyncio.create_task(_keep_showing(view, read))
    try:
        yield
    finally:
        task.cancel()
        view.update(read())
        view.close()


async def _keep_showing(view: View, read: Callable[[], RunSnapshot]) -> None:
    while True:
        view.update(read())
        await asyncio.sleep(view.interval)


class _Lines:
    """Writes lines that stay."""

    def __init__(
        self,
        console: Screen,
        wait: Callable[[RunSnapshot], str],
        names: Mapping[str, str],
        *,
        verbose: bool = False,
        quiet: bool = False,
    ) -> None:
        self._console: Final = console
        self._wait: Final = wait
        self._names: Final = names
        self._verbose: Final = verbose
        self._quiet: Final = quiet
        self._pace: Final = Pace()

    def show_outcome(self, outcome: Outcome) -> None:
        """Print each VPS that did not complete; with --verbose, all of them."""
        if outcome.status is OutcomeStatus.NOT_SENT and not self._verbose:
            return  # the summary counts them
        if outcome.status is not OutcomeStatus.COMPLETED or self._verbose:
            vps = in_columns(outcome.vps_id, self._names)
            text = printable(f"{vps}  {words.describe(outcome)}")
            style = words.STYLES[outcome.status.value]
            self._console.print(Text(text, style), soft_wrap=True)

    def show_message(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(printable(text), "bold"), soft_wrap=True)


class PlainView(_Lines):
    """Writes a line for each snapshot that differs from the one before."""

    interval = 1.0
    _last = ""

    def update(self, snapshot: RunSnapshot) -> None:
        """Write one line."""
        rate = self._pace.add(snapshot)
        parts = (words.counts(snapshot), words.traffic(snapshot), self._wait(snapshot))
        line = " | ".join(part for part in parts if part)
        if not self._quiet and line != self._last:
            when = words.times(snapshot, rate)
            self._console.print(printable(f"{when} | {line}"), soft_wrap=True)
        self._last = line
        if snapshot.seconds > _LONG_RUN:
            self.interval = _BETWEEN_LINES

    def close(self) -> None:
        """Nothing: lines stay."""


class LiveView(_Lines):
    """Draws a bar below the lines that stay, and removes it at the end."""

    interval = 0.1

    @cached_property
    def _live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    def update(self, snapshot: RunSnapshot) -> None:
        """Draw this moment."""
        rate = self._pace.add(snapshot)
        lines = [words.times(snapshot, rate), words.traffic(snapshot)]
        texts = [Text(printable(line), no_wrap=True, overflow="ellipsis") for line in lines if line]
        texts += [Text(printable(why)) for why in self._wait(snapshot).split("; ") if why]
        self._live.start()
        legend = words.legend(snapshot)
        self._live.update(Group(words.Bar(snapshot), legend, *texts), refresh=True)

    def close(self) -> None:
        """Remove the drawing."""
        self._live.stop()


class JsonView:
    """Writes events, one JSON object a line."""

    interval = 1.0

    def __init__(self, console: Screen, run_id: str, names: Mapping[str, str]) -> None:
        self._console: Final = console
        self._names: Final = names
        self._run_id: Final = run_id
        self._pace: Final = Pace()

    def update(self, snapshot: RunSnapshot) -> None:
        """A `progress` event."""
        rate = self._pace.add(snapshot)
        emit(self._console, json_lines.progress_event(snapshot, rate))

    def show_outcome(self, outcome: Outcome) -> None:
        """An `outcome` event."""
        name = self._names.get(outcome.vps_id)
        emit(self._console, json_lines.outcome_event(self._run_id, outcome, name))

    def show_message(self, text: str) -> None:
        """A `message` event."""
        emit(self._console, json_lines.line("message", {"run_id": self._run_id, "text": text}))

    def close(self) -> None:
        """Nothing: lines stay."""
