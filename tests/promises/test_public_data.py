"""Every public class: its data goes into JSON, it says where users find it, and mock knows it."""

import asyncio
import collections.abc
import enum
import inspect
import json
import pickle
import pydoc
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from unittest.mock import create_autospec

import attrs
import pytest

import hostup_async
import hostup_async.sandbox
import hostup_sync
import hostup_sync.sandbox
from hostup_async._fleet.plan import PreflightWord
from hostup_async._fleet.policy import AmbiguousWord
from hostup_async._models import ActionWord

PACKAGES = [hostup_async, hostup_async.sandbox, hostup_sync, hostup_sync.sandbox]
KEY = "sk_live_0123456789abcdef"


def classes(package: ModuleType) -> Iterator[type[Any]]:
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value):
            yield value


MODELS = [
    cls
    for package in (hostup_async, hostup_async.sandbox)
    for cls in classes(package)
    if attrs.has(cls)
]
# What a made-up value would not pass for.
SPECIAL: dict[str, dict[str, Any]] = {
    "AuditRecord": {"detail": '{"why": "test"}'},
    "RunRecord": {
        "plan": hostup_async.Plan(action="reset", origin="https://a", ids=["vps_1"]).to_json(),
        "policy": hostup_async.FleetPolicy().to_json(),
    },
    "Plan": {"ids": ["vps_1"]},
    "FaultRule": {"fault": "lost_reply", "on": "reset", "acts": None, "vps_ids": ["vps_1"]},
    "JobRule": {"ends": "failed", "on": "reset", "vps_ids": ["vps_1"]},
    "FleetPolicy": {"max_failures": 0.5, "max_ambiguous": 2},
    "RateLimit": {"requests": 5},
}


