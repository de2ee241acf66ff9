"""What `hostup sandbox` does."""

import sys

import anyio
import typer

from hostup_async.cli._demo.comparison import requests_in_words
from hostup_async.cli._demo.config import describe
from hostup_async.cli._signals import run, until_stopped
from hostup_async.sandbox import Books, Sandbox, SandboxConfig


def run_sandbox(config: SandboxConfig, *, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM, then print what was done."""
    _say(_in_short(run(lambda: _serve(config, port))))


async def _serve(config: SandboxConfig, port: int) -> Books:
    async with Sandbox(config, port=port) as sandbox:
        with until_stopped():
            typer.echo(f"export HOSTUP_API_BASE={sandbox.url} HOSTUP_API_KEY={sandbox.api_key}")
            sys.stdout.flush()
            _say(f"Serving {config.vps} VPSes: {describe(config)}. Ctrl-C ends it.")
            await anyio.sleep_forever()
        return await sandbox.books()


def _in_short(books: Books) -> str:
    done, twice = len(books.resets), len(books.reset_twice)
    return f"{requests_in_words(books)} VPSes reset: {done}, reset twice: {twice}."


def _say(text: str) -> None:
    typer.echo(text, err=True)
