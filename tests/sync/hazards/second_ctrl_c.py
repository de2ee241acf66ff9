"""A second Ctrl-C while the clean-up is stuck gives up at once, and so does the exit.

Lines:
    working
    stuck
    interrupted, quick
    usable
    closed
    0, quick
"""

from hazard_tools import Stopwatch, loop_threads, say, saying
from made_up_sync import Client

with Client(say=saying("working", "stuck", after=0.1)) as client:
    watch = Stopwatch()
    try:
        client.stick()
    except KeyboardInterrupt:
        say(f"interrupted, {watch.quick()}")
    say(client.echo("usable"))
    watch = Stopwatch()
say(f"{loop_threads()}, {watch.quick()}")
