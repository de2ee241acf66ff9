"""What a forked child has of its parent: nothing that it could wait for."""

import asyncio
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from hostup_async import Budget, RateLimit
from hostup_async._http.server_clock import Moment, ServerClock
from hostup_async._store.memory import MemoryStore


def told_by_child(key: str, ours: Budget) -> bytes:
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 warns of forks while threads run
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        theirs = Budget.shared("https://a", key)
        os.write(writer, f"{theirs is ours} {theirs.snapshot().in_flight}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    return told


async def test_a_forked_child_begins_with_a_budget_of_its_own() -> None:
    ours = Budget.shared("https://a", "key")
    permit = await ours._limiter.acquire()
    assert told_by_child("key", ours) == b"False 0"
    assert Budget.shared("https://a", "key") is ours
    permit.spend()


def test_a_fork_while_other_threads_look_for_their_budgets_does_not_hang() -> None:
    ours = Budget.shared("https://a", "key")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            Budget.shared("https://b", "key")

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert told_by_child("key", ours) == b"False 0"
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def exit_code_of_child(work: Callable[[], object]) -> int:
    """How a forked child ends that does this, and is killed if it takes 20 seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        killer = threading.Timer(20, os._exit, [99])
        killer.daemon = True
        killer.start()
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def use_budget() -> tuple[Any, Callable[[], object]]:
    budget = Budget(RateLimit(2, 60))

    def take() -> None:
        asyncio.run(budget._limiter.acquire(max_wait=0.0))

    return budget._limiter, take


def use_clock() -> tuple[Any, Callable[[], object]]:
    clock = ServerClock("a")
    return clock, lambda: clock.at(Moment.now())


def use_store() -> tuple[Any, Callable[[], object]]:
    store = MemoryStore()

    async def open_and_read() -> None:
        async with store:
            await store.learnt("https://a")

    return store, lambda: asyncio.run(open_and_read())


@pytest.mark.parametrize("make", [use_budget, use_clock, use_store])
def test_a_lock_that_another_thread_holds_at_the_fork_is_free_in_the_child(
    make: Callable[[], tuple[Any, Callable[[], object]]],
) -> None:
    owner, use = make()
    is_held, stop = threading.Event(), threading.Event()

    def hold_again_and_again(lock: AbstractContextManager[Any]) -> None:
        while not stop.is_set():
            with lock:
                is_held.set()
                stop.wait(0.01)
            stop.wait(0.001)

    thread = threading.Thread(target=hold_again_and_again, args=[owner._lock])
    thread.start()
    try:
        is_held.wait()
        for _ in range(5):
            assert exit_code_of_child(use) == 0
    finally:
        stop.set()
        thread.join()


async def test_what_the_parent_sends_and_waits_for_is_not_the_childs() -> None:
    budget = Budget(RateLimit(2, 60))
    limiter = budget._limiter
    permits = [await limiter.acquire() for _ in range(2)]
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    assert budget.snapshot().queued == 1

    def take_both() -> None:
        permits.pop().refund()  # as the end of the parent's coroutines does
        assert (budget.snapshot().in_flight, budget.snapshot().queued) == (0, 0)
        take = threading.Thread(target=lambda: asyncio.run(take_two()))
        take.start()
        take.join()
        assert budget.snapshot().in_flight == 2

    async def take_two() -> None:
        for _ in range(2):
            await limiter.acquire(max_wait=0.0)

    assert exit_code_of_child(take_both) == 0
    assert (budget.snapshot().in_flight, budget.snapshot().queued) == (2, 1)
    permits.pop().refund()
    (await waiting).refund()
