"""What the commands do.

`fleet` acts on VPSes: `plan` shows and confirms, `run` follows the run, `verdict` sums it up.
`history` is about recorded runs, `limit` about what they learnt, `inventory` about VPSes and the
key.
"""
