"""What a forked child has of its parent: nothing that it could wait for."""

import os
import threading
import warnings

from hostup_async import Budget


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
