"""The standard streams: closed ones, ones that cannot be written, and readers that leave.

What a command prints is its result, so a full disk is an error: it is kept until the command ends
(a run goes on meanwhile), and then said. A reader that has gone, such as `head`, has what it
wanted; and a terminal that closes must not end a run, which is recorded in its store.
"""

import errno
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, TextIO

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their descriptors
_READER_IS_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET})
# The first error of a stream whose output was lost; a command ends with it.
_lost: list[OSError] = []


def open_closed_streams() -> None:
    """Open the null device in place of each standard stream that the process was begun without.

    Python sets such a stream to None, and the next file that is opened, such as the store, takes
    its descriptor: what is then printed would be written into the store.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            stream = open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 - it stays open, as the others do
            setattr(sys, name, stream)


def forget_lost_output() -> None:
    """Begin a command: what was lost before is another one's."""
    _lost.clear()


def lost_output() -> OSError | None:
    """Why output of this command could not be written; None where all was."""
    with suppress(AttributeError):  # a stream that a test put there
        OutputStream(sys.stdout).flush()
    return _lost[0] if _lost else None


class OutputStream:
    """Standard output that never raises; what is written after an error is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream
        self._is_terminal: Final = stream.isatty()  # one that has closed is none any more

    @property
    def encoding(self) -> str:
        """The encoding of the stream below."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether this is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines, or drop them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Note what was lost, and lead the descriptor to the null device."""
        if error.errno not in _READER_IS_GONE and not self._is_terminal:
            _lost.append(error)
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
            os.dup2(nowhere.fileno(), self._stream.fileno())
