"""The server in a process of its own."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from tempfile import TemporaryFile
from typing import IO, Any, Final, Self

from ._config import SandboxConfig
from ._control import SandboxHandle
from ._remote import SandboxError, open_session, post

_GRACE: Final = 2.0


class SandboxProcess(SandboxHandle):
    """A HostUp API to try things on, served from a process of its own on the loopback interface.

    Takes no time from the client under test, unlike `Sandbox`. It ends with the `async with`, when
    this process dies, even by SIGKILL, and after `max_seconds` in any case.

    Args:
        config: Its settings; the defaults are a small account without limits or faults.
        port: Port to listen on; 0 takes a free one.
        max_seconds: Seconds after which it ends by itself.
        start_timeout: Seconds that it may take to start.

    Raises:
        SandboxError: It did not start; the message holds what it wrote to its standard error.

    Example:
        >>> async def main() -> int:
        ...     async with SandboxProcess(SandboxConfig(vps=3)) as sandbox:
        ...         return (await sandbox.books()).total_requests
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        port: int = 0,
        max_seconds: float = 900.0,
        start_timeout: float = 20.0,
    ) -> None:
        super().__init__(config or SandboxConfig())
        self._options = [f"--port={port}", f"--max-seconds={max_seconds}"]
        self._start_timeout = start_timeout

    @property
    def pid(self) -> int:
        """The id of the process."""
        if self._url is None:
            raise self._not_running()
        return self._process.pid

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            with TemporaryFile() as errors:
                self._process = await _spawn(self._options, errors)
                stack.push_async_callback(_end, self._process)
                self._url = await self._read_url(errors)
            session = open_session(self._url, self.api_key)
            self._session = await stack.enter_async_context(session)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._url = None
        await self._stack.aclose()

    async def _read_url(self, errors: IO[bytes]) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError
        try:
            async with asyncio.timeout(self._start_timeout):
                stdin.write(json.dumps(self.config.to_dict()).encode() + b"\n")
                line = await stdout.readline()
            return str(json.loads(line)["url"])
        except (TimeoutError, ValueError) as failure:
            raise _not_started(errors) from failure

    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        if self._url is None:
            raise self._not_running()
        return await post(self._session, name, settings)


async def _spawn(options: list[str], errors: IO[bytes]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hostup_async.sandbox", "--config-json=-", "--until-stdin-closes"),
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        # Ctrl-C in a terminal reaches a whole group; the client may still want the books.
        start_new_session=True,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.communicate()
    finally:
        # Also reached when cancelled: the child must not stay behind.
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
            await process.communicate()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal; `Process.send_signal` would reap a dead child before asyncio's watcher."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _not_started(errors: IO[bytes]) -> SandboxError:
    errors.seek(0, os.SEEK_SET)
    message = errors.read().decode(errors="replace").strip() or "it wrote nothing"
    return SandboxError(f"the sandbox did not start; its standard error: {message}")
