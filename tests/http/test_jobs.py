from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import Job, JobStatus, UnreadableReply
from hostup_async._http.jobs import find_job, read_job
from hostup_async._http.problems import is_failure_envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
MEMBERS = st.sampled_from(
    ["operation", "data", "status", "state", "jobId", "result", "success", "error", "isFailed"]
)
JOBLIKE = st.recursive(
    JSON | st.sampled_from([status.value for status in JobStatus]),
    lambda inner: st.dictionaries(MEMBERS, inner, max_size=6),
)

POLL_URL = "/api/jobs/job_01hxa3b4c5d6e7f8g9h0j1k2m3"
PUBLISHED = {
    "operation": {
        "status": "queued",
        "jobId": "job_01hxa3b4c5d6e7f8g9h0j1k2m3",
        "pollUrl": POLL_URL,
    }
}
OLD_GENERATION = {
    "success": True,
    "timestamp": "2026-04-27T12:34:56.000Z",
    "requestId": "req_1",
    "data": {
        "jobId": "dbj_7",
        "queueType": "vm",
        "type": "reset",
        "state": "active",
        "status": "in_progress",
        "progress": 40,
        "progressMessage": "Resetting",
        "progressDetails": {"percentage": 41, "message": "x", "current": 1, "total": 2},
        "result": None,
        "isCompleted": False,
        "isFailed": False,
        "isRunning": True,
        "isWaiting": False,
        "createdAt": "2026-04-27T12:34:56.000Z",
        "finishedAt": None,
        "jobName": "reset",
        "vmId": 12,
    },
}


def shapes(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"operation": job}, {"success": True, "data": job}, {"data": {"operation": job}}, job]


def in_each_shape(**job: Any) -> list[Job]:
    return [read_job(shape) for shape in shapes({"jobId": "j", **job})]


def test_the_published_accepting_answer_is_read() -> None:
    job = read_job(PUBLISHED)
    assert (job.id, job.status, job.poll_url) == (
        "job_01hxa3b4c5d6e7f8g9h0j1k2m3",
        JobStatus.QUEUED,
        POLL_URL,
    )
    assert job.raw == PUBLISHED
    assert not job.is_final


def test_the_old_generations_polled_answer_is_read() -> None:
    assert read_job(OLD_GENERATION) == Job(
        id="dbj_7",
        status=JobStatus.IN_PROGRESS,
        state="active",
        progress=40.0,
        message="Resetting",
        created_at=datetime(2026, 4, 27, 12, 34, 56, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "completed", "data": {"uptime": 3}}, Job(result={"uptime": 3})),
        ({"status": "completed", "data": None}, Job()),
        ({"status": "completed", "data": [1]}, Job()),
        (
            {"status": "completed", "data": {"jobId": "j", "progress": 100}},
            Job(id="j", progress=100),
        ),
        ({"status": "success", "data": {"jobId": "j", "status": "completed"}}, Job(id="j")),
    ],
    ids=["a result", "null", "a list", "a job", "an answer's status"],
)
def test_status_and_data_is_read(body: dict[str, Any], expected: Job) -> None:
    job = read_job(body)
    assert job.status is JobStatus.COMPLETED
    assert (job.id, job.result, job.progress) == (expected.id, expected.result, expected.progress)
    assert job.raw == body


@pytest.mark.parametrize("shape", shapes({"jobId": 17, "status": "queued", "pollUrl": POLL_URL}))
def test_every_shape_gives_id_and_poll_url(shape: dict[str, Any]) -> None:
    job = read_job(shape)
    assert (job.id, job.poll_url, job.status) == ("17", POLL_URL, JobStatus.QUEUED)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *((status.value, status) for status in JobStatus),
        ("waiting", JobStatus.QUEUED),
        ("delayed", JobStatus.QUEUED),
        ("prioritized", JobStatus.QUEUED),
        ("waiting-children", JobStatus.QUEUED),
        ("paused", JobStatus.QUEUED),
        ("active", JobStatus.IN_PROGRESS),
        ("running", JobStatus.IN_PROGRESS),
        (" COMPLETED ", JobStatus.COMPLETED),
    ],
)
@pytest.mark.parametrize("key", ["status", "state"])
def test_listed_words_and_the_queues_own_are_mapped(key: str, word: str, status: JobStatus) -> None:
    for job in in_each_shape(**{key: word}):
        assert job.status is status
        assert job.state == word.strip().lower()


