"""Proves that a response belongs to its request.

A connection that is kept alive may deliver a response twice, late: then it stands where the next
request's own response is expected. Nothing in HTTP/1.1 tells them apart, so what the response
names has to.

    the response                          on its own connection    on a shared one
    names what was asked for              believed                 believed
    names another job or VPS              not believed, in doubt   not believed, in doubt
    names nothing (an error, a bare job)  believed                 asked again, on its own
    is a 429                              believed                 believed: waiting harms nothing

Only a connection whose responses all named what was asked for is used again.
"""

from typing import Any, NamedTuple

from hostup_async._errors import HostUpError, UnreadableReply
from hostup_async._http.responses import ParsedResponse
from hostup_async._http.retry import RequestOutcome
from hostup_async._models import Job, Vps, VpsDetails, VpsStatus

Identified = Job | Vps | VpsDetails | VpsStatus

_NEEDS_NO_PROOF = frozenset({RequestOutcome.LIMITED, RequestOutcome.IN_DOUBT})


class Subject(NamedTuple):
    """What a request asks for, and its response must name: a job, or a VPS in one of its forms."""

    model: type[Identified]
    id: str


def named_id(result: object) -> str | None:
    """The id of what a result is about; None where it does not say."""
    return result.id or None if isinstance(result, Identified) else None


def is_proved(subject: Subject | None, result: object) -> bool:
    """Whether a result names the subject, which proves that it belongs to the request."""
    name = named_id(result)
    return subject is not None and name is not None and _same(name, subject.id)


def judge(
    subject: Subject | None, parsed: ParsedResponse[Any], *, is_shared: bool
) -> ParsedResponse[Any]:
    """The response, or why it is not believed; see the table above."""
    if is_proved(subject, parsed.result):
        return parsed
    name = named_id(parsed.result)
    if subject is not None and name is not None:
        msg = f"The API's response is about {name[:80]!r}, and not about {subject.id[:80]!r}."
        return parsed._replace(outcome=RequestOutcome.IN_DOUBT, result=UnreadableReply(msg))
    if not is_shared or parsed.outcome in _NEEDS_NO_PROOF:
        return parsed
    result = parsed.result
    if not isinstance(result, HostUpError):
        result = UnreadableReply("The API's response does not name what it is about.")
    return parsed._replace(outcome=RequestOutcome.UNPROVED, result=result)


def _same(one: str, other: str) -> bool:
    return one == other or one.casefold() == other.casefold()
