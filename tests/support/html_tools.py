"""Runs to draw, and pages read back."""

import json
from collections import Counter
from html.parser import HTMLParser
from typing import Any

from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._models import Action
from hostup_async._store.records import AuditRecord, Entry, EntryState, RunRecord, RunState

BEGUN = 1_790_000_000.0
RUN_ID = "20260921-141320-abcde"
ORIGIN = "https://cloud.hostup.se"
VOID = {"meta", "input", "br", "hr", "img", "link"}
READ = {"title", "h1", "p", "li", "dt", "dd", "figcaption", "style", "script"}
REASONS = ("the hypervisor did not answer", "its disk is locked", "it would not stop")


def vps_id(number: int) -> str:
    return f"vps_{number:026d}"


def entry(number: int, state: EntryState = EntryState.COMPLETED, **changed: Any) -> Entry:
    """A VPS that was sent its action `number` tenths of a second after the run was begun."""
    sent_at = BEGUN + number / 10
    told: dict[str, Any] = {
        "vps_id": vps_id(number),
        "attempts": 1,
        "sent_at": sent_at,
        "accepted_at": sent_at + 0.1,
        "finished_at": sent_at + 5 + number % 17,
        "job_id": f"job_{number:016d}",
        "request_ids": (f"req_{number:016d}",),
    }
    return Entry(position=number, state=state, **{**told, **changed})


def unsent(number: int, state: EntryState, reason: str) -> Entry:
    return Entry(vps_id(number), number, state, reason)


def fleet(size: int) -> list[Entry]:
    """Of each hundred: five failed, two skipped, one ambiguous, the others completed."""
    return [_one_of_many(number) for number in range(size)]


def _one_of_many(number: int) -> Entry:
    place = number % 100
    if place < 5:
        return entry(number, EntryState.FAILED, reason=REASONS[place % 3])
    if place < 7:
        return unsent(number, EntryState.SKIPPED, "it is suspended")
    if place == 7:
        return entry(number, EntryState.AMBIGUOUS, reason=f"no answer for {vps_id(number)}")
    return entry(number)


def run_of(entries: list[Entry], **changed: Any) -> RunRecord:
    plan = Plan(action="reset", origin=ORIGIN, ids=[vps_id(one.position) for one in entries])
    told: dict[str, Any] = {
        "origin": ORIGIN,
        "plan": plan.to_json(),
        "plan_hash": plan.hash,
        "policy": FleetPolicy(max_failures=7).to_json(),
        "fingerprint": "3fa94c11",
        "who": "ana@ops-1",
        "reason": "a kernel panic",
        "created_at": BEGUN,
        "state": RunState.FINISHED,
    }
    return RunRecord(id=RUN_ID, action=Action.RESET, **{**told, **changed})


def line(after: float, what: str, **detail: object) -> AuditRecord:
    return AuditRecord(RUN_ID, BEGUN + after, "ana@ops-1", what, json.dumps(detail))


class Document(HTMLParser):
    """A page that was read, and found to be well nested.

    Attributes:
        tags: How many elements of each kind.
        ids: Every id, in order.
        links: Every `href`.
        attributes: Every attribute of every element.
        rows: The cells' texts, by the id of their table; those of the head among them.
        texts: What stands in each element of some kinds, by kind.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._table = ""
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs)
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in found.items()]
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self._table = found.get("id", "")
        elif tag == "tr":
            self.rows.setdefault(self._table, []).append([])
        elif tag in {"td", "th"}:
            self.rows[self._table][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in READ & set(self._open):
            self.texts[tag][-1] += data
        if {"td", "th"} & set(self._open):
            self.rows[self._table][-1][-1] += data

    def column(self, number: int) -> list[str]:
        """A column of the table of outcomes, without its head."""
        return [cells[number] for cells in self.rows["outcomes"][1:]]
