"""Arguments of a wrong kind are refused before anything is sent, with what to pass instead."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from tools import RawServer, client_of

import hostup_sync
from hostup_async import Budget, Client, ConfigurationError, RateLimit, Timeouts

KEY = "sk_test_0123456789abcdef"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"timeouts": 5}, "timeouts must be a Timeouts, such as Timeouts(read=30), not int"),
        ({"timeouts": {"read": 5}}, "not dict"),
        ({"budget": RateLimit(600, 60)}, "such as Budget(RateLimit(600, 60)), not RateLimit"),
        ({"budget": Budget}, "budget must be a Budget"),
        ({"base_url": 5}, "base_url must be a str, such as 'https://"),
        ({"base_url": b"https://x"}, "not bytes"),
        ({"session": "x"}, "an aiohttp.ClientSession, or a function that makes one, not str"),
        ({"on_event": "print"}, "a plain function of one event, such as print"),
        ({"allow_http": "no"}, "allow_http must be True or False, not 'no'"),
        ({"allow_http": 0}, "allow_http must be True or False, not 0"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("client", [Client, hostup_sync.Client])
def test_a_client_says_what_to_pass(client: Any, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client(KEY, **wrong)
    assert says in str(caught.value)


async def listen(_: object) -> None: ...


def test_an_async_listener_would_never_run() -> None:
    with pytest.raises(ConfigurationError, match="plain function"):
        Client(KEY, on_event=listen)  # type: ignore[arg-type]


async def make_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


@pytest.mark.parametrize("make", [make_session, lambda: None, dict])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_what_a_session_function_returns_is_checked(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="a plain function that returns an"):
        async with client_of("http://127.0.0.1:9", session=make):
            pass


@pytest.mark.parametrize("force", ["0", "false", 0, 1, None, []])
async def test_force_is_true_or_false(force: Any) -> None:
    async with RawServer() as server, client_of(server.url) as client:
        with pytest.raises(ConfigurationError, match="force must be True or False"):
            await client.vps.restart("vps_1", force=force)
        assert server.requests == []


@pytest.mark.parametrize(
    ("operations", "says"),
    [
        (5, "a list of operations, not one int"),
        (["hostup1_x"], "an operation must be a Operation"),
        ([None], "not NoneType"),
    ],
)
async def test_wait_all_takes_operations(operations: Any, says: str) -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match=says):
            client.wait_all(operations)
        operation = client.operation("/api/jobs/j1")
        with pytest.raises(ConfigurationError, match="not one Operation"):
            client.wait_all(operation)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", ["5", None, True, dt.date.max])
@pytest.mark.parametrize(
    "make", [lambda timeout: Timeouts(read=timeout), lambda timeout: Budget(max_wait=timeout)]
)
def test_a_duration_is_a_number_or_a_timedelta(make: Callable[[Any], Any], timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds or a timedelta"):
        make(timeout)


@pytest.mark.parametrize("name", ["webb\udcf6", "\ud800"])
async def test_a_filter_of_bytes_that_are_not_utf8_is_refused(name: str) -> None:
    async with RawServer() as server, client_of(server.url) as client:
        for wrong in ({"name": name}, {"primary_ip": name}):
            with pytest.raises(ConfigurationError, match="not valid Unicode"):
                [vps async for vps in client.vps.list(**wrong)]
        with pytest.raises(ConfigurationError, match="Neither a token nor a poll URL"):
            client.operation(f"/api/jobs/{name}")
        assert server.requests == []
