"""Ctrl-C in the body of a loop over a stream: the stream is ended as well.

Lines:
    counted
    interrupted, quick
    usable
    closed
"""

import time

from hazard_tools import Stopwatch, interrupt, say
from made_up_sync import Client

with Client(say=say) as client:
    watch = Stopwatch()
    interrupt(0.1)
    try:
        for _ in client.count(1000):
            time.sleep(60)
    except KeyboardInterrupt:
        say(f"interrupted, {watch.quick()}")
    say(client.echo("usable"))
