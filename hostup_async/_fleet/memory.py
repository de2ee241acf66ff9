"""What a client learnt of limits and durations: loaded from a store, and saved to it.

A run keeps it in the run's own store, so that the next process begins with it; a client also in the
memory store of its key, so that it lasts within the process. What cannot be read teaches nothing.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import anyio

from hostup_async import _clock
from hostup_async._errors import StoreError
from hostup_async._models import Action
from hostup_async._polling.durations import DurationModel
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.learnt import LearntLimits
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._store.base import Store
from hostup_async._store.memory import MemoryStore
from hostup_async._store.records import LearntRecord

_INTERVAL: Final = 60.0
"""Seconds between two times that a run saves what it learnt: a kill costs no more than that."""


class Memory:
    """Lets what a client learnt last.

    Args:
        limiter: Whose limits are learnt.
        poller: Whose durations are learnt.
        origin: The API.
        fingerprint: Of the key.
    """

    def __init__(self, limiter: RateLimiter, poller: Poller, origin: str, fingerprint: str) -> None:
        self._limiter: Final = limiter
        self._poller: Final = poller
        self._origin: Final = origin
        self._fingerprint: Final = fingerprint

    @property
    def _of_process(self) -> MemoryStore:
        return MemoryStore.shared(self._origin, self._fingerprint)

    async def load(self, store: Store | None = None) -> None:
        """Begin with what a store has, as far as nothing is known yet; by default the process's."""
        for record in await (store or self._of_process).learnt(self._origin, self._fingerprint):
            if record.what == LearntRecord.LIMITS:
                self._limiter.restore(LearntLimits.from_json(record.text, age=record.age))
            else:
                with suppress(ValueError):  # an action of another version
                    model = DurationModel.from_json(record.text)
                    self._poller.restore_durations(Action(record.what), model)

    async def save(self, store: Store | None = None) -> None:
        """Keep in a store what was learnt; by default for this process."""
        records = list(self._records())
        if records:
            await (store or self._of_process).learn(records)

    async def keep_saving(self, store: Store) -> None:
        """Save now and then, until this is cancelled."""
        while True:
            await anyio.sleep(_INTERVAL)
            with suppress(StoreError):  # a lost store stops the run by itself
                await self.save(store)

    def _records(self) -> Iterator[LearntRecord]:
        limits = self._limiter.learnt()
        if not limits.is_empty:
            yield self._record(LearntRecord.LIMITS, limits.to_json(), age=limits.age)
        for action, durations in self._poller.learnt_durations().items():
            yield self._record(action.value, durations.to_json())

    def _record(self, what: str, text: str, age: float = 0.0) -> LearntRecord:
        return LearntRecord(
            origin=self._origin,
            fingerprint=self._fingerprint,
            what=what,
            text=text,
            learnt_at=_clock.wall() - age,
        )
