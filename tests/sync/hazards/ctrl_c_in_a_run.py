"""Ctrl-C in a run on the sandbox: it sends no more, what is in flight ends, and the note counts.

Lines:
    interrupted, all that was sent is known
    1 note with the way to resume
    0
"""

from hazard_tools import interrupt, loop_threads, say

from hostup_sync import Client, FleetPolicy, OutcomeStatus

try:
    with Client() as client:
        plan = client.fleet.plan(all=True)
        with client.fleet.run(plan, FleetPolicy(max_in_flight=1)) as run:
            interrupt(0.3)
            run.wait()
except KeyboardInterrupt as interruption:
    outcomes = list(run.outcomes())
    known = [one for one in outcomes if one.status is OutcomeStatus.COMPLETED]
    unsent = [one for one in outcomes if one.status is OutcomeStatus.NOT_SENT]
    is_right = len(known) == 1 and len(unsent) == 2
    say("interrupted, all that was sent is known" if is_right else str(outcomes))
    notes = [note for note in interruption.__notes__ if f"fleet.resume({run.id!r}" in note]
    say(f"{len(notes)} note with the way to resume")
say(str(loop_threads()))
