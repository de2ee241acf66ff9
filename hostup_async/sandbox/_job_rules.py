"""How chosen jobs end."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from attrs import field, frozen

from ._rules import Rule
from ._settings import at_least, maybe, one_of

JobEnd: TypeAlias = Literal["completed", "failed", "success_false", "no_effect", "never"]
ActionKind: TypeAlias = Literal["reset", "start", "stop", "shutdown", "restart", "action"]
_TELLS_WHY = frozenset({"failed", "success_false"})


@frozen
class JobRule(Rule):
    """Which jobs end how. Accepted actions are counted; refused ones have no job.

    Attributes:
        ends: `completed`; `failed`; `success_false` for completed with a result that says
            `success: false`, and nothing happens to the VPS; `no_effect` for a success that never
            touches the VPS; `never` for a job that runs until `finish` ends it.
        on: The jobs of one action, or `action` for all.
        rate: Share of the matching jobs that end this way, from 0 to 1.
        skip: How many matching jobs pass before one ends this way.
        times: How many end this way at most; None for no bound.
        each_vps: Whether `skip` and `times` count for each VPS by itself.
        vps_ids: Only jobs of these VPSes; None for all.
        error: Why a job fails, in the API's words; None for a sentence about the hypervisor.
        seconds: How long the jobs take; None for what `SandboxConfig.jobs` says.

    Example:
        The second reset fails, whichever VPS it is for:

        >>> JobRule("failed", on="reset", skip=1, times=1).ends
        'failed'
    """

    ends: JobEnd = field(validator=one_of(get_args(JobEnd)))
    on: ActionKind = field(default="action", kw_only=True, validator=one_of(get_args(ActionKind)))
    error: str | None = field(default=None, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True, validator=maybe(at_least(0)))

    def __attrs_post_init__(self) -> None:
        if self.error is not None and self.ends not in _TELLS_WHY:
            message = f"a job that ends as {self.ends!r} tells no error"
            raise ValueError(message)


def as_job_rules(values: Iterable[JobRule | Mapping[str, Any]]) -> tuple[JobRule, ...]:
    """Rules, or their dictionaries made by `JobRule.to_dict`, as rules."""
    return tuple(v if isinstance(v, JobRule) else JobRule(**v) for v in values)
