"""Ctrl-C while a stream waits for its next item.

Lines:
    counted
    interrupted, quick
    usable
    closed
"""

from hazard_tools import Stopwatch, interrupt, say
from made_up_sync import Client

with Client(say=say) as client:
    watch = Stopwatch()
    interrupt(0.1)
    try:
        for _ in client.count(1000, pause=60):
            say("never")
    except KeyboardInterrupt:
        say(f"interrupted, {watch.quick()}")
    say(client.echo("usable"))
