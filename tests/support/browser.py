"""Headless Chromium, driven through its own protocol: nothing more to install."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, Final

import aiohttp
import pytest

PROGRAM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # a container's root has no other choice
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1280,1000",
    "--remote-debugging-port=0",
)
PATIENCE: Final = 30
TROUBLE: Final = {
    "Runtime.exceptionThrown",
    "Runtime.consoleAPICalled",
    "Log.entryAdded",
    "Audits.issueAdded",
}
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="install Debian's package chromium")


@contextmanager
def chromium() -> Iterator[str]:
    """The address at which a browser of its own takes commands."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        browser = subprocess.Popen(
            [PROGRAM, *OPTIONS, f"--user-data-dir={home}"], stderr=subprocess.PIPE, text=True
        )
        with browser:
            try:
                yield _address(browser)
            finally:
                browser.kill()


def _address(browser: subprocess.Popen[str]) -> str:
    assert browser.stderr is not None
    for told in browser.stderr:
        if "DevTools listening on ws://" in told:
            return "http://" + told.partition("ws://")[2].partition("/")[0]
    message = f"chromium ended with {browser.wait()}"
    raise AssertionError(message)


class Tab:
    """A page in a browser.

    Attributes:
        trouble: What the page's console had to say, and what its policy forbade.
        asked: The addresses that the page asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.trouble: list[object] = []
        self.asked: list[str] = []
        self._socket = socket
        self._numbers = count(1)

    async def call(self, method: str, **parameters: object) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await self._until(lambda told: told.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    async def load(self, address: str) -> None:
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=address)
        await self._until(lambda told: told.get("method") == "Page.loadEventFired")

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def type(self, selector: str, text: str) -> None:
        await self.evaluate(f"document.querySelector({selector!r}).focus()")
        for letter in text:
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=letter)
            await self.call("Input.dispatchKeyEvent", type="keyUp")

    async def click(self, selector: str) -> None:
        await self.evaluate(f"document.querySelector({selector!r}).click()")
        await self.evaluate("new Promise(done => setTimeout(done))")

    async def _until(self, matches: Any) -> Any:
        async with asyncio.timeout(PATIENCE):
            while True:
                told = await self._socket.receive_json()
                self._take(told)
                if matches(told):
                    return told

    def _take(self, told: dict[str, Any]) -> None:
        if told.get("method") in TROUBLE:
            self.trouble.append(told["params"])
        if told.get("method") == "Network.requestWillBeSent":
            self.asked.append(told["params"]["request"]["url"])


@asynccontextmanager
async def tab(browser: str, address: str) -> AsyncIterator[Tab]:
    """A new tab, once it has loaded the address."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{browser}/json/new") as answer:
            told = await answer.json()
        async with session.ws_connect(told["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Tab(socket)
            await page.load(address)
            yield page
            await page.call("Page.close")
