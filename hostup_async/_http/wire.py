"""From bytes to models: the one place that knows the API's spellings, and cattrs.

Reading is lenient where the API is only partly documented, and raises `UnreadableReply`,
nothing else, where a response makes no sense.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

import attrs

from hostup_async._errors import UnreadableReply
from hostup_async._models import (
    ApiObject,
    Billing,
    FieldError,
    Gate,
    Gates,
    OperatingSystem,
    PowerState,
    Raw,
    Resources,
    ServiceStatus,
    Vps,
    VpsDetails,
    VpsStatus,
)
from hostup_async._ratelimit.timestamps import parse_iso_datetime
from hostup_async._text import clean

try:
    from orjson import loads as _loads
except ImportError:  # the extra hostup[speed] is not installed

    def _loads(body: bytes, /) -> Any:  # type: ignore[misc]  # noqa: ANN401 - JSON is anything
        return _loads_escaped(body)


if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

SUCCESSES: Final = range(200, 300)

_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_RENAMED: Final = {"gates": "actions"}
_MILLISECONDS_FROM: Final = 1e11  # as seconds this would be the year 5138


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object; JSON's keys are always strings."""
    return isinstance(value, dict)


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a page made for people, from a gateway or a filter."""
    return body.lstrip()[:1] == b"<"


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """The JSON in a body, whatever its content type says.

    Raises:
        UnreadableReply: The body is empty or not JSON; the message shows how it begins.
    """
    if not body:
        msg = "The API answered with an empty body where JSON was expected."
        raise UnreadableReply(msg)
    try:
        whole = body.removeprefix(_BYTE_ORDER_MARK)
        return _loads_escaped(whole) if _SURROGATE_ESCAPE.search(whole) else _loads(whole)
    except (ValueError, RecursionError):
        kind = "HTML" if looks_like_html(body) else "something that is not JSON"
        msg = f"The API answered with {kind}, {len(body)} bytes, beginning {body[:60]!r}."
        raise UnreadableReply(msg) from None


def _loads_escaped(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """What orjson reads (UTF-8 alone, and no NaN), and half a surrogate pair as U+FFFD.

    JavaScript escapes half a pair where it cuts a text inside an emoji; orjson refuses it.
    """
    text = body.decode()
    return _replace_surrogates(json.loads(text, parse_constant=_refuse_constant))


def _replace_surrogates(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_list(value):
        return [_replace_surrogates(item) for item in value]
    if is_object(value):
        return {
            _replace_surrogates(name): _replace_surrogates(item) for name, item in value.items()
        }
    return value


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def text_or_none(value: object, _: object = None) -> str | None:
    """A string, or a number as one: the old generation's ids are integers."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def number_or_none(value: object, _: object = None) -> float | None:
    """A finite number, also one that was sent as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def moment_or_none(value: object, _: object = None) -> datetime | None:
    """A moment from ISO 8601 (UTC where no zone is given) or from an epoch in s or ms."""
    try:
        if isinstance(value, str):
            return parse_iso_datetime(value)
        epoch = number_or_none(value)
        if epoch is None:
            return None
        return datetime.fromtimestamp(epoch / 1000 if epoch > _MILLISECONDS_FROM else epoch, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _flag_or_none(value: object, _: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object_or_none(value: object, _: object) -> Raw | None:
    return value if is_object(value) else None


def _word_or_none(listed: Mapping[str, StrEnum], value: object, _: object) -> str | None:
    """A listed word as its member, an unlisted one as it came."""
    text = text_or_none(value)
    return None if text is None else listed.get(text, text)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _object_hook(converter: "Converter", cls: type[Any]) -> Callable[[Any, Any], Any]:
    """Structure one attrs class: camel-case names, `raw` kept, None for any other value."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - a tenth of the import's time

    names = [a.name for a in attrs.fields(cls) if a.name != "raw"]
    overrides: dict[str, Any] = {
        name: override(rename=_RENAMED.get(name, _camel(name))) for name in names
    }
    if issubclass(cls, ApiObject):
        overrides["raw"] = override(struct_hook=lambda value, _: value)
    build = make_dict_structure_fn(cls, converter, **overrides)
    return lambda value, _: build({**value, "raw": value}, cls) if is_object(value) else None


def _list_hook(converter: "Converter", item: type[T], value: object, _: object) -> tuple[T, ...]:
    rows = value if is_list(value) else []
    return tuple(converter.structure(row, item) for row in rows if is_object(row))


@cache
def _converter() -> "Converter":
    """One converter for every model; a nested object must come before what contains it."""
    from cattrs import Converter  # noqa: PLC0415 - a tenth of the import's time

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(str, lambda value, _: text_or_none(value) or "")
    hooks: dict[Any, Callable[[Any, Any], Any]] = {
        str | None: text_or_none,
        float | None: number_or_none,
        bool | None: _flag_or_none,
        datetime | None: moment_or_none,
        Raw | None: _object_or_none,
        tuple[FieldError, ...]: partial(_list_hook, converter, FieldError),
    }
    for enum in (ServiceStatus, PowerState):
        listed = {word.value: word for word in enum}
        hooks[enum | str | None] = partial(_word_or_none, listed)

    def find_hook(kind: object) -> Callable[[Any, Any], Any]:
        return hooks[kind]

    converter.register_structure_hook_factory(hooks.__contains__, find_hook)
    parts = (Gate, Gates, OperatingSystem, Billing, Resources, FieldError)
    for cls in (*parts, Vps, VpsDetails, VpsStatus):
        hooks[cls] = hooks[cls | None] = _object_hook(converter, cls)
    return converter


def expect_object(body: object) -> dict[str, Any]:
    """The body, which must be an object.

    Raises:
        UnreadableReply: It is not an object.
    """
    if is_object(body):
        return body
    msg = f"The API answered with a JSON {type(body).__name__} where an object was expected."
    raise UnreadableReply(msg)


def unwrap(body: object) -> dict[str, Any]:
    """The object in a response; the old generation has it inside `{success, data}`."""
    outer = expect_object(body)
    inner = outer.get("data")
    return inner if is_object(inner) else outer


def read_object(cls: type[T], body: object) -> T:
    """One model from a response's JSON."""
    return _converter().structure(unwrap(body), cls)


def read_field_errors(value: object) -> tuple[FieldError, ...]:
    """The `errors` member of a problem; junk reads as none."""
    return _converter().structure(value, tuple[FieldError, ...])


def read_page(body: object) -> tuple[list[Vps], str | None]:
    """One page of the list, and the cursor of the next one, None on the last.

    Raises:
        UnreadableReply: The page is not whole: `data` is not a list of objects, or there is more
            and no cursor to it.
    """
    envelope = body if is_object(body) else {"data": body}
    rows, next_cursor = envelope.get("data"), envelope.get("nextCursor")
    cursor = text_or_none(next_cursor) or None
    if not is_list(rows) or not all(map(is_object, rows)):
        msg = "The API answered the list of VPSes without a list of objects in `data`."
        raise UnreadableReply(msg)
    if cursor is None and (next_cursor or envelope.get("hasMore") is True):
        msg = "The API's list of VPSes has more pages, and no `nextCursor` that can be followed."
        raise UnreadableReply(msg)
    return [_converter().structure(row, Vps) for row in rows], cursor


def short_text(value: object) -> str | None:
    """A text, or the message inside an error object; cut short, fit for a terminal."""
    text: object = (value.get("message") or value.get("detail")) if is_object(value) else value
    return clean(text) or None if isinstance(text, str) else None
