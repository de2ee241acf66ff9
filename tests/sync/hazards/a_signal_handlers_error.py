"""What a signal's handler raises ends a call as Ctrl-C does; a handler may call, too.

Lines:
    working
    answered in the handler
    cleaning up
    cleaned up
    exit 7
    closed
"""

import signal
import sys
from types import FrameType

from hazard_tools import interrupt, say
from made_up_sync import Client

with Client(say=say) as client:

    def leave(_number: int, _frame: FrameType | None) -> None:
        say(client.echo("answered in the handler"))
        sys.exit(7)

    signal.signal(signal.SIGINT, leave)
    interrupt(0.1)
    try:
        client.work(60)
    except SystemExit as error:
        say(f"exit {error.code}")
