"""Ctrl-C at any moment of many calls: it always comes out, and the client is usable.

Lines:
    interrupted
    usable
    closed
    0
"""

import random

from hazard_tools import interrupt, loop_threads, say
from made_up_sync import Client

with Client(say=say) as client:
    interrupt(0.03 + random.random() / 20)
    try:
        while True:
            client.nothing()
    except KeyboardInterrupt:
        say("interrupted")
    say(client.echo("usable"))
say(str(loop_threads()))
