"""Whole histories of fleets from one seed: virtual time, a misbehaving API, and what must hold.

`loop` is the time and the order of things, `chance` what goes wrong, `api` and `transport` the
other side of the network, `store` what survives a crash, `setup` what a seed stands for, `history`
the world and its processes, `plots` what befalls them, `play` plays it, `checks` judges it,
`shrink` makes a failing one small. `python -m simulation --seed N` replays one; `commands` is that
command line, for the package `whole_stack` as well.
"""
