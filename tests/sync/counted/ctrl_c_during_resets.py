"""Ctrl-C at any moment of many resets; prints those that the caller knows were accepted."""

import random

from hazard_tools import interrupt, say

from hostup_sync import Client, Operation

with Client() as client:
    ids = [vps.id for vps in client.vps.list()]
    known: list[Operation] = []
    try:
        interrupt(random.random() / 20)
        for vps_id in ids:
            known += [client.vps.reset(vps_id)]
        say("too fast")
    except KeyboardInterrupt as interruption:
        notes = getattr(interruption, "__notes__", [])
        noted = [note for note in notes if "accepted" in note and "client.operation(" in note]
        for line in [*(str(one.vps_id) for one in known), *noted]:
            say(line)
