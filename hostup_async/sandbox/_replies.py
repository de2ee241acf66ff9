"""Answers before they are sent, and the two shapes of errors."""

import json
import math
from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from http import HTTPStatus
from random import Random
from typing import Any, Final, TypeAlias

from attrs import define, field, frozen

from ._clock import Clock, iso
from ._config import SandboxConfig
from ._ids import seeded_random, ulid
from ._limiters import LimitCheck, Limiter

Json: TypeAlias = dict[str, Any]


class Code(StrEnum):
    """The codes of the API that the sandbox uses."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    VPS_NOT_FOUND = "vps_not_found"
    VPS_NOT_READY = "vps_not_ready"
    COOLDOWN_ACTIVE = "cooldown_active"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    RATE_LIMITED = "rate_limited"
    INTERNAL_ERROR = "internal_error"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_FAILED = "upstream_failed"


_ERRORS: Final[Mapping[Code, tuple[int, str, str]]] = {
    Code.INVALID_REQUEST: (400, "Invalid request", "The request body failed validation."),
    Code.UNAUTHORIZED: (401, "Unauthorized", "Authentication is required."),
    Code.FORBIDDEN: (
        403,
        "Forbidden",
        "The caller lacks a required scope or does not own the resource.",
    ),
    Code.NOT_FOUND: (404, "Not found", "The requested resource could not be found."),
    Code.VPS_NOT_FOUND: (404, "Not found", "The requested VPS could not be found."),
    Code.VPS_NOT_READY: (409, "Conflict", "The VPS is not ready for this action."),
    Code.COOLDOWN_ACTIVE: (409, "Conflict", "The VPS was acted upon a moment ago."),
    Code.RATE_LIMIT_EXCEEDED: (
        429,
        "Too many requests",
        "Too many requests. Retry after the limit resets.",
    ),
    Code.RATE_LIMITED: (
        429,
        "Too many requests",
        "Too many requests. Retry after the limit resets.",
    ),
    Code.INTERNAL_ERROR: (
        500,
        "Internal server error",
        "An unexpected error occurred. Retry later or contact support if the issue persists.",
    ),
    Code.UPSTREAM_UNAVAILABLE: (503, "Service unavailable", "The upstream service is unavailable."),
    Code.UPSTREAM_FAILED: (504, "Gateway timeout", "The upstream service did not answer."),
}


class Delivery(Enum):
    """How an answer travels."""

    WHOLE = auto()
    LOST = auto()
    PARTIAL = auto()
    TRUNCATED = auto()
    STALLED = auto()


@frozen
class Reply:
    """An answer.

    Attributes:
        status: HTTP status.
        data: JSON to be, or bytes as they are.
        media: Its content type.
        headers: Further headers.
        delivery: How it travels.
        held: The limiter that counts its request as under way until the answer is sent.
    """

    status: int
    data: Json | bytes = b""
    media: str = "application/json"
    headers: Mapping[str, str] = field(factory=dict[str, str])
    delivery: Delivery = Delivery.WHOLE
    held: Limiter | None = None

    @property
    def body(self) -> bytes:
        """The body as it is sent."""
        return self.data if isinstance(self.data, bytes) else json.dumps(self.data).encode()

    @property
    def booked(self) -> int:
        """The status for the books: 0 when the client never gets to see one."""
        unseen = {Delivery.LOST, Delivery.PARTIAL, Delivery.STALLED}
        return 0 if self.delivery in unseen else self.status


@frozen
class Flaw:
    """One wrong part of a request: where it is, as a JSON pointer, and what is wrong."""

    pointer: str
    detail: str

    def to_dict(self) -> Json:
        """The flaw as `errors[]` has it."""
        return {"pointer": self.pointer, "detail": self.detail, "code": "invalid_request"}


class ErrorReply(Exception):
    """The API says no, with one of its codes."""

    def __init__(self, code: Code, detail: str | None = None, flaws: tuple[Flaw, ...] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.flaws = flaws


@define(eq=False)
class ErrorWriter:
    """Writes errors in the configured shape."""

    config: SandboxConfig
    clock: Clock
    _rng: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = seeded_random(self.config.seed, "requests")

    def write(self, refusal: ErrorReply, path: str, now: float) -> Reply:
        """The answer to a refused request."""
        status, title, detail = _ERRORS[refusal.code]
        detail = refusal.detail or detail
        mark: Json = {"requestId": f"req_{ulid(self._rng)}", "timestamp": self.clock.stamp(now)}
        if self.config.error_shape == "old":
            old = {"error": title, "message": detail, "code": refusal.code.upper(), **mark}
            return Reply(status, old)
        problem: Json = {
            "type": f"https://developer.hostup.se/errors/{refusal.code}",
            "title": title,
            "status": status,
            "detail": detail,
            "code": refusal.code,
            "instance": path,
            **mark,
        }
        if refusal.flaws:
            problem["errors"] = [flaw.to_dict() for flaw in refusal.flaws]
        return Reply(status, problem, "application/problem+json")

    def too_many(self, check: LimitCheck, path: str, now: float) -> Reply:
        """The 429, without its headers."""
        reply = self.write(ErrorReply(Code(self.config.rate_limit_code)), path, now)
        if self.config.error_shape == "problem" or isinstance(reply.data, bytes):
            return reply
        body = {key: value for key, value in reply.data.items() if key != "code"}
        return Reply(reply.status, {**body, "retryAfter": iso(check.reset)})


def rate_headers(config: SandboxConfig, check: LimitCheck, wall: float) -> dict[str, str]:
    """The headers about the rate limit, where the configuration asks for them."""
    headers: dict[str, str] = {}
    if config.headers_on == "always" or (config.headers_on == "429" and not check.allowed):
        headers["X-RateLimit-Limit"] = str(check.limit)
        headers["X-RateLimit-Remaining"] = str(check.remaining)
        headers["X-RateLimit-Reset"] = _reset(config, check, wall)
    if config.retry_after is not False and not check.allowed:
        is_true = config.retry_after is True
        wait = max(1, math.ceil(check.wait)) if is_true else config.retry_after
        headers["Retry-After"] = str(wait)
    return headers


def _reset(config: SandboxConfig, check: LimitCheck, wall: float) -> str:
    if config.reset_format == "iso":
        return iso(check.reset)
    if config.reset_format == "delta":
        return str(math.ceil(check.reset - wall))
    scale = 1000 if config.reset_format == "epoch_ms" else 1
    return str(math.ceil(check.reset * scale))


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase
