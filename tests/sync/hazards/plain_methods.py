"""A plain method works on the loop's own thread, from another, and wakes what waits there.

Lines:
    0
    0
    closed
"""

import threading

from hazard_tools import say
from made_up_sync import Client, Plan

with Client(say=say) as client:
    run = client.fleet.run(Plan(()))
    client.call_back(lambda _: run.stop())
    say(str(run.wait()))
    run = client.fleet.run(Plan(()))
    timer = threading.Timer(0.1, run.stop)
    timer.start()
    say(str(run.wait()))
    timer.join()
