"""A package of every shape that the generator knows, and of things that go wrong.

Example:
    >>> from made_up_async import Client
    >>> def main():
    ...     with Client() as client:
    ...         print(client.echo("a"))
"""

# Written by `nox -s facade` from the text of made_up_async: change that, and not this.

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from made_up_async import Plan, Words
    from made_up_sync._generated import Client, FleetResource, FleetRun, open_client

__all__ = [
    "Client",
    "FleetResource",
    "FleetRun",
    "Plan",
    "Words",
    "open_client",
]

_OURS = frozenset(
    {
        "Client",
        "FleetResource",
        "FleetRun",
        "open_client",
    }
)


if not TYPE_CHECKING:  # or else every misspelt name would pass for one of `Any`

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        if name not in _OURS:
            value = globals()[name] = getattr(import_module("made_up_async"), name)
            return value
        generated = import_module(f"{__name__}._generated")
        for one in _OURS:
            globals()[one] = getattr(generated, one)
            globals()[one].__module__ = __name__  # where users import it from
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
