"""What the server did, as it recorded it itself."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

from ._machines import SandboxJob


@frozen
class BookedJob:
    """One job as the server knows it.

    Attributes:
        vps_id: The VPS it is about.
        action: `reset`, `start`, `stop`, `shutdown` or `restart`.
        status: `queued`, `in_progress`, `completed` or `failed` when the books were read.
        created: When it was accepted, in seconds since the server started.
        finished: When it ended, on the same clock; None while it runs.
        performed: Whether the action really took place.
    """

    vps_id: str
    action: str
    status: str
    created: float
    finished: float | None
    performed: bool

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON can carry it."""
        return asdict(self)


@frozen
class BookedRequest:
    """One request as the server got it. The API key is replaced by `***` wherever it stands.

    Attributes:
        at: When it came, in seconds since the server started.
        kind: `list`, `get`, `details`, `status`, an action such as `reset`, `poll`, or `other`.
        vps_id: The VPS it is about, also of a poll; None where there is none.
        method: `GET`, `POST`, ...
        path: Its path, without the query.
        query: Its query.
        headers: Its headers; their names are in lower case.
        status: Status of the answer; 0 where the connection was closed or stalled without one.
    """

    at: float
    kind: str
    vps_id: str | None
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON can carry it."""
        return {**asdict(self, recurse=False), "headers": dict(self.headers)}


def _pairs(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    by_vps: dict[str, dict[str, int]] = {}
    for (vps_id, action), count in counts.items():
        by_vps.setdefault(vps_id, {})[action] = count
    return by_vps


@frozen(kw_only=True)
class Books:
    """What the server did, recorded by itself and not by its client.

    An action is *accepted* when it has created a job, and *performed* when that job has completed
    and its result is a success; a failed job performs nothing.

    Attributes:
        accepted: Jobs created, by VPS id and action.
        performed: Actions that really took place, by VPS id and action.
        jobs: Every job by its id.
        requests: Requests by kind: `list`, `get`, `details`, `status`, `reset` and the other
            actions, `poll`, `other`.
        statuses: Answers by HTTP status; 0 counts connections closed or stalled without an answer.
        refused: Answers that were 429.
        request_times: (seconds since the start, kind, status) of each request, oldest first, at
            most `SandboxConfig.log_cap` of them.
        faults: How often each fault was applied, by name.
        foreign: Requests without the key or with another one.
        connections: Connections that were opened.

    Example:
        >>> Books(accepted={"vps_1": {"reset": 2}}).reset_twice
        ('vps_1',)
    """

    accepted: Mapping[str, Mapping[str, int]] = field(factory=dict[str, Mapping[str, int]])
    performed: Mapping[str, Mapping[str, int]] = field(factory=dict[str, Mapping[str, int]])
    jobs: Mapping[str, BookedJob] = field(factory=dict[str, BookedJob])
    requests: Mapping[str, int] = field(factory=dict[str, int])
    statuses: Mapping[int, int] = field(factory=dict[int, int])
    refused: int = 0
    request_times: tuple[tuple[float, str, int], ...] = ()
    faults: Mapping[str, int] = field(factory=dict[str, int])
    foreign: int = 0
    connections: int = 0

    @property
    def resets(self) -> Mapping[str, int]:
        """Resets that really took place, by VPS id."""
        return {v: done["reset"] for v, done in self.performed.items() if "reset" in done}

    @property
    def reset_twice(self) -> tuple[str, ...]:
        """VPSes with more than one accepted reset."""
        return tuple(v for v, done in self.accepted.items() if done.get("reset", 0) > 1)

    @property
    def total_requests(self) -> int:
        """All requests, refused ones included."""
        return sum(self.requests.values())

    @property
    def refused_at(self) -> tuple[float, ...]:
        """When requests were answered 429, in seconds since the start."""
        return tuple(at for at, _, status in self.request_times if status == 429)  # noqa: PLR2004 - HTTP's own number

    def most_in_window(self, seconds: float) -> int:
        """The most requests served, that is not answered 429, in any window of this length."""
        most, window = 0, deque[float]()
        for at, _, status in self.request_times:
            if status == 429:  # noqa: PLR2004 - HTTP's own number
                continue
            window.append(at)
            while at - window[0] >= seconds:
                window.popleft()
            most = max(most, len(window))
        return most

    def to_dict(self) -> dict[str, Any]:
        """The books as JSON can carry them."""
        return {
            **asdict(self, recurse=False),
            "jobs": {job_id: job.to_dict() for job_id, job in self.jobs.items()},
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "request_times": [list(one) for one in self.request_times],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Books":
        """Books from the dictionary made by `to_dict`, which may have been JSON meanwhile."""
        fields: dict[str, Any] = dict(data)
        fields["jobs"] = {job_id: BookedJob(**job) for job_id, job in data["jobs"].items()}
        fields["statuses"] = {int(status): count for status, count in data["statuses"].items()}
        times = data["request_times"]
        fields["request_times"] = tuple((at, kind, status) for at, kind, status in times)
        return cls(**fields)


class BookKeeper:
    """Counts what the server does; `snapshot` gives the books."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.clear()

    def clear(self) -> None:
        """Begin new books; jobs accepted before are left out of them."""
        self._accepted: Counter[tuple[str, str]] = Counter()
        self._performed: Counter[tuple[str, str]] = Counter()
        self._jobs: dict[str, SandboxJob] = {}
        self._requests: Counter[tuple[str, int]] = Counter()
        self._faults: Counter[str] = Counter()
        self._log: deque[BookedRequest] = deque(maxlen=self._cap)
        self.foreign = 0
        self.connections = 0

    def note(self, request: BookedRequest) -> None:
        """A request was decided."""
        self._requests[request.kind, request.status] += 1
        self._log.append(request)

    def log(self) -> tuple[BookedRequest, ...]:
        """The requests one by one, oldest first."""
        return tuple(self._log)

    def accept(self, job: SandboxJob) -> None:
        """An action created its job."""
        self._jobs[job.id] = job
        self._accepted[job.vps_id, job.action] += 1

    def perform(self, job: SandboxJob) -> None:
        """An action really took place."""
        if job.id in self._jobs:
            self._performed[job.vps_id, job.action] += 1

    def count_fault(self, fault: str) -> None:
        """A fault was applied."""
        self._faults[fault] += 1

    def snapshot(self, now: float) -> Books:
        """The books at this moment."""
        kinds: Counter[str] = Counter()
        statuses: Counter[int] = Counter()
        for (kind, status), count in self._requests.items():
            kinds[kind] += count
            statuses[status] += count
        return Books(
            accepted=_pairs(self._accepted),
            performed=_pairs(self._performed),
            jobs={job.id: _booked(job, now) for job in self._jobs.values()},
            requests=dict(kinds),
            statuses=dict(statuses),
            refused=statuses[429],
            request_times=tuple((one.at, one.kind, one.status) for one in self._log),
            faults=dict(self._faults),
            foreign=self.foreign,
            connections=self.connections,
        )


def _booked(job: SandboxJob, now: float) -> BookedJob:
    over = job.is_over(now)
    finished = job.finished if over else None
    performed = over and job.performs
    return BookedJob(job.vps_id, job.action, job.status(now), job.created, finished, performed)
