"""Options of the commands on recorded runs, and of new runs of what an old one left."""

from typing import Annotated, ClassVar, Literal

import typer
from attrs import frozen

OpenRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id of the run. last, or no id, means the newest run of this API and key that can be "
        "resumed.",
    ),
]

Reason = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Why you do this; recorded in the store.")
]


@frozen
class FromRun:
    """VPSes taken from the outcomes of a recorded run."""

    PANEL: ClassVar = "Selection"

    from_run: Annotated[
        str | None,
        typer.Option(
            "--from-run",
            metavar="RUN",
            help="Take the VPSes from the outcomes of a recorded run: its id, or last. See --only.",
        ),
    ] = None
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="STATUS,...",
            help="With --from-run: which outcomes to take. Default: failed,not_done,refused. "
            "ambiguous, timed_out and not_followed may act on a VPS twice, and completed does: "
            "they are taken only if named, and only once you confirm.",
        ),
    ] = None


@frozen
class NewBounds:
    """Bounds that a resumed run keeps from now on, in place of those that it was begun with."""

    PANEL: ClassVar = "Bounds"

    canary: Annotated[
        int | None,
        typer.Option(min=0, help="Canaries of the resumed run; 0 turns canary and ramp off."),
    ] = None
    max_in_flight: Annotated[
        int | None, typer.Option(min=1, help="Most VPSes in flight at once.")
    ] = None
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SHARE|none",
            help="Stop sending after this many failures: 5, 5% of the plan, or none for no limit.",
        ),
    ] = None
    max_ambiguous: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SHARE|none",
            help="Stop sending after this many unknown outcomes: 5, 5% of the plan, or none for "
            "ten in a row.",
        ),
    ] = None
    on_ambiguous: Annotated[
        Literal["report", "resend"] | None,
        typer.Option(
            help="What to do when an action may have been sent and its response was lost; see "
            "hostup reset --help.",
        ),
    ] = None


@frozen
class Watching:
    """Whether a command stays until the run is over."""

    PANEL: ClassVar = "Output"

    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show the run until no process works on it, then exit with the code that the run "
            "itself ends with. Ctrl-C ends the watching, not the run.",
        ),
    ] = False
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Like --watch, and shows the run only once it is over."),
    ] = False
