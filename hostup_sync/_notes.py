"""Tracebacks and notes of exceptions that cross from the loop's thread to the caller's."""

from asyncio import CancelledError


def trim_traceback(error: BaseException) -> BaseException:
    """The error with the frame that raised it alone, without this package's own frames.

    The caller's frames are added above it when it is raised again.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return error.with_traceback(last)


def carry_over(source: BaseException, target: BaseException) -> None:
    """Give `target` the notes of `source` that it does not have yet."""
    known = getattr(target, "__notes__", ())
    for note in getattr(source, "__notes__", ()):
        if note not in known:
            target.add_note(note)


def explain(interruption: BaseException, value: object, error: BaseException | None) -> None:
    """Note on an interruption what it interrupted.

    Args:
        interruption: A `KeyboardInterrupt`, say; it gets notes.
        value: The work's result, which its caller never receives. Where it has a method
            `_cancellation_note()`, that note goes with the interruption.
        error: What the work ended with.
    """
    if error is not None:
        if not isinstance(error, CancelledError):
            interruption.add_note(f"Meanwhile: {type(error).__name__}: {error}")
        carry_over(error, interruption)
        return
    cancellation_note = getattr(value, "_cancellation_note", None)
    if cancellation_note is not None:
        interruption.add_note(cancellation_note())
