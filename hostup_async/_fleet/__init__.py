"""Many VPSes at once: planned, sent within bounds, followed to their end, recorded.

`resource` is `client.fleet`, and `run` the handle of one run. `plan` and `policy` say what may
happen, and `context` holds what all parts of a run share. `engine` sends when the poller lets it
(`slot`), within `rollout` (canary, ramp, failure budgets); `target` takes one VPS from intent to
outcome, by way of `preflight` (whether to send just now) and `settle` (what its entry becomes
next). `evidence` finds out what became of a request that got no answer: `boot` says what a read of
the status shows, `pace` when to read. `journal` records first, `trail` the pauses, of which
`pauses` finds those that another process asks for; `meters` count
what was used, `forecast` says how long it still takes, `memory` keeps what was learnt, and `report`
is the sum, which `summary` makes. `record` brings a run into its store, or takes it up from there,
`follow` asks later what became of its jobs, and `announce` tells the log and the listener.
"""
