"""How due times follow the price, a few jobs at a time."""

import pytest

from hostup_async._polling.durations import DurationModel
from hostup_async._polling.queue import PolledJob, PollQueue

JOBS = 1000
STEP = 64


@pytest.fixture
def queue() -> PollQueue[int]:
    durations, queue = DurationModel(), PollQueue[int]()
    for key in range(JOBS):
        queue.jobs[key] = job = PolledJob(key, durations, float(key), 1e9)
        queue.put(job)
    return queue


def due_by(queue: PollQueue[int], price: float) -> int:
    """How many jobs stand in the heap where this price puts them."""
    alive = [(due, job) for due, version, job in queue._heap if version == job.version]
    assert len(alive) == JOBS
    return sum(due == job.due(price) for due, job in alive)


def test_a_new_price_is_taken_up_a_few_jobs_at_a_time(queue: PollQueue[int]) -> None:
    moved = [due_by(queue, 10.0)]  # the early polls, whose price is another
    for _ in range(JOBS - STEP):  # as many steps as there are jobs: constant work for each
        queue.first(10.0)
    assert due_by(queue, 10.0) == moved[0] < JOBS / 30
    while moved[-1] < JOBS:
        queue.first(10.0)
        moved.append(due_by(queue, 10.0))
        assert 0 < moved[-1] - moved[-2] <= STEP
    assert not queue.is_rekeying


def test_with_time_to_spare_it_is_taken_up_at_once(queue: PollQueue[int]) -> None:
    queue.first_with_time_to_spare(10.0)
    assert due_by(queue, 10.0) >= JOBS / 2
    due, job = queue.first_with_time_to_spare(10.0)
    assert not queue.is_rekeying
    assert job is not None
    assert due == min(job.due(10.0) for job in queue.jobs.values())


@pytest.mark.parametrize("price", [0.81, 1.0, 1.24])
def test_a_price_that_has_hardly_moved_moves_no_job(queue: PollQueue[int], price: float) -> None:
    for _ in range(2 * JOBS):
        queue.first(price)
        queue.first_with_time_to_spare(price)
    assert due_by(queue, 1.0) == JOBS


def test_what_was_learnt_moves_all_jobs_at_any_price(queue: PollQueue[int]) -> None:
    queue.jobs[0].durations.observe_end(5, 5)
    assert due_by(queue, 1.0) < JOBS / 10
    queue.invalidate()
    for _ in range(2):
        queue.first_with_time_to_spare(1.0)
    assert due_by(queue, 1.0) == JOBS


def test_a_job_that_is_polled_meanwhile_is_not_put_back(queue: PollQueue[int]) -> None:
    queue.first_with_time_to_spare(10.0)
    taken = queue.take()
    while queue.is_rekeying:
        queue.first_with_time_to_spare(10.0)
    assert not taken.version
    assert all(entry[1] != entry[2].version for entry in queue._heap if entry[2] is taken)
