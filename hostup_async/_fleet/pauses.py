"""Pauses that another process asks for: found in the store, and applied to the run at work here."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio

from hostup_async._errors import StoreError
from hostup_async._fleet.engine import Engine
from hostup_async._fleet.trail import AuditTrail
from hostup_async._store.base import Store

if TYPE_CHECKING:
    from hostup_async._store.records import AuditRecord

# Seconds between two reads of the store: an operator waits no longer, and a read takes 1 ms.
_INTERVAL: Final = 3.0


async def follow_pauses(store: Store, run_id: str, engine: Engine, trail: AuditTrail) -> None:
    """Pause and unpause the sending as the store says, until this is cancelled.

    Only a change in the store counts. A pause of this process stands in the store too, a moment
    later: what is read while one is being written is outdated, and is read again.
    """
    last: AuditRecord | None = None
    while True:
        await anyio.sleep(_INTERVAL)
        added = trail.added
        with suppress(StoreError):  # a lost store stops the run by itself
            pause = await store.pause_of(run_id)
            if pause != last and trail.is_written and trail.added == added:
                last = pause
                engine.pause(on=pause is not None)
