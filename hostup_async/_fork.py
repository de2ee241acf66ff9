"""Objects that threads share, kept usable in a forked child.

A fork copies a lock as it is. If another thread holds it at that moment, it stays locked in the
child, where that thread does not exist, and what it guards may be half changed. So the locks of all
objects that are known here are held while the process forks.

No two threads wait for each other: these locks are the last that the forking thread takes, since
hooks before a fork run in the reverse order of their registration, and a thread that holds one of
them takes no other. They are reentrant, since a signal handler may fork while its thread holds one.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_KNOWN: Final[WeakKeyDictionary[Any, tuple[threading.RLock, Callable[[Any], None]]]] = (
    WeakKeyDictionary()
)
_KNOWN_LOCK: Final = threading.RLock()  # also of the next one
_HELD: Final = list[threading.RLock]()


def _keep(_: object) -> None:
    pass


def lock_for_forks(owner: T, *, in_child: Callable[[T], None] = _keep) -> threading.RLock:
    """A new reentrant lock for an object, which no other thread holds when the process forks.

    Args:
        owner: The object; it must be weakly referable.
        in_child: Called with the object in a forked child, while the lock is still held.
    """
    lock = threading.RLock()
    with _KNOWN_LOCK:
        _KNOWN[owner] = lock, in_child
    return lock


def _hold() -> None:
    _KNOWN_LOCK.acquire()
    for lock, _ in list(_KNOWN.values()):
        lock.acquire()
        _HELD.append(lock)


def _let_go() -> None:
    while _HELD:
        _HELD.pop().release()
    _KNOWN_LOCK.release()


def _begin_in_child() -> None:
    for owner, (_, in_child) in list(_KNOWN.items()):
        in_child(owner)
    _let_go()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_begin_in_child)
