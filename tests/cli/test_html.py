import base64
import hashlib
import re
import sys
from importlib import import_module
from typing import Any

import pytest
from html_tools import BEGUN, REASONS, Document, entry, fleet, line, run_of, unsent
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import examples

from hostup_async import Budget, Client, ConfigurationError, FleetPolicy, Plan
from hostup_async._store.memory import MemoryStore
from hostup_async._store.records import AuditRecord, Entry, EntryState, RunState
from hostup_async._text import visible
from hostup_async.cli._html import render
from hostup_async.sandbox import Durations, Sandbox, SandboxConfig

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "' onclick='alert(1)",
    "{{ 7 * 7 }} {% raw %} {# #}",
    "</title></style><!-- ",
    "&lt;b&gt; &amp;",
    "$\\frac{",
    "bell\x07 escape\x1b[31m nul\x00 line\nbreak\r\ttab",
    "right\u202eleft\u2066 zero\u200bwidth \ufeff",
    "lone \ud800 surrogate",
    "emoji 🎉 åäö 漢字",
)


def page_of(entries: list[Entry], audit: tuple[AuditRecord, ...] = (), **changed: Any) -> Document:
    return Document(render(run_of(entries, **changed), entries, audit))


@pytest.fixture(scope="module")
def hundred() -> Document:
    return page_of(fleet(100), (line(0, "created"), line(60, "finished", stopped=None, seconds=60)))


def test_the_header_says_what_was_done_by_whom_and_why(hundred: Document) -> None:
    assert "reset of 100 VPSes" in hundred.texts["h1"][0]
    names, values = hundred.texts["dt"], hundred.texts["dd"]
    facts = dict(zip(names, values, strict=True))
    assert facts["State"] == "finished"
    assert facts["Reason"] == "a kernel panic"
    assert facts["Begun by"] == "ana@ops-1"
    assert facts["Begun"] == "2026-09-21 14:13:20 UTC"
    assert facts["Key fingerprint"] == "3fa94c11"
    assert re.fullmatch("[0-9a-f]{16}", facts["Plan hash"])
    assert facts["max failures"] == "7"
    assert "20260921-141320-abcde" in hundred.texts["title"][0]


def test_the_counts(hundred: Document) -> None:
    counts = [" ".join(tile.split()) for tile in hundred.texts["li"]]
    begins = ("5 failed", "1 ambiguous", "2 skipped", "92 completed")  # failures first
    assert len(counts) == len(begins)
    assert all(count.startswith(begin) for count, begin in zip(counts, begins, strict=True))


def test_each_vps_has_its_row(hundred: Document) -> None:
    rows = hundred.rows["outcomes"]
    assert [len(cells) for cells in rows] == [11] * 101
    assert rows[1 + 8] == [
        *("9", "vps_00000000000000000000000008", "", "completed", "", "14:13:20.8", "12.9", "1"),
        *("", "job_0000000000000008", "req_0000000000000008"),
    ]
    assert rows[1 + 7][:8] == [
        *("7", "vps_00000000000000000000000006", "", "skipped", "it is suspended", "", "", "0"),
    ]


def test_failures_come_first_in_every_part() -> None:
    entries = [entry(0), unsent(1, EntryState.SKIPPED, "held"), *fleet(100)[2:5], entry(5)]
    page = page_of(entries)
    assert page.column(3) == ["failed"] * 3 + ["skipped"] + ["completed"] * 2
    assert page.column(0) == ["3", "4", "5", "2", "1", "6"]
    assert [cells[1] for cells in page.rows["reasons"][1:]] == ["failed"] * 3 + ["skipped"]
    headings = [*page.rows]
    assert headings.index("reasons") < headings.index("outcomes")


def test_each_vps_is_shown_with_its_name() -> None:
    entries = fleet(4)
    ids = [one.vps_id for one in entries]
    names = {ids[0]: "web-1", ids[2]: "<b>db</b>"}
    plan = Plan(action="reset", origin="https://x", ids=ids[:3], names=names)
    plan = plan.without({ids[2]: "it is suspended"})
    page = page_of(entries[:2], plan=plan.to_json())
    assert page.column(2) == ["web-1", ""]
    assert [ids[2], "<b>db</b>", "it is suspended"] in page.rows[""]
    assert page.tags["b"] == 0


