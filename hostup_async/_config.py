"""Client configuration: API key, base URL, timeouts; checked before anything is sent."""

import hashlib
import ipaddress
import math
import os
import re
from datetime import timedelta
from enum import StrEnum
from typing import Final, SupportsIndex, TypeVar
from urllib.parse import SplitResult, urlsplit

from attrs import field, frozen

from hostup_async._errors import ConfigurationError
from hostup_async._json import JsonReady

Seconds = float | timedelta
T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)

DEFAULT_BASE: Final = "https://cloud.hostup.se"
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_HOST: Final = r"[a-z0-9._-]+|[0-9a-f:.]+"  # a name, or an IPv6 address without its brackets
KEY_VARIABLE: Final = "HOSTUP_API_KEY"
BASE_VARIABLE: Final = "HOSTUP_API_BASE"


_LONGEST: Final = 1e9  # thirty years; longer waits are mistakes, and overflow timers


def seconds(value: object, *, name: str = "a duration") -> float:
    """A duration as seconds; it must be positive and finite."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be seconds or a timedelta, not {type(value).__name__}."
        raise ConfigurationError(msg)
    if not 0 < value < math.inf or value > _LONGEST:
        msg = f"{name} must be a positive number of seconds, at most {_LONGEST:.0f}."
        raise ConfigurationError(msg)
    return float(value)


def instance(value: object, cls: type[T], *, name: str, example: str) -> T:
    """An argument as it is; one of another class is refused, and told what to pass.

    Raises:
        ConfigurationError: It is not of that class.
    """
    if isinstance(value, cls):
        return value
    msg = f"{name} must be a {cls.__name__}, such as {example}, not {type(value).__name__}."
    raise ConfigurationError(msg)


def switch(value: object, *, name: str) -> bool:
    """A switch as it is; anything but a bool is refused, as "false" and "0" would be true."""
    if isinstance(value, bool):
        return value
    msg = f"{name} must be True or False, not {value!r:.80}."
    raise ConfigurationError(msg)


def word(value: str, words: type[W], *, name: str) -> W:
    """A word, or its value, as the word.

    Raises:
        ConfigurationError: It is none of these words.
    """
    try:
        return words(value)
    except ValueError:
        listed = ", ".join(repr(one.value) for one in words)
        msg = f"{name} must be one of {listed}, not {value!r:.80}."
        raise ConfigurationError(msg) from None


class SecretText(str):
    """A text that says nothing in a repr, so that no traceback's locals can show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<secret>'"

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return SecretText(super().__getitem__(key))  # a reporter may show a part of it


class SecretBytes(bytes):
    """Bytes that say nothing in a repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'<secret>'"


_SHORTEST_SECRET: Final = 8  # characters; a shorter text may stand in a response by chance


class ApiKey:
    """An API key that never shows itself: its repr is a fingerprint."""

    __slots__ = ("_bytes", "_escaped", "_is_telling", "_text", "fingerprint")

    def __init__(self, text: str) -> None:
        self._text = SecretText(text)
        self._bytes = SecretBytes(text.encode())
        self._escaped: re.Pattern[bytes] | None = None
        self._is_telling = len(text) >= _SHORTEST_SECRET
        self.fingerprint: Final = hashlib.sha256(text.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"<ApiKey {self.fingerprint}>"

    def authorization(self) -> str:
        """The value of the `Authorization` header, itself secret in a repr."""
        return SecretText("Bearer " + self._text)

    def redact(self, text: str) -> str:
        """The text without the key, which a server or a proxy may have echoed."""
        return text.replace(self._text, repr(self)) if self._is_telling else text

    def redact_bytes(self, body: bytes) -> bytes:
        """A JSON body without the key, also where its characters are escaped."""
        if not self._is_telling:
            return body
        if b"\\" in body:
            if self._escaped is None:
                self._escaped = re.compile(b"".join(map(_escaped_or_not, self._bytes)))
            body = self._escaped.sub(b"<ApiKey>", body)
        return body.replace(self._bytes, b"<ApiKey>")


def _escaped_or_not(code: int) -> bytes:
    r"""A pattern for a character of a JSON text: as `\u0041`, as it is, or after a backslash.

    The longest comes first: a key that ends with a `u` would else leave the digits of `\u0075`.
    """
    return rb"(?:\\u00(?i:%02x)|\\?%s)" % (code, re.escape(bytes([code])))


class TypeName(SecretText):
    """Stands for a key of a wrong type: the name of the type, and nothing of the value."""

    __slots__ = ()


def hide(key: object) -> SecretText | None:
    """The key in a form that is safe in a local variable; the first thing done to a key."""
    if key is None:
        return None
    return SecretText(key) if isinstance(key, str) else TypeName(type(key).__name__)


def find_key(key: SecretText | None) -> ApiKey:
    """The key as given, or else the environment's."""
    if isinstance(key, TypeName):
        msg = f"The API key must be a string, not {key}."
        raise ConfigurationError(msg)
    source = "the variable " + KEY_VARIABLE if key is None else "the api_key argument"
    text = SecretText((os.environ.get(KEY_VARIABLE, "") if key is None else key).strip())
    if not text:
        msg = (
            f"No API key in {source}: pass Client(api_key=...) or set {KEY_VARIABLE}. "
            "Keys are made in HostUp's control panel, with the scopes read:vm and power:vm."
        )
        raise ConfigurationError(msg)
    if not text.isascii() or not text.isprintable() or " " in text:
        msg = f"The API key in {source} has characters no key has (a line break?): copy it again."
        raise ConfigurationError(msg)
    return ApiKey(text)


