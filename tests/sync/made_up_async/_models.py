from collections.abc import Callable
from typing import NamedTuple


class Plan(NamedTuple):
    """What is to be done."""

    ids: tuple[str, ...]


Words = Callable[[str], None]
