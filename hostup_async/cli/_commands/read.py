"""The commands that only read: VPSes, and the key."""

from typing import Annotated

import typer

from hostup_async.cli._commands.help import Commands
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import report_errors
from hostup_async.cli._options import AccountOptions, Details, FilterOptions, LimitOptions, Listing

vps = Commands("List VPSes, and show one.")
auth = Commands("Check the API key.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the VPS.")]


@vps.command(
    "list",
    examples=(
        "hostup vps list --name 'web-*' --power stopped",
        "hostup vps list -o wide",
        "hostup vps list --columns id,name --no-headers",
        "hostup vps list --tag web -o id | hostup reset --yes -",
    ),
)
@report_errors
@expand_option_groups
def list_(
    *, filters: FilterOptions, listing: Listing, account: AccountOptions, limits: LimitOptions
) -> None:
    """List the VPSes of the account, or those that match all that is given."""
    from hostup_async.cli._inputs.account import find_account  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._work.inventory import list_vpses  # noqa: PLC0415 - --help need not wait

    list_vpses(find_account(account, limits), listing, filters)


@vps.command()
@report_errors
@expand_option_groups
def show(*, vps_id: _Id, details: Details, account: AccountOptions, limits: LimitOptions) -> None:
    """Show one VPS, and which actions are allowed on it now."""
    from hostup_async.cli._inputs.account import find_account  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._work.inventory import show_vps  # noqa: PLC0415 - --help need not wait

    show_vps(vps_id, find_account(account, limits), details)


@vps.command()
@report_errors
@expand_option_groups
def status(*, vps_id: _Id, details: Details, account: AccountOptions, limits: LimitOptions) -> None:
    """Show the live state of one VPS, with its uptime."""
    from hostup_async.cli._inputs.account import find_account  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._work.inventory import show_status  # noqa: PLC0415 - --help need not wait

    show_status(vps_id, find_account(account, limits), details)


@auth.command()
@report_errors
@expand_option_groups
def check(*, details: Details, account: AccountOptions, limits: LimitOptions) -> None:
    """Show which API key is used, where it was found, and whether it works.

    The key is shown by its fingerprint. Sends two requests that read and no action, so it cannot
    tell for certain whether the key may act.
    """
    from hostup_async.cli._inputs.account import find_account  # noqa: PLC0415 - --help need not wait
    from hostup_async.cli._work.inventory import check_key  # noqa: PLC0415 - --help need not wait

    check_key(find_account(account, limits), details)