@pytest.mark.parametrize("word", ["unknown", "stalled", "error", "cancelled", "done", "success"])
def test_an_unlisted_word_means_still_going(word: str) -> None:
    for job in in_each_shape(status=word):
        assert job.status == word
        assert not job.is_final
        assert not job.succeeded


@pytest.mark.parametrize("status", [None, "", "  ", 3, True, {}, []])
def test_no_word_at_all_means_pending(status: object) -> None:
    for job in in_each_shape(status=status):
        assert job.status is JobStatus.PENDING
        assert job.state is None


@pytest.mark.parametrize("data", [{"status": "completed"}, {"id": "j", "status": "completed"}])
@pytest.mark.parametrize("word", ["success", "ok"])
def test_the_status_of_the_job_goes_before_that_of_the_answer(
    word: str, data: dict[str, Any]
) -> None:
    assert read_job({"status": word, "data": data}).status == "completed"


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"isCompleted": True}, "completed"),
        ({"isFailed": True}, "failed"),
        ({"isCompleted": True, "isFailed": True}, "failed"),
        ({"isCompleted": False, "isFailed": False}, "pending"),
        ({"isCompleted": "true", "isFailed": 1}, "pending"),
        ({"status": "queued", "isCompleted": True}, "queued"),
        ({"status": "queued", "isFailed": True}, "failed"),
        ({"status": "completed", "isFailed": True}, "failed"),
        ({"status": "completed", "isCompleted": False}, "in_progress"),
        ({"status": "completed", "state": "failed"}, "failed"),
        ({"status": "failed", "state": "completed"}, "failed"),
        ({"status": "in_progress", "state": "completed"}, "in_progress"),
        ({"status": "completed", "state": "active"}, "in_progress"),
        ({"status": "in_progress", "state": "waiting"}, "in_progress"),
        ({"status": "stalled", "state": "active"}, "stalled"),
        ({"status": "completed", "result": {"success": False}}, "failed"),
        ({"isCompleted": True, "result": {"success": False}}, "failed"),
        ({"status": "completed", "success": False}, "failed"),
        ({"status": "completed", "result": {"success": True}}, "completed"),
        ({"status": "completed", "result": {"success": None}}, "completed"),
        ({"status": "completed", "result": {"success": 0}}, "completed"),
        ({"status": "completed", "result": False}, "completed"),
        ({"status": "queued", "result": {"success": False}}, "queued"),
    ],
)
def test_failure_outweighs_going_on_and_that_outweighs_success(
    members: dict[str, Any], status: str
) -> None:
    assert [job.status for job in in_each_shape(**members)] == [status] * 4


def test_a_completed_job_in_an_answer_without_success_has_failed() -> None:
    body = {"success": False, "data": {"jobId": "j", "status": "completed"}}
    assert read_job(body).status is JobStatus.FAILED


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"error": "disk full"}, "disk full"),
        ({"error": {"message": "disk full"}}, "disk full"),
        ({"error": {"detail": "disk full"}}, "disk full"),
        ({"failedReason": "timed out"}, "timed out"),
        ({"result": {"error": "no host"}}, "no host"),
        ({"result": {"error": {"message": "no host"}}}, "no host"),
        ({"result": {"message": "no host"}}, "no host"),
        ({"result": "no host"}, "no host"),
        ({"progressMessage": "gave up"}, "gave up"),
        ({"error": "first", "failedReason": "second"}, "first"),
        ({"failedReason": "second", "result": "third"}, "second"),
        ({"result": {"error": "third", "message": "fourth"}}, "third"),
        ({"result": "third", "progressMessage": "last"}, "third"),
        ({"error": "", "failedReason": " \n ", "progressMessage": "last"}, "last"),
        ({"error": 5, "failedReason": None, "result": []}, None),
        ({}, None),
    ],
)
def test_the_reason_of_a_failure_is_found(members: dict[str, Any], error: str | None) -> None:
    assert [job.error for job in in_each_shape(status="failed", **members)] == [error] * 4


