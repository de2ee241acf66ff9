import json
import re
import signal
import urllib.request
from importlib import metadata

import pytest
from cli_tools import PATIENCE, hostup, line_with, running

from hostup_async import __version__, cli


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("demo", "--limit", "fast"), "REQUESTS/SECONDS"),
        (("demo", "--limit", "0/5"), "requests must be"),
        (("demo", "--vps", "0"), "--vps"),
        (("demo", "--faults", "2"), "--faults"),
        (("demo", "--job-seconds", "nan"), "--job-seconds"),
        (("sandbox", "--port", "70000"), "--port"),
        (("sandbox", "--limit", "5"), "REQUESTS/SECONDS"),
        (("fly",), "fly"),
    ],
)
def test_wrong_options_are_usage_errors(options: tuple[str, ...], words: str) -> None:
    ended = hostup(*options)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_version() -> None:
    ended = hostup("--version")
    assert (ended.returncode, ended.stdout) == (0, f"hostup {__version__}\n")


@pytest.mark.parametrize("command", [(), ("demo",), ("sandbox",)])
def test_the_help(command: tuple[str, ...]) -> None:
    ended = hostup(*command, "--help")
    assert ended.returncode == 0
    assert "Usage: hostup" in ended.stdout


def test_the_installed_command_is_this_one() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="hostup")
    assert script.load() is cli.main


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = "The command line needs its extra: pip install 'hostup[cli]'\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sandbox_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    with running("sandbox", "--vps", "3") as sandbox:
        exports = line_with(sandbox, "export ")
        found = re.fullmatch(r"export HOSTUP_API_BASE=(http:\S+) HOSTUP_API_KEY=(\S+)\n", exports)
        assert found
        request = urllib.request.Request(  # noqa: S310 - on loopback
            f"{found[1]}/api/v2/vps", headers={"Authorization": f"Bearer {found[2]}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - likewise
            assert len(json.load(answer)["data"]) == 3
        sandbox.send_signal(number)
        told, errors = sandbox.communicate(timeout=PATIENCE)
    assert (sandbox.returncode, told) == (0, "")
    assert "Requests: 1 (1 list), refused with 429: 0. VPSes reset: 0, reset twice: 0.\n" in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken() -> None:
    with running("sandbox") as first:
        port = line_with(first, "export ").split()[1].rpartition(":")[2]
        second = hostup("sandbox", "--port", port)
    assert second.returncode == 1
    assert re.fullmatch(r"hostup: .*address already in use.*\n", second.stderr)
    assert second.stdout == ""
