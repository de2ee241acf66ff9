"""How the program ends: its exit codes, and errors as one line instead of a traceback."""

import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any, Final

import typer


class ExitCode(IntEnum):
    """The exit codes of `hostup`. Where several apply, the first one in `RANKED` is used."""

    COMPLETED = 0
    """All VPSes completed, or the command did what it was asked to."""
    FAILED = 1
    """A VPS failed, was refused, skipped, not done, not sent or not followed, or timed out; or the
    command could not do what it was asked to."""
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
    "Exit codes: 0 all completed; 1 some failed, were refused, skipped, not done, not sent or not "
    "followed, or timed out; 2 wrong options; 3 stopped by a failure limit or the canary; 4 the "
    "outcome of some VPSes is unknown; 5 the key is missing or refused; 130 interrupted."
)
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
        try:
            command(**options)
        except KeyboardInterrupt:
            _exit("interrupted before anything was sent", ExitCode.INTERRUPTED)
        except CommandFailed as error:
            _exit(str(error), error.code)
        except OSError as error:
            file = f"{error.filename}: " if error.filename else ""
            _exit(f"{file}{error.strerror or error}", ExitCode.FAILED)
        except Exception as error:
            code = _code_of(error)
            if code is None:
                raise
            _exit(str(error), code)

    return run


def _code_of(error: Exception) -> ExitCode | None:
    """The exit code for an error of this library; None for a bug, which keeps its traceback."""
    from hostup_async import ConfigurationError, Forbidden, HostUpError, Unauthorized  # noqa: PLC0415 - --help need not wait
    from hostup_async.sandbox import SandboxError  # noqa: PLC0415 - --help need not wait

    if isinstance(error, Unauthorized | Forbidden):
        return ExitCode.AUTHENTICATION
    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    return ExitCode.FAILED if isinstance(error, HostUpError | SandboxError) else None


def _exit(message: str, code: ExitCode) -> None:
    try:
        sys.stderr.write(f"hostup: {message}\n")
        sys.stderr.flush()
    except OSError:  # standard error is closed
        pass
    raise typer.Exit(code) from None