def made_up(hint: Any) -> Any:
    """A value of a type, with something in each container, so that nothing is left untried."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return made_up(next(one for one in arguments if one is not types.NoneType))
    if origin is typing.Literal:
        return arguments[0]
    if origin in {tuple, frozenset}:
        return origin(made_up(one) for one in arguments if one is not ...)
    if origin is collections.abc.Mapping:
        return {made_up(arguments[0]): made_up(arguments[1])}
    return instance(hint) if attrs.has(hint) else made_up_value(hint)


def made_up_value(hint: Any) -> Any:
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    moment = datetime(2026, 4, 27, tzinfo=UTC)
    plain = {str: "text", int: 1, float: 0.5, bool: True, datetime: moment}
    return plain.get(hint, {"deep": [1, None]})


def instance(cls: type[Any]) -> Any:
    if cls.__name__ == "SandboxConfig":
        limit = hostup_async.sandbox.Limit(requests=1, seconds=1)
        rule = hostup_async.sandbox.JobRule("failed")
        fault = instance(hostup_async.sandbox.FaultRule)
        return cls(ids=["vps_1"], limit=limit, job_rules=[rule], faults=[fault])
    values = {one.name: made_up(one.type) for one in attrs.fields(cls) if one.init}
    return cls(**values | SPECIAL.get(cls.__name__, {}))


def test_the_models_are_found() -> None:
    names = {cls.__name__ for cls in MODELS}
    assert {"Vps", "Job", "Plan", "FleetReport", "RunEnded", "Timeouts", "Entry", "Limit"} <= names
    data = {
        cls.__name__
        for cls in classes(hostup_async)
        if not issubclass(cls, (enum.Enum, BaseException))
    }
    handles = {"Budget", "Client", "FleetResource", "FleetRun", "Operation", "Store", "VpsResource"}
    assert data - names == handles


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_the_data_of_each_public_class_goes_into_json(cls: type[Any]) -> None:
    data = instance(cls).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {one.name for one in attrs.fields(cls)} - {"raw"} <= set(data)
    assert cls.to_dict.__doc__


def test_what_json_does_not_have_is_written_in_its_place() -> None:
    assert hostup_async.RateLimit.UNLIMITED.to_dict() == {"requests": None, "window": 1.0}
    job = hostup_async.Job(
        status=hostup_async.JobStatus.FAILED,
        created_at=datetime(2026, 4, 27, 12, tzinfo=UTC),
        raw={"a": 1},
        result=object,
    )
    assert job.to_dict()["status"] == "failed"
    assert job.to_dict()["created_at"] == "2026-04-27T12:00:00+00:00"
    assert job.to_dict()["result"] == str(object)
    assert "raw" not in job.to_dict()


def test_a_plan_and_a_policy_come_back_from_their_data() -> None:
    plan = instance(hostup_async.Plan)
    assert hostup_async.Plan.from_json(json.dumps(plan.to_dict())) == plan
    policy = instance(hostup_async.FleetPolicy)
    assert hostup_async.FleetPolicy.from_json(json.dumps(policy.to_dict())) == policy
    record = instance(hostup_async.RunRecord).to_dict()
    assert record["policy"] == hostup_async.FleetPolicy().to_dict()
    assert record["plan"]["ids"] == ["vps_1"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_classes_and_functions_say_where_users_find_them(package: ModuleType) -> None:
    sources = {package.__name__, package.__name__.replace("hostup_sync", "hostup_async")}
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ in sources, name
            assert (
                getattr(hostup_async, name, None) is not value
                or pickle.loads(  # noqa: S301 - our own
                    pickle.dumps(value)
                )
                is value
            )


def test_a_handle_that_was_never_named_says_so_as_well() -> None:
    client = hostup_sync.Client(KEY)
    assert type(client.vps).__module__ == "hostup_sync"
    assert type(hostup_async.Client(KEY).vps).__module__ == "hostup_async"


@pytest.mark.parametrize("package", [hostup_async, hostup_sync])
def test_help_and_dir_show_a_client_with_its_parts(package: ModuleType) -> None:
    text = pydoc.plain(pydoc.render_doc(package.Client))
    assert f"class Client in module {package.__name__}" in text
    for name in ("vps", "fleet", "budget", "open", "operation", "wait_all"):
        assert name in dir(package.Client)
        assert name in text
    assert "The VPSes of the key's account" in text
    whole = pydoc.plain(pydoc.render_doc(package))
    assert "Forgot" not in whole
    assert "class Client" in whole


def test_a_mock_of_the_async_client_has_its_parts_and_refuses_wrong_calls() -> None:
    mock = create_autospec(hostup_async.Client)("sk_1")
    mock.vps.reset.return_value.wait.return_value = hostup_async.Job(status="completed")

    async def use() -> hostup_async.Job:
        operation = await mock.vps.reset("vps_1")
        job: hostup_async.Job = await operation.wait(timeout=3)
        return job

    assert asyncio.run(use()).succeeded
    mock.vps.reset.assert_awaited_once_with("vps_1")
    assert inspect.iscoroutinefunction(mock.fleet.plan)
    with pytest.raises(TypeError):
        mock.vps.reset("vps_1", twice=True)
    with pytest.raises(AttributeError):
        mock.vps.rest("vps_1")
    with pytest.raises(AttributeError):
        mock.budget.snap()


def test_a_mock_of_the_sync_client_has_its_parts_and_refuses_wrong_calls() -> None:
    mock = create_autospec(hostup_sync.Client)("sk_1")
    mock.vps.status.return_value = hostup_sync.VpsStatus(id="vps_1")
    assert mock.vps.status("vps_1").id == "vps_1"
    mock.fleet.reset(["vps_1"])
    mock.fleet.reset.assert_called_once_with(["vps_1"])
    with pytest.raises(TypeError):
        mock.vps.status()
    with pytest.raises(AttributeError):
        mock.vps.rest("vps_1")


@pytest.mark.parametrize(
    "name", ["Client", "FleetRun", "Operation", "FleetResource", "VpsResource"]
)
def test_a_mock_of_each_handle_has_its_attributes(name: str) -> None:
    ours, theirs = getattr(hostup_sync, name), getattr(hostup_async, name)
    public = {one for one in dir(theirs) if not one.startswith("_")} - {"aclose"}
    assert public <= set(dir(create_autospec(theirs, instance=True)))
    assert public <= set(dir(create_autospec(ours, instance=True)))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (ActionWord, hostup_async.Action),
        (PreflightWord, hostup_async.Preflight),
        (AmbiguousWord, hostup_async.OnAmbiguous),
    ],
)
def test_the_words_for_type_checkers_are_those_of_the_enumeration(
    words: Any, kind: type[enum.Enum]
) -> None:
    assert list(typing.get_args(words)) == [one.value for one in kind]
