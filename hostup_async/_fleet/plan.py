"""What a fleet run does, decided before anything is sent: an explicit, frozen list of VPSes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal, Self, TypeAlias

from attrs import evolve, field, frozen

from hostup_async import _clock
from hostup_async._config import switch
from hostup_async._errors import ConfigurationError
from hostup_async._json import JsonReady
from hostup_async._models import Action, ActionWord, Gate
from hostup_async._vps import check_id

_VERSION = 1


class Preflight(StrEnum):
    """What is read before an action is sent."""

    NONE = "none"
    """Nothing: the API's answer to the action decides."""
    LIST = "list"
    """The list of VPSes, once, while the plan is made: one request for each 100."""
    GATES = "gates"
    """The list, and each VPS's status and gate just before its action: a request more for each."""


PreflightWord: TypeAlias = Literal["none", "list", "gates"]


def _action(value: Action | ActionWord) -> Action:
    return Action(value)


def _preflight(value: Preflight | PreflightWord) -> Preflight:
    return Preflight(value)


def distinct(ids: Iterable[object]) -> tuple[str, ...]:
    """Each id once, in the order of its first place.

    Raises:
        ConfigurationError: It is a single text and not a list, or holds something other than ids.
    """
    if isinstance(ids, str) or not hasattr(ids, "__iter__"):
        msg = f"`ids` must be a list of ids: pass [{ids!r}] if that is one id."
        raise ConfigurationError(msg)
    return tuple(dict.fromkeys(map(check_id, ids)))


def _force(value: object) -> bool:
    return switch(value, name="force")


@frozen
class Exclusion(JsonReady):
    """A VPS that was asked for, and is not part of the plan.

    Attributes:
        vps_id: The VPS.
        reason: Why it was left out, in words.
    """

    vps_id: str
    reason: str


@frozen(kw_only=True)
class Plan(JsonReady):
    """An explicit list of VPSes and what is done to each; making it sends only reads.

    Attributes:
        id: A short name of this plan.
        action: What is done to each VPS.
        origin: The scheme, host and port of the API that it is for.
        ids: The VPSes, each once, in the order in which they are sent.
        excluded: VPSes that were asked for and left out, with the reasons.
        preflight: What else is read before each action.
        force: For `restart`: do not wait for the guest to agree.
        names: The names of the VPSes when the plan was made, as far as they were read.

    Raises:
        ConfigurationError: `ids` holds something other than ids.

    Example:
        >>> plan = Plan(action="reset", origin="https://cloud.hostup.se", ids=["vps_1", "vps_2"])
        >>> len(plan), Plan.from_json(plan.to_json()) == plan
        (2, True)
    """

    action: Action = field(converter=_action)
    origin: str
    ids: tuple[str, ...] = field(converter=distinct)
    excluded: tuple[Exclusion, ...] = ()
    preflight: Preflight = field(default=Preflight.LIST, converter=_preflight)
    force: bool = field(default=False, converter=_force)
    names: Mapping[str, str] = field(factory=dict[str, str], hash=False, repr=False)
    id: str = field(factory=lambda: "plan_" + _clock.token(4).hex())

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def hash(self) -> str:
        """A fingerprint of what is done, and to which VPSes: equal plans have equal ones."""
        text = json.dumps([self.action, self.origin, self.force, self.ids])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def without(self, exclusions: dict[str, str]) -> "Plan":
        """The plan without some of its VPSes, which are excluded for the reasons given.

        Args:
            exclusions: Reasons by VPS.
        """
        more = tuple(Exclusion(one, exclusions[one]) for one in self.ids if one in exclusions)
        ids = tuple(one for one in self.ids if one not in exclusions)
        return evolve(self, ids=ids, excluded=self.excluded + more)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON can carry it, with `version` and `hash`; see `to_json`."""
        excluded = [[one.vps_id, one.reason] for one in self.excluded]
        more = {"version": _VERSION, "hash": self.hash, "excluded": excluded}
        return super().to_dict() | more

    def to_json(self) -> str:
        """The plan as JSON, to be reviewed, kept, and run later."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a plan that `to_json` wrote.

        Raises:
            ConfigurationError: The text is not a plan, or the plan was changed since.
        """
        try:
            members: dict[str, Any] = json.loads(text)
            plan = cls(
                id=str(members["id"]),
                action=members["action"],
                origin=str(members["origin"]),
                preflight=members["preflight"],
                force=members["force"],
                ids=[str(one) for one in members["ids"]],
                excluded=tuple(Exclusion(str(one), str(why)) for one, why in members["excluded"]),
                names={str(one): str(name) for one, name in members.get("names", {}).items()},
            )
        except (ValueError, TypeError, KeyError) as error:
            msg = f"This is not a plan that to_json() wrote ({error!r}). Make a new plan."
            raise ConfigurationError(msg) from None
        if plan.hash != members.get("hash"):
            msg = (
                f"Plan {plan.id} was changed after it was made: its hash is wrong. Make a new one."
            )
            raise ConfigurationError(msg)
        return plan


def denial(gate: Gate | None) -> str | None:
    """Why a gate forbids its action; None where it does not, or is unknown."""
    if gate is None or gate.allowed is not False:
        return None
    return f"its gate is shut: {gate.reason or gate.code or 'it does not say why'}"
