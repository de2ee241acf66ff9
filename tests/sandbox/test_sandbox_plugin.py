import http.client
import os
from contextlib import closing

import pytest
from sandbox_tools import calling

from hostup_async.sandbox import Fault, FaultRule, Limit, ThreadedSandbox

pytest_plugins = ["pytester", "hostup_async.sandbox.pytest_plugin"]

INNER = """
    import os
    import urllib.request
    import pytest

    def status(sandbox):
        headers = {"Authorization": f"Bearer {os.environ['HOSTUP_API_KEY']}"}
        url = os.environ["HOSTUP_API_BASE"] + "/api/v2/vps"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status

    @pytest.mark.hostup_sandbox(vps=50, seed=4)
    def test_sync(hostup_env):
        assert len(hostup_env.vps_ids) == 50
        assert status(hostup_env) == 200
        assert hostup_env.books().requests == {"list": 1}

    @pytest.mark.anyio
    async def test_async(hostup_env, anyio_backend):
        assert hostup_env.config.vps == 10
        assert status(hostup_env) == 200

    def test_the_environment_is_restored():
        assert os.environ.get("HOSTUP_API_BASE") is None

    @pytest.mark.hostup_sandbox(moons=3)
    def test_wrong(hostup_sandbox):
        raise AssertionError
"""


def test_users_can_use_the_plugin(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOSTUP_API_BASE", raising=False)
    pytester.makeconftest("""
        import pytest
        pytest_plugins = ["hostup_async.sandbox.pytest_plugin"]

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """)
    pytester.makepyfile(INNER)
    result = pytester.runpytest_subprocess("--strict-markers", "-W", "error", "-p", "no:randomly")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'moons'*"])


CONFIGURED = """
    import pytest
    from hostup_async.sandbox import SandboxConfig

    @pytest.fixture(scope="module")
    def hostup_sandbox_config():
        return SandboxConfig(vps=7, frozen=True)

    def test_the_module(hostup_sandbox):
        assert (hostup_sandbox.config.vps, hostup_sandbox.config.frozen) == (7, True)

    @pytest.mark.hostup_sandbox(names=["db-1"])
    def test_a_marker_changes_single_settings(hostup_sandbox):
        assert (hostup_sandbox.config.vps, hostup_sandbox.config.frozen) == (1, True)

    class TestOfAClass:
        @pytest.fixture
        def hostup_sandbox_config(self):
            return {"names": ["db-1", "db-2"]}

        def test_the_class(self, hostup_sandbox):
            assert len(hostup_sandbox.vps_ids) == 2

    @pytest.mark.parametrize("hostup_sandbox_config", [SandboxConfig(vps=1)])
    def test_one_test(hostup_sandbox, hostup_sandbox_config):
        assert hostup_sandbox.config is not None
        assert len(hostup_sandbox.vps_ids) == 1

    @pytest.mark.parametrize("hostup_sandbox_config", [5])
    def test_wrong(hostup_sandbox):
        raise AssertionError
"""


def test_the_configuration_can_be_overridden_at_each_level(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["hostup_async.sandbox.pytest_plugin"]')
    pytester.makepyfile(CONFIGURED)
    result = pytester.runpytest_subprocess("--strict-markers", "-W", "error", "-p", "no:randomly")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*must return a SandboxConfig or its settings, not 5*"])


def ask(sandbox: ThreadedSandbox) -> int:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    with closing(connection):
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        connection.request("GET", "/api/v2/vps", headers=headers)
        return connection.getresponse().status


def test_the_handle_without_async(hostup_sandbox: ThreadedSandbox) -> None:
    hostup_sandbox.add_fault(FaultRule(Fault.ERROR_500, on="any"))
    assert ask(hostup_sandbox) == 500
    hostup_sandbox.clear_faults()
    hostup_sandbox.set_limit(Limit(requests=1, seconds=60))
    assert [ask(hostup_sandbox) for _ in range(2)] == [200, 429]
    hostup_sandbox.reset_books()
    assert hostup_sandbox.books().total_requests == 0


async def test_the_handle_with_async(hostup_env: ThreadedSandbox) -> None:
    assert os.environ["HOSTUP_API_BASE"] == hostup_env.url
    assert os.environ["HOSTUP_API_KEY"] == hostup_env.api_key
    async with calling(hostup_env._sandbox) as caller:
        assert [(await caller.reset()).status for _ in range(2)] == [202, 202]
    assert hostup_env.books().accepted == {hostup_env.vps_ids[0]: {"reset": 2}}
