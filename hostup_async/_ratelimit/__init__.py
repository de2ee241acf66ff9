"""One rate limit, learnt and shared: who may send, and when.

From the bottom: `headers` reads what an answer says (with `timestamps`), `limits` are what a user
may say and `learnt` what outlasts the process, `window` measures, `pacer` keeps and finds a rate,
`refill` tells a bucket by its resets and `renewal` a window that slides, `at_once` keeps a number
in flight, `growth` asks for more, `before` tests what an earlier run learnt,
`estimate` is what the limit probably is, `pauses` how long a 429 is waited out, `ledger` what was
used of it, `plan` what the rest is enough for, `queue` who waits, `timer` wakes them,
`named_limits` tells whether there are two limits, `limiter` decides who goes next, `snapshot` shows
its state, and `budget` is what users hold. `headers` to `plan`, and `named_limits`, are pure: the
time is an argument.
"""
