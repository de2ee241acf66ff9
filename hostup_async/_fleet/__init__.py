"""Many VPSes at once: planned, sent within bounds, followed to their end, recorded.

`plan` and `policy` say what may happen; `engine` sends when the poller lets it, within `rollout`
(canary, ramp, failure budgets); `target` takes one VPS from intent to outcome; `evidence` finds out
what became of a request that got no answer; `journal` records first; `memory` keeps what was learnt
for the next run, `forecast` tells the time left; `run` is the handle, `report` the sum.
"""
