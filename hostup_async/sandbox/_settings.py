"""Validators of settings, whose messages say what is wrong, and settings as JSON types."""

import sys
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from attrs import Attribute, AttrsInstance, asdict

_T = TypeVar("_T")


class Named(Protocol):
    """The part of an attrs attribute that a validator reads."""

    @property
    def name(self) -> str:
        """Name of the attribute being checked."""
        ...


Validator: TypeAlias = Callable[[object, Named, _T], None]


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"{name} must be a number, not {value!r}"
        raise ValueError(message)  # noqa: TRY004 - every wrong setting is a ValueError
    return value


def one_of(options: Collection[str]) -> Validator[object]:
    """Accept any of `options`."""

    def check(_instance: object, attribute: Named, value: object) -> None:
        if value not in options:
            message = f"{attribute.name} must be one of {', '.join(options)}, not {value!r}"
            raise ValueError(message)

    return check


def some_of(options: Collection[str]) -> Validator[object]:
    """Accept a set of which every member is among `options`."""

    def check(_instance: object, attribute: Named, value: object) -> None:
        if not isinstance(value, frozenset) or not value.issubset(options):
            message = f"{attribute.name} may hold only {', '.join(options)}, not {value!r}"
            raise ValueError(message)

    return check


def between(low: float, high: float) -> Validator[float]:
    """Accept a number from `low` to `high`, both included."""

    def check(_instance: object, attribute: Named, value: object) -> None:
        if not low <= _number(attribute.name, value) <= high:
            bounds = (
                f"{low:g} or more" if high >= sys.float_info.max else f"from {low:g} to {high:g}"
            )
            message = f"{attribute.name} must be {bounds}, not {value!r}"
            raise ValueError(message)

    return check


def at_least(low: float) -> Validator[float]:
    """Accept a finite number that is `low` or more."""
    return between(low, sys.float_info.max)


def above(low: float) -> Validator[float]:
    """Accept a finite number above `low`."""

    def check(_instance: object, attribute: Named, value: object) -> None:
        if not low < _number(attribute.name, value) < float("inf"):
            message = f"{attribute.name} must be above {low:g} and finite, not {value!r}"
            raise ValueError(message)

    return check


def whole(low: int | None = None, high: float = float("inf")) -> Validator[int]:
    """Accept an integer from `low` (None for no bound) to `high`."""

    def check(_instance: object, attribute: Named, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"{attribute.name} must be a whole number, not {value!r}"
            raise ValueError(message)  # noqa: TRY004 - every wrong setting is a ValueError
        between(float("-inf") if low is None else low, high)(_instance, attribute, value)

    return check


def maybe(validator: Validator[_T]) -> Validator[_T | None]:
    """Accept None, and the values that `validator` accepts."""

    def check(instance: object, attribute: Named, value: _T | None) -> None:
        if value is not None:
            validator(instance, attribute, value)

    return check


def to_json_types(instance: AttrsInstance) -> dict[str, Any]:
    """The attributes of an instance, in types that JSON has."""
    return asdict(instance, value_serializer=_listed)


def _listed(_instance: type, _attribute: "Attribute[object]", value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