def test_reasons_are_grouped_and_lead_to_rows(hundred: Document) -> None:
    groups = hundred.rows["reasons"][1:]
    assert ["2", "skipped", "it is suspended"] in groups
    assert ["1", "ambiguous", "no answer for …"] in groups
    assert sum(int(count) for count, _, _ in groups) == 8
    led_to = {link.removeprefix("#") for link in hundred.links if link.startswith("#reason=")}
    assert len(led_to) == len(groups)
    assert led_to <= set(hundred.ids)


def test_the_page_needs_nothing_from_elsewhere(hundred: Document) -> None:
    assert not {"link", "img", "iframe", "object", "base"} & set(hundred.tags)
    assert all(link.startswith("#") for link in hundred.links)
    for tag, name, value in hundred.attributes:
        assert name != "src"
        assert not name.startswith("on")
        assert "//" not in value or name.startswith("xmlns"), (tag, name, value)
    assert not re.search(r"@import|url\(", "".join(hundred.texts["style"]))


def test_the_policy_of_the_page_allows_its_own_script_alone(hundred: Document) -> None:
    (script,) = hundred.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [value for _, name, value in hundred.attributes if "default-src" in value]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


def test_no_id_stands_twice(hundred: Document) -> None:
    assert len(set(hundred.ids)) == len(hundred.ids)


def test_every_colour_of_the_charts_is_one_of_the_page(hundred: Document) -> None:
    charts = render(run_of(fleet(100)), fleet(100), ())
    drawn = "".join(re.findall(r"<svg.*?</svg>", charts, re.DOTALL))
    used = set(re.findall(r"var\((--\w+)\)", drawn))
    assert {"--ink", "--blue", "--red", "--green"} <= used
    assert not re.findall(r"#[0-9a-f]{6}", drawn)
    light, dark = re.findall(r":root \{(.*?)\}", hundred.texts["style"][0], re.DOTALL)
    assert all(f"{name}:" in light and f"{name}:" in dark for name in used)


def test_the_same_run_gives_the_same_page() -> None:
    entries = fleet(20)
    run = run_of(entries)
    assert render(run, entries, ()) == render(run, entries, ())


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_wrote_is_text(text: str) -> None:
    entries = [
        entry(0, EntryState.FAILED, vps_id=text, reason=text, job_id=text, request_ids=(text,)),
        entry(1, evidence=text, job_id=None, poll_url=text),
    ]
    audit = (line(0, text, why=text), line(1, "paused", why=text), line(3, "unpaused"))
    changed = {"who": text, "reason": text, "fingerprint": text, "origin": text}
    page = page_of(entries, audit, **changed, plan=text, policy=text)
    assert page.tags["script"] == 1
    assert not {"img", "b"} & set(page.tags)
    assert page.tags["svg"] == 1
    seen = visible(text)
    assert page.rows["outcomes"][1][1] == seen
    assert page.rows["outcomes"][1][9:] == [seen, seen]
    assert page.rows["outcomes"][2][8:10] == [seen, seen]
    assert page.rows["audit"][1][2:] == [seen.replace("_", " "), f"why: {seen}"]
    assert seen in page.texts["dd"]


# A surrogate is in a text where a JSON answer spelt one out.
@given(text=st.text(st.characters(codec=None)), why=st.text(min_size=1))
@settings(max_examples=examples(60), deadline=None)
def test_any_text_is_shown_and_can_be_written(text: str, why: str) -> None:
    entries = [Entry(text, 0, EntryState.SKIPPED, why)]
    told = render(run_of([], reason=why), entries, ())
    told.encode()
    page = Document(told)
    assert page.rows["outcomes"][1][1:5] == [visible(text), "", "skipped", visible(why)]
    assert page.tags["script"] == 1


def test_a_run_of_nothing() -> None:
    page = page_of([])
    assert "The run has no VPSes." in page.texts["p"]
    assert "Nothing was sent." in page.texts["p"]
    assert page.rows == {}
    assert page.tags["svg"] == 0


def test_a_run_of_one() -> None:
    page = page_of([entry(0)])
    assert "reset of 1 VPS" in " ".join(page.texts["h1"][0].split())
    assert page.tags["svg"] == 1
    assert any("half of them within 4.9 s" in words for words in page.texts["p"])
    assert "reasons" not in page.rows


@pytest.mark.timeout(30)
def test_a_run_of_ten_thousand() -> None:
    entries = fleet(10_000)
    told = render(run_of(entries), entries, ())
    assert len(told) < 4_000_000
    page = Document(told)
    assert len(page.rows["outcomes"]) == 10_001
    assert len(page.rows["reasons"]) == 1 + 5
    assert page.rows["reasons"][1] == ["200", "failed", REASONS[0]]


