"""The commands on what was learnt: show it, forget it."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from attrs import frozen

from hostup_async import LearntLimit, LearntLimits, LearntRecord, LimitStyle, open_store
from hostup_async._polling.durations import DurationModel
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import open_to_read, recorded_store
from hostup_async.cli._options import AccountOptions, Listing, Output, StoreOptions
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.format import format_units
from hostup_async.cli._output.listing import Column, Listed
from hostup_async.cli._output.screen import emit, screen
from hostup_async.cli._signals import run as run_loop


@frozen
class Learnt:
    """What the store has of one key at one API.

    Attributes:
        origin: The API.
        fingerprint: Of the key.
        limits: Its limits.
        age: Seconds since the newest of it was learnt.
        durations: How long jobs take, by action.
    """

    origin: str
    fingerprint: str
    limits: LearntLimits
    age: float
    durations: dict[str, DurationModel]

    @property
    def each_limit(self) -> Iterator[tuple[str, LearntLimit]]:
        """Each limit that is known, with the requests that it is of."""
        names = ("actions", "reads") if self.limits.is_split else ("all",)
        for name, limit in zip(names, (self.limits.actions, self.limits.reads), strict=False):
            if limit is not None:
                yield name, limit


def show_learnt(
    key: str | None, store_options: StoreOptions, account_options: AccountOptions, listing: Listing
) -> None:
    """Print what the store has learnt."""
    LEARNT.check(listing)
    store = recorded_store(store_options, account_options)

    async def read() -> list[LearntRecord]:
        async with open_to_read(store) as opened:
            return await opened.learnt(fingerprint=key)

    LEARNT.write(screen(), listing, list(_by_key(run_loop(read))))


def forget_learnt(
    key: str | None, store_options: StoreOptions, account_options: AccountOptions, output: Output
) -> None:
    """Forget what the store has learnt, and print of how many keys.

    Raises:
        CommandFailed: Nothing was learnt with that key.
    """
    store = recorded_store(store_options, account_options)

    async def forget() -> int:
        async with open_store(store) as opened:
            known = len(list(_by_key(await opened.learnt(fingerprint=key))))
            await opened.forget(fingerprint=key)
            return known

    known, console = run_loop(forget), screen()
    if key is not None and not known:
        message = f"nothing was learnt with the key {key}: hostup limit show lists the keys"
        raise CommandFailed(message)
    if output.json:
        emit(console, json_lines.line("forgotten", {"keys": known}))
    elif not output.quiet:
        console.print(f"Forgot what was learnt with {known} key{'' if known == 1 else 's'}.")


def _by_key(records: list[LearntRecord]) -> Iterator[Learnt]:
    for (origin, fingerprint), group in groupby(
        records, key=lambda one: (one.origin, one.fingerprint)
    ):
        known = {one.what: one for one in group}
        limits, age = LearntLimits(), min(one.age for one in known.values())
        if (record := known.pop(LearntRecord.LIMITS, None)) is not None:
            limits, age = LearntLimits.from_json(record.text, age=record.age), record.age
        durations = {what: DurationModel.from_json(one.text) for what, one in known.items()}
        yield Learnt(origin, fingerprint, limits, age, durations)


def _limits(learnt: Learnt) -> str:
    limits = list(learnt.each_limit)
    is_split = learnt.limits.is_split
    names = [f"{name}: {_words(one)}" if is_split else _words(one) for name, one in limits]
    return "; ".join(names) or "not known"


def _styles(learnt: Learnt) -> str:
    styles = (one.style.value.replace("_", " ") for _, one in learnt.each_limit)
    return ", ".join(dict.fromkeys(styles))


def _times(learnt: Learnt) -> str:
    times = (
        f"{action}: half within {one.quantile(0.5):.2g} s, 95 % within {one.quantile(0.95):.2g} s"
        for action, one in learnt.durations.items()
    )
    return "; ".join(times) or "not known"


def _words(limit: LearntLimit) -> str:
    match limit.style:
        case LimitStyle.AT_ONCE:
            return f"{limit.requests:g} at once"
        case LimitStyle.RATE:
            return f"{limit.requests / limit.window:.3g} a second"
        case _:
            return f"{limit.requests:g} in {limit.window:g} s"


def _members(learnt: Learnt) -> dict[str, Any]:
    return {
        "origin": learnt.origin,
        "fingerprint": learnt.fingerprint,
        "age": round(learnt.age, 1),
        "limits": [
            {"of": name, "style": one.style, "requests": one.requests, "window": one.window}
            for name, one in learnt.each_limit
        ],
        "durations": {
            action: {"median": round(one.quantile(0.5), 3), "p95": round(one.quantile(0.95), 3)}
            for action, one in learnt.durations.items()
        },
    }


LEARNT: Final = Listed[Learnt](
    event="limit",
    columns=(
        Column("Key", lambda learnt: learnt.fingerprint),
        Column("API", lambda learnt: learnt.origin),
        Column("Limit", _limits),
        Column("Style", _styles),
        Column("Learnt", lambda learnt: f"{format_units(learnt.age)} ago"),
        Column("Jobs take", _times),
    ),
    members=_members,
    none="Nothing was learnt yet.",
)
