"""When to poll which job.

`durations` learns how long jobs take (a piecewise-constant hazard, `hazards`); `scheduler` decides
what the next request is best spent on, a poll at its `price` or one more action, with the jobs in a
`queue`; `poller` carries that out, one for each client, with a `watch` for each job. All but
`poller` and `watch` are pure.
"""
