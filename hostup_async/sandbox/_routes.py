"""From method and path of a request to its route."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from attrs import frozen

from ._config import SandboxConfig
from ._rules import ACTIONS

_LIST: Final = "/api/v2/vps"
_READS: Final[Mapping[tuple[str, ...], str]] = {
    (): "get",
    ("details",): "details",
    ("status",): "status",
}


@frozen
class Route:
    """What a request is about.

    Attributes:
        kind: `list`, `get`, `details`, `status`, an action, `poll`, or `other` for no such route.
        vps_id: The VPS in the path.
        job_id: The job in the path.
    """

    kind: str
    vps_id: str | None = None
    job_id: str | None = None

    @property
    def is_action(self) -> bool:
        """Whether it is a power action."""
        return self.kind in ACTIONS

    @property
    def scope(self) -> str | None:
        """The scope it requires."""
        if self.is_action:
            return "power:vm"
        return None if self.kind in {"poll", "other"} else "read:vm"


_NOWHERE: Final = Route("other")


class Router:
    """Finds the route of a request."""

    def __init__(self, config: SandboxConfig) -> None:
        self._poll_head, self._poll_tail = config.poll_path.split("{job_id}", 1)

    def find(self, method: str, target: str) -> Route:
        """The route of a method and a request target, which is path and query as they came."""
        job_id = self._job_id(target) if method == "GET" else None
        return Route("poll", job_id=job_id) if job_id else _find(method, target.split("?", 1)[0])

    def _job_id(self, target: str) -> str | None:
        if not (target.startswith(self._poll_head) and target.endswith(self._poll_tail)):
            return None
        job_id = target[len(self._poll_head) : len(target) - len(self._poll_tail)]
        return None if "/" in job_id else unquote(job_id.split("?", 1)[0])


def _find(method: str, path: str) -> Route:
    if path == _LIST and method == "GET":
        return Route("list")
    if not path.startswith(_LIST + "/"):
        return _NOWHERE
    vps_id, *rest = map(unquote, path.removeprefix(_LIST + "/").split("/"))
    if method == "GET" and tuple(rest) in _READS:
        return Route(_READS[tuple(rest)], vps_id)
    if method == "POST" and rest[:1] == ["actions"] and rest[1:] in [[a] for a in ACTIONS]:
        return Route(rest[1], vps_id)
    return _NOWHERE
