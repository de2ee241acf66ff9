"""The VPSes to act on, or to list: by their ids, by name, tag and power state, or all."""

import re
import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from attrs import frozen

from hostup_async import Client, Plan, Vps
from hostup_async._text import printable
from hostup_async.cli._exits import usage
from hostup_async.cli._inputs.id_lists import STDIN, given_ids, ids_in_file
from hostup_async.cli._options import FilterOptions, Selection

EXCLUDED: Final = "it is in the file of --exclude"
"""Why a VPS is not in a plan that the user did not want there."""
_WILDCARDS: Final = {"*": ".*", "?": "."}


@frozen
class VpsFilter:
    """Which VPSes of an account are meant. What the API does not say of a VPS matches nothing.

    Attributes:
        name: Its name, where * stands for any characters and ? for one; None for any name.
        tags: Tags, written the same way; it has all of them.
        power: Its power state; None for any.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    power: str | None = None

    @property
    def exact_name(self) -> str | None:
        """The name that the API is asked for; None where it cannot choose by the name."""
        return None if self.name is None or _WILDCARDS.keys() & set(self.name) else self.name

    def matches(self, vps: Vps) -> bool:
        """Whether a VPS is meant."""
        return (
            (self.name is None or _matches(self.name, vps.name or ""))
            and (self.power is None or vps.power_state == self.power)
            and all(any(_matches(tag, one) for one in read_tags(vps)) for tag in self.tags)
        )


def read_filter(filters: FilterOptions) -> VpsFilter:
    """The filter that the options describe.

    Raises:
        CommandFailed: An option is empty, which would choose no VPS, or all of them.
    """
    tags = tuple(filters.tag or ())
    for option, text in (("--name", filters.name), *(("--tag", tag) for tag in tags)):
        if text is not None and not text.strip():
            message = f"{option} is empty"
            raise usage(message)
    return VpsFilter(filters.name, tags, filters.power)


def excluded_ids(filters: FilterOptions) -> frozenset[str]:
    """The VPSes that are to be left out."""
    return frozenset(ids_in_file(filters.exclude)) if filters.exclude else frozenset()


def selector(ids: list[str], selection: Selection) -> dict[str, Any]:
    """The options as arguments for `client.fleet.plan`.

    Raises:
        CommandFailed: The VPSes are named in no way or in several, or a file of ids is malformed.
    """
    chosen = read_filter(selection)
    filters = chosen != VpsFilter()
    listed = bool(ids) or selection.from_file is not None
    if listed + selection.all_of_them + filters != 1:
        message = (
            "name the VPSes in exactly one way: ids, --from FILE, --all, or --name, --tag and "
            "--power, of which all that are given must match"
        )
        raise usage(message)
    if STDIN in {selection.exclude} & {selection.from_file, *ids}:
        message = "standard input cannot hold both what is meant and what is left out"
        raise usage(message)
    if listed:
        return {"ids": given_ids(ids, selection.from_file)}
    if selection.all_of_them:
        return {"all": True}
    if chosen == VpsFilter(name=chosen.exact_name):
        return {"name": chosen.name}
    which = {"name": chosen.exact_name} if chosen.exact_name else {"all": True}
    return {**which, "where": chosen.matches}


def exclude(plan: Plan, excluded: frozenset[str]) -> Plan:
    """The plan without the VPSes that are to be left out; says which of them are not in it."""
    known = {*plan.ids, *(one.vps_id for one in plan.excluded)}
    if missed := sorted(excluded - known):
        shown = ", ".join(missed[:5]) + (", ..." if missed[5:] else "")
        sys.stderr.write(f"hostup: of --exclude, {len(missed)} are not among them: {shown}\n")
    return plan.without(dict.fromkeys(excluded, EXCLUDED))


async def listed(client: Client, chosen: VpsFilter, excluded: frozenset[str]) -> list[Vps]:
    """The VPSes of the account that are meant."""
    found = client.vps.list(name=chosen.exact_name)
    return [vps async for vps in found if chosen.matches(vps) and vps.id not in excluded]


def read_tags(vps: Vps) -> Iterator[str]:
    """The tags of a VPS, as text. The API's pages name them and do not say what they look like."""
    tags: object = vps.raw.get("tags")
    for tag in cast("list[object]", tags) if isinstance(tags, list) else []:
        if isinstance(tag, str):
            yield tag
        elif isinstance(tag, dict):
            members = cast("dict[str, object]", tag)
            words = [members.get(name) for name in ("name", "key", "label", "value")]
            yield "=".join(printable(word) for word in words if isinstance(word, str))


def _matches(pattern: str, text: str) -> bool:
    """Whether a text is as a pattern says, in upper or lower case; [ and ] stand for themselves."""
    parts = (_WILDCARDS.get(one) or re.escape(one) for one in pattern.casefold())
    return re.fullmatch("".join(parts), text.casefold(), re.DOTALL) is not None
