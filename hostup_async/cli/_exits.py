"""How the program ends: its exit codes, and errors told in a line instead of a traceback."""

import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any, Final

import typer


class ExitCode(IntEnum):
    """What the exit code says; of several that are true, the first of `RANKED`."""

    COMPLETED = 0
    """Everything that was asked for is done."""
    FAILED = 1
    """Something failed, was refused, was skipped, or could not be done at all."""
    USAGE = 2
    """The options, the file of ids or the configuration cannot be used; nothing was sent."""
    BUDGET = 3
    """A failure budget, or the canary, stopped the run."""
    AMBIGUOUS = 4
    """Of some VPSes nobody can tell what became of them."""
    AUTHENTICATION = 5
    """No key, or the API refuses it."""
    INTERRUPTED = 130
    """Stopped by a signal."""


RANKED: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.AUTHENTICATION,
    ExitCode.BUDGET,
    ExitCode.AMBIGUOUS,
    ExitCode.FAILED,
    ExitCode.COMPLETED,
)


class CommandFailed(Exception):
    """The command cannot go on; the message says why, and what to do next."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


def usage(message: str) -> CommandFailed:
    """The options cannot be used."""
    return CommandFailed(message, ExitCode.USAGE)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its foreseeable errors told in a line, with the exit code they mean."""

    @wraps(command)
    def run(**options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        try:
            command(**options)
        except KeyboardInterrupt:
            _leave("interrupted before anything was sent", ExitCode.INTERRUPTED)
        except CommandFailed as error:
            _leave(str(error), error.code)
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            _leave(f"{what}{error.strerror or error}", ExitCode.FAILED)
        except Exception as error:
            code = _code_of(error)
            if code is None:
                raise
            _leave(str(error), code)

    return run


def _code_of(error: Exception) -> ExitCode | None:
    """The exit code that an error of ours means; None for a mistake in this program."""
    from hostup_async import ConfigurationError, Forbidden, HostUpError, Unauthorized  # noqa: PLC0415 - --help need not wait
    from hostup_async.sandbox import SandboxError  # noqa: PLC0415 - likewise

    if isinstance(error, Unauthorized | Forbidden):
        return ExitCode.AUTHENTICATION
    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    return ExitCode.FAILED if isinstance(error, HostUpError | SandboxError) else None


def _leave(message: str, code: ExitCode) -> None:
    try:
        sys.stderr.write(f"hostup: {message}\n")
        sys.stderr.flush()
    except OSError:  # nobody is left to read it
        pass
    raise typer.Exit(code) from None
