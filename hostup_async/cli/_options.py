"""The options that commands share. Showing their help needs no library but typer."""

from typing import Annotated, ClassVar, Final, Literal

import typer
from attrs import frozen

STORE_VARIABLE: Final = "HOSTUP_STORE"

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of VPSes; - reads them from standard input."),
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run. last means the newest one.")
]


@frozen
class AccountOptions:
    """The account to use: from flags, the environment, the configuration file or the keyring."""

    PANEL: ClassVar = "Connection"

    profile: Annotated[
        str | None,
        typer.Option(
            envvar="HOSTUP_PROFILE",
            help="Profile of the configuration file to use.",
        ),
    ] = None
    api_base: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the API. Default: HOSTUP_API_BASE, or else HostUp's own, "
            "https://cloud.hostup.se.",
        ),
    ] = None
    key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File that holds the API key and nothing else. Default: HOSTUP_API_KEY. (There is "
            "no option for the key itself: other users could read it in the list of processes.)",
        ),
    ] = None
    patience: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long to retry a request that gets no answer: 30s, 5m. Default: 15s for a "
            "command that reads, 3m for a run.",
        ),
    ] = None


@frozen
class LimitOptions:
    """The rate limit, where it is known, and how much of it to use."""

    PANEL: ClassVar = "Connection"

    limit: Annotated[
        str | None,
        typer.Option(
            metavar="REQUESTS/SECONDS",
            help="Rate limit of the key, where you know it: 60/60 allows 60 requests in 60 "
            "seconds. Default: the profile's limit, or else it is learnt, and remembered in the "
            "store (see hostup limit show).",
        ),
    ] = None
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Part of the rate limit to use, such as 0.7 or 70%: the rest is left to other "
            "programs with the same key. Default: the profile's share, or else all of it.",
        ),
    ] = None


@frozen
class Output:
    """How much is shown, and in which form."""

    PANEL: ClassVar = "Output"

    json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON, one object a line (see docs/json.md)."),
    ] = False
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show every name, and every outcome as it comes."),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show errors and the summary only.")
    ] = False


@frozen
class Listing:
    """How a list is written."""

    PANEL: ClassVar = "Output"

    output: Annotated[
        Literal["table", "wide", "id", "json", "yaml"],
        typer.Option(
            "--output",
            "-o",
            help="table; wide, with all columns; id, one a line; json, one object a line (see "
            "docs/json.md); yaml.",
        ),
    ] = "table"
    json: Annotated[bool, typer.Option("--json", help="As -o json.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="As -o id.")] = False
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns of the table, such as id,name, in this order."),
    ] = None
    no_headers: Annotated[
        bool, typer.Option("--no-headers", help="Leave out the headings of the table.")
    ] = False

    @property
    def format(self) -> str:
        """The format, however it was asked for."""
        return "json" if self.json else "id" if self.quiet else self.output

    @property
    def is_table(self) -> bool:
        """Whether people read it."""
        return self.format in {"table", "wide"}


@frozen
class Details:
    """How one thing is written."""

    PANEL: ClassVar = "Output"

    output: Annotated[
        Literal["table", "json", "yaml"],
        typer.Option(
            "--output", "-o", help="table, a row for each fact; json (see docs/json.md); yaml."
        ),
    ] = "table"
    json: Annotated[bool, typer.Option("--json", help="As -o json.")] = False

    @property
    def format(self) -> str:
        """The format, however it was asked for."""
        return "json" if self.json else self.output


@frozen
class StoreOptions:
    """The store in which runs are recorded."""

    PANEL: ClassVar = "Connection"

    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar=STORE_VARIABLE,
            help="File in which runs are recorded; none records nothing. Default: the profile's "
            "store, or else fleet.db in your state directory (~/.local/state/hostup on Linux).",
        ),
    ] = None


@frozen
class FilterOptions:
    """Which VPSes of the account are meant."""

    PANEL: ClassVar = "Selection"

    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="VPSes of this name, in upper or lower case; * stands for any characters and ? "
            "for one: --name 'web-*'.",
        ),
    ] = None
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG", help="VPSes with this tag; given twice, with both. * and ? as above."
        ),
    ] = None
    power: Annotated[
        Literal[
            "running",
            "stopped",
            "starting",
            "stopping",
            "paused",
            "provisioning",
            "error",
            "unknown",
        ]
        | None,
        typer.Option(metavar="STATE", help="VPSes in this power state: running, stopped, ..."),
    ] = None
    exclude: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Leave out the VPSes whose ids stand in this file."),
    ] = None


@frozen
class Selection(FilterOptions):
    """Which VPSes to act on, besides the ids given as arguments."""

    from_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="File of VPS ids, one a line, or of JSON as vps list --json writes it. # begins a "
            "comment; - means standard input.",
        ),
    ] = None
    all_of_them: Annotated[bool, typer.Option("--all", help="Every VPS of the account.")] = False
    preflight: Annotated[
        Literal["none", "list", "gates"],
        typer.Option(
            help="What to read before sending. none: nothing. list: the list of VPSes (one request "
            "for each 100), so that VPSes which cannot be acted on are left out. gates: also which "
            "actions each VPS allows (one more request for each)."
        ),
    ] = "list"


@frozen
class Force:
    """Whether a restart waits for the guest."""

    PANEL: ClassVar = "Selection"

    force: Annotated[
        bool,
        typer.Option("--force", help="With restart: do not wait for the guest system to agree."),
    ] = False


@frozen
class PolicyOptions:
    """The limits of a run, and what it does with failures."""

    PANEL: ClassVar = "Bounds"

    canary: Annotated[
        int,
        typer.Option(
            min=0,
            help="Send to this many VPSes first and wait for them; go on only if all complete, "
            "then in steps of 2, 4, 8, ... 0 turns both off.",
        ),
    ] = 1
    max_in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most VPSes in flight at once. Default: as many as the rate limit can use.",
        ),
    ] = None
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SHARE",
            help="Stop sending after this many VPSes that failed, were refused, timed out or were "
            "not done: 5, or 5% of the plan.",
        ),
    ] = None
    max_ambiguous: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SHARE",
            help="Stop sending after this many VPSes whose outcome is unknown: 5, or 5% of the "
            "plan. Default: after 10 in a row.",
        ),
    ] = None
    cooldown: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Skip a VPS that a run recorded in this store acted on less than this long ago: "
            "300, 5m, 1h. 0 skips none.",
        ),
    ] = "5m"
    skip_booted_within: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Read each VPS's status before sending, and skip one that booted less than this "
            "long ago or has a task pending: someone else may have acted on it. Cannot see what "
            "still queues. Default: 10m with --preflight gates, else 0, which turns it off.",
        ),
    ] = None
    job_timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Stop waiting for a job this long after it was accepted."
        ),
    ] = "15m"
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check each completed job against the VPS's own status; where that shows the "
            "contrary, the outcome is unknown.",
        ),
    ] = False
    on_ambiguous: Annotated[
        Literal["report", "resend"],
        typer.Option(
            help="When an action may have been sent and its response was lost. report: report what "
            "the VPS's own status shows. resend: send it once more if the status shows, after "
            "five minutes at least, that it did not take place; a job that queues for longer than "
            "that is then carried out twice."
        ),
    ] = "report"
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why you do this; recorded in the store.")
    ] = None


@frozen
class Confirmation:
    """Whether to ask before sending, or to send nothing."""

    PANEL: ClassVar = "Confirmation"

    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the plan without acting. Sends only requests that read."
        ),
    ] = False
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Do not ask for confirmation. Needed for more than ten VPSes without a terminal.",
        ),
    ] = False
