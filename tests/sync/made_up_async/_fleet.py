import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from made_up_async._models import Plan, Words


class FleetRun:
    """A run of a plan.

    Attributes:
        sent: What was sent so far.
    """

    def __init__(self, plan: Plan, say: Words) -> None:
        self.sent: list[str] = []
        self._plan = plan
        self._say = say
        self._stopped = asyncio.Event()

    @property
    def id(self) -> str:
        """What names it."""
        return "run-1"

    async def __aenter__(self) -> Self:
        self._say("run in")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if exc is not None:
            self._say("drains")
            try:
                await asyncio.sleep(0.2 if "for ever" not in self._plan.ids else 60)
            except asyncio.CancelledError as cancellation:
                self._say("leaves")
                cancellation.add_note("left with 1 unknown")
                raise
            exc.add_note(f"{len(self.sent)} accepted, 0 unknown, the rest not sent")
        self._say("run out")
        return None

    async def outcomes(self) -> AsyncIterator[str]:
        """The ends, as they come."""
        for one in self._plan.ids:
            await asyncio.sleep(0.01 if one != "stuck" else 60)
            self.sent.append(one)
            yield one

    async def wait(self) -> int:
        """Wait for all."""
        await self._stopped.wait()
        return len(self.sent)

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()  # belongs to the loop's thread

    def snapshot(self) -> Plan:
        """Where it stands."""
        return self._plan


class FleetResource:
    """Many at once."""

    def __init__(self, say: Words) -> None:
        self._say = say

    async def plan(self, *, ids: Iterable[str]) -> Plan:
        """Read only."""
        return Plan(tuple(ids))

    def run(self, plan: Plan, *, store: str | FleetRun | None = None) -> FleetRun:
        """A run, to be entered."""
        del store
        return FleetRun(plan, self._say)

    @asynccontextmanager
    async def reset(self, ids: Iterable[str]) -> AsyncIterator[FleetRun]:
        """A run, entered."""
        async with FleetRun(Plan(tuple(ids)), self._say) as run:
            yield run

    async def resume(self, run_id: str) -> FleetRun | None:
        """The run again, or None."""
        return FleetRun(Plan((run_id,)), self._say) if run_id else None

    async def runs(self) -> list[FleetRun]:
        """All of them."""
        return [FleetRun(Plan(()), self._say), FleetRun(Plan(()), self._say)]

    def watch(self, runs: Sequence[FleetRun]) -> AsyncGenerator[tuple[FleetRun, int], None]:
        """Each run with its number."""

        async def numbered() -> AsyncGenerator[tuple[FleetRun, int], None]:
            for number, run in enumerate(runs):
                yield run, number

        return numbered()


DEFAULT: Final = 3
