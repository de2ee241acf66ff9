"""The handle on a server in another process."""

from typing import Any, Final, Self

import aiohttp

from ._config import SandboxConfig
from ._control import CONTROL, SandboxHandle

_BAD_REQUEST: Final = 400


class SandboxError(RuntimeError):
    """A sandbox could not be started, refused a command, or is gone."""


class RemoteSandbox(SandboxHandle):
    """A sandbox that serves from another process, which something else started.

    Args:
        url: Where it listens.
        config: How it was configured.

    Raises:
        SandboxError: It does not answer; from every method.

    Example:
        >>> async def resets(url: str) -> int:
        ...     async with RemoteSandbox(url, SandboxConfig(vps=3)) as sandbox:
        ...         return len((await sandbox.books()).resets)
    """

    def __init__(self, url: str, config: SandboxConfig) -> None:
        super().__init__(config)
        self._at: Final = url

    async def __aenter__(self) -> Self:
        self._url = self._at
        self._session = open_session(self._url, self.api_key)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._url = None
        await self._session.close()

    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        if self._url is None:
            raise self._not_running()
        return await post(self._session, name, settings)


async def post(
    session: aiohttp.ClientSession, name: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """Carry out a command of the handle in another process.

    Raises:
        SandboxError: It does not answer, or does not know the command.
        ValueError: The settings are wrong.
    """
    try:
        async with session.post(CONTROL + name, json=settings) as answer:
            result: dict[str, Any] = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        message = f"the sandbox's process no longer answers: {error}"
        raise SandboxError(message) from error
    if answer.status == _BAD_REQUEST:
        raise ValueError(result["error"])
    if not answer.ok:
        message = f"the sandbox refused {name}: {result.get('error')}"
        raise SandboxError(message)
    return result


def open_session(url: str, api_key: str) -> aiohttp.ClientSession:
    """A session for commands."""
    headers = {"Authorization": f"Bearer {api_key}"}
    # A connection per command: one that is kept may be closed by the server at any moment.
    return aiohttp.ClientSession(
        url, headers=headers, connector=aiohttp.TCPConnector(force_close=True)
    )
