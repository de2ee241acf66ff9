"""One rate limit, learnt and shared: who may send, and when.

From the bottom: `headers` reads what an answer says (with `timestamps`), `limits` are what a user
may say and `learnt` what an earlier run may, `window` measures, `pacer` keeps and finds a rate,
`at_once` a number in flight, `estimate` is what the limit probably is, `pauses` how long a 429 is
waited out, `ledger` what was used of it, `queue` who waits, `timer` wakes them, `named_limits`
tells whether there are two limits, `limiter` decides who goes next, `snapshot` shows its state, and
`budget` is what users hold. `headers` to `ledger`, and `named_limits`, are pure: the time is an
argument.
"""
