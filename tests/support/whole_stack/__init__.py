"""Whole histories of the whole stack: the real client, aiohttp and the sandbox's server.

Only the network, the time and the disk are simulated; all of it follows from one seed. `network`
is the one module that knows the library beneath, `setup` what a seed stands for, `history` plays
it, `checks` compares the outcomes with the server's own books. `python -m whole_stack --seed N`
replays one; it needs the dependency group `simulation`, and with it Python 3.12 or later.

The package `simulation` beside this one plays a hundred times as many histories, without aiohttp
and without the sandbox: what is between the client and the API is simulated there as well.
"""
