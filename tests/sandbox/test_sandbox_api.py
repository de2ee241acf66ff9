import json
from typing import Any

import pytest
from sandbox_tools import Desk, Json

from hostup_async.sandbox import Durations, Fault, FaultRule
from hostup_async.sandbox._replies import Reply

SLOW: dict[str, Any] = {"jobs": Durations(median=10)}
DOCUMENTED = {"pending", "queued", "in_progress", "completed", "failed"}


def body(reply: Reply) -> Json:
    return json.loads(reply.body)


def test_the_202_is_the_documented_one() -> None:
    reply = Desk(job_prefixes=["job_"], **SLOW).act()
    operation = body(reply)["operation"]
    assert reply.status == 202
    assert operation == {
        "status": "queued",
        "jobId": operation["jobId"],
        "pollUrl": f"/api/jobs/{operation['jobId']}",
    }
    assert operation["jobId"].startswith("job_")
    assert len(operation["jobId"]) == 30


@pytest.mark.parametrize("action", ["reset", "restart", "stop", "shutdown"])
def test_a_job_goes_its_way(action: str) -> None:
    desk = Desk(**SLOW)
    url = desk.accepted(action=action)["pollUrl"]
    seen = [desk.get(url)["operation"]]
    for _ in range(2):
        desk.advance(5)
        seen.append(desk.get(url)["operation"])
    assert [look["status"] for look in seen] == ["queued", "in_progress", "completed"]
    assert [look["result"] for look in seen] == [None, None, {"success": True}]
    assert desk.api.books().performed == {desk.ids[0]: {action: 1}}


def test_uptime_grows_and_falls_with_the_reset() -> None:
    desk = Desk(**SLOW)
    before = desk.uptime()
    desk.advance(5)
    assert desk.uptime() == before + 5
    desk.accepted()
    desk.advance(9)
    assert desk.uptime() == before + 14
    desk.advance(4)
    assert desk.uptime() == 3


@pytest.mark.parametrize(("step", "uptime"), [(1, 3), (0.25, 3.5), (2, 2)])
def test_uptime_is_told_in_steps(step: float, uptime: float) -> None:
    desk = Desk(jobs=Durations(median=0), uptime_step=step)
    desk.accepted()
    desk.advance(3.7)
    assert desk.uptime() == uptime


def test_uptime_in_whole_seconds_is_an_integer() -> None:
    assert isinstance(Desk().uptime(), int)


def test_uptime_may_be_unknown() -> None:
    assert Desk(uptime_known=False).uptime() is None


def test_pending_tasks_count_running_jobs() -> None:
    desk = Desk(**SLOW)
    path = f"/api/v2/vps/{desk.ids[0]}/status"
    desk.accepted()
    desk.accepted(action="restart")
    assert desk.get(path)["pendingTasks"] == 2
    desk.advance(10)
    assert desk.get(path)["pendingTasks"] == 0


def test_power_follows_the_actions() -> None:
    desk = Desk()
    path = f"/api/v2/vps/{desk.ids[0]}/status"
    desk.accepted(action="stop")
    desk.advance(1)
    assert desk.get(path)["powerState"] == "stopped"
    assert body(desk.act())["code"] == "vps_not_ready"
    desk.accepted(action="start")
    desk.advance(1)
    assert desk.get(path)["powerState"] == "running"
    assert desk.act(action="start").status == 409


def test_stopped_and_suspended_from_the_start() -> None:
    desk = Desk(vps=3, stopped=1, not_ready=1)
    assert [desk.act(n).status for n in range(3)] == [409, 202, 409]
    rows = desk.get("/api/v2/vps")["data"]
    assert [row["serviceStatus"] for row in rows] == ["suspended", "active", "active"]
    assert [row["powerState"] for row in rows] == ["running", "running", "stopped"]
    assert [row["actions"]["canReset"]["allowed"] for row in rows] == [False, True, False]
    assert [row["actions"]["canStart"]["allowed"] for row in rows] == [False, False, True]
    assert rows[0]["actions"]["canReset"]["code"] == "vps_not_ready"


