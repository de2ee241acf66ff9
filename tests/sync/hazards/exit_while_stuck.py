"""The interpreter exits while a clean-up is stuck: not for ever.

Warnings: unclosed <CLIENT>: use it in a `with` block, or call its close()
Lines:
    working
    stuck
    closed
"""

import threading

from hazard_tools import Cue
from made_up_sync import Client

working = Cue("working")
client = Client(say=working).__enter__()
threading.Thread(target=client.stick, daemon=True).start()
working.wait()
