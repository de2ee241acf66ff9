"""The files of an SQLite database: whether they are the ones that were opened, and are whole.

SQLite keeps its newest commits in a write-ahead log beside the database, `FILE-wal`, and looks
neither at what became of a file after it was opened nor for a log that is gone. Lost commits are
VPSes that look `planned` and were reset. Three things stand against that:

- While a store is open, `check` compares what the paths name now with what was opened.
- When it is opened, `Traces` says what the file system knows: which file this is, whether its log
  is there, and when it was last changed. `loss` compares that with what the database says.
- After each commit, `SqliteFile.confirm` copies the log into the database's file. So the log holds
  nothing that was confirmed to a caller, unless another process reads meanwhile.

A counter in a file beside would be lost with the log, or copied with it. What a copy never has is
the number of its original's inode.
"""

import os
from pathlib import Path
from stat import S_ISREG
from typing import Final, NoReturn

from hostup_async._errors import StoreError
from hostup_async._store.sql.database import Traces

_LOG: Final = "-wal"
_INDEX: Final = "-shm"
_LOG_HEADER: Final = 32  # bytes; a log that is shorter has no commit


class DatabaseFiles:
    """The files of one SQLite database.

    Args:
        path: The database's file, without symbolic links.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._known: dict[Path, os.stat_result] = {}
        self._breach: str | None = None

    def traces(self) -> Traces:
        """What the file system says of the database, before it is opened.

        Raises:
            StoreError: It has several names, of which each would have a log of its own.
        """
        self._breach = None
        found = self._stat(self._path)
        if found.st_nlink > 1 and S_ISREG(found.st_mode):
            msg = (
                f"The store {self._path} has {found.st_nlink} names (hard links), and each would "
                "have a log of its own: remove all but one, and use that."
            )
            raise StoreError(msg)
        self._known = {self._path: found}
        log = self._path.with_name(self._path.name + _LOG)
        return Traces(
            place=f"{os.statvfs(self._path).f_fsid:x}:{found.st_ino}",
            has_log=log.exists() and log.stat().st_size >= _LOG_HEADER,
            changed_at=found.st_ctime,
        )

    def opened(self) -> None:
        """Note which files are open; an open database has all three."""
        self.check()
        names = [self._path.name + suffix for suffix in ("", _LOG, _INDEX)]
        self._known = {path: self._stat(path) for path in map(self._path.with_name, names)}

    def check(self) -> None:
        """Make sure that the paths name the open files, and that nothing cut these off.

        Raises:
            StoreError: They do not, so what is written would be lost. From then on each call
                raises.
        """
        if self._breach is not None:
            self.lose(self._breach)
        for path, known in self._known.items():
            now = self._stat(path)
            if (now.st_dev, now.st_ino) != (known.st_dev, known.st_ino):
                self.lose(f"was replaced while it was in use ({path.name})")
            if now.st_size < known.st_size:
                self.lose(f"was cut off while it was in use ({path.name})")
            if path == self._path and now.st_nlink > 1:
                self.lose("was given a second name (a hard link) while it was in use")
            self._known[path] = now

    @property
    def written_at(self) -> int:
        """When the database's file was last written, as `check` last saw it, in nanoseconds."""
        return self._known[self._path].st_mtime_ns

    def _stat(self, path: Path) -> os.stat_result:
        try:
            return path.stat()
        except FileNotFoundError:
            return self.lose(f"was deleted or moved while it was in use ({path.name})")
        except OSError as error:
            return self.lose(f"cannot be read ({path.name}: {error.strerror})")

    def lose(self, breach: str) -> NoReturn:
        """Note that the files are lost, and raise the error that says so."""
        self._breach = breach
        msg = (
            f"The store {self._path} {breach}. Nothing more is recorded, so nothing more is sent. "
            "Put its files back, or begin a new run in another store; before you reset a VPS of "
            "this run again, see by its uptime whether it was reset."
        )
        raise StoreError(msg)
