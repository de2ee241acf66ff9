"""One stray answer costs one request, and not the run; and a broken API is not sent everything."""

import json

import pytest
from fleet_tools import KnowingStore, counts, quick, reset_all, statuses, until
from stray_api import Asked, StrayApi, page, problem
from tools import client_of, http

from hostup_async import EntryState, StopCause

pytestmark = pytest.mark.usefixtures("precise_uptime")
IDS = [f"vps_{n:03}" for n in range(40)]
OTHERS_JOB = http(json.dumps({"data": {"jobId": "job_other", "status": "completed"}}).encode())
STRAYS = {
    "302": page(302),
    "HTML 401": page(401),
    "HTML 403": page(403),
    "401": problem(401, "unauthorized"),
    "403": problem(403, "forbidden"),
    "404": problem(404, "not_found"),
    "409": page(409),
    "421": page(421),
    "425": page(425),
    "499": page(499),
    "500": page(500),
    "another job": OTHERS_JOB,
}


@pytest.mark.parametrize("stray", STRAYS)
async def test_one_stray_poll_costs_one_poll(stray: str) -> None:
    struck: list[int] = []

    def strike(asked: Asked) -> bytes | None:
        if asked.kind != "poll" or asked.number < 10 or struck:
            return None
        struck.append(asked.number)
        return STRAYS[stray]

    async with StrayApi(strike, job=0.2) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(max_in_flight=8), ids=IDS)
        operation = await client.vps.reset("vps_alone")
        struck.clear()
        job = await operation.wait(timeout=20)
    assert struck
    assert job.is_final
    assert report.stopped is None
    assert statuses(report.outcomes) == ["completed"] * 40
    assert {one.evidence for one in report.outcomes} == {None}


@pytest.mark.parametrize("stray", ["401", "403"])
async def test_a_key_that_two_polls_in_a_row_refuse_stops_the_run(stray: str) -> None:
    def strike(asked: Asked) -> bytes | None:
        return STRAYS[stray] if asked.kind == "poll" else None

    async with StrayApi(strike, job=0.2) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(max_in_flight=8), ids=IDS)
    assert report.stop_cause is StopCause.KEY_REFUSED
    assert set(counts(report)) == {"not_followed", "not_sent"}
    assert len(api.accepted) == counts(report)["not_followed"]


async def test_a_job_that_is_forgotten_twice_is_settled_by_the_uptime() -> None:
    def strike(asked: Asked) -> bytes | None:
        return STRAYS["404"] if asked.kind == "poll" else None

    async with StrayApi(strike, job=0.5) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(), KnowingStore(0.5), ids=IDS[:3])
    assert api.accepted == IDS[:3]
    assert {one.evidence for one in report.outcomes} == {"uptime"}


async def test_a_key_refused_in_the_midst_of_a_run_decides_about_no_vps() -> None:
    """What is refused for the key is planned as before, and another key sends it."""

    def strike(asked: Asked) -> bytes | None:
        is_refused = asked.kind == "post" and asked.number > 10 and not renewed
        return problem(401, "unauthorized") if is_refused else None

    renewed: list[bool] = []
    async with StrayApi(strike) as api, KnowingStore(0.1) as store:
        async with client_of(api.url) as client:
            report = await reset_all(client, quick(max_in_flight=5), store, ids=IDS)
        refused = set(api.accepted[10:])
        assert report.stop_cause is StopCause.KEY_REFUSED
        assert set(counts(report)) == {"completed", "not_sent"}
        assert 1 <= len(refused) <= 5
        renewed.append(True)
        async with client_of(api.url) as client:
            run = await client.fleet.resume(report.run_id, store=store)
            async with run:
                report = await run.wait()
    assert counts(report) == {"completed": 40}


@pytest.mark.parametrize("policy", [{}, {"max_failures": 5}])
async def test_every_post_504(policy: dict[str, int]) -> None:
    """By default, ten in doubt in a row hold the sending, and ten ambiguous in a row end it."""

    def strike(asked: Asked) -> bytes | None:
        if asked.kind == "status":
            return http(b'{"powerState": "running", "uptimeSeconds": null}')
        return page(504) if asked.kind == "post" and asked.number > 1 else None

    ids = [f"vps_{n:03}" for n in range(200)]
    async with StrayApi(strike) as api, client_of(api.url) as client:
        settings = quick(canary=1, max_in_flight=20, **policy)
        report = await reset_all(client, settings, ids=ids)
    assert len(api.accepted) <= 1 + 10 + 20
    assert report.stop_cause is StopCause.MAX_AMBIGUOUS
    assert report.stopped == "10 outcomes in a row are ambiguous"
    assert counts(report)["not_sent"] == 200 - len(api.accepted)
    assert len(set(api.accepted)) == len(api.accepted)


async def test_a_number_for_max_ambiguous_is_a_total() -> None:
    def strike(asked: Asked) -> bytes | None:
        if asked.kind == "status":
            return http(b'{"powerState": "running", "uptimeSeconds": null}')
        return page(504) if asked.kind == "post" else None

    async with StrayApi(strike) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(max_ambiguous=1000), ids=IDS)
    assert counts(report) == {"ambiguous": 40}
    assert len(api.accepted) == 40


async def test_lost_answers_of_actions_that_were_done_do_not_stop_the_run() -> None:
    def strike(asked: Asked) -> bytes | None:
        return page(504) if asked.kind == "post" else None

    async with StrayApi(strike, job=0.5) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(max_in_flight=20), KnowingStore(0.5), ids=IDS)
    assert report.stopped is None
    assert counts(report) == {"completed": 40}
    assert len(api.accepted) == 40


async def test_one_job_for_two_vpses_settles_neither() -> None:
    def strike(asked: Asked) -> bytes | None:
        if asked.kind == "post" and asked.name in IDS[:2]:
            operation = {"jobId": IDS[0], "pollUrl": f"/api/jobs/{IDS[0]}", "status": "queued"}
            return http(json.dumps({"operation": operation}).encode(), "202 Accepted")
        return http(b'{"uptimeSeconds": null}') if asked.kind == "status" else None

    async with StrayApi(strike, job=0.5) as api, client_of(api.url) as client:
        report = await reset_all(client, quick(), ids=IDS[:4])
    assert statuses(report.outcomes) == ["ambiguous", "ambiguous", "completed", "completed"]
    assert api.accepted == IDS[:4]


async def test_a_resumed_run_knows_the_jobs_of_before() -> None:
    """A job that the journal has for one VPS does not settle another."""

    def strike(asked: Asked) -> bytes | None:
        if asked.kind == "post" and asked.name == IDS[1]:
            operation = {"jobId": IDS[0], "pollUrl": f"/api/jobs/{IDS[0]}", "status": "queued"}
            return http(json.dumps({"operation": operation}).encode(), "202 Accepted")
        return http(b'{"uptimeSeconds": null}') if asked.kind == "status" else None

    async with StrayApi(strike, job=1.0) as api, KnowingStore(0.1) as store:
        async with client_of(api.url) as client:
            plan = await client.fleet.plan(ids=IDS[:3], preflight="none")
            async with client.fleet.run(plan, quick(max_in_flight=1), store=store) as run:
                await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED))
                run._begun().engine.leave(StopCause.STOPPED, "left")
        async with client_of(api.url) as client:
            again = await client.fleet.resume(run.id, store=store)
            async with again:
                report = await again.wait()
    assert statuses(report.outcomes) == ["completed", "ambiguous", "completed"]
    assert api.accepted == IDS[:3]
