"""Who holds a run (one store, opened in one process), and whether that process still lives."""

import asyncio
import getpass
import json
import os
import platform
import uuid
from pathlib import Path
from typing import ClassVar, Final, Self
from weakref import WeakValueDictionary

from attrs import astuple, frozen

from hostup_async import _clock

_PROC: Final = Path("/proc")
_GONE: Final = frozenset("ZXx")  # the kernel's states of a process that has ended


@frozen
class Owner:
    """The holder of a run.

    Attributes:
        host: The machine's name, to show.
        boot: Identifies the machine and its boot, and so what `_clock.boot` counts from; empty
            where that is not known.
        processes: Identifies the space of process ids on the machine.
        pid: The process.
        started: When the process started, by the kernel; empty where that is not known.
        nonce: Tells the stores of one process apart.
    """

    host: str
    boot: str
    processes: str
    pid: int
    started: str
    nonce: str

    # The event loops of this process's open stores, by nonce.
    _loops: ClassVar[WeakValueDictionary[str, asyncio.AbstractEventLoop]] = WeakValueDictionary()

    @classmethod
    def here(cls) -> Self:
        """A new owner, in this process."""
        pid = os.getpid()
        started = _started(pid) or ""
        return cls(platform.node(), _boot(), _processes(), pid, started, _clock.token(4).hex())

    @classmethod
    def read(cls, text: str) -> Self:
        """The owner that `text` was made of; raises ValueError or TypeError for another text."""
        owner = cls(*json.loads(text))
        if [type(value) for value in astuple(owner)] != [str, str, str, int, str, str]:
            msg = f"not an owner: {text!r}"
            raise ValueError(msg)
        return owner

    @property
    def text(self) -> str:
        """The owner as text, for the store."""
        return json.dumps(astuple(self))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def opened(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that this owner's store is open on an event loop of this process."""
        self._loops[self.nonce] = loop

    def closed(self) -> None:
        """Note that this owner's store is closed."""
        self._loops.pop(self.nonce, None)

    def is_alive(self) -> bool | None:
        """Whether the owner still works; None where that cannot be known from here.

        Process ids are reused, and each container has its own: only boot, space of process ids
        and starting time together identify a process. Of this very process's stores those live
        that are open on a loop that is not closed.
        """
        here = Owner.here()
        if (here.boot, here.processes) != (self.boot, self.processes):
            return None
        if here.pid == self.pid and here.started == self.started:
            loop = self._loops.get(self.nonce)
            return loop is not None and not loop.is_closed()
        if not self.started:
            return None if _exists(self.pid) else False
        return _started(self.pid) == self.started

    def shares_clock(self) -> bool:
        """Whether the owner's `_clock.boot` can be compared with those of this process."""
        return bool(self.boot) and self.boot == _boot()


def _boot() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        clock = _PROC / "self/ns/time"  # a namespace may shift the clock
        return f"{boot} {clock.readlink()}" if clock.is_symlink() else boot
    except OSError:  # not Linux
        return ""


def _processes() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:  # not Linux
        return f"{platform.node()} {uuid.getnode():x}"


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None if it is gone or that is not known."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in _GONE else rest[18]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def whoami() -> str:
    """The user and the machine, to show."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in some containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{platform.node()}"
