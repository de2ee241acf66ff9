"""The commands that only read."""

import pytest
from cli_tools import events, here, hostup, sandbox

pytestmark = pytest.mark.usefixtures("cli_home")


def test_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=3, stopped=1) as served:
        listed, named = here("vps", "list"), here("vps", "list", "--name", "WEB-2.example.com")
        as_json = here("vps", "list", "--json")
    assert all(vps_id in listed.stdout for vps_id in served.vps_ids)
    assert listed.stdout.count("\n") == 4  # no rule and no summary where a program may read it
    assert "stopped" in listed.stdout
    assert named.stdout.count("\n") == 2
    assert served.vps_ids[1] in named.stdout
    assert [one["id"] for one in events(as_json.stdout, "vps")] == list(served.vps_ids)


def test_one_vps_with_its_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        shown = here("vps", "show", served.vps_ids[0])
        (as_json,) = events(here("vps", "show", served.vps_ids[0], "--json").stdout)
    assert "Reset     allowed" in shown.stdout
    assert "Start     not allowed: The VPS is already running." in shown.stdout
    assert as_json["id"] == served.vps_ids[0]
    assert as_json["actions"]["canReset"]["allowed"] is True


def test_the_live_state(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        shown = here("vps", "status", served.vps_ids[0])
        (as_json,) = events(here("vps", "status", served.vps_ids[0], "--json").stdout)
    assert "Power      running" in shown.stdout
    assert " d " in shown.stdout
    assert as_json["uptimeSeconds"] > 0


def test_an_uptime_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1, uptime_known=False) as served:
        assert "Uptime     not known" in here("vps", "status", served.vps_ids[0]).stdout


def test_an_account_without_a_vps(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=0):
        assert here("vps", "list").stdout.split() == ["Id", "Name", "Address", "Service", "Power"]
        check = here("auth", "check")
        reset = here("reset", "--all")
    assert check.returncode == 0
    assert "the account has no VPS" in check.stdout
    assert reset.returncode == 1
    assert "nothing is left to do" in reset.stderr


def test_the_shell_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_HOSTUP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "hostup fleet re")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert set(hostup().stdout.split()) == {"reset", "resume", "report"}
