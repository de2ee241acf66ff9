"""Frozen data as JSON can carry it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from math import isfinite
from typing import Any, cast

import attrs


class JsonReady:
    """Frozen data whose `to_dict` can be written as JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can carry them.

        Enumerations are their values, moments are ISO 8601 or seconds since the epoch, as in the
        field, durations are seconds, tuples are lists, and infinity is None. `raw` is left out: it
        is the API's own JSON already.
        """
        fields = attrs.fields(cast("type[Any]", type(self)))
        names = (one.name for one in fields if one.name != "raw")
        return {name: json_ready(getattr(self, name)) for name in names}


def json_ready(value: object) -> Any:  # noqa: ANN401 - JSON is anything
    """A value, of a field or inside one, as JSON can carry it."""
    match value:
        case JsonReady():
            return value.to_dict()
        case Enum():
            return value.value
        case float():
            return value if isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return _json_ready_object(value)


def _json_ready_object(value: object) -> Any:  # noqa: ANN401 - JSON is anything
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            members = cast("Mapping[object, object]", value)
            return {str(json_ready(key)): json_ready(one) for key, one in members.items()}
        case tuple() | list():
            return [json_ready(one) for one in cast("list[object]", value)]
        case _:
            return str(value)
