"""Ctrl-C in a fleet's run: it sends no more, drains, and the note counts.

Lines:
    run in
    a
    drains
    run out
    closed
    1 accepted, 0 unknown, the rest not sent
"""

from hazard_tools import interrupt, say
from made_up_sync import Client, Plan

try:
    with Client(say=say) as client, client.fleet.run(Plan(("a", "stuck"))) as run:
        interrupt(0.2)
        for outcome in run.outcomes():
            say(outcome)
except KeyboardInterrupt as interruption:
    say("; ".join(interruption.__notes__))
