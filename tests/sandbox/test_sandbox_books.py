import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st
from sandbox_tools import served

from hostup_async.sandbox import BookedJob, Books, Fault, FaultRule


async def test_the_books_tell_what_happened() -> None:
    rules = [FaultRule(Fault.LOST_REPLY, times=1)]
    async with served(vps=3, jobs={"kind": "instant"}, faults=rules) as caller:
        ids = caller.sandbox.vps_ids
        await asyncio.gather(*(caller.reset(n) for n in (0, 1, 1)), return_exceptions=True)
        await caller("GET", f"/api/v2/vps/{ids[0]}/status")
        await caller("GET", "/api/v2/vps", headers={"Authorization": "Bearer other"})
        books = await caller.sandbox.books()
        await caller.sandbox.reset_books()
        assert (await caller.sandbox.books()).total_requests == 0
    assert books.resets == {ids[0]: 1, ids[1]: 2}
    assert books.reset_twice == (ids[1],)
    assert books.requests == {"reset": 3, "status": 1, "list": 1}
    assert books.statuses == {0: 1, 202: 2, 200: 1, 401: 1}
    assert books.faults == {"lost_reply": 1}
    assert books.foreign == 1
    assert books.total_requests == len(books.request_times) == 5
    assert {job.status for job in books.jobs.values()} == {"completed"}
    assert all(job.performed and job.finished == job.created for job in books.jobs.values())


async def test_a_running_job_is_accepted_and_not_performed() -> None:
    async with served(jobs={"median": 60}) as caller:
        await caller.reset()
        books = await caller.sandbox.books()
    [job] = books.jobs.values()
    assert (job.status, job.finished, job.performed) == ("queued", None, False)
    assert books.accepted == {job.vps_id: {"reset": 1}}
    assert books.resets == {}


def test_books_survive_json() -> None:
    books = Books(
        accepted={"a": {"reset": 2}},
        jobs={"j": BookedJob("a", "reset", "queued", 1.5, None, performed=False)},
        statuses={202: 1, 0: 2},
        request_times=((0.5, "reset", 202),),
    )
    assert Books.from_dict(json.loads(json.dumps(books.to_dict()))) == books
    assert Books.from_dict(books.to_dict()) == books


@given(
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from([200, 429])), max_size=40),
    st.floats(0.1, 10),
)
def test_most_in_window_counts_what_was_served(
    requests: list[tuple[float, int]], seconds: float
) -> None:
    times = tuple((at, "list", status) for at, status in sorted(requests))
    served_at = [at for at, _, status in times if status != 429]
    expected = max(
        (sum(0 <= at - start < seconds for at in served_at) for start in served_at), default=0
    )
    assert Books(request_times=times).most_in_window(seconds) == expected
