"""Whatever is done in whatever order, the store in a file and the store in memory agree."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from store_tools import Clock, a_run, in_file, planned, stored
from tools import examples

from hostup_async import EntryState, HostUpError, RunState, Store
from hostup_async._store.memory import MemoryStore

RUNS = st.sampled_from([f"r{number}" for number in range(5)])
VPSES = st.lists(st.integers(0, 6), unique=True, min_size=1, max_size=5)


class Stores(RuleBasedStateMachine):
    """Does the same to both, and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.server_now = 1000.0
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        file = in_file(Path(self.folder.name) / "fleet.db", clock=self.clock)
        self.stores: list[Store] = [MemoryStore(clock=self.clock), file]
        self.known: set[str] = set()
        self.both(lambda store: store.open())

    def teardown(self) -> None:
        self.both(lambda store: store.aclose())
        self.runner.close()
        self.folder.cleanup()

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        async def ask(store: Store) -> Any:
            try:
                return await call(store)
            except HostUpError as error:
                return type(error)

        first, second = (self.runner.run(ask(store)) for store in self.stores)
        assert first == second
        return first

    @rule(
        run_id=RUNS,
        numbers=VPSES,
        cooldown=st.sampled_from([0.0, 60.0, 600.0]),
        origin=st.sampled_from(["https://a", "https://b"]),
        server_knows=st.booleans(),
    )
    def create(
        self, run_id: str, numbers: list[int], cooldown: float, origin: str, *, server_knows: bool
    ) -> None:
        run, entries = a_run(run_id, origin=origin, created_at=self.clock.now), planned(*numbers)
        server_now = self.server_now if server_knows else None
        self.both(
            lambda store: store.create(run, entries, cooldown=cooldown, server_now=server_now)
        )
        self.known.add(run_id)

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(),
        state=st.sampled_from(list(EntryState)),
        is_sent=st.booleans(),
        server_knows=st.booleans(),
    )
    def save(
        self, data: st.DataObject, state: EntryState, *, is_sent: bool, server_knows: bool
    ) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.known)))
        entries = self.both(lambda store: stored(store, run_id))
        if not isinstance(entries, list) or not entries:
            return
        entry = data.draw(st.sampled_from(entries))
        if entry.state.is_terminal:  # what has settled stays settled
            state = state.if_abandoned
        changed = attrs.evolve(
            entry,
            state=state,
            request_ids=("a", "b"),
            sent_at=self.clock.now if is_sent else None,
            sent_server_low=self.server_now if server_knows else None,
            sent_server_high=self.server_now + 1 if server_knows else None,
        )
        self.both(lambda store: store.save(run_id, [changed]))

    @rule(run_id=RUNS, state=st.sampled_from([RunState.STOPPED, RunState.FINISHED]))
    def release(self, run_id: str, state: RunState) -> None:
        self.both(lambda store: store.release(run_id, state))

    @rule(run_id=RUNS)
    def acquire(self, run_id: str) -> None:
        self.both(lambda store: store.acquire(run_id, who="me"))

    @rule(run_id=RUNS)
    def abandon(self, run_id: str) -> None:
        self.both(lambda store: store.abandon(run_id, who="me"))

    @rule(
        seconds=st.sampled_from([1.0, 59.0, 61.0, 599.0]),
        step=st.sampled_from([-100.0, 0.0, 1e6]),
    )
    def let_time_pass(self, seconds: float, step: float) -> None:
        """Of the server's clock the seconds; this machine's is set as well."""
        self.server_now += seconds
        self.clock.now += seconds + step

    @rule()
    def open_again(self) -> None:
        self.both(lambda store: store.aclose())
        self.both(lambda store: store.open())

    @invariant()
    def all_is_the_same(self) -> None:
        self.both(lambda store: store.runs())
        for run_id in self.known:
            self.both(lambda store, run_id=run_id: stored(store, run_id))  # type: ignore[misc]
            self.both(lambda store, run_id=run_id: store.audit(run_id))  # type: ignore[misc]

    @invariant()
    def they_hold_the_same_runs(self) -> None:
        first, second = ([store.holds(run_id) for run_id in self.known] for store in self.stores)
        assert first == second

    @invariant()
    def no_vps_is_in_two_hands(self) -> None:
        held: set[tuple[str, str]] = set()
        for run in self.both(lambda store: store.runs()):
            if not run.state.is_open:
                continue
            for entry in self.both(lambda store, run=run: stored(store, run.id)):  # type: ignore[misc]
                if not entry.state.is_terminal:
                    assert (run.origin, entry.vps_id) not in held
                    held.add((run.origin, entry.vps_id))


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=examples(25), stateful_step_count=25, deadline=None)
