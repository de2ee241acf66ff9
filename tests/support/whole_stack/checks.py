"""What must hold in every history, by the books that the server itself kept."""

from collections import Counter
from typing import Final

from simulation.checks import Broken
from simulation.setup import RESEND

from hostup_async import Client, FleetReport, Outcome, OutcomeStatus, Plan
from hostup_async.sandbox import Books
from whole_stack.network import Network
from whole_stack.setup import Setup

_UNTOUCHED: Final = frozenset({"refused", "skipped", "not_sent"})


class Checks:
    """The invariants of one history, and what they found broken."""

    def __init__(self, setup: Setup, network: Network) -> None:
        self._setup: Final = setup
        self._network: Final = network
        self.found: Final = list[Broken]()
        self.plans: Final = dict[str, Plan]()
        self._reports: Final = list[FleetReport]()

    def fail(self, invariant: str, what: str) -> None:
        self.found.append(Broken(invariant, f"{what} (at {self._network.now:.3f})"))

    def accepted(self, vps_id: str, state: str | None, times: int) -> None:
        """The server has just accepted an action; its entry in the store has this state."""
        if self._setup.plot != "direct" and state in {None, "planned"}:
            self.fail("sent without an intent", f"{vps_id} is {state} in the store")
        if times > 1 and self._setup.policy.on_ambiguous != RESEND:
            self.fail("reset twice", f"{vps_id} accepted {times} times")

    def report(self, report: FleetReport, books: Books, *, counts_anew: bool) -> None:
        """A run has told its outcomes."""
        self._reports.append(report)
        ids = Counter(outcome.vps_id for outcome in report.outcomes)
        if ids != Counter(self.plans[report.run_id].ids):
            self.fail("an outcome is missing", f"of {report.run_id}: {sorted(ids.items())}")
        for outcome in report.outcomes:
            if outcome.status is OutcomeStatus.COMPLETED:
                self.completed(outcome.vps_id, books, outcome.evidence)
        if not counts_anew:
            self._check_bound(report)

    def completed(self, vps_id: str, books: Books, evidence: str | None = None) -> None:
        """The product has just called it completed, by the server's word or by evidence."""
        server_lies = self._setup.config.completed_without_effect_rate > 0
        if not books.resets.get(vps_id) and (evidence is not None or not server_lies):
            self.fail("untrue completed", f"{vps_id} was not reset, evidence: {evidence}")

    def _check_bound(self, report: FleetReport) -> None:
        policy = self._setup.policy
        if policy.max_failures is None or policy.max_in_flight is None:
            return
        failures = sum(outcome.status.is_failure for outcome in report.outcomes)
        if failures > policy.max_failures + policy.max_in_flight:
            self.fail("more failures than k + W", f"{failures}")

    def at_the_end(self, books: Books) -> None:
        """Every job is over, and the books say what became of each VPS."""
        twice = sorted(vps_id for vps_id, times in books.resets.items() if times > 1)
        if twice:
            self.fail("reset twice", ", ".join(twice))
        planned = {vps_id for plan in self.plans.values() for vps_id in plan.ids}
        if self._setup.plot != "direct" and not planned.issuperset(books.accepted):
            self.fail("reset unplanned", ", ".join(sorted({*books.accepted} - planned)))
        if self._setup.plot == "rival":  # each run calls untouched what the other one did
            return
        for report in self._reports[-1:]:
            for outcome in report.outcomes:
                self._check_untouched(outcome, books)

    def _check_untouched(self, outcome: Outcome, books: Books) -> None:
        status, vps_id = str(outcome.status), outcome.vps_id
        was_reset = books.resets.get(vps_id, 0) > 0
        may_resend = self._setup.policy.on_ambiguous == RESEND
        touched = was_reset if may_resend else vps_id in books.accepted
        if status in _UNTOUCHED and touched:
            self.fail(f"untrue {status}", f"{vps_id} was accepted: {outcome.reason}")
        if status in {"not_done", "failed"} and was_reset:
            self.fail(f"untrue {status}", f"{vps_id} was reset: {outcome.reason}")

    def nothing_left(self, machine: str, client: Client) -> None:
        """A client was closed some time ago."""
        snapshot = client.budget.snapshot()
        if snapshot.queued or snapshot.in_flight:
            self.fail("left behind", f"{snapshot.in_flight} permits, {snapshot.queued} queued")
        if client._poller._watches or client._requester._actions_under_way:
            self.fail("left behind", f"watches or actions in {machine}")
        tasks = _names(self._network, machine)
        if tasks:
            self.fail("left behind", f"tasks in {machine}: {', '.join(tasks)}")
        if self._network.connections(machine):
            self.fail("left behind", f"{self._network.connections(machine)} connections")


def _names(network: Network, machine: str) -> list[str]:
    return [str(task.get_coro()) for task in network.tasks(machine)]
