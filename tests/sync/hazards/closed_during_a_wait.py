"""Another thread closes the client while jobs are waited for, and a list is half read.

Server: long
Lines:
    wait: ClientClosed
    list: ClientClosed
    later: ClientClosed
    quick
    0
"""

import threading
from collections.abc import Callable

from hazard_tools import Stopwatch, loop_threads, say

from hostup_sync import Client, ClientClosed

client = Client().__enter__()
vpses = iter(client.vps.list())
operation = client.vps.reset(next(vpses).id)
thread = threading.Timer(0.3, client.close)
thread.start()
watch = Stopwatch()
watch.began += 0.3
calls: dict[str, Callable[[], object]] = {
    "wait": operation.wait,
    "list": lambda: list(vpses),
    "later": lambda: list(client.vps.list()),
}
for name, function in calls.items():
    try:
        function()
    except ClientClosed as error:
        say(f"{name}: {type(error).__name__}")
    thread.join()
say(watch.quick())
say(str(loop_threads()))
