"""Another thread closes the client during a call: an error of ours, with the call's notes.

Lines:
    working
    closed
    cleaning up
    cleaned up
    ClientClosed: job_1 was accepted: client.operation('token')
    0
"""

import threading

from hazard_tools import Cue, loop_threads, say
from made_up_sync import Client

from hostup_sync import ClientClosed

working = Cue("working")
client = Client(say=working).__enter__()


def close() -> None:
    working.wait()
    client.close()


thread = threading.Thread(target=close)
thread.start()
try:
    client.work(60)
except ClientClosed as error:
    say(f"ClientClosed: {error.__notes__[0]}")
thread.join()
say(str(loop_threads()))
