"""A list is whole, and what a filter selected is what was asked for; over real sockets."""

import json
from typing import Any

import pytest
from tools import RawServer, client_of, http

from hostup_async import UnreadableReply

ROWS = {
    "web": {"id": "vps_1", "name": "Web", "primaryIp": "192.0.2.7"},
    "db": {"id": "vps_2", "name": "db", "primaryIp": "2A0C:4D80::1"},
    "nameless": {"id": "vps_3", "name": None, "primaryIp": None},
    "bare": {"id": "vps_4"},
}


def page(*rows: object, cursor: object = None, **more: object) -> bytes:
    return http(json.dumps({"data": rows, "nextCursor": cursor, **more}).encode())


async def listed(server: RawServer, **filters: Any) -> list[str]:
    async with client_of(server.url) as client:
        return [vps.id async for vps in client.vps.list(**filters)]


async def test_an_empty_page_with_a_cursor_does_not_end_the_list() -> None:
    pages = [page(cursor="A"), page({"id": "a"}, cursor="B"), page(cursor=3), page({"id": "b"})]
    async with RawServer(*pages) as server:
        assert await listed(server) == ["a", "b"]


async def test_many_empty_pages_are_a_filter_and_no_circle() -> None:
    pages = [page(cursor=str(number)) for number in range(300)]
    async with RawServer(*pages, page({"id": "b"})) as server:
        assert await listed(server) == ["b"]


async def test_a_list_that_breaks_off_is_not_the_whole_list() -> None:
    async with RawServer(*[page({"id": "a"}, hasMore=True)] * 30) as server:
        with pytest.raises(UnreadableReply, match="nextCursor"):
            await listed(server)


@pytest.mark.parametrize(
    ("filters", "row", "ids"),
    [
        ({"name": "web"}, "web", ["vps_1"]),
        ({"name": "WEB"}, "web", ["vps_1"]),
        ({"primary_ip": "192.0.2.7"}, "web", ["vps_1"]),
        ({"primary_ip": "2a0c:4d80:0::1"}, "db", ["vps_2"]),
        ({"name": "web", "primary_ip": "192.0.2.7"}, "bare", ["vps_4"]),
    ],
)
async def test_what_a_filter_selects_is_listed(
    filters: dict[str, str], row: str, ids: list[str]
) -> None:
    async with RawServer(page(ROWS[row])) as server:
        assert await listed(server, **filters) == ids


@pytest.mark.parametrize(
    ("filters", "row"),
    [
        ({"name": "web"}, "db"),
        ({"name": "web"}, "nameless"),
        ({"name": "we"}, "web"),
        ({"primary_ip": "192.0.2.7"}, "db"),
        ({"primary_ip": "192.0.2.7"}, "nameless"),
        ({"name": "web", "primary_ip": "192.0.2.8"}, "web"),
    ],
)
async def test_a_filter_that_the_api_ignores_selects_nothing(
    filters: dict[str, str], row: str
) -> None:
    async with RawServer(page(ROWS["web"], ROWS[row])) as server:
        with pytest.raises(UnreadableReply, match="ignores this filter") as caught:
            await listed(server, **filters)
    assert "by their ids" in str(caught.value)