def test_cooldown() -> None:
    desk = Desk(cooldown=60)
    desk.accepted()
    assert body(desk.act())["code"] == "cooldown_active"
    desk.advance(60)
    desk.accepted()
    assert desk.api.books().reset_twice == (desk.ids[0],)


@pytest.mark.parametrize("where", ["summary", "status", "details"])
def test_gates_are_where_they_are_configured(where: str) -> None:
    desk = Desk(gates_on=[where])
    base = f"/api/v2/vps/{desk.ids[0]}"
    paths = {"summary": base, "status": f"{base}/status", "details": f"{base}/details"}
    assert {name for name, path in paths.items() if "actions" in desk.get(path)} == {where}
    gate = desk.get(paths[where])["actions"]["canReset"]
    assert gate == {"allowed": True, "reason": None, "code": None}


def test_the_old_job_shape() -> None:
    desk = Desk(poll_shape="job", **SLOW)
    url = desk.accepted()["pollUrl"]
    desk.advance(5)
    told = desk.get(url)
    assert told["success"] is True
    assert {"timestamp", "requestId"} <= told.keys()
    data = told["data"]
    assert (data["status"], data["isRunning"], data["isCompleted"]) == ("in_progress", True, False)
    assert data["progress"] == data["progressDetails"]["percentage"] == 37
    assert (data["createdAt"], data["finishedAt"]) == ("2027-01-15T08:00:00.000Z", None)
    desk.advance(5)
    assert desk.get(url)["data"]["finishedAt"] == "2027-01-15T08:00:10.000Z"


def test_the_status_data_shape_without_timestamps() -> None:
    desk = Desk(poll_shape="status_data", job_timestamps=False, jobs=Durations(kind="instant"))
    told = desk.get(desk.accepted()["pollUrl"])
    assert told["status"] == "completed"
    assert told["data"].keys() == {"jobId", "progress", "result"}


def test_an_instant_job_is_over_when_it_is_accepted() -> None:
    operation = Desk(jobs=Durations(kind="instant")).accepted()
    assert operation["status"] == "completed"
    assert operation["result"] == {"success": True}


def test_the_words_of_the_queue() -> None:
    desk = Desk(words="queue", poll_shape="status_data", **SLOW)
    urls = [desk.accepted(n)["pollUrl"] for n in range(10)]
    waiting = {desk.get(url)["status"] for url in urls}
    desk.advance(5)
    running = {desk.get(url)["status"] for url in urls}
    desk.advance(5)
    assert waiting == {"waiting", "delayed", "prioritized", "waiting-children", "paused"}
    assert running == {"active", "running", "unknown"}
    assert not (waiting | running) & DOCUMENTED
    assert {desk.get(url)["status"] for url in urls} == {"completed"}


@pytest.mark.parametrize("where", ["error", "failedReason", "progressMessage", "result"])
def test_a_failed_job_answers_200_and_says_why(where: str) -> None:
    desk = Desk(job_failure_rate=1, poll_shape="job", failure_text=where)
    before = desk.uptime()
    url = desk.accepted()["pollUrl"]
    desk.advance(1)
    data = desk.get(url)["data"]
    assert (data["status"], data["isFailed"]) == ("failed", True)
    assert "could not reset" in str(data[where])
    assert desk.uptime() == before + 1
    assert desk.api.books().performed == {}
    assert desk.api.books().accepted == {desk.ids[0]: {"reset": 1}}


def test_completed_without_success() -> None:
    desk = Desk(completed_with_success_false_rate=1)
    url = desk.accepted()["pollUrl"]
    desk.advance(1)
    operation = desk.get(url)["operation"]
    assert operation["status"] == "completed"
    assert operation["result"]["success"] is False
    assert desk.api.books().resets == {}


