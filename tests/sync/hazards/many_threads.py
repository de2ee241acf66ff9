"""32 threads on one client, then two clients: one loop thread, and none after the last close.

Lines:
    32 at once: True
    1
    1
    closed
    1
    closed
    0
"""

import time
from concurrent.futures import ThreadPoolExecutor

from hazard_tools import loop_threads, say
from made_up_sync import Client

with Client(say=say) as first:
    with ThreadPoolExecutor(32) as pool:
        began = time.monotonic()
        results = list(pool.map(lambda n: first.echo(str(n)), range(3200)))
        assert results == [str(n) for n in range(3200)]
        say(f"32 at once: {time.monotonic() - began < 20}")
    say(str(loop_threads()))
    with Client(say=say) as second:
        second.nothing()
        say(str(loop_threads()))
    say(str(loop_threads()))
say(str(loop_threads()))
