"""SystemExit and KeyboardInterrupt raised by a coroutine, or by a task of one, reach the caller.

Lines:
    SystemExit 3
    KeyboardInterrupt
    SystemExit 4
    KeyboardInterrupt
    the loop lives
    1
    closed
"""

from hazard_tools import loop_threads, say
from made_up_sync import Client

with Client(say=say) as client:
    for function, error in [
        (client.fail, SystemExit(3)),
        (client.fail, KeyboardInterrupt()),
        (client.fail_within, SystemExit(4)),
        (client.fail_within, KeyboardInterrupt()),
    ]:
        try:
            function(error)
        except (SystemExit, KeyboardInterrupt) as raised:
            say(f"{type(raised).__name__} {getattr(raised, 'code', '')}".strip())
    say(client.echo("the loop lives"))
    say(str(loop_threads()))
