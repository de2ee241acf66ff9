"""A blocking call on the loop's own thread is refused, and does not wait for itself.

Lines:
    hostup-loop
    RuntimeError: A blocking call on the loop's own thread
    still here
    closed
"""

from hazard_tools import say
from made_up_sync import Client

with Client(say=say) as client:

    def call_again(thread: str) -> None:
        say(thread)
        try:
            client.echo("x")
        except RuntimeError as error:
            say(f"RuntimeError: {error}".partition(",")[0])

    client.call_back(call_again)
    say(client.echo("still here"))
