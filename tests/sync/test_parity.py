"""Both packages side by side, by introspection: independent of the generator, and of its text."""

import collections.abc
import contextlib
import inspect
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import hostup_async
import hostup_async.sandbox
import hostup_sync
import hostup_sync.sandbox

PAIRS = [(hostup_async, hostup_sync), (hostup_async.sandbox, hostup_sync.sandbox)]
RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
SPECIAL = {"__init__", "__aenter__", "__aexit__"}
# Made by the package alone, out of its private parts.
MADE_BY_THE_CLIENT = {"FleetResource", "FleetRun", "Operation", "SandboxHandle", "VpsResource"}


def handles(package: ModuleType) -> dict[str, type[Any]]:
    found = {name: getattr(package, name) for name in package.__all__}
    return {
        name: value
        for name, value in found.items()
        if inspect.isclass(value)
        and any(inspect.iscoroutinefunction(one) for _, one in inspect.getmembers(value))
    }


CLASSES = [
    pytest.param(cls, getattr(sync, name), id=name)
    for package, sync in PAIRS
    for name, cls in handles(package).items()
]
FACADES: dict[Any, Any] = {
    cls: getattr(sync, name) for package, sync in PAIRS for name, cls in handles(package).items()
}


def members(cls: type[Any]) -> Iterator[str]:
    for name, value in inspect.getmembers(cls):
        if name in SPECIAL:
            ours = getattr(value, "__module__", "").startswith("hostup")
            if ours and not (name == "__init__" and cls.__name__ in MADE_BY_THE_CLIENT):
                yield name
        elif not name.startswith("_"):
            yield name


def function(cls: type[Any], name: str) -> Callable[..., Any] | None:
    value = inspect.getattr_static(cls, name)
    value = getattr(value, "__func__", value)
    return value if inspect.isfunction(value) else None


def sync_hint(hint: Any) -> Any:
    """What a type hint of the async package is in the sync one."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return FACADES.get(hint, hint)
    if origin in {types.UnionType, typing.Union}:
        union = sync_hint(arguments[0])
        for one in arguments[1:]:
            union |= sync_hint(one)
        return union
    if origin is collections.abc.Callable:
        return hint
    parts = tuple(map(sync_hint, arguments))
    if origin is collections.abc.AsyncIterator:
        origin = collections.abc.Iterator
    if origin is contextlib.AbstractAsyncContextManager:
        origin = contextlib.AbstractContextManager
    return origin[parts]


def hints(of: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(of)


@pytest.mark.parametrize(("theirs", "ours"), CLASSES)
def test_the_members_have_the_same_names(theirs: type[Any], ours: type[Any]) -> None:
    wanted = {RENAMED.get(name, name) for name in members(theirs)}
    is_made = theirs.__name__ in MADE_BY_THE_CLIENT or inspect.isabstract(theirs)
    made = set[str]() if is_made else {"__init__"}
    found = {name for name in dir(ours) if not name.startswith("_")}
    found |= {name for name in ("__enter__", "__exit__") if hasattr(ours, name)} | made
    # What `__init__` sets is no member of the async class, and a property of the facade.
    attributes = found - wanted
    assert wanted <= found
    assert attributes <= {"budget", "config", "fleet", "id", "job", "plan", "policy", "vps"}
    assert all(isinstance(inspect.getattr_static(ours, name), property) for name in attributes)


@pytest.mark.parametrize(("theirs", "ours"), CLASSES)
def test_the_methods_have_the_same_signatures(theirs: type[Any], ours: type[Any]) -> None:
    for name in members(theirs):
        one, other = function(theirs, name), function(ours, RENAMED.get(name, name))
        if one is None or name == "__aexit__":
            continue
        assert other is not None, name
        assert not inspect.iscoroutinefunction(other)
        before, after = inspect.signature(one), inspect.signature(other)
        assert shown(before) == shown(after), name
        assert {key: sync_hint(hint) for key, hint in hints(one).items()} == hints(other), name


def shown(signature: inspect.Signature) -> list[tuple[str, Any, Any]]:
    return [(one.name, one.kind, one.default) for one in signature.parameters.values()]


@pytest.mark.parametrize(("theirs", "ours"), CLASSES)
def test_the_properties_have_the_same_types(theirs: type[Any], ours: type[Any]) -> None:
    for name in members(theirs):
        value = inspect.getattr_static(theirs, name)
        if isinstance(value, property):
            other = inspect.getattr_static(ours, name)
            assert isinstance(other, property), name
            assert value.fget is not None
            assert other.fget is not None
            assert sync_hint(hints(value.fget)["return"]) == hints(other.fget)["return"]


@pytest.mark.parametrize(("theirs", "ours"), CLASSES)
def test_all_that_is_public_is_described_without_async(theirs: type[Any], ours: type[Any]) -> None:
    for name in members(theirs):
        doc = getattr(ours, RENAMED.get(name, name)).__doc__
        if not name.startswith("_"):
            assert doc, name
            assert not any(
                word in doc for word in ("await ", "async def", "async with", "async for")
            )


@pytest.mark.parametrize(("package", "sync"), PAIRS, ids=lambda package: package.__name__)
def test_models_and_errors_are_the_same_objects(package: ModuleType, sync: ModuleType) -> None:
    assert list(sync.__all__) == sorted(package.__all__)
    for name in package.__all__:
        theirs, ours = getattr(package, name), getattr(sync, name)
        if inspect.isasyncgenfunction(inspect.unwrap(theirs)):  # a context manager
            assert shown(inspect.signature(theirs)) == shown(inspect.signature(ours))
            assert sync_hint(hints(inspect.unwrap(theirs))["store"]) == hints(ours)["store"]
        elif name not in handles(package):
            assert ours is theirs


def test_the_comparison_sees_differences() -> None:
    def one(a: int, *, b: str = "") -> AsyncIterator[hostup_async.Vps]:
        raise NotImplementedError

    def other(a: int, b: str = "") -> Iterator[hostup_async.Vps]:
        raise NotImplementedError

    assert shown(inspect.signature(one)) != shown(inspect.signature(other))
    assert sync_hint(hints(one)["return"]) == hints(other)["return"]
    assert sync_hint(list[hostup_async.Operation]) == list[hostup_sync.Operation]
    assert len(CLASSES) >= 7
