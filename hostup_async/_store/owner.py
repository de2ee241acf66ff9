"""Who holds a run (one store, opened in one process), and whether that process still lives."""

import getpass
import json
import os
import platform
import uuid
from pathlib import Path
from typing import Final, Self

from attrs import astuple, frozen

from hostup_async import _clock

_PROC: Final = Path("/proc")
_GONE: Final = frozenset("ZXx")  # the kernel's states of a process that has ended


@frozen
class Owner:
    """The holder of a run.

    Attributes:
        host: The machine's name, to show.
        machine: Identifies the machine, its boot, and the process id namespace.
        pid: The process.
        started: When the process started, by the kernel; empty where that is not known.
        nonce: Tells the stores of one process apart.
    """

    host: str
    machine: str
    pid: int
    started: str
    nonce: str

    @classmethod
    def here(cls) -> Self:
        """A new owner, in this process."""
        pid = os.getpid()
        return cls(platform.node(), _machine(), pid, _started(pid) or "", _clock.token(4).hex())

    @classmethod
    def read(cls, text: str) -> Self:
        """The owner that `text` was made of."""
        return cls(*json.loads(text))

    @property
    def text(self) -> str:
        """The owner as text, for the store."""
        return json.dumps(astuple(self))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_alive(self) -> bool | None:
        """Whether the process lives; None where that cannot be known from here.

        Process ids are reused, and each container has its own: only machine, namespace and
        starting time together identify a process.
        """
        here = Owner.here()
        if here.machine != self.machine:
            return None
        if here.pid == self.pid and here.started == self.started:
            return None  # another store of this process: its heartbeat tells
        if not self.started:
            return None if _exists(self.pid) else False
        return _started(self.pid) == self.started


def boot_seconds() -> float:
    """Seconds since this machine booted, including those in which it slept.

    Leases are measured by it: setting the wall clock does not move it, and a laptop that was
    shut for an hour sees that the hour has passed.
    """
    return _clock.boot()


def _machine() -> str:
    """This boot of this machine, and this space of process ids."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
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
