"""The program and its commands; what a command needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from hostup_async._version import __version__
from hostup_async.cli._commands.fleet import fleet
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._commands.power import POWER
from hostup_async.cli._commands.read import auth, vps
from hostup_async.cli._exits import guarded
from hostup_async.cli._options import Output

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help reads the same everywhere, and needs no import of rich
    pretty_exceptions_enable=False,  # they print locals, and a local may hold a key
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(vps, name="vps")
app.add_typer(fleet, name="fleet")
app.add_typer(auth, name="auth")
for command in POWER:
    app.command(no_args_is_help=True)(command)

LimitOption = Annotated[
    str,
    typer.Option(
        metavar="REQUESTS/SECONDS",
        help="Rate limit on all requests: 100/5 answers 100 in 5 seconds; none for no limit.",
    ),
]
SeedOption = Annotated[
    int, typer.Option(help="Makes ids, job durations and faults repeatable: one seed, one run.")
]
JobSecondsOption = Annotated[
    float, typer.Option(min=0, max=3600, help="How long a job takes, at the median (lognormal).")
]
FaultsOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="Share of the requests struck by each fault: connection closed with the reset done "
        "or not done, 500, a gateway's 502 page, an answer cut short, a job forgotten.",
    ),
]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands over a flag's value
    if wanted:
        typer.echo(f"hostup {__version__}")
        raise typer.Exit


@app.callback()
def hostup(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Reset one HostUp VPS or ten thousand, and never one twice by accident.

    Begin with: hostup demo

    The key comes from --key-file, HOSTUP_API_KEY, the configuration file or the keyring; see
    hostup auth check.

    Exit codes: 0 all completed, 1 some failed, were refused or skipped, 2 wrong options,
    3 stopped by a failure budget or the canary, 4 of some nobody can tell, 5 the key is missing
    or refused, 130 interrupted (the command that resumes the run is printed).
    """


@app.command()
@guarded
@expand_option_groups
def demo(  # noqa: PLR0913 - each is one option
    *,
    vps: Annotated[int, typer.Option(min=1, max=10_000, help="How many VPSes to reset.")] = 200,
    limit: LimitOption = "100/5",
    seed: SeedOption = 0,
    job_seconds: JobSecondsOption = 2.0,
    faults: FaultsOption = 0.02,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of the live view, as on a pipe.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Go on with a demo that was killed or stopped."),
    ] = None,
    linger: Annotated[
        float,
        typer.Option(min=1, hidden=True, help="Seconds that the sandbox outlives a killed demo."),
    ] = 60.0,
) -> None:
    """Reset 200 VPSes of a sandbox, and check with its books.

    Starts a HostUp API of its own on this machine, with a rate limit and with faults, and resets
    all of its VPSes as one fleet run over HTTP. A reset whose answer is lost is never sent twice:
    the VPS's own uptime tells what became of it. The sandbox keeps books of what it did, and the
    summary shows them.

    Needs no account and no key, touches nothing outside this machine, and ends by itself.
    Ctrl-C stops the sending; kill it, and the command that it printed goes on where it was.

    Exit codes: 0 all is accounted for and nothing was reset twice, 1 otherwise, 2 wrong options,
    130 interrupted.
    """
    from hostup_async.cli._demo.config import make_config  # noqa: PLC0415 - likewise
    from hostup_async.cli._demo.demo import resume_demo, run_demo  # noqa: PLC0415 - --help need not wait

    if resume is not None:
        resume_demo(resume, Output(), plain=plain)
    config = make_config(vps=vps, limit=limit, seed=seed, job_seconds=job_seconds, faults=faults)
    run_demo(config, Output(), plain=plain, linger=linger)


@app.command()
@guarded
def sandbox(
    *,
    vps: Annotated[int, typer.Option(min=0, help="How many VPSes the account has.")] = 10,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    limit: LimitOption = "none",
    seed: SeedOption = 0,
    job_seconds: JobSecondsOption = 2.0,
    faults: FaultsOption = 0.0,
) -> None:
    """Serve a HostUp API to try things on, until Ctrl-C.

    It behaves as the real one does, on this machine alone. Its one line of output is what points
    clients at it; paste it into another terminal, and whatever reads HOSTUP_API_BASE and
    HOSTUP_API_KEY talks to the sandbox: this command line, too.

    When it ends, it prints to standard error what it did, from its own books.
    """
    from hostup_async.cli._demo.config import make_config  # noqa: PLC0415 - likewise
    from hostup_async.cli._demo.sandbox import run_sandbox  # noqa: PLC0415 - likewise

    config = make_config(vps=vps, limit=limit, seed=seed, job_seconds=job_seconds, faults=faults)
    run_sandbox(config, port=port)
