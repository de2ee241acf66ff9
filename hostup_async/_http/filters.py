"""The filters of the list of VPSes: sent to the API, and checked against what it returns."""

import ipaddress

from attrs import Attribute, field, frozen

from hostup_async._errors import ConfigurationError, UnreadableReply
from hostup_async._models import Vps


def _check_text(_: object, attribute: "Attribute[str | None]", value: object) -> None:
    """An empty filter would select every VPS, or none: refused."""
    name = attribute.name
    if value is None:
        return
    if not isinstance(value, str) or not value.strip():
        msg = f"The filter {name} must be a text that is not empty, not {value!r:.80}."
        raise ConfigurationError(msg)
    try:
        value.encode()
    except UnicodeEncodeError:
        msg = f"The filter {name} {value!r:.80} is not valid Unicode (bytes that are not UTF-8?)."
        raise ConfigurationError(msg) from None


@frozen(kw_only=True)
class Filters:
    """Which VPSes to list; None for no filter.

    An API that does not know a filter returns every VPS, and the caller would reset them all.
    """

    name: str | None = field(default=None, validator=_check_text)
    primary_ip: str | None = field(default=None, validator=_check_text)

    def query(self) -> dict[str, str]:
        """The filters as the API's query parameters."""
        given = {"name": self.name, "primaryIp": self.primary_ip}
        return {key: value for key, value in given.items() if value is not None}

    def check(self, vps: Vps) -> None:
        """Refuse a VPS that was not asked for; a field that the API left out proves nothing.

        Raises:
            UnreadableReply: The VPS does not pass the filters.
        """
        name, ip = self.name, self.primary_ip
        other_name = name is not None and (vps.name or "").casefold() != name.casefold()
        other_ip = ip is not None and not _is_same_ip(vps.primary_ip, ip)
        if (other_name and "name" in vps.raw) or (other_ip and "primaryIp" in vps.raw):
            msg = (
                f"The API was asked for {self.query()} and returned {vps.id[:80]!r} with the name "
                f"{(vps.name or '')[:80]!r} and the address {vps.primary_ip}: it ignores this "
                "filter. Choose the VPSes by their ids."
            )
            raise UnreadableReply(msg)


def _is_same_ip(one: str | None, other: str) -> bool:
    try:
        return ipaddress.ip_address(one or "") == ipaddress.ip_address(other.strip())
    except ValueError:
        return one == other
