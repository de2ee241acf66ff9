"""Identifiers and random numbers that depend on the seed alone."""

from functools import lru_cache
from random import Random
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH: Final = 26


def seeded_random(*seed: object) -> Random:
    """A random generator that gives the same numbers for the same `seed`."""
    return Random(":".join(map(str, seed)))  # noqa: S311 - repeatable on purpose, guards nothing


def ulid(rng: Random) -> str:
    """26 lower-case characters that look like a ULID."""
    return "01" + "".join(rng.choices(_ALPHABET, k=_LENGTH - 2))


@lru_cache(maxsize=8)
def vps_ids(seed: int, count: int) -> tuple[str, ...]:
    """The ids of the first `count` VPSes of a seed."""
    rng = seeded_random(seed, "vps")
    return tuple(f"vps_{ulid(rng)}" for _ in range(count))
