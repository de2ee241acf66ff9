import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

import hostup_async
from hostup_async import (
    Action,
    ApiError,
    FieldError,
    FleetFailed,
    FleetReport,
    HostUpError,
    Job,
    JobFailed,
    Outcome,
    OutcomeStatus,
    OutcomeUnknown,
    Problem,
    WaitTimeout,
    _errors,
)

PROBLEM = Problem(
    status=409,
    code="cooldown_active",
    title="Conflict",
    detail="Too soon.",
    instance="/api/v2/vps/vps_1",
    request_id="req_1",
    errors=(FieldError("/a", "d", "c"),),
    retry_after=12.5,
    raw={"code": "cooldown_active", "more": [1]},
)
SAID = [
    "status",
    "code",
    "title",
    "detail",
    "instance",
    "request_id",
    "errors",
    "retry_after",
    "raw",
]
SPECIAL: dict[type[HostUpError], dict[str, Any]] = {
    OutcomeUnknown: {
        "problem": PROBLEM,
        "vps_id": "vps_1",
        "action": Action.RESET,
        "sent_at": 1777293296.25,
    },
    JobFailed: {"vps_id": "vps_1", "job": Job(id="j", status="failed", error="disk full")},
    FleetFailed: {
        "report": FleetReport(
            run_id="r",
            action=Action.RESET,
            outcomes=(Outcome("vps_1", OutcomeStatus.FAILED),),
            seconds=1.0,
        )
    },
    WaitTimeout: {"vps_id": "vps_1", "job": Job(id="j"), "token": "hostup1_x"},
}
CLASSES = [
    cls
    for cls in (getattr(hostup_async, name) for name in hostup_async.__all__)
    if isinstance(cls, type) and issubclass(cls, HostUpError)
]


def drawing() -> dict[str, tuple[str | None, str | None]]:
    """Each class of the drawing in the module's docstring: its parent and its extra base."""
    doc = _errors.__doc__ or ""
    tree: dict[str, tuple[str | None, str | None]] = {"HostUpError": (None, None)}
    above = {4: "HostUpError"}
    rows = re.findall(r"^([ │├└─]*[├└]── )(\w+) *(?:\((\w+)\))?", doc, re.MULTILINE)
    for branch, name, extra in rows:
        above[len(branch)] = name
        tree[name] = (above[len(branch) - 4], extra or None)
    return tree


def instance(cls: type[HostUpError]) -> HostUpError:
    return cls("What happened, and what to do.", **SPECIAL.get(cls, {"problem": PROBLEM}))


def test_the_drawing_shows_every_class() -> None:
    assert set(drawing()) == {cls.__name__ for cls in CLASSES}
    assert len(CLASSES) > 15


@pytest.mark.parametrize("cls", CLASSES)
def test_each_class_has_the_bases_that_are_drawn(cls: type[HostUpError]) -> None:
    parent, extra = drawing()[cls.__name__]
    drawn = [parent or "Exception", *([extra] if extra else [])]
    assert [base.__name__ for base in cls.__bases__] == drawn


@pytest.mark.parametrize("cls", CLASSES)
def test_each_class_is_public_and_says_what_it_means(cls: type[HostUpError]) -> None:
    assert getattr(hostup_async, cls.__name__) is cls
    assert cls.__name__ in hostup_async.__all__
    assert cls.__doc__


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_copy_keeps_class_message_and_attributes(
    cls: type[HostUpError], duplicate: Callable[[HostUpError], HostUpError]
) -> None:
    error = instance(cls)
    error.add_note("a note")
    twin = duplicate(error)
    assert type(twin) is cls
    assert twin is not error
    assert str(twin) == "What happened, and what to do."
    assert vars(twin) == vars(error)
    assert twin.raw == error.raw


@pytest.mark.parametrize("cls", CLASSES)
def test_the_message_is_all_that_an_error_needs(cls: type[HostUpError]) -> None:
    error = cls("A message.")
    assert str(error) == "A message."
    assert error.args == ("A message.",)
    assert error.problem is None


@pytest.mark.parametrize("name", SAID)
def test_what_the_api_said_is_read_from_the_problem(name: str) -> None:
    assert getattr(ApiError("no", problem=PROBLEM), name) == getattr(PROBLEM, name)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("cls", CLASSES)
def test_where_the_api_said_nothing_there_is_nothing(cls: type[HostUpError], name: str) -> None:
    assert getattr(cls("no"), name) == (() if name == "errors" else None)


@pytest.mark.parametrize(("cls", "attributes"), SPECIAL.items())
def test_special_attributes_are_kept_and_optional(
    cls: type[HostUpError], attributes: dict[str, Any]
) -> None:
    full, empty = cls("m", **attributes), cls("m")
    for name, value in attributes.items():
        assert getattr(full, name) == value
        assert getattr(empty, name) is None


@pytest.mark.parametrize("cls", CLASSES)
def test_the_root_catches_everything(cls: type[HostUpError]) -> None:
    with pytest.raises(HostUpError):
        raise instance(cls)
