"""A block whose end Ctrl-C forestalled is ended with its client, and keeps no thread.

Lines:
    run in
    drains
    run out
    closed
    0
"""

from hazard_tools import loop_threads, say
from made_up_sync import Client

with Client(say=say) as client:
    client.fleet.reset(["a"]).__enter__()  # and never left
say(str(loop_threads()))
