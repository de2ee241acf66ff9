"""Ctrl-C while a job is waited for: the note names the job and how to follow it.

Server: long
Lines:
    The reset of VPS was accepted, as job 'JOB', and goes on;
    follow it with client.operation('TOKEN').
    followed: True
"""

import re

from hazard_tools import interrupt, say

from hostup_sync import Client

with Client() as client:
    vps = next(iter(client.vps.list()))
    operation = client.vps.reset(vps.id)
    interrupt(0.2)
    try:
        operation.wait()
    except KeyboardInterrupt as interruption:
        [note] = interruption.__notes__
        token = re.findall(r"client.operation\('(.*)'\)", note)[0]
        note = note.replace(vps.id, "VPS").replace(str(operation.job_id), "JOB")
        say(note.replace(token, "TOKEN").replace("; ", ";\n"))
        say(f"followed: {client.operation(token).job_id == operation.job_id}")
