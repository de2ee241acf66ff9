"""Settings on their way through JSON."""

from typing import Any, cast

from attrs import Attribute, AttrsInstance, asdict


def plain(instance: AttrsInstance) -> dict[str, Any]:
    """The attributes of an instance, in types that JSON knows."""
    return asdict(instance, value_serializer=_listed)


def _listed(_instance: type, _attribute: "Attribute[object]", value: object) -> object:
    return sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value