def test_why_a_job_failed_is_found_beside_success_false() -> None:
    data = {"jobId": "j", "status": "completed"}
    body = {"success": False, "message": "The node refused.", "data": data}
    assert read_job(body).error == "The node refused."


def test_a_job_that_did_not_fail_has_no_error() -> None:
    for job in in_each_shape(status="completed", error="a leftover", failedReason="of a retry"):
        assert job.error is None


@pytest.mark.parametrize(
    ("members", "progress"),
    [
        ({"progress": 40}, 40.0),
        ({"progress": "40"}, 40.0),
        ({"progress": 0, "progressDetails": {"percentage": 9}}, 0.0),
        ({"progress": None, "progressDetails": {"percentage": 41}}, 41.0),
        ({"progress": {"step": 1}, "progressDetails": [41]}, None),
        ({}, None),
    ],
)
def test_progress_is_a_number(members: dict[str, Any], progress: float | None) -> None:
    assert [job.progress for job in in_each_shape(**members)] == [progress] * 4


def test_the_id_may_be_called_id() -> None:
    assert (
        read_job({"operation": {"id": "start-17122-1", "status": "queued"}}).id == "start-17122-1"
    )


def test_texts_of_a_job_are_harmless_and_short() -> None:
    for job in in_each_shape(status="failed", error="\x1b[31mred\udc00\n" + "x" * 900):
        assert job.error is not None
        assert job.error.startswith("[31mred? x")
        assert len(job.error) <= 500
        assert job.error.isprintable()


NO_JOB = [{}, {"operation": None}, {"operation": "queued"}, {"data": {}}, {"id": "x"}, [], 1, None]


@pytest.mark.parametrize("body", NO_JOB)
def test_where_there_is_no_job_none_is_made_up(body: object) -> None:
    assert find_job(body) is None
    with pytest.raises(UnreadableReply, match="no job"):
        read_job(body)


@given(JOBLIKE)
def test_any_json_has_a_job_or_none(body: object) -> None:
    job = find_job(body)
    if job is not None:
        assert job.raw == body
        assert isinstance(job.status, str)
        assert job.succeeded <= job.is_final


@pytest.mark.parametrize(
    ("body", "denied"),
    [
        ({"success": False}, True),
        ({"success": False, "error": "no", "code": "FORBIDDEN"}, True),
        ({"success": False, "data": None}, True),
        ({"success": False, "data": {}}, True),
        ({"success": False, "data": {"jobId": "j", "status": "failed"}}, False),
        ({"success": False, "operation": {"status": "failed"}}, False),
        ({"success": True}, False),
        ({"success": None}, False),
        ({"success": 0}, False),
        ({"success": "false"}, False),
        ({}, False),
        ([], False),
        (None, False),
    ],
)
def test_an_answer_takes_itself_back_unless_it_tells_of_a_job(body: object, denied: bool) -> None:  # noqa: FBT001 - the expected value
    assert is_failure_envelope(body) is denied


def test_a_result_within_the_data_is_the_jobs_own() -> None:
    body = {"status": "completed", "data": {"status": "completed", "result": {"success": False}}}
    assert read_job(body).status == JobStatus.FAILED
    body["data"] = {"result": {"success": True}}
    assert read_job(body).status == JobStatus.COMPLETED
