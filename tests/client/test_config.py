import io
from collections.abc import Callable
from datetime import timedelta
from traceback import TracebackException, format_exception, walk_tb
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.traceback import Traceback

from hostup_async import Client, ConfigurationError, RateLimit, Timeouts
from hostup_async._config import (
    BASE_VARIABLE,
    DEFAULT_BASE,
    KEY_VARIABLE,
    ApiKey,
    Config,
    SecretText,
    find_base,
    find_key,
    hide,
    seconds,
)

KEY = "sk_test_9f8e7d6c5b4a"
BROKEN_KEY = "sk_test_9f8e\n7d6c5b4a"
SPACED_KEY = "sk_test_9f8e 7d6c5b4a"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(BASE_VARIABLE, raising=False)


def bearer(text: str | None) -> str:
    return str.__str__(find_key(hide(text)).authorization())


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n", f"\t{KEY}\r\n"])
def test_the_key_is_taken_without_the_space_around_it(text: str) -> None:
    assert bearer(text) == f"Bearer {KEY}"


def test_the_key_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\n")
    assert bearer(None) == f"Bearer {KEY}"


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk_other")
    assert bearer(KEY) == f"Bearer {KEY}"


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_argument_does_not_fall_back_to_the_environment(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with pytest.raises(ConfigurationError, match="the api_key argument"):
        find_key(hide(text))


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_says_where_keys_come_from(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(ConfigurationError, match=f"the variable {KEY_VARIABLE}.*read:vm"):
        Client()


@pytest.mark.parametrize(
    "text", [BROKEN_KEY, SPACED_KEY, "sk_\x00", "sk_å", "sk_\u200b", "sk\r\nHost: evil", "sk_\x7f"]
)
def test_characters_that_no_key_has_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="copy it again"):
        find_key(hide(text))


@pytest.mark.parametrize("key", [b"sk_test", 5, ["x"]])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="string"):
        Client(key)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_any_printable_prefix_is_a_key(text: str) -> None:
    assert bearer(text) == f"Bearer {text}"


def test_a_fingerprint_tells_keys_apart_and_no_more() -> None:
    first, second = ApiKey(KEY), ApiKey("sk_other")
    assert first.fingerprint == ApiKey(KEY).fingerprint
    assert first.fingerprint != second.fingerprint
    assert len(first.fingerprint) == 12


SHOWN: list[Callable[[], object]] = [
    lambda: hide(KEY),
    lambda: SecretText(KEY),
    lambda: find_key(hide(KEY)),
    lambda: find_key(hide(KEY)).authorization(),
    lambda: Config(ApiKey(KEY), DEFAULT_BASE, Timeouts()),
    lambda: Client(KEY),
    lambda: vars(Client(KEY)),
    lambda: Client(KEY).vps,
    lambda: Client(KEY).operation("/api/jobs/j"),
]


@pytest.mark.parametrize("make", SHOWN)
def test_no_repr_shows_the_key(make: Callable[[], object]) -> None:
    assert KEY not in repr(make())
    assert "sk_test" not in repr(make())


def test_a_clients_repr_shows_the_fingerprint() -> None:
    fingerprint = ApiKey(KEY).fingerprint
    assert repr(Client(KEY)) == f"<Client of {DEFAULT_BASE}, key {fingerprint}, not open>"


def test_a_client_that_was_refused_can_be_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("k", base_url="ftp://x")
    report = TracebackException.from_exception(caught.value, capture_locals=True)
    assert "not configured" in "".join(report.format())


def test_a_long_key_is_in_no_part_of_richs_locals() -> None:
    key = "0123456789abcdef" * 8
    with pytest.raises(ConfigurationError) as caught:
        Client(key, base_url="ftp://x")
    error, out = caught.value, io.StringIO()
    assert error.__traceback__ is not None
    frames = error.__traceback__.tb_next
    Console(file=out, width=200).print(
        Traceback.from_exception(type(error), error, frames, show_locals=True)
    )
    assert "api_key" in out.getvalue()
    assert key[:16] not in out.getvalue()


FAILURES: list[tuple[str, dict[str, Any]]] = [
    (KEY, {"base_url": "ftp://example.com"}),
    (KEY, {"base_url": "http://example.com"}),
    (KEY, {"base_url": "https://example.com/other"}),
    (KEY, {"base_url": 5}),
    (KEY, {"timeouts": "soon"}),
    (BROKEN_KEY, {}),
    (SPACED_KEY, {}),
]


