"""The demo as it goes: a live view on a terminal, a line every second elsewhere."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from hostup_async.cli._demo import Progress, Status

STYLES: Final = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.REFUSED: "red",
    Status.UNKNOWN: "yellow",
    Status.UNDER_WAY: "cyan",
    Status.QUEUED: "bright_black",
    Status.NOT_SENT: "bright_black",
}
_COUNTED: Final = (
    Status.QUEUED,
    Status.UNDER_WAY,
    Status.COMPLETED,
    Status.FAILED,
    Status.UNKNOWN,
)


class View(Protocol):
    """Something that shows how far the demo is.

    Attributes:
        interval: Seconds between two looks.
    """

    interval: float

    def show(self, progress: Progress) -> None:
        """Show this moment."""
        ...

    def close(self) -> None:
        """Show no more."""
        ...


@contextmanager
def showing(view: View, look: Callable[[], Progress]) -> Generator[None]:
    """Keep a view up to date for as long as the block runs."""
    task = asyncio.create_task(_keep_showing(view, look))
    try:
        yield
    finally:
        task.cancel()
        view.close()


async def _keep_showing(view: View, look: Callable[[], Progress]) -> None:
    while True:
        view.show(look())
        await asyncio.sleep(view.interval)


class PlainView:
    """Writes a line for each look."""

    interval = 1.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, progress: Progress) -> None:
        """Write one line."""
        counts = ", ".join(f"{progress.counts.get(one, 0)} {one}" for one in _COUNTED)
        told = (f"{progress.seconds:5.1f} s", counts, _traffic(progress), _waiting(progress))
        self._console.print(" | ".join(told), soft_wrap=True)

    def close(self) -> None:
        """Nothing: lines stay."""


class LiveView:
    """Draws on the terminal, and wipes the drawing in the end."""

    interval = 0.1

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def show(self, progress: Progress) -> None:
        """Draw it anew."""
        told = Text(f"{progress.seconds:.1f} s, {_traffic(progress)}")
        drawing = Group(_Bar(progress), _legend(progress), told, Text(_waiting(progress), "italic"))
        self._live.start()
        self._live.update(drawing, refresh=True)

    def close(self) -> None:
        """Wipe it."""
        self._live.stop()


class _Bar:
    """All VPSes as one line, coloured by how far they are."""

    def __init__(self, progress: Progress) -> None:
        self._counts = progress.counts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        dash = "-" if console.options.ascii_only else "━"
        line, total = Text(), sum(self._counts.values())
        seen = drawn = 0
        for status, style in STYLES.items():
            seen += self._counts.get(status, 0)
            end = seen * options.max_width // total
            line.append(dash * (end - drawn), style)
            drawn = end
        yield line


def _legend(progress: Progress) -> Text:
    counts = ((f"{progress.counts.get(one, 0)} {one}", STYLES[one]) for one in _COUNTED)
    return Text("   ").join(Text(*count) for count in counts)


def _traffic(progress: Progress) -> str:
    rate = progress.requests / progress.seconds if progress.seconds else 0.0
    refused = progress.budget.refusals
    return f"{progress.requests} requests, {rate:.1f}/s, {refused} refused (429)"


def _waiting(progress: Progress) -> str:
    budget = progress.budget
    if budget.queued:
        return f"waiting {budget.wait:.1f} s for the rate limit, {budget.queued} queued"
    if left := progress.counts.get(Status.UNDER_WAY, 0):
        return f"waiting for jobs to end: {left}"
    return "waiting for answers" if progress.counts.get(Status.QUEUED) else "reading the books"