def test_pauses_are_told_with_their_causes_or_without() -> None:
    early, late = [entry(n) for n in range(30)], [entry(n) for n in range(600, 630)]
    audit = (line(70, "stopped", stopped="SIGINT"), line(100, "resumed"))
    entries = [*early, *late, entry(1_010)]
    page = page_of(entries, audit, finished_at=BEGUN + 170)
    assert page.rows[""][1] == [
        *("1", "2026-09-21 14:14:30", "2026-09-21 14:15:00", "30 s", "stopped: SIGINT"),
    ]
    (told,) = [words for words in page.texts["p"] if words.startswith("Nothing was sent for")]
    assert "once, 57.1 s in all, at most 57.1 s at a time" in told
    assert "2026-09-21 14:16:10 UTC" in page.texts["dd"]
    assert "leaves time out" not in page.texts["figcaption"][0]


def test_a_night_between_two_parts_is_left_out() -> None:
    audit = (line(70, "stopped"), line(40_000, "resumed"))
    page = page_of([entry(0), entry(400_100)], audit)
    assert "At // the axis leaves time out." in page.texts["figcaption"][0]


def test_a_run_that_goes_on() -> None:
    entries = [
        entry(0),
        entry(1, EntryState.ACCEPTED, finished_at=None),
        entry(2, EntryState.INTENT, accepted_at=None, finished_at=None),
        Entry("vps_3", 3),
    ]
    page = page_of(entries, state=RunState.RUNNING)
    assert page.column(3) == ["intent", "accepted", "planned", "completed"]
    assert page.column(6) == ["", "", "", "4.9"]
    assert "3 sent, 2 accepted, 1 known." in page.texts["figcaption"][0]


def test_many_reasons_are_cut_short() -> None:
    entries = [unsent(n, EntryState.SKIPPED, f"reason number {n}") for n in range(130)]
    page = page_of(entries)
    assert len(page.rows["reasons"]) == 101
    assert "And 30 rarer reasons, in the table below." in page.texts["p"]


def test_exclusions_are_told() -> None:
    entries = [entry(0), entry(1)]
    run = run_of(entries)
    plan = import_module("hostup_async._fleet.plan").Plan.from_json(run.plan)
    less = plan.without({entries[1].vps_id: "it is <suspended>"})
    page = Document(render(run_of(entries[:1], plan=less.to_json()), entries[:1], ()))
    assert [entries[1].vps_id, "", "it is <suspended>"] in page.rows[""]


def test_the_audit_trail_is_told() -> None:
    counts = {"completed": 2, "failed": 1}
    audit = (line(9.0, "stopped", counts=counts, stopped=None, seconds=9.04),)
    page = page_of([entry(0)], audit)
    assert page.rows["audit"][1] == [
        *("2026-09-21 14:13:29", "ana@ops-1", "stopped"),
        "counts: 2 completed, 1 failed; seconds: 9.0",
    ]


def test_days_are_told_where_there_are_several() -> None:
    page = page_of([entry(0), entry(1, sent_at=BEGUN + 86_400)])
    assert page.column(5) == ["2026-09-21 14:13:20.0", "2026-09-22 14:13:20.0"]


def test_slow_jobs_do_not_flatten_the_others() -> None:
    entries = [entry(n, finished_at=BEGUN + n / 10 + 20) for n in range(50)]
    even = render(run_of(entries), entries, ())
    entries.append(entry(50, finished_at=BEGUN + 900))
    skewed = render(run_of(entries), entries, ())
    assert ">1000<" not in even
    assert ">100<" in skewed  # a decade of a logarithmic axis


async def test_a_run_as_its_store_has_it() -> None:
    config = SandboxConfig(
        vps=12, jobs=Durations(kind="constant", median=0.05), job_failure_rate=0.3
    )
    async with Sandbox(config) as sandbox, MemoryStore() as store:
        async with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
            policy = FleetPolicy(canary=0, reason="to see it drawn")
            report = await client.fleet.reset(sandbox.vps_ids, policy, store=store)
        run = await store.run(report.run_id)
        entries = [one async for one in store.entries(run.id)]
        page = Document(render(run, entries, await store.audit(run.id)))
    found = dict(zip(page.column(1), page.column(3), strict=True))
    assert found == {one.vps_id: one.status.value for one in report.outcomes}
    assert [cells[2] for cells in page.rows["audit"][1:]] == ["created", "finished"]
    assert "to see it drawn" in page.texts["dd"]


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("hostup_async.cli._html.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hostup\[report\]'"):
        render(run_of([]), [], ())
