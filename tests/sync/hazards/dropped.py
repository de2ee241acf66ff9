"""A client that nobody can close any more is closed, and said to have been left open.

Warnings: unclosed <CLIENT>: use it in a `with` block, or call its close()
Lines:
    still open: x
    closed
    0
"""

import time

from hazard_tools import loop_threads, say
from made_up_sync import Client

client = Client(say=say)
client.__enter__()
fleet = client.fleet
del client
say("still open: " + fleet.plan(ids="x").ids[0])
del fleet
while loop_threads():
    time.sleep(0.01)
say(str(loop_threads()))