def find_base(base_url: str | None, *, allow_http: bool = False) -> str:
    """The API's origin as given, or else the environment's, or else HostUp's.

    A trailing `/`, `/api` or `/api/v2` is dropped: public clients differ in what they expect.
    """
    if base_url is not None:
        base_url = instance(base_url, str, name="base_url", example=repr(DEFAULT_BASE))
    else:
        base_url = os.environ.get(BASE_VARIABLE) or DEFAULT_BASE
    parts = _split(base_url.strip())
    if parts.path.rstrip("/") not in {"", "/api", "/api/v2"} or parts.query or parts.fragment:
        msg = f"The base URL must be an origin such as {DEFAULT_BASE}, without {_rest(parts)!r}."
        raise ConfigurationError(msg)
    if parts.scheme == "http" and not (allow_http or _is_loopback(parts.hostname or "")):
        msg = (
            f"The base URL {_shown(parts)} would send the key unencrypted: use https://, "
            "or pass allow_http=True where the network is trusted."
        )
        raise ConfigurationError(msg)
    return _shown(parts)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = re.fullmatch(_HOST, parts.hostname or "", re.ASCII)
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or "@" in text:
        msg = f"The base URL must look like {DEFAULT_BASE}: scheme and host, no user or password."
        raise ConfigurationError(msg)
    return parts


def _rest(parts: SplitResult) -> str:
    """What an origin does not have; a query may hold a secret and is not shown."""
    return parts.path[:80] + ("?..." if parts.query else "") + ("#..." if parts.fragment else "")


def _shown(parts: SplitResult) -> str:
    """The origin in its normal form: lower case, no default port."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port
    return f"{parts.scheme}://{host}" + (
        f":{port}" if port and port != _DEFAULT_PORTS[parts.scheme] else ""
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _positive(value: Seconds) -> float:
    return seconds(value, name="each timeout")


@frozen(kw_only=True)
class Timeouts(JsonReady):
    """How long each phase of a request may take, in seconds (or as `timedelta`).

    Attributes:
        pool: Waiting for a free connection and opening it.
        connect: Opening a connection: TCP and TLS.
        read: Silence on the line while waiting for a response.
        request: One request from first to last.
        call: How long a call that gets no response is retried; no retry begins later. The waits
            for the rate limit are not counted: `Budget(max_wait=...)` bounds them.

    Example:
        >>> Timeouts(read=5).read
        5.0
    """

    pool: float = field(default=60.0, converter=_positive)
    connect: float = field(default=10.0, converter=_positive)
    read: float = field(default=30.0, converter=_positive)
    request: float = field(default=90.0, converter=_positive)
    call: float = field(default=180.0, converter=_positive)


@frozen
class Config:
    """A client's configuration, checked."""

    key: ApiKey
    base: str
    timeouts: Timeouts
