"""One rate limit, learnt and shared: who may send, and when.

From the bottom: `headers` says what an answer tells, `estimate` what the limit probably is,
`ledger` what was spent of it, `queue` who waits, `limiter` who goes next, and `budget` is what
users hold.
`estimate` and `ledger` are pure: the time is an argument.
"""
