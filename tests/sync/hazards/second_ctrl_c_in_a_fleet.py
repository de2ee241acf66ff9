"""A second Ctrl-C while a fleet's run drains: it leaves, and says what is left.

Lines:
    run in
    a
    drains
    leaves
    closed
    left with 1 unknown, quick
    0
"""

from hazard_tools import Stopwatch, interrupt, loop_threads, say, saying
from made_up_sync import Client

watch = Stopwatch()
try:
    with (
        Client(say=saying("drains")) as client,
        client.fleet.reset(["a", "stuck", "for ever"]) as run,
    ):
        interrupt(0.1)
        for outcome in run.outcomes():
            say(outcome)
except KeyboardInterrupt as interruption:
    say("; ".join(interruption.__notes__) + f", {watch.quick()}")
say(str(loop_threads()))
