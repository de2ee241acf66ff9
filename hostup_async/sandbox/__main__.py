"""`python -m hostup_async.sandbox`: a sandbox until it is told to end."""

import asyncio
import json
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from hostup_async.sandbox import Sandbox, SandboxConfig


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m hostup_async.sandbox",
        description="Serve a HostUp API to try things on, and print its URL and key as JSON.",
    )
    parser.add_argument(
        "--config-json", default="{}", help="SandboxConfig's settings; - reads one line of stdin"
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--max-seconds", type=float, default=None, help="seconds after which it ends"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input is closed"
    )
    parser.add_argument(
        "--linger",
        type=float,
        default=0,
        help="seconds without a request after which it then ends",
    )
    return parser.parse_args(arguments)


def _config(source: str) -> SandboxConfig:
    text = sys.stdin.readline() if source == "-" else source
    return SandboxConfig(**json.loads(text))


async def _serve(config: SandboxConfig, options: Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    orphaned = asyncio.Event()
    if options.until_stdin_closes:
        _watch_stdin(loop, orphaned)
    async with Sandbox(config, port=options.port) as sandbox:
        sys.stdout.write(json.dumps({"url": sandbox.url, "api_key": sandbox.api_key}) + "\n")
        sys.stdout.flush()
        lingering = asyncio.create_task(_linger(orphaned, sandbox, options.linger, ended))
        await _wait(ended, options.max_seconds)
        lingering.cancel()


def _watch_stdin(loop: asyncio.AbstractEventLoop, orphaned: asyncio.Event) -> None:
    def look() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            orphaned.set()

    loop.add_reader(sys.stdin.fileno(), look)


async def _wait(ended: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return


async def _linger(
    orphaned: asyncio.Event, sandbox: Sandbox, seconds: float, ended: asyncio.Event
) -> None:
    """End once the process that started it is gone and no request comes any more."""
    await orphaned.wait()
    while seconds and await _asked(sandbox, seconds):
        pass
    ended.set()


async def _asked(sandbox: Sandbox, seconds: float) -> bool:
    """Whether a request comes within this time."""
    before = await sandbox.books()
    await asyncio.sleep(seconds)
    after = await sandbox.books()
    return (before.total_requests, before.connections) != (after.total_requests, after.connections)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal, the end of standard input, or the end of the time."""
    options = _options(arguments)
    try:
        config = _config(options.config_json)
    except (TypeError, ValueError) as wrong:
        sys.exit(f"--config-json: {wrong}")
    asyncio.run(_serve(config, options))


if __name__ == "__main__":
    main()
