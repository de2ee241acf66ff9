"""The `limit` commands: what the store remembers of rate limits and of how long jobs take."""

from typing import Annotated

import typer

from hostup_async.cli._commands.help import Commands
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import report_errors
from hostup_async.cli._options import AccountOptions, Listing, Output, StoreOptions

limit = Commands("Show or forget what was learnt of the rate limit.")

Key = Annotated[
    str | None,
    typer.Option(metavar="FINGERPRINT", help="Only what was learnt with this key. Default: all."),
]


@limit.command()
@report_errors
@expand_option_groups
def show(
    *, key: Key = None, store: StoreOptions, listing: Listing, account: AccountOptions
) -> None:
    """Show the rate limits and the durations of jobs that were learnt, and how old that is.

    A run begins with what was learnt before with the same key. If the limit has changed since, the
    run finds out by a few answers of status 429. With --limit, nothing is learnt.
    """
    from hostup_async.cli._work.limit import show_learnt  # noqa: PLC0415 - --help need not wait

    show_learnt(key, store, account, listing)


@limit.command()
@report_errors
@expand_option_groups
def forget(
    *, key: Key = None, store: StoreOptions, output: Output, account: AccountOptions
) -> None:
    """Forget what was learnt, so that the next run learns it anew."""
    from hostup_async.cli._work.limit import forget_learnt  # noqa: PLC0415 - --help need not wait

    forget_learnt(key, store, account, output)
