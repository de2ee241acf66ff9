"""A stream that is left early ends there and then; one item costs one item.

Lines:
    0
    counted
    after
    counted
    300
    True
    closed
"""

from hazard_tools import say
from made_up_sync import Client

with Client(say=say) as client:
    for number in client.count(1000):
        say(str(number))
        break
    say("after")
    say(str(sum(1 for _ in client.count(300))))
    runs = client.fleet.runs()
    say(str([number for _, number in client.fleet.watch(runs)] == [0, 1]))
