import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Tab, chromium, needs_chromium, tab
from html_tools import REASONS, Document, entry, fleet, line, run_of, vps_id
from PIL import Image

from hostup_async import EntryState, FleetPolicy, Plan
from hostup_async.cli._html import render

pytestmark = needs_chromium
SHOWN = "[...document.querySelectorAll('#outcomes tbody tr')].map(row => row.cells[1].textContent)"
SAID = "document.querySelector('#filter output').value"
FRAGMENT = "location.hash"
FAILURES_FIRST = [vps_id(n) for n in (0, 1, 2, 3, 4, 7, 5, 6, *range(8, 100))]
BOX = "(element => { const box = element.getBoundingClientRect(); return [box.left, box.right]; })"


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with chromium() as address:
        yield address


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    folder = tmp_path_factory.mktemp("reports")
    return {size: written(folder / f"{size}.html", size) for size in (0, 100, 1_000, 10_000)}


def written(path: Path, size: int) -> str:
    entries = fleet(size)
    audit = (line(2, "paused", why="<b>lunch</b>"), line(4, "unpaused"))
    path.write_text(render(run_of(entries), entries, audit), "utf-8")
    return path.as_uri()


@pytest.mark.parametrize("size", [0, 100, 10_000])
async def test_it_opens_without_an_error_and_without_the_network(
    browser: str, pages: dict[int, str], size: int
) -> None:
    async with tab(browser, pages[size]) as page:
        assert await page.evaluate("document.readyState") == "complete"
    assert page.trouble == []
    assert page.asked == [pages[size]]


