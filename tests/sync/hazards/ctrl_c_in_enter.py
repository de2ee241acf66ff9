"""Ctrl-C while a client opens.

Lines:
    entering
    entered or not
    interrupted, quick
    0
"""

from hazard_tools import Stopwatch, loop_threads, say, saying
from made_up_sync import Client

watch = Stopwatch()
try:
    with Client(say=saying("entering"), slow=60):
        say("never")
except KeyboardInterrupt:
    say(f"interrupted, {watch.quick()}")
say(str(loop_threads()))
