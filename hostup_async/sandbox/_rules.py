"""Rules that choose requests or jobs, and count them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

from attrs import define, field, frozen

from ._ids import seeded_random
from ._settings import between, maybe, to_json_types, whole

ACTIONS: Final = ("reset", "start", "stop", "shutdown", "restart")


def _ids(value: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(value, str):
        message = f"vps_ids must be a list of ids, not the single text {value!r}"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is a ValueError
    return None if value is None else frozenset(value)


@frozen(kw_only=True)
class Rule:
    """What matches, and which of the matches are hit.

    Attributes:
        on: Kind of request: an action, `action` for any of the five, or what the rule allows else.
        rate: Share of the matches that are hit, from 0 to 1.
        skip: How many matches pass before one is hit; with `skip=1, times=1` it is the second.
        times: How many are hit at most; None for no bound.
        each_vps: Whether `skip` and `times` count for each VPS by itself.
        vps_ids: Only what is about these VPSes; None for all.
    """

    on: str = "action"
    rate: float = field(default=1.0, validator=between(0, 1))
    skip: int = field(default=0, validator=whole(0))
    times: int | None = field(default=None, validator=maybe(whole(0)))
    each_vps: bool = False
    vps_ids: frozenset[str] | None = field(default=None, converter=_ids)

    def matches(self, kind: str, vps_id: str | None) -> bool:
        """Whether a request of this kind, about this VPS, is meant."""
        meant = self.on in {"any", kind} or (self.on == "action" and kind in ACTIONS)
        return meant and (self.vps_ids is None or vps_id in self.vps_ids)

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON can carry it."""
        return to_json_types(self)


def check_vps_ids(rules: Iterable[Rule], known: Iterable[str]) -> None:
    """Refuse rules for VPSes that are not there.

    Raises:
        ValueError: Naming one that is not.
    """
    named = {vps_id for rule in rules for vps_id in rule.vps_ids or ()}
    if unknown := named.difference(known) if named else ():
        message = f"there is no VPS {min(unknown)!r} in this sandbox, which a rule names"
        raise ValueError(message)


RuleT = TypeVar("RuleT", bound=Rule)


@define(eq=False)
class _Armed(Generic[RuleT]):
    """A rule, and how often it matched and hit, by VPS where that counts."""

    rule: RuleT
    matched: Counter[str | None] = field(factory=Counter[str | None])
    hits: Counter[str | None] = field(factory=Counter[str | None])

    def counts(self, vps_id: str | None) -> bool:
        """Count one more match; whether it is one that may be hit."""
        key = self._key(vps_id)
        self.matched[key] += 1
        is_left = self.rule.times is None or self.hits[key] < self.rule.times
        return is_left and self.matched[key] > self.rule.skip

    def hit(self, vps_id: str | None) -> None:
        self.hits[self._key(vps_id)] += 1

    def _key(self, vps_id: str | None) -> str | None:
        return vps_id if self.rule.each_vps else None


class RuleBox(Generic[RuleT]):
    """The rules in force; of those that hit a request, the first applies."""

    def __init__(self, rules: Iterable[RuleT], *seed: object) -> None:
        self._rng = seeded_random(*seed)
        self._armed = [_Armed(rule) for rule in rules]

    def add(self, rule: RuleT) -> None:
        """Put one more rule in force, after the others."""
        self._armed.append(_Armed(rule))

    def clear(self) -> None:
        """Remove all rules."""
        self._armed.clear()

    def pick(self, kind: str, vps_id: str | None) -> RuleT | None:
        """The rule that applies to this request, if one does."""
        matching = [armed for armed in self._armed if armed.rule.matches(kind, vps_id)]
        # Each rule counts each match, also one that another rule hits: "the second" is the second.
        ready = [armed for armed in matching if armed.counts(vps_id)]
        for armed in ready:
            if armed.rule.rate >= 1 or self._rng.random() < armed.rule.rate:
                armed.hit(vps_id)
                return armed.rule
        return None
