"""`hostup sandbox`: serves a sandbox until it is stopped."""

import sys

import anyio
import typer

from hostup_async.cli._demo.comparison import requests_in_words
from hostup_async.cli._demo.config import describe
from hostup_async.cli._signals import run, until_stopped
from hostup_async.sandbox import Books, Sandbox, SandboxConfig


def run_sandbox(config: SandboxConfig, *, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM, then print what was done."""
    books = run(lambda: _serve(config, port))
    typer.echo(_summary(books), err=True)


async def _serve(config: SandboxConfig, port: int) -> Books:
    async with Sandbox(config, port=port) as sandbox:
        with until_stopped():
            typer.echo(f"export HOSTUP_API_BASE={sandbox.url} HOSTUP_API_KEY={sandbox.api_key}")
            sys.stdout.flush()
            about = f"Serving {config.vps} VPSes: {describe(config)}. Ctrl-C ends it."
            typer.echo(about, err=True)
            await anyio.sleep_forever()
        return await sandbox.books()


def _summary(books: Books) -> str:
    done, twice = len(books.resets), len(books.reset_twice)
    return f"{requests_in_words(books)} VPSes reset: {done}, reset twice: {twice}."
