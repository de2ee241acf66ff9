"""What the commands do.

`fleet` acts on VPSes: `plan` shows and confirms, `run` follows the run, `verdict` sums it up.
`from_run` takes the VPSes from an old run. `recorded` reads recorded runs: `resume` resumes one,
`pause` pauses one that is at work, `follow` asks again for the ends of its jobs, `status` shows one
(in the words of `status_text`), `history` lists, abandons and draws them. `limit` is about what
they learnt, `inventory` about VPSes and the key.
"""
