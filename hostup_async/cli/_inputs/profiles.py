"""The configuration file: profiles, each with a key, an API address and a store of its own."""

import os
import stat
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import platformdirs
from attrs import frozen

from hostup_async import RateLimit
from hostup_async._config import SecretText, hide
from hostup_async.cli._exits import CommandFailed, usage
from hostup_async.cli._inputs.limits import read_limit, read_share
from hostup_async.cli._inputs.paths import own_directory, store_in

_APP: Final = "hostup"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_KNOWN: Final = ("api_key", "api_base", "store", "limit", "share")


@frozen
class Profile:
    """One profile of the configuration file; None for what it does not set.

    Attributes:
        name: The profile's name.
        api_key: The API key.
        api_base: Address of the API.
        store: Where its runs are recorded, as an absolute path; in the file, a relative path
            starts from the file's directory.
        limit: The rate limit of its key.
        share: The part of that limit that it uses.
    """

    name: str = "default"
    api_key: SecretText | None = None
    api_base: str | None = None
    store: str | None = None
    limit: RateLimit | None = None
    share: float | None = None


def config_path() -> Path:
    """The path of the configuration file, whether it exists or not."""
    find = partial(platformdirs.user_config_path, _APP, appauthor=False)
    return own_directory(find, "the configuration file") / "config.toml"


def default_store() -> Path:
    """The path of the default store. Makes its directory, readable by this user only."""
    find = partial(platformdirs.user_state_path, _APP, appauthor=False)
    directory = own_directory(find, "the store (or name one with --store)")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / "fleet.db"


def read_profile(name: str | None) -> Profile:
    """The profile with this name; for None the file's `default_profile`, or else `default`.

    Raises:
        CommandFailed: The profile does not exist, or the file cannot be used.
    """
    try:
        path = config_path()
    except CommandFailed:
        if name is None:
            return Profile()
        raise
    try:
        text = _read(path)
    except FileNotFoundError:
        if name is None:
            return Profile()
        message = f"there is no profile {name!r}: {path} does not exist"
        raise usage(message) from None
    content = _parse(text, path)
    wanted = name or _text(content, "default_profile", path) or "default"
    found = _tables(content).get(wanted)
    if found is None:
        if name is None and "default_profile" not in content:
            return Profile()
        known = ", ".join(_tables(content)) or "none"
        message = f"{path} has no profile {wanted!r}; its profiles: {known}"
        raise usage(message)
    return _profile(wanted, found, path)


def _read(path: Path) -> str:
    """Read a file that may hold a key; refuse it when other users can read it."""
    with path.open(encoding="utf-8-sig") as file:  # editors on Windows begin it with a mark
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
            message = f"other users can read {path}, which may hold a key: chmod 600 {path}"
            raise usage(message)
        try:
            return file.read()
        except UnicodeDecodeError:
            message = f"{path} is not UTF-8 text"
            raise usage(message) from None


def _parse(text: str, path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not valid TOML: {error}"
        raise usage(message) from None


def _tables(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tables = content.get("profiles", {})
    if not isinstance(tables, dict):
        return {}
    found = cast("dict[str, Any]", tables)
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def _profile(name: str, table: Mapping[str, Any], path: Path) -> Profile:
    if unknown := sorted(set(table) - set(_KNOWN)):
        message = f"{path}: profile {name!r} has {unknown[0]!r}; known are {', '.join(_KNOWN)}"
        raise usage(message)
    key, base, store, limit = (_text(table, one, path) for one in _KNOWN[:4])
    share = table.get("share")
    return Profile(
        name,
        hide(key),
        base,
        store and store_in(path.parent, store),
        None if limit is None else read_limit(f"{path}: limit", limit),
        None if share is None else read_share(f"{path}: share", share),
    )


def _text(table: Mapping[str, Any], name: str, path: Path) -> str | None:
    value = table.get(name)
    if value is None or isinstance(value, str):
        return value
    message = f"{path}: {name} must be a string"
    raise usage(message)
