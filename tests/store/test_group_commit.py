import asyncio

import pytest

from hostup_async import StoreError
from hostup_async._store.sql.group_commit import GroupWriter


class Journal:
    """Takes groups, one at a time, when it is told to; some fail."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.errors: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, group: list[int]) -> None:
        await self.gate.wait()
        self.groups.append(group)
        if self.errors:
            raise self.errors.pop(0)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_during_a_commit_is_one_group() -> None:
    journal = Journal()
    writer = GroupWriter(journal.commit)
    journal.gate.clear()
    first = asyncio.create_task(writer.write(0))
    await turns()
    others = [asyncio.create_task(writer.write(number, -number)) for number in range(1, 4)]
    await turns()
    assert not any(task.done() for task in [first, *others])
    journal.gate.set()
    await asyncio.gather(first, *others)
    assert journal.groups == [[0], [1, -1, 2, -2, 3, -3]]


async def test_a_failure_reaches_all_of_its_group_and_the_next_goes_on() -> None:
    journal = Journal()
    journal.errors = [StoreError("full")]
    writer = GroupWriter(journal.commit)
    failed = await asyncio.gather(*map(writer.write, range(3)), return_exceptions=True)
    assert [str(error) for error in failed] == ["full"] * 3
    assert len({id(error) for error in failed}) == 3
    await writer.write(9)
    assert journal.groups[-1] == [9]


async def test_a_cancelled_callers_items_are_written_and_flushed() -> None:
    journal = Journal()
    writer = GroupWriter(journal.commit)
    journal.gate.clear()
    tasks = [asyncio.create_task(writer.write(number)) for number in range(3)]
    await turns()
    tasks[1].cancel()
    await turns()
    assert tasks[1].cancelled()
    flush = asyncio.create_task(writer.flush())
    await turns()
    assert not flush.done()
    journal.gate.set()
    await flush
    assert sorted(number for group in journal.groups for number in group) == [0, 1, 2]
    await asyncio.gather(tasks[0], tasks[2])


async def test_a_runner_that_cancels_all_tasks_cuts_no_commit_off() -> None:
    journal = Journal()
    writer = GroupWriter(journal.commit)
    journal.gate.clear()
    first = asyncio.create_task(writer.write(1))
    await turns()
    second = asyncio.create_task(writer.write(2))
    await turns()
    assert writer._task
    assert not writer._task.cancel()
    await turns()
    journal.gate.set()
    await asyncio.gather(first, second)
    assert journal.groups == [[1], [2]]


async def test_nothing_waits_for_ever_when_the_interpreter_ends() -> None:
    journal = Journal()
    journal.errors = [asyncio.CancelledError()]
    journal.gate.clear()
    writer = GroupWriter(journal.commit)
    callers = [asyncio.create_task(writer.write(number)) for number in (1, 2)]
    await turns()
    late = asyncio.create_task(writer.write(3))
    await turns()
    journal.gate.set()
    results = await asyncio.gather(*callers, late, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 3


async def test_flushing_nothing_returns_at_once() -> None:
    await GroupWriter(Journal().commit).flush()


async def test_a_mistake_of_ours_is_not_swallowed() -> None:
    journal = Journal()
    journal.errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await GroupWriter(journal.commit).write(1)
