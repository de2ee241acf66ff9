"""Reads a job from each of the shapes in which the API sends it."""

from collections.abc import Iterator
from typing import Any, Final

from attrs import evolve

from hostup_async._errors import UnreadableReply
from hostup_async._http.wire import (
    SUCCESSES,
    expect_object,
    is_object,
    moment_or_none,
    number_or_none,
    short_text,
    text_or_none,
)
from hostup_async._models import Job, JobStatus
from hostup_async._text import clean

# The queue behind the API is probably BullMQ: its words may show through (inferred).
_WORDS: Final = {
    **{status.value: status for status in JobStatus},
    "waiting": JobStatus.QUEUED,
    "delayed": JobStatus.QUEUED,
    "prioritized": JobStatus.QUEUED,
    "waiting-children": JobStatus.QUEUED,
    "paused": JobStatus.QUEUED,
    "active": JobStatus.IN_PROGRESS,
    "running": JobStatus.IN_PROGRESS,
}
_GOING: Final = frozenset({JobStatus.PENDING, JobStatus.QUEUED, JobStatus.IN_PROGRESS})
_MARKS: Final = ("jobId", "state", "isCompleted", "isFailed", "pollUrl")


def read_job(body: object) -> Job:
    """A job from any of the three shapes of a poll's response, or from an accepting response.

    `{"operation": {...}}`, `{"success", "data": {...}}` and `{"status", "data"}`, or the bare
    job. A completed job whose `result.success` is false has failed.

    Raises:
        UnreadableReply: There is no job in the response.
    """
    job = find_job(body)
    if job is None:
        msg = "The API's response has no job in it that could be read."
        raise UnreadableReply(msg)
    return job


def find_job(body: object) -> Job | None:
    """A job from any of those shapes, or None: an accepting response may leave the job out."""
    if not is_object(body):
        return None
    fields = _job_fields(body)
    return None if fields is None else _build_job(fields, body)


def _job_fields(body: dict[str, Any]) -> dict[str, Any] | None:
    """The members of the job, gathered from where this shape has them."""
    operation = body.get("operation")
    if is_object(operation):
        return operation
    data = body.get("data")
    if not is_object(data):
        return body if _looks_like_a_job(body) else None
    inner = data.get("operation")
    if is_object(inner):
        return inner
    return _status_and_data(body, data)


def _status_and_data(body: dict[str, Any], data: dict[str, Any]) -> dict[str, Any] | None:
    """`{"status", "data"}`: `data` is the job where it looks like one, or else its result.

    An outer `status` that no job has, such as "success", belongs to the response, not to the job.
    """
    outside, inside = _word(body.get("status")), _word(data.get("status"))
    marked = any(mark in data for mark in (*_MARKS, "result"))  # a result within is the job's own
    if outside in _WORDS:
        return {"state": inside, **data, "status": outside} if marked else {"result": data, **body}
    if marked or inside in _WORDS:
        return data
    return {"result": data, **body} if outside else (data if inside else None)


def _looks_like_a_job(fields: dict[str, Any]) -> bool:
    return any(mark in fields for mark in _MARKS) or _word(fields.get("status")) is not None


def _word(value: object) -> str | None:
    return clean(value).lower() or None if isinstance(value, str) else None


def _build_job(fields: dict[str, Any], raw: dict[str, Any]) -> Job:
    status, state = _read_status(fields, raw)
    result = fields.get("result")
    progress = number_or_none(fields.get("progress"))
    reasons = filter(None, _reasons(fields, result, raw))
    details = fields.get("progressDetails")
    if progress is None and is_object(details):
        progress = number_or_none(details.get("percentage"))
    return Job(
        id=text_or_none(fields.get("jobId")) or text_or_none(fields.get("id")),
        status=status,
        state=state,
        progress=progress,
        message=short_text(fields.get("progressMessage")),
        error=next(reasons, None) if status == JobStatus.FAILED else None,
        result=result,
        poll_url=text_or_none(fields.get("pollUrl")) or None,
        created_at=moment_or_none(fields.get("createdAt")),
        finished_at=moment_or_none(fields.get("finishedAt")),
        raw=raw,
    )


def _read_status(fields: dict[str, Any], raw: dict[str, Any]) -> tuple[JobStatus | str, str | None]:
    """Our status and the server's word.

    A sign of failure outweighs all others, and any sign that it goes on outweighs success.
    """
    words = [word for key in ("status", "state") if (word := _word(fields.get(key)))]
    statuses = [_WORDS.get(word, word) for word in words]
    state = words[-1] if words else None
    if JobStatus.FAILED in statuses or fields.get("isFailed") is True:
        return JobStatus.FAILED, state
    completed = JobStatus.COMPLETED in statuses or fields.get("isCompleted") is True
    if completed and not _goes_on(statuses, fields):
        denied = any(says_no(part) for part in (fields.get("result"), fields, raw))
        return (JobStatus.FAILED if denied else JobStatus.COMPLETED), state
    going = (word for word in statuses if word != JobStatus.COMPLETED)
    return next(going, JobStatus.IN_PROGRESS if completed else JobStatus.PENDING), state


def _goes_on(statuses: list[str], fields: dict[str, Any]) -> bool:
    if any(word in _GOING for word in statuses) or fields.get("isCompleted") is False:
        return True
    return fields.get("isRunning") is True or fields.get("isWaiting") is True


def says_no(part: object) -> bool:
    return is_object(part) and part.get("success") is False


def _reasons(fields: dict[str, Any], result: object, raw: dict[str, Any]) -> Iterator[str | None]:
    yield short_text(fields.get("error"))
    yield short_text(fields.get("failedReason"))
    if is_object(result):
        yield short_text(result.get("error"))
        yield short_text(result.get("message"))
    yield short_text(result)
    yield short_text(fields.get("progressMessage"))
    yield short_text(raw.get("error"))
    yield short_text(raw.get("message"))


def read_accepted(body: object) -> Job:
    """The job that a 2xx to an action names; a 2xx without a job accepts the action as well.

    Only a response that names its job can say that the job has ended.

    Raises:
        UnreadableReply: It says yes and no at once: the action may have been done or not.
    """
    fields = expect_object(body)
    job = find_job(fields) or Job()
    if job.status != JobStatus.FAILED and (says_no(fields) or _is_an_error(fields)):
        msg = "The API's response is a success and an error at once."
        raise UnreadableReply(msg)
    return job if job.id or job.poll_url else evolve(job, status=JobStatus.PENDING)


def _is_an_error(fields: dict[str, Any]) -> bool:
    """Whether this is one of the two error shapes, whatever its HTTP status was."""
    if is_object(fields.get("operation")) or is_object(fields.get("data")):
        return False
    status = fields.get("status")
    error = fields.get("error") or fields.get("code")
    return bool(error) or (isinstance(status, int) and status not in SUCCESSES)
