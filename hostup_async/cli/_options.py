"""The options that commands share; no library but typer is needed to show their help."""

from typing import Annotated, Literal

import typer
from attrs import frozen

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of VPSes; - reads them from standard input."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id; 'last' is the newest.")]


@frozen
class AccountOptions:
    """Whose VPSes: flags, then the environment, then the configuration, then the keyring."""

    profile: Annotated[
        str | None,
        typer.Option(
            envvar="HOSTUP_PROFILE",
            help="Profile of the configuration file.",
        ),
    ] = None
    api_base: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The API's origin; else HOSTUP_API_BASE."),
    ] = None
    key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File that holds the API key, and nothing else; else HOSTUP_API_KEY. "
            "A key itself is no option: other users could read it in the list of processes.",
        ),
    ] = None
    patience: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long one request is tried again where no answer comes: 30s, 5m. By default "
            "15s for a command that reads, 3m for a run.",
        ),
    ] = None


@frozen
class Output:
    """How much is told, and to whom."""

    json: Annotated[
        bool,
        typer.Option("--json", help="JSON for programs, one object a line (see docs/json.md)."),
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every name, and every outcome as it comes.")
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Nothing but errors and the summary.")
    ] = False


@frozen
class StoreOptions:
    """Where runs are recorded."""

    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="HOSTUP_STORE",
            help="Where runs are recorded; by default the profile's store, or else fleet.db "
            "under the platform's state directory.",
        ),
    ] = None


@frozen
class Selection:
    """Which VPSes, beside the ids that are given as arguments."""

    from_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="File of ids, one a line; # begins a comment; - is standard input.",
        ),
    ] = None
    all_of_them: Annotated[bool, typer.Option("--all", help="Every VPS of the account.")] = False
    name: Annotated[
        str | None,
        typer.Option(help="Every VPS of exactly this name; upper and lower case are one."),
    ] = None
    preflight: Annotated[
        Literal["none", "list", "gates"],
        typer.Option(
            help="What is read before anything is sent: none; list (one request for each 100 "
            "VPSes), which leaves out what cannot be reset; gates (one more for each VPS)."
        ),
    ] = "list"
    force: Annotated[
        bool, typer.Option("--force", help="For restart: do not wait for the guest to agree.")
    ] = False


@frozen
class PolicyOptions:
    """How a run behaves."""

    canary: Annotated[
        int,
        typer.Option(
            min=0,
            help="So many go first, alone; nothing more is sent unless they complete. "
            "Then 2, 4, 8 ... at once. 0 for neither.",
        ),
    ] = 1
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many unknown at once; else what the limit allows."),
    ] = None
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SHARE",
            help="Send nothing more after so many failures: 5, or 5% of the plan.",
        ),
    ] = None
    max_ambiguous: Annotated[
        str | None,
        typer.Option(metavar="COUNT|SHARE", help="Likewise for those of which nobody can tell."),
    ] = None
    cooldown: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Skip a VPS that a run of this store acted on less than so long ago: "
            "300, 5m, 1h; 0 for none.",
        ),
    ] = "5m"
    job_timeout: Annotated[
        str,
        typer.Option(metavar="TIME", help="Give a job up so long after it was accepted."),
    ] = "15m"
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Believe no 'completed' before the VPS's own status shows it too."
        ),
    ] = False
    on_ambiguous: Annotated[
        Literal["report", "resend_if_proved_not_done"],
        typer.Option(help="What to do where nobody can tell whether an action took place."),
    ] = "report"
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; kept in the store's audit trail.")
    ] = None


@frozen
class Confirmation:
    """Whether it is really meant."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, and send nothing but reads.")
    ] = False
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask; needed for more than 10 without a terminal."),
    ] = False
