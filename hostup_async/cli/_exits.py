"""How the program ends: its exit codes, and errors as one line instead of a traceback."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import wraps
from typing import Any, Final, cast

import typer

from hostup_async._text import printable
from hostup_async.cli._streams import forget_lost_output, lost_output


class ExitCode(IntEnum):
    """The exit codes of `hostup`. Where several apply, the first one in `RANKED` is used."""

    COMPLETED = 0
    """All VPSes completed, or the command did what it was asked to."""
    FAILED = 1
    """A VPS failed, was refused, skipped, not done, not sent or not followed, or timed out; or the
    command could not do what it was asked to, or could not write its output."""
    USAGE = 2
    """The options, the file of ids or the configuration cannot be used; nothing was sent."""
    BUDGET = 3
    """A failure budget, or the canary, stopped the run."""
    AMBIGUOUS = 4
    """The outcome of some VPSes is unknown."""
    AUTHENTICATION = 5
    """No key, or the API refuses it."""
    INTERRUPTED = 130
    """Stopped by a signal."""


# As the helps and the README say it.
EXIT_CODES: Final = (
    "Exit codes: 0 all completed; 1 some failed, were refused, skipped, not done, not sent, not "
    "followed or timed out, or the output cannot be written; 2 wrong options; 3 stopped by a "
    "failure limit or the canary; 4 the outcome of some VPSes is unknown; 5 the key is missing or "
    "refused; 130 interrupted."
)
_FILES: Final = frozenset({"from_file", "key_file", "exclude", "store"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
RANKED: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.AUTHENTICATION,
    ExitCode.BUDGET,
    ExitCode.AMBIGUOUS,
    ExitCode.FAILED,
    ExitCode.COMPLETED,
)


class CommandFailed(Exception):
    """The command cannot continue; the message says why, and what to do next."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


def usage(message: str) -> CommandFailed:
    """The error for options that cannot be used."""
    return CommandFailed(message, ExitCode.USAGE)


def report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: each expected error becomes one line and the exit code that fits it."""

    @wraps(command)
    def run(**options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        forget_lost_output()
        code = _run(command, options)
        if (lost := lost_output()) is not None:
            _say(f"standard output cannot be written: {lost.strerror or lost}")
            code = code or ExitCode.FAILED
        if code:
            raise typer.Exit(code)

    return run


def _run(command: Callable[..., None], options: dict[str, Any]) -> int:
    """The exit code of a command, whose error was told."""
    try:
        _refuse_other_encodings(options)
        command(**options)
    except typer.Exit as ended:
        return ended.exit_code
    except KeyboardInterrupt:
        return _fail("interrupted before anything was sent", ExitCode.INTERRUPTED)
    except CommandFailed as error:
        return _fail(str(error), error.code)
    except OSError as error:
        file = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return _fail(f"{file}{error.strerror or error}", ExitCode.FAILED)
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        return _fail(str(error), code)
    return ExitCode.COMPLETED


def _refuse_other_encodings(options: dict[str, Any]) -> None:
    """Refuse an argument that is not UTF-8 text: it can be neither recorded nor sent.

    Python carries its odd bytes as lone surrogates. The name of a file may have them.
    """
    for name, value in options.items():
        texts = cast("list[object]", value) if isinstance(value, list) else [value]
        is_odd = any(isinstance(one, str) and _SURROGATE.search(one) for one in texts)
        if is_odd and name not in _FILES:
            option = "an id" if name == "ids" else f"--{name.replace('_', '-')}"
            message = f"{option} is not UTF-8 text: check the terminal's encoding. Nothing was sent"
            raise usage(message)


def _code_of(error: Exception) -> ExitCode | None:
    """The exit code for an error of this library; None for a bug, which keeps its traceback."""
    from hostup_async import ConfigurationError, Forbidden, HostUpError, Unauthorized  # noqa: PLC0415 - --help need not wait
    from hostup_async.sandbox import SandboxError  # noqa: PLC0415 - --help need not wait

    if isinstance(error, Unauthorized | Forbidden):
        return ExitCode.AUTHENTICATION
    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    return ExitCode.FAILED if isinstance(error, HostUpError | SandboxError) else None


def _fail(message: str, code: ExitCode) -> ExitCode:
    from hostup_async.cli._shell_words import in_shell_words  # noqa: PLC0415 - --help need not wait

    _say(in_shell_words(message))
    return code


def _say(message: str) -> None:
    with suppress(OSError):  # standard error cannot be written
        sys.stderr.write(f"hostup: {printable(message)}\n")
        sys.stderr.flush()
