"""Fixtures that give a test a sandbox of its own.

Put `pytest_plugins = ["hostup_async.sandbox.pytest_plugin"]` into the `conftest.py` at the root of
the tests. The sandbox serves from a thread with an event loop of its own, so that tests with and
without `async` can use it, on any event loop.

Example:
    ```python
    @pytest.mark.hostup_sandbox(vps=50, job_failure_rate=0.1)
    async def test_mine(hostup_env):
        await my_script()  # reads HOSTUP_API_KEY and HOSTUP_API_BASE
        assert not hostup_env.books().reset_twice
    ```
"""

from collections.abc import Iterator

import pytest

from ._config import SandboxConfig
from ._threaded import ThreadedSandbox


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "hostup_sandbox(**settings): settings of SandboxConfig for the hostup_sandbox"
    )


@pytest.fixture
def hostup_sandbox(request: pytest.FixtureRequest) -> Iterator[ThreadedSandbox]:
    """A running sandbox, set up by `@pytest.mark.hostup_sandbox(...)`."""
    item: pytest.Item = request.node
    marker = item.get_closest_marker("hostup_sandbox")
    with ThreadedSandbox(SandboxConfig(**(marker.kwargs if marker else {}))) as sandbox:
        yield sandbox


@pytest.fixture
def hostup_env(hostup_sandbox: ThreadedSandbox, monkeypatch: pytest.MonkeyPatch) -> ThreadedSandbox:
    """The `hostup_sandbox`, with `HOSTUP_API_KEY` and `HOSTUP_API_BASE` set to it."""
    monkeypatch.setenv("HOSTUP_API_KEY", hostup_sandbox.api_key)
    monkeypatch.setenv("HOSTUP_API_BASE", hostup_sandbox.url)
    return hostup_sandbox
