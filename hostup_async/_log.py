"""The environment variable that shows the package's log, for programs that set up none.

Loggers: `hostup.http` (requests, retries, 429s), `hostup.fleet` (runs and their store), and
`hostup.events` (errors of the `on_event` callback); docs/events.md describes them.
"""

import logging
import os
import sys
from typing import Final

from hostup_async._errors import ConfigurationError

LOG_VARIABLE: Final = "HOSTUP_LOG"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_ROOT: Final = logging.getLogger("hostup")


class FallbackHandler(logging.Handler):
    """Writes to standard error the records that no other handler gets.

    It decides for each record anew, since a program may set up its log after our first client.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if self._has_others(logging.getLogger(record.name)):
            return
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as every handler does: a log that fails is no error of ours
            self.handleError(record)

    def _has_others(self, logger: logging.Logger | None) -> bool:
        while logger is not None:
            if any(one is not self for one in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


_FALLBACK: Final = FallbackHandler()
_FALLBACK.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def follow_environment() -> None:
    """Set the log's level by `HOSTUP_LOG`, and write it to standard error if nothing else does.

    A level that the program has set itself stays.

    Raises:
        ConfigurationError: The variable is none of the words that it may be.
    """
    word = os.environ.get(LOG_VARIABLE, "").strip().lower()
    if not word:
        return
    if word not in _LEVELS:
        msg = f"{LOG_VARIABLE} must be one of {', '.join(_LEVELS)}, not {word!r:.80}."
        raise ConfigurationError(msg)
    if _ROOT.level == logging.NOTSET:
        _ROOT.setLevel(_LEVELS[word])
    _ROOT.addHandler(_FALLBACK)  # once, however often
