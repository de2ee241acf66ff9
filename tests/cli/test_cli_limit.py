"""The rate limit on the command line: given, shared, remembered from run to run, forgotten."""

from pathlib import Path

import pytest
from cli_tools import events, here, hostup, sandbox
from test_cli_verdict import snapshot

from hostup_async.cli._output import words
from hostup_async.sandbox import Durations, Limit

pytestmark = pytest.mark.usefixtures("cli_home")
SOON = Durations(median=0.2)
LIMIT = Limit(requests=20, seconds=2)
RUN = ("reset", "--all", "--yes", "--canary", "0", "--cooldown", "0", "--json")


def write_profile(home: Path, text: str) -> None:
    file = home / "config" / "hostup" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f"[profiles.default]\n{text}\n")
    file.chmod(0o600)


def test_another_process_begins_with_the_limit_that_a_run_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sandbox(monkeypatch, vps=24, jobs=SOON, limit=LIMIT) as served:
        first, shown, second = hostup(*RUN), hostup("limit", "show", "--json"), hostup(*RUN)
        url = served.url
    assert (first.returncode, second.returncode) == (0, 0)
    [known] = events(shown.stdout, "limit")
    assert known["origin"] == url
    assert known["limits"] == [{"of": "all", "style": "window", "requests": 20, "window": 2}]
    assert 0 <= known["age"] < 60
    assert 0.05 < known["durations"]["reset"]["median"] < 5
    limited = [events(run.stdout, "report")[0]["limited"] for run in (first, second)]
    assert 1 <= limited[1] <= limited[0] + 2


def test_what_was_learnt_is_shown_as_a_table_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sandbox(monkeypatch, vps=24, jobs=SOON, limit=LIMIT) as served:
        assert here(*RUN).returncode == 0
        url = served.url
    table = here("limit", "show").stdout
    for part in (url, "20 in 2 s", "window", "s ago", "reset: half within"):
        assert part in " ".join(table.split())
    unknown = here("limit", "forget", "--key", "abcdef")
    assert unknown.returncode == 1
    assert "nothing was learnt with the key abcdef" in unknown.stderr
    assert here("limit", "forget").stdout == "Forgot what was learnt with 1 key.\n"
    assert here("limit", "show").stdout == "Nothing was learnt yet.\n"
    assert events(here("limit", "forget", "--json").stdout) == [
        {"v": 1, "event": "forgotten", "keys": 0}
    ]


def test_no_store_yet_is_said() -> None:
    ended = here("limit", "show")
    assert ended.returncode == 1
    assert "no run has been recorded in it" in ended.stderr


@pytest.mark.parametrize("given", ["option", "profile"])
def test_a_given_limit_is_kept_without_a_429_and_not_learnt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    if given == "profile":
        write_profile(tmp_path, 'limit = "20/2s"\nshare = 1')
    options = ("--limit", "20/2") if given == "option" else ()
    with sandbox(monkeypatch, vps=15, jobs=SOON, limit=LIMIT):
        ended = here(*RUN, *options)
        [known] = events(here("limit", "show", "--json").stdout, "limit")
    [report] = events(ended.stdout, "report")
    assert (report["counts"], report["limited"]) == ({"completed": 15}, 0)
    assert report["rate"] == 10
    assert report["floor"] == 2
    assert (known["limits"], set(known["durations"])) == ([], {"reset"})


def test_a_share_uses_that_part_and_the_command_that_resumes_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("--limit", "20/2", "--share", "50%", "--max-failures", "1")
    with sandbox(monkeypatch, vps=15, jobs=SOON, limit=LIMIT, job_failure_rate=1):
        ended = here(*RUN, *options, "--max-in-flight", "1")
    [report] = events(ended.stdout, "report")
    assert report["resume"].endswith("--limit 20/2 --share 50%")
    with sandbox(monkeypatch, vps=15, jobs=SOON, limit=LIMIT):
        whole = here(*RUN, *options)
    [report] = events(whole.stdout, "report")
    assert report["counts"] == {"completed": 15}
    assert report["limited"] == 0
    assert report["seconds"] > 4  # 30 requests, 10 in 2 s


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--limit", "60"), "--limit '60' cannot be read as REQUESTS/SECONDS: write 60/60"),
        (("--limit", "0/60"), "--limit '0/60' cannot be used: A rate limit must allow"),
        (("--limit", "60/0"), "--limit '60/0' cannot be used: "),
        (("--limit", "60/soon"), "--limit 'soon' cannot be read as a time"),
        (("--share", "1.5"), "--share '1.5' must be above 0 and at most 1, such as 0.7 or 70%"),
        (("--share", "0%"), "--share '0%' must be above 0"),
    ],
)
def test_what_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, str], message: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        ended = here("reset", "--all", *options)
        assert served.books().total_requests == 0
    assert ended.returncode == 2
    assert message in ended.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('limit = "sixty"', "config.toml: limit 'sixty' cannot be read as REQUESTS/SECONDS"),
        ("limit = 60", "config.toml: limit must be a string"),
        ("share = true", "config.toml: share 'True' must be above 0 and at most 1"),
        ("share = 7", "config.toml: share '7' must be above 0 and at most 1"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, message: str
) -> None:
    write_profile(tmp_path, line)
    with sandbox(monkeypatch, vps=1):
        ended = here("vps", "list")
    assert ended.returncode == 2
    assert message in ended.stderr


def test_the_time_left_is_of_the_size_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=24, jobs=SOON, limit=LIMIT):
        ended = here("reset", "--all", "--yes", "--json")
    left = [event["seconds_left"] for event in events(ended.stdout, "progress")]
    told = [seconds for seconds in left if seconds is not None]
    assert told
    assert max(told) < 60
    assert min(told) >= 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"in_flight": 2, "window": 4}, "2 in flight of at most 4"),
        ({"in_flight": 4, "window": 1}, "4 in flight; no more are sent until it is below 1"),
        ({"in_flight": 4, "window": 1, "stopping": "lunch"}, "4 in flight"),
        ({"in_flight": 4, "window": 1, "counts": {}}, "4 in flight"),
    ],
)
def test_what_is_in_flight_is_told_as_it_is(changes: dict[str, object], expected: str) -> None:
    assert words.traffic(snapshot(1.0, 2, **changes)) == expected
