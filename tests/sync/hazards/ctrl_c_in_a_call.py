"""Ctrl-C cancels, waits for the clean-up, and leaves the client usable.

Lines:
    working
    cleaning up
    cleaned up
    interrupted: job_1 was accepted: client.operation('token')
    usable
    closed
    0
"""

from hazard_tools import loop_threads, say, saying
from made_up_sync import Client

with Client(say=saying("working")) as client:
    try:
        client.work(60)
    except KeyboardInterrupt as interruption:
        say("interrupted: " + "; ".join(interruption.__notes__))
    say(client.echo("usable"))
say(str(loop_threads()))
