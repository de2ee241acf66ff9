"""The demo's sandbox: a process that outlives a killed demo for a minute, to be resumed."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import Any, Final, Self

from attrs import asdict, define, field

from hostup_async.cli._exits import CommandFailed
from hostup_async.sandbox import RemoteSandbox, SandboxConfig, SandboxError

A_DAY: Final = 86_400.0
_FILE: Final = "demo.json"
_GRACE: Final = 5.0


@define
class DemoHome:
    """A directory that holds what is needed to resume a demo.

    Attributes:
        path: The directory.
        url: Where the sandbox listens.
        settings: What the sandbox was configured with.
        run_id: The run; empty until it is recorded.
    """

    path: Path
    url: str
    settings: dict[str, Any] = field(repr=False)
    run_id: str = ""

    @property
    def store(self) -> str:
        """Where the run is recorded."""
        return str(self.path / "fleet.db")

    @property
    def config(self) -> SandboxConfig:
        """How the sandbox was configured."""
        return SandboxConfig(**self.settings)

    def sandbox(self) -> RemoteSandbox:
        """A handle on the sandbox."""
        return RemoteSandbox(self.url, self.config)

    def save(self) -> None:
        """Write the file, replacing it in one step."""
        draft = self.path / f"{_FILE}.new"
        draft.write_text(json.dumps(asdict(self, filter=lambda one, _: one.name != "path")))
        draft.rename(self.path / _FILE)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what an earlier demo saved.

        Raises:
            CommandFailed: There is no demo to resume.
        """
        try:
            return cls(path, **json.loads((path / _FILE).read_text()))
        except (OSError, ValueError, TypeError):
            message = f"there is no demo to resume in {path}: start a new one with hostup demo"
            raise CommandFailed(message) from None


@contextmanager
def new_home(config: SandboxConfig, linger: float) -> Generator[DemoHome]:
    """Start a sandbox; it ends with the block, unless the demo in it can be resumed."""
    settings = config.to_dict()
    process, url = _start(settings, linger)
    home = DemoHome(Path(mkdtemp(prefix="hostup-demo-")), url, settings)
    try:
        yield home
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if not home.run_id:
            process.terminate()
            process.wait(_GRACE)


def _start(settings: dict[str, Any], linger: float) -> tuple[subprocess.Popen[bytes], str]:
    with TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [
                *(sys.executable, "-m", "hostup_async.sandbox", "--config-json=-"),
                *("--until-stdin-closes", f"--linger={linger}", f"--max-seconds={A_DAY}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C in a terminal reaches a whole group
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        try:
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()
            return process, str(json.loads(process.stdout.readline())["url"])
        except (OSError, ValueError):
            process.kill()
            process.wait()
            errors.seek(0)
            output = errors.read().decode(errors="replace").strip() or "(empty)"
            message = f"the sandbox did not start; its standard error: {output}"
            raise SandboxError(message) from None
