"""Everything that is left to chance, as a function of the seed and of a name.

A draw depends on its own name alone, not on the draws before it: so a deviation can be taken out
of a history and the rest of it stays as it was, which is what shrinking needs.
"""

import math
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")


class Chance:
    """The draws of one history.

    Args:
        seed: What they follow from.
        without: Deviations that do not take place: of a kind ("stall") or one ("stall/poll/3").

    Attributes:
        fired: The deviations that took place, in order.
        counts: How often each kind did.
    """

    def __init__(self, seed: int, without: frozenset[str] = frozenset()) -> None:
        self._seed: Final = seed
        self._without: Final = without
        self._numbers: Final[dict[str, int]] = {}
        self.fired: Final = list[str]()
        self.counts: Final = Counter[str]()

    def draw(self, name: str) -> float:
        """A number from 0.0 up to 1.0; the next one of that name."""
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return self.draw_once(f"{name} {number}")

    def draw_once(self, name: str) -> float:
        """The number of a name that is drawn no more: it need not be remembered."""
        digest = blake2b(f"{self._seed} {name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    def token(self, size: int) -> bytes:
        """Random bytes, at most 64."""
        number = self._numbers["token"] = self._numbers.get("token", 0) + 1
        return blake2b(f"{self._seed} token {number}".encode(), digest_size=size).digest()

    def between(self, name: str, low: float, high: float) -> float:
        return low + self.draw(name) * (high - low)

    def whole(self, name: str, low: int, high: int) -> int:
        return low + int(self.draw(name) * (high - low + 1))

    def pick(self, name: str, options: Sequence[T]) -> T:
        return options[int(self.draw(name) * len(options))]

    def lognormal(self, name: str, median: float, sigma: float) -> float:
        """A number around the median; the name is drawn no more."""
        radius = math.sqrt(-2 * math.log(1 - self.draw_once(f"{name} radius")))
        turn = 2 * math.pi * self.draw_once(f"{name} turn")
        return median * math.exp(sigma * radius * math.cos(turn))

    def fires(self, kind: str, rate: float, where: str = "") -> bool:
        """Whether a deviation of this kind takes place here."""
        if rate <= 0 or self.draw(f"fires {kind} {where}") >= rate:
            return False
        return self.happens(kind, f"{where}/{self._numbers[f'fires {kind} {where}']}")

    def happens(self, kind: str, where: str) -> bool:
        """Note a deviation that was drawn, unless it is to be left out."""
        name = f"{kind}/{where}"
        if kind in self._without or name in self._without:
            return False
        self.fired.append(name)
        self.counts[kind] += 1
        return True

    def reached(self, branch: str) -> None:
        """Count that a history came through here."""
        self.counts[branch] += 1