async def test_an_error_would_be_seen(browser: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><script>lost()</script><img src='http://127.0.0.1:9/x.png'>")
    async with tab(browser, bad.as_uri()) as page:
        await page.evaluate("1")
    assert page.trouble
    assert "http://127.0.0.1:9/x.png" in page.asked


async def test_typing_filters_the_table(browser: str, pages: dict[int, str]) -> None:
    async with tab(browser, pages[10_000]) as page:
        assert len(await page.evaluate(SHOWN)) == 200
        assert await page.evaluate(SAID) == "10,000 of 10,000, the first 200 shown"
        await page.type("#filter input", "NO answer 7707")
        assert await page.evaluate(SHOWN) == [vps_id(7707)]
        assert await page.evaluate(SAID) == "1 of 10,000"
        assert await page.evaluate(FRAGMENT) == "#search=NO+answer+7707"
        await page.type("#filter input", "x")
        assert await page.evaluate(SHOWN) == []
        await page.click("#filter button[type=reset]")
        assert len(await page.evaluate(SHOWN)) == 200
    assert page.trouble == []


@pytest.mark.parametrize(
    ("fragment", "shown"),
    [
        ("search=00000042", [vps_id(42)]),
        ("status=skipped", [vps_id(5), vps_id(6)]),
        ("status=failed&search=locked", [vps_id(1), vps_id(4)]),
        ("sort=-number&status=failed", [vps_id(n) for n in (4, 3, 2, 1, 0)]),
        ("sort=number", [vps_id(n) for n in range(100)]),
        ("sort=name&status=failed", [vps_id(n) for n in (0, 1, 2, 3, 4)]),
        ("sort=-took&status=failed", [vps_id(n) for n in (4, 3, 2, 1, 0)]),
        ("sort=reason&status=failed", [vps_id(n) for n in (2, 1, 4, 0, 3)]),
        ("search=%3Cscript%3E", []),
        ("sort=nonsense&status=nonsense", FAILURES_FIRST),
    ],
)
async def test_the_address_says_what_is_shown(
    browser: str, pages: dict[int, str], fragment: str, shown: list[str]
) -> None:
    async with tab(browser, f"{pages[100]}#{fragment}") as page:
        assert await page.evaluate(SHOWN) == shown
    assert page.trouble == []


async def test_a_reason_leads_to_its_rows_again_and_again(
    browser: str, pages: dict[int, str]
) -> None:
    click = f"[...document.links].find(link => link.textContent === {REASONS[1]!r}).click()"
    async with tab(browser, pages[100]) as page:
        for _ in range(2):
            await page.evaluate(f"scrollTo(0, 0); {click}")
            await page.evaluate("new Promise(done => setTimeout(done, 50))")
            assert await page.evaluate(SHOWN) == [vps_id(1), vps_id(4)]
            assert await page.evaluate("scrollY") > 0


async def test_headings_sort_both_ways(browser: str, pages: dict[int, str]) -> None:
    async with tab(browser, f"{pages[100]}#status=failed") as page:
        for expected in ("ascending", "descending"):
            await page.click("th[data-key=took] button")
            order = await page.evaluate("document.querySelector('th[data-key=took]').ariaSort")
            assert order == expected
            numbers = [vps_id(n) for n in range(5)]
            assert await page.evaluate(SHOWN) == sorted(numbers, reverse=expected == "descending")


async def test_the_rest_is_shown_when_asked_for(browser: str, pages: dict[int, str]) -> None:
    async with tab(browser, pages[1_000]) as page:
        await page.click("#more")
        assert len(await page.evaluate(SHOWN)) == 1_000
        assert await page.evaluate("document.querySelector('#more').hidden")


async def test_without_its_script_every_row_is_there(browser: str, pages: dict[int, str]) -> None:
    async with tab(browser, "about:blank") as page:
        await page.call("Emulation.setScriptExecutionDisabled", value=True)
        await page.load(f"{pages[100]}#reason=1")
        root = (await page.call("DOM.getDocument"))["root"]["nodeId"]
        found = await page.call("DOM.querySelectorAll", nodeId=root, selector="#outcomes tbody tr")
        assert len(found["nodeIds"]) == 100
        target = await page.call("DOM.querySelector", nodeId=root, selector=":target")
        told = await page.call("DOM.getOuterHTML", nodeId=target["nodeId"])
        assert vps_id(0) in told["outerHTML"]


async def picture(page: Tab) -> Image.Image:
    shot = await page.call("Page.captureScreenshot", format="png")
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


def colours(image: Image.Image) -> list[tuple[int, Any]]:
    return sorted(image.getcolors(image.width * image.height) or [], reverse=True)


@pytest.mark.parametrize(
    ("scheme", "paper", "ink"),
    [("light", (255, 255, 255), "rgb(26, 27, 28)"), ("dark", (22, 24, 26), "rgb(236, 238, 240)")],
)
async def test_it_is_drawn_in_light_and_dark(
    browser: str, pages: dict[int, str], scheme: str, paper: tuple[int, int, int], ink: str
) -> None:
    async with tab(browser, pages[1_000]) as page:
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        await page.call("Emulation.setEmulatedMedia", features=media)
        await page.evaluate("document.querySelector('figure').scrollIntoView()")
        found = colours(await picture(page))
        text = "getComputedStyle(document.querySelector('figure svg text')).fill"
        assert await page.evaluate(text) == ink
    assert found[0][1] == paper
    assert found[0][0] < 0.97 * sum(number for number, _ in found)
    assert len(found) > 50


async def test_it_prints_every_row_on_white(browser: str, pages: dict[int, str]) -> None:
    async with tab(browser, pages[100]) as page:
        media = [{"name": "prefers-color-scheme", "value": "dark"}]
        await page.call("Emulation.setEmulatedMedia", media="print", features=media)
        background = "getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(background) == "rgb(255, 255, 255)"
        assert await page.evaluate("getComputedStyle(document.querySelector('form')).display") == (
            "none"
        )
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert len(await page.evaluate(SHOWN)) == 100
        printed = base64.b64decode((await page.call("Page.printToPDF"))["data"])
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 3


async def test_what_the_browser_reads_is_what_a_parser_reads(
    browser: str, pages: dict[int, str]
) -> None:
    async with tab(browser, pages[100]) as page:
        read = await page.evaluate(SHOWN)
        assert await page.evaluate("document.querySelectorAll('b').length") == 0
        assert "<b>lunch</b>" in await page.evaluate("document.querySelector('main').innerText")
    entries = fleet(100)
    assert read == Document(render(run_of(entries), entries, ())).column(1)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with names, long reasons, a canary, a ramp and pauses."""
    why = (
        "409 vps_not_ready: the node is being evacuated. The VPS is not in a state for this; see "
        "hostup vps show ID, and try later. (POST /api/v2/vps/…/actions/reset, request …)"
    )
    entries = [
        entry(n, EntryState.REFUSED, reason=why) if n % 10 == 3 else entry(n) for n in range(60)
    ]
    ids = [one.vps_id for one in entries]
    names = {one: f"web-{n}.customer.example.com" for n, one in enumerate(ids)}
    plan = Plan(action="reset", origin="https://cloud.hostup.se", ids=ids, names=names)
    audit = (line(2, "paused", why="a call from the customer"), line(4, "unpaused"))
    path = tmp_path_factory.mktemp("named") / "report.html"
    run = run_of(entries, plan=plan.to_json(), policy=FleetPolicy(canary=1).to_json())
    path.write_text(render(run, entries, audit), "utf-8")
    return path.as_uri()


async def at_width(page: Tab, width: int, address: str) -> None:
    """Load a page in a window of this width."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    await page.call("Emulation.setDeviceMetricsOverride", **size)
    await page.load(address)


@pytest.mark.parametrize("width", [1400, 500])
async def test_the_page_is_read_without_scrolling_sideways(
    browser: str, named: str, width: int
) -> None:
    async with tab(browser, "about:blank") as page:
        await at_width(page, width, named)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate("innerWidth") == width
        row = "document.querySelector('#outcomes tbody tr')"
        for cell in range(5):  # number, VPS, name, outcome, reason
            left, right = await page.evaluate(f"{BOX}({row}.cells[{cell}])")
            assert 0 <= left < right <= width
        left, right = await page.evaluate(f"{BOX}({row}.cells[4])")
        assert right - left >= min(440, width - 60)
        assert await page.evaluate(f"{row}.cells[2].innerText") == "web-3.customer.example.com"
        assert await page.evaluate(f"{row}.cells[4].scrollWidth <= {row}.cells[4].offsetWidth + 1")
    assert page.trouble == []


async def test_on_a_phone_each_fact_has_its_name(browser: str, named: str) -> None:
    async with tab(browser, "about:blank") as page:
        await at_width(page, 500, named)
        read = "(cell, part) => getComputedStyle(cell, part).content"
        cells = "document.querySelector('#outcomes tbody tr').cells"
        assert "sent" in await page.evaluate(f"({read})({cells}[5], '::before')")
        assert "took" in await page.evaluate(f"({read})({cells}[6], '::before')")
        pauses = await page.evaluate("document.querySelector('main').innerText")
        assert "canary: its result was awaited" in pauses
        assert "paused: a call from the customer" in pauses
        tables = "[...document.querySelectorAll('td')].filter(td => td.offsetParent)"
        widest = f"Math.max(...{tables}.map(td => td.getBoundingClientRect().right))"
        assert await page.evaluate(widest) <= 500


async def test_failures_are_the_first_that_is_seen(browser: str, named: str) -> None:
    async with tab(browser, "about:blank") as page:
        await at_width(page, 1400, named)
        state = (
            "[...document.querySelectorAll('#outcomes tbody tr')].map(r => r.cells[3].innerText)"
        )
        assert await page.evaluate(state) == ["refused"] * 6 + ["completed"] * 54
        tops = "['reasons', 'outcomes'].map(id => document.getElementById(id).offsetTop)"
        reasons, outcomes = await page.evaluate(tops)
        figure = await page.evaluate("document.querySelector('figure').offsetTop")
        assert reasons < figure < outcomes
        assert reasons < 900  # without scrolling
