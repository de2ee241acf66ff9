"""Fixtures that give a test a sandbox of its own.

Put `pytest_plugins = ["hostup_async.sandbox.pytest_plugin"]` into the `conftest.py` at the root of
the tests. The sandbox serves from a thread with an event loop of its own, so that tests with and
without `async` can use it, on any event loop but one whose time jumps: there, enter a `Sandbox` in
the test.

Override `hostup_sandbox_config` to configure the sandboxes of a suite, a module or a class; a
marker changes single settings of it for one test.

Example:
    ```python
    @pytest.fixture
    def hostup_sandbox_config():
        return SandboxConfig(names=["db-1", "web-1"], job_rules=[JobRule("failed", skip=1)])

    @pytest.mark.hostup_sandbox(job_rules=[])
    async def test_mine(hostup_env):
        await my_script()  # reads HOSTUP_API_KEY and HOSTUP_API_BASE
        assert not hostup_env.books().reset_twice
    ```
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from attrs import fields

from ._config import SandboxConfig
from ._threaded import ThreadedSandbox


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "hostup_sandbox(**settings): settings of SandboxConfig for the hostup_sandbox, which go "
        "before those of hostup_sandbox_config",
    )


@pytest.fixture
def hostup_sandbox_config() -> SandboxConfig | Mapping[str, Any]:
    """How `hostup_sandbox` is configured: override it with a SandboxConfig, or its settings."""
    return SandboxConfig()


@pytest.fixture
def hostup_sandbox(
    request: pytest.FixtureRequest, hostup_sandbox_config: SandboxConfig | Mapping[str, Any]
) -> Iterator[ThreadedSandbox]:
    """A running sandbox, set up by `hostup_sandbox_config` and the marker `hostup_sandbox`."""
    item: pytest.Item = request.node
    marker = item.get_closest_marker("hostup_sandbox")
    config = _merged(hostup_sandbox_config, marker.kwargs if marker else {})
    with ThreadedSandbox(config) as sandbox:
        yield sandbox


def _merged(base: object, changes: Mapping[str, Any]) -> SandboxConfig:
    settings: dict[str, Any]
    if isinstance(base, SandboxConfig):
        settings = {one.name: getattr(base, one.name) for one in fields(SandboxConfig)}
    elif isinstance(base, Mapping):
        settings = dict(cast("Mapping[str, Any]", base))
    else:
        message = f"hostup_sandbox_config must return a SandboxConfig or its settings, not {base!r}"
        raise TypeError(message)
    if changes.keys() & {"ids", "names"}:  # they say how many VPSes there are
        settings.pop("vps", None)
    return SandboxConfig(**{**settings, **changes})


@pytest.fixture
def hostup_env(hostup_sandbox: ThreadedSandbox, monkeypatch: pytest.MonkeyPatch) -> ThreadedSandbox:
    """The `hostup_sandbox`, with `HOSTUP_API_KEY` and `HOSTUP_API_BASE` set to it."""
    monkeypatch.setenv("HOSTUP_API_KEY", hostup_sandbox.api_key)
    monkeypatch.setenv("HOSTUP_API_BASE", hostup_sandbox.url)
    return hostup_sandbox