def test_finished_jobs_are_forgotten_running_ones_are_not() -> None:
    desk = Desk(forget_after=5, **SLOW)
    url = desk.accepted()["pollUrl"]
    desk.advance(14)
    assert desk.call("GET", url).status == 200
    desk.advance(1)
    assert body(desk.call("GET", url))["code"] == "not_found"


def test_outcomes_do_not_depend_on_the_order_of_requests() -> None:
    settings: dict[str, Any] = {"vps": 50, "job_failure_rate": 0.5}

    def ends(order: range) -> dict[str, str]:
        desk = Desk(**settings)
        for n in order:
            desk.accepted(n)
        desk.advance(1)
        return {job.vps_id: job.status for job in desk.api.books().jobs.values()}

    assert ends(range(50)) == ends(range(49, -1, -1))
    assert set(ends(range(50)).values()) == {"completed", "failed"}


def test_job_ids_have_many_prefixes() -> None:
    desk = Desk(vps=30)
    prefixes = {desk.accepted(n)["jobId"][:4] for n in range(30)}
    assert prefixes == {"job_", "dbj_", "rese"}


@pytest.mark.parametrize(
    "path", ["/api/jobs/{job_id}", "/api/v2/vps/x/agent/exec?pid={job_id}", "/q/{job_id}/state"]
)
def test_the_poll_path_can_be_elsewhere(path: str) -> None:
    desk = Desk(poll_path=path)
    operation = desk.accepted()
    assert operation["pollUrl"] == path.replace("{job_id}", operation["jobId"])
    assert desk.get(operation["pollUrl"])["operation"]["jobId"] == operation["jobId"]


def test_new_books_leave_out_what_was_accepted_before() -> None:
    desk = Desk(**SLOW)
    desk.accepted()
    desk.api.book_keeper.clear()
    desk.advance(20)
    books = desk.api.books()
    assert (books.accepted, books.performed, books.jobs, books.total_requests) == ({}, {}, {}, 0)


def test_a_fault_strikes_so_often_and_the_vps_it_names() -> None:
    desk = Desk(vps=3)
    rule = FaultRule(Fault.CONFLICT, times=2, vps_ids={desk.ids[1]})
    desk.api.faults.add(rule)
    assert [desk.act(n).status for n in (0, 1, 2, 1, 1)] == [202, 409, 202, 409, 202]
    assert desk.api.books().faults == {"conflict": 2}


def test_faults_on_polls_know_the_vps_of_the_job() -> None:
    desk = Desk()
    urls = [desk.accepted(n)["pollUrl"] for n in range(2)]
    desk.api.faults.add(FaultRule(Fault.ERROR_503, on="poll", vps_ids={desk.ids[1]}, retry_after=7))
    replies = [desk.call("GET", url) for url in urls]
    assert [reply.status for reply in replies] == [200, 503]
    assert replies[1].headers["Retry-After"] == "7"


def test_the_rate_of_a_fault_is_kept_and_repeatable() -> None:
    def struck() -> list[int]:
        desk = Desk(faults=[FaultRule(Fault.HTML_502, on="list", rate=0.3)])
        return [desk.call("GET", "/api/v2/vps").status for _ in range(500)]

    assert struck() == struck()
    assert 100 < struck().count(502) < 200


def test_a_refused_request_stays_refused_under_a_fault_that_acts() -> None:
    desk = Desk(not_ready=1, faults=[FaultRule(Fault.NO_OPERATION)])
    assert desk.act().status == 409
    assert desk.api.books().faults == {}


def test_the_log_is_bounded_the_counts_are_not() -> None:
    desk = Desk(log_cap=3)
    for _ in range(5):
        desk.call("GET", "/api/v2/vps")
        desk.advance(1)
    books = desk.api.books()
    assert list(books.request_times) == [(at, "list", 200) for at in (2, 3, 4)]
    assert books.requests == {"list": 5}
