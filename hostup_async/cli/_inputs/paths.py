"""Paths that mean one file, whatever directory the command runs in."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hostup_async.cli._exits import usage

NO_STORE: Final = "none"
"""The name of a store for a run that is not recorded."""
_SQLITE: Final = "sqlite:///"
_NO_FILE: Final = frozenset({"", NO_STORE, ":memory:"})


def store_in(directory: Path, name: str) -> str:
    """The store with this name, as an absolute path.

    A store that is another file in each directory would forget what it recorded in the others.

    Args:
        directory: What a relative path starts from.
        name: A path, which may begin with `~`; or `sqlite:///` and a path; or `none`.

    Example:
        >>> store_in(Path("/etc/hostup"), "fleet.db"), store_in(Path("/"), "none")
        ('/etc/hostup/fleet.db', 'none')
    """
    path = name.removeprefix(_SQLITE)
    if path in _NO_FILE or "://" in path:  # `open_store` says what is wrong with it
        return name
    return os.path.normpath(directory / expand(path))


def expand(path: str) -> Path:
    """A path with its `~` expanded.

    Raises:
        CommandFailed: The home directory is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        message = f"the home directory of {path} is not known: write the whole path"
        raise usage(message) from None


def own_directory(find: Callable[[], Path], what: str) -> Path:
    """A directory of the user's own.

    Args:
        find: Finds it, relative or not at all where the home directory is not known.
        what: What it is for.

    Raises:
        CommandFailed: It is not known.
    """
    try:
        found = find()
    except RuntimeError:
        found = Path()
    if found.is_absolute():
        return found
    message = f"there is no place for {what}, since your home directory is not known: set HOME"
    raise usage(message)
