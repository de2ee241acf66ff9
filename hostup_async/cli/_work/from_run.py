"""The VPSes of a new run, taken from the outcomes of an old one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from hostup_async import Outcome, OutcomeStatus, Plan, RunRecord
from hostup_async.cli._exits import CommandFailed, usage
from hostup_async.cli._inputs.account import existing_store, open_to_read
from hostup_async.cli._inputs.profiles import Profile
from hostup_async.cli._inputs.targets import VpsFilter, read_filter
from hostup_async.cli._options import Selection
from hostup_async.cli._output.words import in_words
from hostup_async.cli._run_options import FromRun
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.recorded import find_id

# Nothing was done to these VPSes, or their job ended in failure: another try cannot be a second
# success.
_UNDONE: Final = (OutcomeStatus.FAILED, OutcomeStatus.NOT_DONE, OutcomeStatus.REFUSED)
_WARNINGS: Final = {
    OutcomeStatus.AMBIGUOUS: "if the action took place, this does it a second time",
    OutcomeStatus.TIMED_OUT: "the job may still end, and this does it a second time; ask first "
    "with hostup fleet follow {run}",
    OutcomeStatus.NOT_FOLLOWED: "the job goes on, and this does it a second time; ask first with "
    "hostup fleet follow {run}",
    OutcomeStatus.COMPLETED: "this does it once more",
}


@frozen
class RunTargets:
    """VPSes with certain outcomes in a recorded run.

    Attributes:
        run: The run.
        ids: Its VPSes with these outcomes.
        counts: How many of them have which outcome.
    """

    run: RunRecord
    ids: list[str]
    counts: Mapping[OutcomeStatus, int]

    def warnings(self) -> Iterator[str]:
        """What the operator must know before the action is sent to them again."""
        for status, warning in _WARNINGS.items():
            if count := self.counts.get(status):
                words = warning.format(run=self.run.id)
                yield f"{in_words(status)} in run {self.run.id}: {count}; {words}."

    @property
    def may_act_twice(self) -> bool:
        """Whether the action may have been done to one of them already."""
        return any(self.counts.get(status) for status in _WARNINGS)

    def in_words(self) -> str:
        """Where the VPSes come from."""
        counts = ", ".join(f"{n} {in_words(status)}" for status, n in self.counts.items())
        return f"From run {self.run.id} ({self.run.action}): {counts}"

    def refuse_other_api(self, plan: Plan) -> None:
        """Refuse VPSes of another API: their ids mean nothing here.

        Raises:
            CommandFailed: The run was made at another API.
        """
        if self.run.origin != plan.origin:
            message = (
                f"run {self.run.id} was made at {self.run.origin}, and this account is at "
                f"{plan.origin}: choose the profile or the --api-base of that run"
            )
            raise usage(message)


def read_targets(
    source: FromRun, ids: list[str], selection: Selection, store: str | None, profile: Profile
) -> RunTargets | None:
    """The VPSes that the options take from a recorded run; None where they name none.

    Raises:
        CommandFailed: They name VPSes in another way as well, a status that does not exist, or a
            run in which no VPS has such an outcome.
    """
    if source.from_run is None:
        if source.only is None:
            return None
        message = "--only chooses among the outcomes of a run: add --from-run RUN"
        raise usage(message)
    is_named = ids or selection.from_file or selection.all_of_them
    if is_named or read_filter(selection) != VpsFilter():
        message = "--from-run names the VPSes: leave out ids, --from, --all, --name, --tag, --power"
        raise usage(message)
    wanted = read_statuses(source.only)
    run, outcomes = _read(source.from_run, existing_store(store, profile))
    chosen = [one for one in outcomes if one.status in wanted]
    if not chosen:
        raise CommandFailed(_nothing_left(run, outcomes, wanted))
    counts = Counter(one.status for one in chosen)
    return RunTargets(run, [one.vps_id for one in chosen], counts)


def read_statuses(text: str | None) -> list[OutcomeStatus]:
    """The outcomes that `--only` names.

    Raises:
        CommandFailed: One of them does not exist.

    Example:
        >>> read_statuses("failed, timed-out")
        [<OutcomeStatus.FAILED: 'failed'>, <OutcomeStatus.TIMED_OUT: 'timed_out'>]
    """
    if text is None:
        return list(_UNDONE)
    words = [word.strip().lower().replace("-", "_") for word in text.split(",")]
    try:
        return [OutcomeStatus(word) for word in words if word]
    except ValueError:
        known = ", ".join(OutcomeStatus)
        message = f"--only {text!r} names an outcome that does not exist; they are {known}"
        raise usage(message) from None


def _read(run_id: str, store: str) -> tuple[RunRecord, list[Outcome]]:
    async def read() -> tuple[RunRecord, list[Outcome]]:
        async with open_to_read(store) as opened:
            found = await find_id(opened, run_id)
            outcomes = [entry.outcome() async for entry in opened.entries(found)]
            return await opened.run(found), outcomes

    return run_loop(read)


def _nothing_left(run: RunRecord, outcomes: list[Outcome], wanted: list[OutcomeStatus]) -> str:
    there = Counter(one.status for one in outcomes)
    counts = ", ".join(f"{count} {in_words(status)}" for status, count in there.items())
    names = " or ".join(in_words(status) for status in wanted)
    return f"nothing is left to do: run {run.id} has no VPS that is {names}; it has {counts}"
