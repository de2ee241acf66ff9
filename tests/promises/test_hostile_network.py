"""Whole fleets behind a network that repeats, loses and cuts responses."""

import pytest
from fleet_tools import KnowingStore, check_truth, quick
from hostile_proxy import HostileProxy
from tools import StartSandbox, client_of, repeats

from hostup_async import OutcomeStatus, Timeouts
from hostup_async.sandbox import Durations

SIZE = 200
TIMEOUTS = Timeouts(connect=2, read=0.4, request=3, call=5)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(repeats(10)))
async def test_no_response_is_taken_for_anothers(start_sandbox: StartSandbox, seed: int) -> None:
    sandbox = await start_sandbox(
        vps=SIZE, jobs=Durations(median=0.3), job_failure_rate=0.05, seed=seed
    )
    async with (
        HostileProxy(sandbox.url, seed=seed) as proxy,
        client_of(proxy.url, timeouts=TIMEOUTS) as client,
    ):
        plan = await client.fleet.plan(ids=sandbox.vps_ids)
        policy = quick(max_in_flight=40, max_ambiguous=SIZE)
        async with client.fleet.run(plan, policy, store=KnowingStore(0.3)) as run:
            report = await run.wait()
    books = await sandbox.books()
    assert len(report.outcomes) == SIZE
    check_truth(report.outcomes, books)
    for outcome in report.outcomes:
        done = books.resets.get(outcome.vps_id, 0)
        if outcome.status is OutcomeStatus.FAILED:
            assert done == 0, outcome
            assert outcome.vps_id in books.accepted
    assert min(proxy.fates[fate] for fate in ("lost", "cut", "repeated")) > 0
