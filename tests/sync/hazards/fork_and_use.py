"""A forked child that uses the parent's client is refused; one that only exits, exits with 0.

Server: plain
Warnings:
    Unclosed client session <that the child got from its parent>
    Unclosed connector <likewise>
Lines:
    ClientClosed: This client was used before os.fork(): its lo
    0
    child leaves the block
    0
    parent goes on: True
    0
"""

from hazard_tools import child, loop_threads, say

from hostup_sync import Client


def use() -> None:
    try:
        client.vps.get(vps.id)
    except RuntimeError as error:
        say(f"{type(error).__name__}: {error}".partition(":")[0] + ": " + str(error)[:45])
    try:
        list(client.vps.list())
    except RuntimeError:
        return
    say("not refused")


def leave() -> None:
    say("child leaves the block")


with Client() as client:
    vps = next(iter(client.vps.list()))
    half_read = iter(client.vps.list())
    next(half_read)
    say(str(child(use, hard=True)))
    say(str(child(leave)))
    operation = client.vps.reset(vps.id)
    say(f"parent goes on: {operation.wait(timeout=20).succeeded}")
    del half_read
say(str(loop_threads()))
