"""An error of a coroutine comes with few frames, none of them asyncio's; so does a stream's.

Lines:
    call ValueError 4
    task ValueError 4
    stream ClientClosed 3
    plain ConfigurationError 3
    enter ValueError 2
    timeout TimeoutError 3
"""

import traceback
from collections.abc import Callable

from hazard_tools import say
from made_up_sync import Client

import hostup_sync


def look(what: str, function: Callable[[], object]) -> None:
    try:
        function()
    except (ValueError, RuntimeError, TimeoutError) as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # without `look` itself
        assert not any("asyncio" in frame.filename for frame in frames[:-1]), frames
        say(f"{what} {type(error).__name__} {len(frames)}")


def quiet(_: str) -> None:
    pass


with Client(say=quiet) as client:
    look("call", lambda: client.fail(ValueError("x")))
    look("task", lambda: client.fail_within(ValueError("x")))
    closed = hostup_sync.Client("sk_test", base_url="http://127.0.0.1:9")
    look("stream", lambda: next(iter(closed.vps.list())))
    look("plain", lambda: closed.operation("?"))
    look("enter", Client(say=quiet, slow=-1).__enter__)
    look("timeout", client.slow_down)
