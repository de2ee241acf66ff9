"""Context variables reach the coroutine.

Lines:
    none
    red
    closed
"""

from hazard_tools import say
from made_up_async._client import COLOUR
from made_up_sync import Client

with Client(say=say) as client:
    say(client.colour())
    COLOUR.set("red")
    say(client.colour())
