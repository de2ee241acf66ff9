"""One rate limit, learnt and shared: who may send, and when.

From the bottom: `headers` reads what an answer says (with `timestamps`), `limits` are what a user
may say, `learnt` what outlasts the process, `estimate` what the limit probably is, `ledger` what
was used of it, `queue` who waits, `timer` wakes them, `named_limits` tells whether there are two
limits, `limiter` decides who goes next, `snapshot` shows its state, and `budget` is what users
hold.
`headers`, `estimate`, `ledger` and `named_limits` are pure: the time is an argument.
"""
