"""The commands that only read: VPSes, and the key."""

from typing import Annotated

import typer

from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import guarded
from hostup_async.cli._options import AccountOptions, Output

vps = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at VPSes.")
auth = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The API key.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a VPS.")]


@vps.command("list")
@guarded
@expand_option_groups
def list_(
    *,
    name: Annotated[str | None, typer.Option(help="Only those of exactly this name.")] = None,
    output: Output,
    connection: AccountOptions,
) -> None:
    """List the VPSes of the account."""
    from hostup_async.cli._work.inventory import list_vpses  # noqa: PLC0415 - --help need not wait

    list_vpses(connection, output, name)


@vps.command()
@guarded
@expand_option_groups
def show(*, vps_id: _Id, output: Output, connection: AccountOptions) -> None:
    """Show one VPS, and which actions are allowed on it now."""
    from hostup_async.cli._work.inventory import show_vps  # noqa: PLC0415 - likewise

    show_vps(vps_id, connection, output)


@vps.command()
@guarded
@expand_option_groups
def status(*, vps_id: _Id, output: Output, connection: AccountOptions) -> None:
    """Show the live state of one VPS; its uptime tells when it last booted."""
    from hostup_async.cli._work.inventory import show_status  # noqa: PLC0415 - likewise

    show_status(vps_id, connection, output)


@auth.command()
@guarded
@expand_option_groups
def check(*, output: Output, connection: AccountOptions) -> None:
    """Say which key is used (its fingerprint), from where, and whether it works.

    Sends a few reads and no action, so whether the key may act can only be guessed.
    """
    from hostup_async.cli._work.inventory import check_key  # noqa: PLC0415 - likewise

    check_key(connection, output)
