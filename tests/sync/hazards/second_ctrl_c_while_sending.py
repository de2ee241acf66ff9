"""A reset whose answer does not come is waited for, until a second Ctrl-C; leaving is quick too.

Server: stall reset
Log: The outcome of the reset
Lines:
    interrupted, quick
    left, quick
    0
"""

from hazard_tools import Stopwatch, interrupt, loop_threads, say

from hostup_sync import Client

watch = Stopwatch()
try:
    with Client() as client:
        vps = next(iter(client.vps.list()))
        interrupt(0.3)
        interrupt(0.6)
        try:
            client.vps.reset(vps.id)
        except KeyboardInterrupt:
            watch.began += 0.6
            say(f"interrupted, {watch.quick()}")
            watch = Stopwatch()
            raise
except KeyboardInterrupt:
    watch.began += 0.6  # twice its haste
    say(f"left, {watch.quick()}")
say(str(loop_threads()))
