"""A client that is never closed: the interpreter exits, and closes it.

Server: plain
Warnings: unclosed <CLIENT>: use it in a `with` block, or call its close()
Lines:
    3
"""

from hazard_tools import say

from hostup_sync import Client

client = Client().__enter__()
say(str(len(list(client.vps.list()))))
