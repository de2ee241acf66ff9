"""The interpreter exits while a clean-up is stuck: not for ever.

Warnings: unclosed <CLIENT>: use it in a `with` block, or call its close()
Lines:
    working
    stuck
    closed
"""

import threading
import time

from hazard_tools import say
from made_up_sync import Client

client = Client(say=say).__enter__()
threading.Thread(target=client.stick, daemon=True).start()
time.sleep(0.2)
