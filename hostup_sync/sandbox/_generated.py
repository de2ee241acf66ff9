"""The handles of `hostup_async.sandbox` in sync form."""

# Written by `nox -s facade` from the text of hostup_async.sandbox: change that, and not this.
# pyright: reportPrivateUsage=false

from types import TracebackType
from typing import Self

import hostup_async.sandbox
from hostup_async.sandbox import BookedRequest, Books, FaultRule, JobRule, Limit, SandboxConfig
from hostup_sync._call import call, identity
from hostup_sync._context import enter, leave
from hostup_sync._handle import Handle


class SandboxHandle(Handle[hostup_async.sandbox.SandboxHandle]):
    """A running sandbox and its commands."""

    def __repr__(self) -> str:
        return self._shown()

    @property
    def config(self) -> SandboxConfig:
        """How it was configured."""
        return self._async.config

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:49152`; paths of the API follow it."""
        return self._async.url

    @property
    def api_key(self) -> str:
        """The key it accepts."""
        return self._async.api_key

    @property
    def vps_ids(self) -> tuple[str, ...]:
        """The ids of its VPSes, in the order of the list; known before it runs."""
        return self._async.vps_ids

    def books(self) -> Books:
        """What it has done so far."""
        return call(
            self._home,
            identity,
            self._async.books,
        )

    def request_log(self) -> tuple[BookedRequest, ...]:
        """Each request with its path, query and headers, oldest first, as the books have it.

        At most the last `SandboxConfig.log_cap` of them since the books were begun.
        """
        return call(
            self._home,
            identity,
            self._async.request_log,
        )

    def advance(
        self,
        seconds: float,
    ) -> None:
        """Move the sandbox's time on at once: jobs, rate limits, uptimes, cooldowns, `Date`.

        What your own code waits for does not come sooner by it: its clock is another one.

        Args:
            seconds: By how much; 0 or more.

        Raises:
            ValueError: `seconds` is negative, infinite, or not a number.

        Example:
            >>> from hostup_sync.sandbox import Durations, Sandbox, SandboxConfig
            >>> def main() -> None:
            ...     slow = SandboxConfig(jobs=Durations(median=600))
            ...     with Sandbox(slow) as sandbox:
            ...         ...  # send a reset
            ...         sandbox.advance(600)  # its job has ended
        """
        call(
            self._home,
            identity,
            self._async.advance,
            seconds,
        )

    def freeze(self) -> None:
        """Stop the sandbox's time, so that `advance` alone moves it; see `SandboxConfig.frozen`."""
        call(
            self._home,
            identity,
            self._async.freeze,
        )

    def unfreeze(self) -> None:
        """Let the sandbox's time go on by itself."""
        call(
            self._home,
            identity,
            self._async.unfreeze,
        )

    def finish(
        self,
        vps_id: str,
        *,
        error: str | None = None,
    ) -> None:
        """End the job of a VPS now, the oldest where several are pending.

        Args:
            vps_id: The VPS.
            error: Why the job fails; None for a job that completes, whatever rules it falls under.

        Raises:
            ValueError: There is no such VPS, or it has no job that has not ended.

        Example:
            >>> def main(sandbox: SandboxHandle) -> None:
            ...     sandbox.finish(sandbox.vps_ids[0], error="The disk is full.")
        """
        call(
            self._home,
            identity,
            self._async.finish,
            vps_id,
            error=error,
        )

    def reset_books(self) -> None:
        """Begin new books; jobs that run already are left out of them."""
        call(
            self._home,
            identity,
            self._async.reset_books,
        )

    def add_fault(
        self,
        rule: FaultRule,
    ) -> None:
        """Put a fault rule in force, after the ones that already are."""
        call(
            self._home,
            identity,
            self._async.add_fault,
            rule,
        )

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        call(
            self._home,
            identity,
            self._async.clear_faults,
        )

    def add_job_rule(
        self,
        rule: JobRule,
    ) -> None:
        """Put a rule on how jobs end in force, after the ones that already are."""
        call(
            self._home,
            identity,
            self._async.add_job_rule,
            rule,
        )

    def clear_job_rules(self) -> None:
        """Remove all rules on how jobs end; jobs that were accepted keep to theirs."""
        call(
            self._home,
            identity,
            self._async.clear_job_rules,
        )

    def set_limit(
        self,
        limit: Limit | None,
    ) -> None:
        """Replace `SandboxConfig.limit`; counting starts again."""
        call(
            self._home,
            identity,
            self._async.set_limit,
            limit,
        )


class RemoteSandbox(SandboxHandle):
    """A sandbox that serves from another process, which something else started.

    Args:
        url: Where it listens.
        config: How it was configured.

    Raises:
        SandboxError: It does not answer; from every method.

    Example:
        >>> def resets(url: str) -> int:
        ...     with RemoteSandbox(url, SandboxConfig(vps=3)) as sandbox:
        ...         return len(sandbox.books().resets)
    """

    _async: hostup_async.sandbox.RemoteSandbox

    def __init__(
        self,
        url: str,
        config: SandboxConfig,
    ) -> None:
        made = hostup_async.sandbox.RemoteSandbox(
            url,
            config,
        )
        super().__init__(made)

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)


class Sandbox(SandboxHandle):
    """A HostUp API to try things on, served from this process on the loopback interface.

    On an event loop whose time jumps, the sandbox's time is the loop's.

    Args:
        config: Its settings; the defaults are a small account without limits or faults.
        port: Port to listen on; 0 takes a free one.

    Example:
        >>> def main() -> int:
        ...     with Sandbox(SandboxConfig(vps=3)) as sandbox:
        ...         print(sandbox.url)  # give it to the client as its base URL
        ...         return sandbox.books().total_requests
    """

    _async: hostup_async.sandbox.Sandbox

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        port: int = 0,
    ) -> None:
        made = hostup_async.sandbox.Sandbox(
            config,
            port=port,
        )
        super().__init__(made)

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)


class SandboxProcess(SandboxHandle):
    """A HostUp API to try things on, served from a process of its own on the loopback interface.

    Takes no time from the client under test, unlike `Sandbox`. It ends with the `with`, when
    this process dies, even by SIGKILL, and after `max_seconds` in any case.

    Args:
        config: Its settings; the defaults are a small account without limits or faults.
        port: Port to listen on; 0 takes a free one.
        max_seconds: Seconds after which it ends by itself.
        start_timeout: Seconds that it may take to start.

    Raises:
        SandboxError: It did not start; the message holds what it wrote to its standard error.

    Example:
        >>> def main() -> int:
        ...     with SandboxProcess(SandboxConfig(vps=3)) as sandbox:
        ...         return sandbox.books().total_requests
    """

    _async: hostup_async.sandbox.SandboxProcess

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        port: int = 0,
        max_seconds: float = 900.0,
        start_timeout: float = 20.0,
    ) -> None:
        made = hostup_async.sandbox.SandboxProcess(
            config,
            port=port,
            max_seconds=max_seconds,
            start_timeout=start_timeout,
        )
        super().__init__(made)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._async.pid

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)
