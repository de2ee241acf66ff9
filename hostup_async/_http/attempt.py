"""One try of one request: sent, and its response understood. No retry, no rate limit."""

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from attrs import frozen

from hostup_async._errors import HostUpError, NetworkError, NotSent, UnreadableReply
from hostup_async._http.exchange import Exchange, TooLate
from hostup_async._http.identity import Subject, is_proved, judge
from hostup_async._http.responses import ParsedResponse, Read, parse_response
from hostup_async._http.retry import Decision, RequestOutcome, decide
from hostup_async._http.server_clock import Moment, read_date
from hostup_async._http.transport import Transport, Url
from hostup_async._models import Action
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.limits import RequestClass

T = TypeVar("T")


class PowerAction(NamedTuple):
    """An action, and the VPS that it is for."""

    action: Action
    vps_id: str


class SendGuard(ABC):
    """Says whether an action may still be sent: asked before each try and just before the headers.

    While the action waited, the process may have slept, and another may have taken it over.
    """

    __slots__ = ()

    @abstractmethod
    async def renew(self) -> None:
        """Before each try, once the rate limit has let it through; raises what forbids the send."""

    @abstractmethod
    def check(self) -> None:
        """When the connection is there, just before the headers go out.

        Raises:
            TooLate: It may not be sent any more; nothing was, and the try is repeated.
        """

    @abstractmethod
    def note_sent(self) -> None:
        """The headers have just gone out."""


class Request(NamedTuple):
    """What to send. A request with a `power_action` must not be carried out twice.

    `subject` is what the response must name, None where it cannot name anything; `vps_id` is the
    VPS that it is about, None where that is none, or not known.
    """

    method: str
    url: Url
    body: bytes | None = None
    power_action: PowerAction | None = None
    kind: RequestClass = RequestClass.PREFLIGHT
    subject: Subject | None = None
    vps_id: str | None = None

    @property
    def what(self) -> str:
        """The request, for people."""
        return f"{self.method} {self.url.path}"


@frozen
class Sent(Generic[T]):
    """A try that is over.

    Attributes:
        request: What was to be sent.
        outcome: Whether it was answered, refused, limited, never sent, or is in doubt.
        result: What `read` made of the response, or else the error.
        sent_at: When the request went out, in seconds since the epoch; 0.0 if it never did.
        status: The response's HTTP status, None without a response.
        reading: What the response says about the rate limit.
        attempt: Which try of its call it was, from 1.
        request_id: The API's id of it, None where the response names none.
    """

    request: Request
    outcome: RequestOutcome
    result: T | HostUpError
    sent_at: float = 0.0
    status: int | None = None
    reading: RateLimitReading = EMPTY
    attempt: int = 1
    request_id: str | None = None

    @property
    def decision(self) -> Decision:
        """What is to be done now, by the table of the retry module."""
        return decide(self.outcome, acts=self.request.power_action is not None)


async def send(
    transport: Transport, request: Request, read: Read[T], exchange: Exchange
) -> Sent[T]:
    """Send a request once.

    Args:
        transport: Where to send it.
        request: The request.
        read: Makes the result of the response's JSON.
        exchange: Shows, while this runs and also where it is cancelled, whether the request went
            out already.
    """
    try:
        exchange.check()
        response = await transport.send(request.method, request.url, exchange, body=request.body)
        parsed: ParsedResponse[T] = judge(
            request.subject,
            parse_response(request.what, response, read),
            is_shared=exchange.is_shared,
        )
        proved = is_proved(request.subject, parsed.result)
        if proved or not exchange.is_shared:  # another request's response bears an old Date
            date = read_date(response.headers)
            transport.server_clock.observe(date, exchange.begun, Moment.now())
        if not proved:
            exchange.drop_connection()
        return Sent(
            request,
            parsed.outcome,
            parsed.result,
            exchange.sent_at,
            response.status,
            parsed.reading,
            exchange.attempt,
            parsed.request_id,
        )
    except TooLate as error:
        return Sent(request, RequestOutcome.TOO_LATE, error, attempt=exchange.attempt)
    except NotSent as error:
        return Sent(request, RequestOutcome.NEVER_SENT, error, attempt=exchange.attempt)
    except NetworkError as error:
        return in_doubt(request, exchange, error)
    except Exception as error:
        if not exchange.sends:
            raise
        unreadable = UnreadableReply(f"The API's response could not be read ({error!r}).")
        return in_doubt(request, exchange, unreadable)


def in_doubt(request: Request, exchange: Exchange, error: HostUpError) -> Sent[Any]:
    """A request that went out, and has no response that could be understood."""
    sent_at, attempt = exchange.sent_at, exchange.attempt
    return Sent(request, RequestOutcome.IN_DOUBT, error, sent_at, attempt=attempt)
