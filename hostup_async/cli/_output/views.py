"""A run as it goes: a live view on a terminal, lines on a pipe, JSON for programs."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hostup_async import Outcome, OutcomeStatus, RunSnapshot
from hostup_async._text import printable
from hostup_async.cli._options import Output
from hostup_async.cli._output import json_lines, words
from hostup_async.cli._output.pace import Pace

# Who reads lines of a long run later does not want thousands of them.
_LONG_RUN: Final = 60.0
_BETWEEN_LINES: Final = 10.0


class View(Protocol):
    """Something that shows a run.

    Attributes:
        interval: Seconds between two looks.
    """

    interval: float

    def show(self, snapshot: RunSnapshot) -> None:
        """Show this moment."""
        ...

    def tell(self, outcome: Outcome) -> None:
        """Tell what became of one VPS."""
        ...

    def say(self, text: str) -> None:
        """Say something in between."""
        ...

    def close(self) -> None:
        """Show no more."""
        ...


def make_view(console: Console, output: Output, run_id: str) -> View:
    """The view that suits the options and the terminal."""
    if output.json:
        return JsonView(console, run_id)
    if console.is_terminal and not console.is_dumb_terminal and not output.quiet:
        return LiveView(console, verbose=output.verbose)
    return PlainView(console, verbose=output.verbose, quiet=output.quiet)


@contextmanager
def showing(view: View, look: Callable[[], RunSnapshot]) -> Generator[None]:
    """Keep a view up to date for as long as the block runs."""
    task = asyncio.create_task(_keep_showing(view, look))
    try:
        yield
    finally:
        task.cancel()
        view.show(look())
        view.close()


async def _keep_showing(view: View, look: Callable[[], RunSnapshot]) -> None:
    while True:
        view.show(look())
        await asyncio.sleep(view.interval)


class _Lines:
    """Writes lines that stay."""

    def __init__(self, console: Console, *, verbose: bool, quiet: bool = False) -> None:
        self._console: Final = console
        self._verbose: Final = verbose
        self._quiet: Final = quiet
        self._pace: Final = Pace()

    def tell(self, outcome: Outcome) -> None:
        """A line for what did not complete; for the others where all are wanted."""
        if outcome.status is OutcomeStatus.NOT_SENT and not self._verbose:
            return  # the summary counts them
        if outcome.status is not OutcomeStatus.COMPLETED or self._verbose:
            told = printable(f"{outcome.vps_id}  {words.told_of(outcome)}")
            style = words.STYLES[outcome.status.value]
            self._console.print(Text(told, style), soft_wrap=True)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(Text(text, "bold"), soft_wrap=True)


class PlainView(_Lines):
    """Writes a line for each look that shows something new."""

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
        super().__init__(console, verbose=verbose, quiet=quiet)
        self.interval = 1.0
        self._last = ""

    def show(self, snapshot: RunSnapshot) -> None:
        """Write one line."""
        rate = self._pace.see(snapshot)
        parts = (words.counts(snapshot), words.traffic(snapshot), words.wait(snapshot))
        told = " | ".join(part for part in parts if part)
        if not self._quiet and told != self._last:
            when = words.times(snapshot, rate, self._pace.left(snapshot, rate))
            self._console.print(f"{when} | {told}", soft_wrap=True)
        self._last = told
        if snapshot.seconds > _LONG_RUN:
            self.interval = _BETWEEN_LINES

    def close(self) -> None:
        """Nothing: lines stay."""


class LiveView(_Lines):
    """Draws below the lines that stay, and wipes the drawing in the end."""

    interval = 0.1

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        super().__init__(console, verbose=verbose)
        self._live: Final = Live(console=console, auto_refresh=False, transient=True)

    def show(self, snapshot: RunSnapshot) -> None:
        """Draw it anew."""
        rate = self._pace.see(snapshot)
        lines = (
            words.times(snapshot, rate, self._pace.left(snapshot, rate)),
            words.traffic(snapshot),
            words.wait(snapshot),
        )
        texts = [Text(told, no_wrap=True, overflow="ellipsis") for told in lines if told]
        self._live.start()
        legend = words.legend(snapshot)
        self._live.update(Group(words.Bar(snapshot), legend, *texts), refresh=True)

    def close(self) -> None:
        """Wipe it."""
        self._live.stop()


class JsonView:
    """Writes events, one JSON object a line."""

    interval = 1.0

    def __init__(self, console: Console, run_id: str) -> None:
        self._console: Final = console
        self._run_id: Final = run_id
        self._pace: Final = Pace()

    def show(self, snapshot: RunSnapshot) -> None:
        """A `progress` event."""
        rate = self._pace.see(snapshot)
        left = self._pace.left(snapshot, rate)
        self._write(json_lines.progress_event(snapshot, rate, left))

    def tell(self, outcome: Outcome) -> None:
        """An `outcome` event."""
        self._write(json_lines.outcome_event(self._run_id, outcome))

    def say(self, text: str) -> None:
        """A `message` event."""
        self._write(json_lines.line("message", {"run_id": self._run_id, "text": text}))

    def close(self) -> None:
        """Nothing: lines stay."""

    def _write(self, text: str) -> None:
        self._console.file.write(text + "\n")
        self._console.file.flush()
