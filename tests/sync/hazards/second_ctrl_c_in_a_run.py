"""A second Ctrl-C while a run on the sandbox drains: it leaves at once, and the note counts.

Server: long
Lines:
    left, quick
    1 note with the way to resume
    0
"""

from hazard_tools import Stopwatch, interrupt, loop_threads, say

from hostup_sync import Client, FleetPolicy

watch = Stopwatch()
try:
    with Client() as client:
        plan = client.fleet.plan(all=True)
        with client.fleet.run(plan, FleetPolicy(max_in_flight=1)) as run:
            interrupt(0.3)
            interrupt(0.8)
            watch = Stopwatch()
            run.wait()
except KeyboardInterrupt as interruption:
    watch.began += 0.8
    say(f"left, {watch.quick()}")
    notes = [note for note in interruption.__notes__ if f"fleet.resume({run.id!r}" in note]
    say(f"{len(notes)} note with the way to resume")
say(str(loop_threads()))