def shown(error: BaseException) -> list[str]:
    """What a traceback with locals shows, but for `self`: a client half made has no repr."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    variables = (pair for frame in frames for pair in frame.f_locals.items() if pair[0] != "self")
    return [f"{name} = {value!r}" for name, value in variables] + format_exception(error)


@pytest.mark.parametrize("number", range(len(FAILURES)))
def test_no_tracebacks_locals_show_the_key(number: int) -> None:
    with pytest.raises((ConfigurationError, AttributeError)) as caught:
        Client(FAILURES[number][0], **FAILURES[number][1])
    lines = shown(caught.value)
    assert any(line.startswith("base_url = ") for line in lines)
    assert not any("9f8e" in line or "sk_test" in line for line in lines)


def test_a_key_from_the_environment_shows_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, BROKEN_KEY)
    with pytest.raises(ConfigurationError) as caught:
        Client()
    assert not any("9f8e" in line for line in shown(caught.value))


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (None, DEFAULT_BASE),
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/api", "https://api.example.com"),
        ("https://api.example.com/api/", "https://api.example.com"),
        ("https://api.example.com/api/v2", "https://api.example.com"),
        ("https://api.example.com/api/v2/", "https://api.example.com"),
        ("  https://api.example.com\n", "https://api.example.com"),
        ("HTTPS://API.Example.COM", "https://api.example.com"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://[2001:db8::1]:8443/api", "https://[2001:db8::1]:8443"),
        ("http://localhost", "http://localhost"),
        ("http://LocalHost:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_a_base(text: str | None, base: str) -> None:
    assert find_base(text) == base


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("   ", "must look like"),
        ("api.example.com", "must look like"),
        ("//api.example.com", "must look like"),
        ("ftp://api.example.com", "must look like"),
        ("file:///etc/passwd", "must look like"),
        ("javascript:alert(1)", "must look like"),
        ("https://", "must look like"),
        ("https:///api", "must look like"),
        ("https://:443", "must look like"),
        ("https://user@api.example.com", "must look like"),
        ("https://user:secret@api.example.com", "must look like"),
        ("https://@api.example.com", "must look like"),
        ("https://api.example.com:0", "must look like"),
        ("https://api.example.com:65536", "must look like"),
        ("https://api.example.com:x", "must look like"),
        ("https://[::1", "must look like"),
        ("https://api.example.com/api/v1", "must be an origin"),
        ("https://api.example.com/v2", "must be an origin"),
        ("https://api.example.com/api/v2/vps", "must be an origin"),
        ("https://api.example.com?x=1", "must be an origin"),
        ("https://api.example.com/#x", "must be an origin"),
        ("http://api.example.com", "unencrypted"),
        ("http://192.168.0.1", "unencrypted"),
        ("http://0.0.0.0", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        ("http://127.0.0.1.example.com", "unencrypted"),
        ("http://[2001:db8::1]", "unencrypted"),
    ],
)
def test_what_is_no_safe_origin_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        find_base(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://a\\b.com", "https://\x9e.com", "https://\ud800", "https://a b.c", "https://h\x00st"],
)
def test_a_base_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client("k", base_url=url)


def test_the_default_port_is_no_other_api() -> None:
    assert find_base("https://cloud.hostup.se:443") == find_base("https://cloud.hostup.se:")


def test_http_is_allowed_elsewhere_only_when_asked() -> None:
    assert find_base("http://10.0.0.1:8080", allow_http=True) == "http://10.0.0.1:8080"
    assert repr(Client(KEY, base_url="http://10.0.0.1", allow_http=True)).startswith(
        "<Client of http://10.0.0.1,"
    )


def test_the_base_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE_VARIABLE, "https://env.example.com/api/v2")
    assert find_base(None) == "https://env.example.com"
    assert find_base("https://arg.example.com") == "https://arg.example.com"


def test_a_bad_base_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE_VARIABLE, "http://env.example.com")
    with pytest.raises(ConfigurationError, match="unencrypted"):
        Client(KEY)


@given(st.text() | st.text().map("https://".__add__) | st.text().map("http://".__add__))
def test_any_text_is_a_base_or_refused(text: str) -> None:
    try:
        base = find_base(text)
    except ConfigurationError:
        return
    assert base.startswith(("https://", "http://"))
    assert base.count("/") == 2
    assert "@" not in base


DURATIONS: list[tuple[object, float]] = [
    (1, 1.0),
    (0.25, 0.25),
    (timedelta(minutes=2), 120.0),
    (timedelta(milliseconds=1), 0.001),
]
NO_DURATIONS: list[object] = [
    0,
    0.0,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
    "5",
    None,
    [],
    timedelta(0),
    timedelta(seconds=-1),
]
PHASES = [each.name for each in attrs.fields(Timeouts)]


@pytest.mark.parametrize(("value", "expected"), DURATIONS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_timeout_is_seconds_or_a_timedelta(phase: str, value: Any, expected: float) -> None:
    timeout = getattr(Timeouts(**{phase: value}), phase)
    assert timeout == expected
    assert type(timeout) is float


@pytest.mark.parametrize("value", NO_DURATIONS, ids=repr)
@pytest.mark.parametrize("phase", PHASES)
def test_a_timeout_that_is_no_length_of_time_is_refused(phase: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="each timeout must be"):
        Timeouts(**{phase: value})


@pytest.mark.parametrize("value", NO_DURATIONS, ids=repr)
def test_a_refused_duration_is_called_by_its_name(value: object) -> None:
    with pytest.raises(ConfigurationError, match="the wait must be"):
        seconds(value, name="the wait")


def test_a_huge_duration_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        seconds(10**400)


def test_timeouts_are_frozen_and_by_name_only() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Timeouts().read = 1.0  # type: ignore[misc] # that is what is refused
    with pytest.raises(TypeError):
        Timeouts(5)  # type: ignore[call-arg] # likewise


@pytest.mark.parametrize("requests", [0, -1, True, 1.0, "5", None], ids=repr)
def test_a_limit_is_a_whole_number_from_one_up(requests: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        RateLimit(requests, 60)


@pytest.mark.parametrize("window", NO_DURATIONS, ids=repr)
def test_a_limits_window_is_a_length_of_time(window: Any) -> None:
    with pytest.raises(ConfigurationError, match="window must be"):
        RateLimit(1, window)
