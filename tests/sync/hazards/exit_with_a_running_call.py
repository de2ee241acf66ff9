"""The interpreter exits while a daemon thread is in a call, and a stream is half read.

Warnings: unclosed <CLIENT>: use it in a `with` block, or call its close()
Lines:
    working
    0
    cleaning up
    counted
    cleaned up
    closed
"""

import threading

from hazard_tools import Cue, say
from made_up_sync import Client

working = Cue("working")
client = Client(say=working).__enter__()
threading.Thread(target=client.work, args=(60,), daemon=True).start()
working.wait()
half_read = iter(client.count(1000))
say(str(next(half_read)))
