from typing import Any

import pytest
from sandbox_tools import Desk


def walk(desk: Desk, limit: int) -> list[Any]:
    pages, cursor, seen = [], "", set[str]()
    while True:
        page = desk.get(f"/api/v2/vps?limit={limit}{cursor}")
        pages.append(page)
        follow = page.get("nextCursor")
        if not follow or follow in seen:
            return pages
        seen.add(follow)
        cursor = f"&cursor={follow}"


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
@pytest.mark.parametrize("cursors", ["offset", "opaque", "repeating"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_reading_of_cursors_gives_every_row(cursors: str, limit: int, count: int) -> None:
    desk = Desk(vps=count, cursors=cursors)
    pages = walk(desk, limit)
    ids = [row["id"] for page in pages for row in page["data"]]
    assert list(dict.fromkeys(ids)) == list(desk.ids)
    assert all(len(page["data"]) <= limit for page in pages)
    if cursors != "repeating":
        assert len(ids) == count


def test_how_the_readings_end() -> None:
    offset, opaque, repeating = (
        walk(Desk(vps=4, cursors=cursors), 3) for cursors in ("offset", "opaque", "repeating")
    )
    assert offset[-1]["nextCursor"] is None
    assert [page["hasMore"] for page in offset] == [True, False]
    assert "nextCursor" not in opaque[-1]
    assert repeating[-1]["nextCursor"] == repeating[-2]["nextCursor"]
    assert "hasMore" not in repeating[0]
    assert repeating[0]["data"][-1] == repeating[1]["data"][0]


def test_pages_have_a_default_and_a_greatest_size() -> None:
    desk = Desk(vps=30, page_size=4, page_size_max=6)
    assert len(desk.get("/api/v2/vps")["data"]) == 4
    assert len(desk.get("/api/v2/vps?limit=100")["data"]) == 6


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=1000", "/limit"),
        ("limit=x", "/limit"),
        ("limit=-1", "/limit"),
        ("cursor=nonsense", "/cursor"),
        ("cursor=b2Zmc2V0Ong=", "/cursor"),
        ("cursor=b2Zmc2V0OsKy", "/cursor"),
        ("limit=%C2%B2", "/limit"),
        ("include=everything", "/include"),
    ],
)
def test_wrong_queries(query: str, pointer: str) -> None:
    problem = Desk().get(f"/api/v2/vps?{query}")
    assert problem["code"] == "invalid_request"
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_filters() -> None:
    desk = Desk()
    rows = desk.get("/api/v2/vps")["data"]
    wanted = rows[3]
    assert desk.get(f"/api/v2/vps?name={wanted['name'].upper()}")["data"] == [wanted]
    assert desk.get(f"/api/v2/vps?primaryIp={wanted['primaryIp']}")["data"] == [wanted]
    assert desk.get("/api/v2/vps?name=web")["data"] == []


def test_a_row_is_the_summary() -> None:
    desk = Desk(vps=1)
    [row] = desk.get("/api/v2/vps")["data"]
    assert row == desk.get(f"/api/v2/vps/{desk.ids[0]}")
    [row] = desk.get("/api/v2/vps?include=pendingMaintenance")["data"]
    assert row["pendingMaintenance"] is None


def test_many_vpses_have_addresses_and_names_of_their_own() -> None:
    desk = Desk(vps=2000)
    machines = desk.api._fleet.machines.values()
    assert len({machine.ip for machine in machines}) == 2000
    assert len({machine.name for machine in machines}) == 2000
