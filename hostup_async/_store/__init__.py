"""Where a fleet run is recorded, so that another process can resume it.

`base` is the protocol, `records` what is kept, `memory` and `sql` the implementations (one suite
runs against both); `open` finds the one that a user names. `owner` says who holds a run, and
`conflicts` which VPSes a new run must leave alone.
"""
