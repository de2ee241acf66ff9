"""The program and its commands. What a command needs is imported when it runs."""

from pathlib import Path
from typing import Annotated, Final

import typer

from hostup_async import __version__
from hostup_async.cli._commands.at_work import fleet
from hostup_async.cli._commands.help import Commands
from hostup_async.cli._commands.limit import limit as limit_commands
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._commands.power import POWER, add_power_command
from hostup_async.cli._commands.read import auth, vps
from hostup_async.cli._exits import EXIT_CODES, report_errors
from hostup_async.cli._options import Output

_ACT: Final = "Act on VPSes"
_READ: Final = "Read"
_RUNS: Final = "Recorded runs"
_TRY: Final = "Try it, without an account"

app = Commands()
app.add_typer(fleet, name="fleet", rich_help_panel=_RUNS)
app.add_typer(limit_commands, name="limit", rich_help_panel=_RUNS)
app.add_typer(vps, name="vps", rich_help_panel=_READ)
app.add_typer(auth, name="auth", rich_help_panel=_READ)
for action in POWER:
    add_power_command(app, action, panel=_ACT)

LimitOption = Annotated[
    str,
    typer.Option(
        metavar="REQUESTS/SECONDS",
        help="Rate limit of the sandbox: 100/5 allows 100 requests in 5 seconds; none allows all.",
    ),
]
SeedOption = Annotated[
    int, typer.Option(help="Seed for ids, job durations and faults, to repeat a run.")
]
JobSecondsOption = Annotated[
    float,
    typer.Option(min=0, max=3600, help="Median time that a job takes, in seconds (lognormal)."),
]
FaultsOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="Share of requests that each fault hits, from 0 to 1. The faults: connection closed "
        "with the reset done, or not done; status 500; a gateway's 502 page; an answer cut "
        "short; a job that the API forgot.",
    ),
]

_HELP: Final = f"""
Reset one HostUp VPS or ten thousand, and never one twice by accident.

To see it work on simulated VPSes, without an account: hostup demo

The API key comes from --key-file, HOSTUP_API_KEY, the configuration file or the keyring.
hostup auth check shows which one is used.

{EXIT_CODES}
"""


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes a flag's value
    if wanted:
        typer.echo(f"hostup {__version__}")
        raise typer.Exit


@app.callback(help=_HELP)
def hostup(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """The program as a whole: what stands before any command."""


@app.command(rich_help_panel=_TRY)
@report_errors
@expand_option_groups
def demo(  # noqa: PLR0913 - each is one option
    *,
    vps: Annotated[int, typer.Option(min=1, max=10_000, help="Number of VPSes to reset.")] = 200,
    limit: LimitOption = "100/5",
    seed: SeedOption = 0,
    job_seconds: JobSecondsOption = 2.0,
    faults: FaultsOption = 0.02,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of the live view.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Resume the demo that was killed or stopped."),
    ] = None,
    linger: Annotated[
        float,
        typer.Option(
            min=1, hidden=True, help="Seconds for which the sandbox outlives a killed demo."
        ),
    ] = 60.0,
) -> None:
    """Reset 200 simulated VPSes, and check what happened to each.

    Starts a sandbox on this machine: a server that behaves as the HostUp API does, with a rate
    limit and with faults. Resets all of its VPSes as one fleet run over HTTP. A reset whose
    answer is lost is never sent twice: the uptime of the VPS shows whether it took place. The
    sandbox keeps a record of everything it did (its books); the summary compares the two.

    Needs no account and no key, touches nothing outside this machine, and ends by itself.
    Ctrl-C stops the sending. After Ctrl-C or kill -9, the command that it printed resumes it.

    Exit codes: 0 every outcome is right and nothing was reset twice, 1 otherwise, 2 wrong
    options, 130 interrupted.
    """
    from hostup_async.cli._demo.config import make_config  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._demo.demo import resume_demo, run_demo  # noqa: PLC0415 - --help need not wait

    if resume is not None:
        resume_demo(resume, Output(), plain=plain)
    config = make_config(vps=vps, limit=limit, seed=seed, job_seconds=job_seconds, faults=faults)
    run_demo(config, Output(), plain=plain, linger=linger)


@app.command(rich_help_panel=_TRY)
@report_errors
def sandbox(
    *,
    vps: Annotated[int, typer.Option(min=0, help="Number of VPSes in the account.")] = 10,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1. 0 takes a free one.")
    ] = 0,
    limit: LimitOption = "none",
    seed: SeedOption = 0,
    job_seconds: JobSecondsOption = 2.0,
    faults: FaultsOption = 0.0,
) -> None:
    """Serve a simulated HostUp API on this machine, until Ctrl-C.

    Prints one line with the address and the key. Paste it into another terminal: programs that
    read HOSTUP_API_BASE and HOSTUP_API_KEY then talk to the sandbox, and so does hostup.

    At the end it prints what it did to standard error.
    """
    from hostup_async.cli._demo.config import make_config  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._demo.sandbox import run_sandbox  # noqa: PLC0415 - --help need not wait

    config = make_config(vps=vps, limit=limit, seed=seed, job_seconds=job_seconds, faults=faults)
    run_sandbox(config, port=port)
