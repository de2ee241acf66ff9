"""Warns where a blocking call would stop the event loop that it is called on."""

import asyncio
import inspect
import sys
import warnings
from typing import Final

_HERE: Final = __package__ or "hostup_sync"


def warn_of_running_loop() -> None:
    """Warn, once for each line that calls, that a running loop stands still meanwhile.

    In a notebook the running loop is IPython's own, and waits for the cell anyway.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not _in_ipython():
        warnings.warn(
            "A blocking call inside a running event loop: nothing else of that loop runs until "
            "the call returns. Use hostup_async there, or call from asyncio.to_thread(...).",
            RuntimeWarning,
            stacklevel=_callers_level(),
        )


def _in_ipython() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None


def _callers_level() -> int:
    """How many frames above `warn_of_running_loop` the first one outside this package is."""
    frame = inspect.currentframe()
    level = 0  # warnings.skip_file_prefixes would do this, from Python 3.12 on
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    return level


def _is_ours(name: str) -> bool:
    return name == _HERE or name.startswith(_HERE + ".")
