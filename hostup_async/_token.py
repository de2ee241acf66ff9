"""Tokens: all that is needed to go on watching a job elsewhere, as one short string."""

import json
from base64 import b64decode, urlsafe_b64encode
from typing import Any, Final

from attrs import astuple, frozen

from hostup_async._errors import ConfigurationError
from hostup_async._models import Action

_PREFIX: Final = "hostup1_"


@frozen
class OperationRef:
    """What a token holds: no key, nothing that is secret. Moments are epoch seconds."""

    base: str
    vps_id: str | None = None
    action: Action | None = None
    job_id: str | None = None
    poll_url: str | None = None
    sent_at: float | None = None
    accepted_at: float | None = None


def make_token(ref: OperationRef) -> str:
    """The reference as text, of letters, digits, `-` and `_`."""
    text = json.dumps(astuple(ref), separators=(",", ":"))
    return _PREFIX + urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(text: object, base: str) -> OperationRef:
    """The reference in a token, or one made of a bare poll URL.

    Raises:
        ConfigurationError: It is neither, or was made for another API than `base`.
    """
    if not isinstance(text, str):
        msg = f"A token or a poll URL is a string, not {type(text).__name__}."
        raise ConfigurationError(msg)
    text = text.strip()
    if not text.startswith(_PREFIX):
        return _of_poll_url(text, base)
    ref = _decode(text.removeprefix(_PREFIX))
    if ref.base != base:
        msg = f"This token was made for {ref.base!r}, and this client talks to {base}."
        raise ConfigurationError(msg)
    return ref


def _of_poll_url(text: str, base: str) -> OperationRef:
    is_text = all(not "\ud800" <= one <= "\udfff" for one in text)  # no bytes beside UTF-8
    if is_text and text.startswith(("/", "http://", "https://")):
        return OperationRef(base, poll_url=text)
    msg = f"Neither a token nor a poll URL: {text[:80]!r}. Take it from operation.token()."
    raise ConfigurationError(msg)


def _decode(text: str) -> OperationRef:
    try:
        padded = text + "=" * (-len(text) % 4)
        fields = json.loads(b64decode(padded, altchars=b"-_", validate=True))
        base, vps_id, action, job_id, poll_url, *moments = fields
        sent_at, accepted_at = map(_moment, moments)
        return OperationRef(
            str(base),
            _text(vps_id),
            Action(action) if action else None,
            _text(job_id),
            _text(poll_url),
            sent_at,
            accepted_at,
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        msg = "This token is damaged: copy the whole of what operation.token() returned."
        raise ConfigurationError(msg) from None


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON is anything
    return None if value is None else str(value)


def _moment(value: Any) -> float | None:  # noqa: ANN401 - JSON is anything
    return None if value is None else float(value)
