"""Ctrl-C while many jobs are waited for: a note for each that goes on.

Server: long
Lines:
    3 notes, 3 jobs
"""

from hazard_tools import interrupt, say

from hostup_sync import Client

with Client() as client:
    operations = [client.vps.reset(vps.id) for vps in client.vps.list()]
    interrupt(0.2)
    try:
        for _ in client.wait_all(operations):
            say("never")
    except KeyboardInterrupt as interruption:
        notes = interruption.__notes__
        named = [one for one in operations if any(str(one.job_id) in note for note in notes)]
        say(f"{len(notes)} notes, {len(named)} jobs")
