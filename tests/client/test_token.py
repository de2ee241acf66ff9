import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import examples

from hostup_async import Action, Client, ConfigurationError, UntrustedPollUrl
from hostup_async._token import OperationRef, make_token, read_token

BASE = "https://cloud.hostup.se"
KEY = "sk_test_9f8e7d6c5b4a"
TICKET = OperationRef(
    BASE,
    "vps_01hxa3b4c5d6e7f8g9h0j1k2m3",
    Action.RESET,
    "job_01hxa3b4c5d6e7f8g9h0j1k2m3",
    "/api/jobs/job_01hxa3b4c5d6e7f8g9h0j1k2m3",
    1777293296.25,
    1777293297.5,
)
TOKEN = make_token(TICKET)

TEXTS = st.none() | st.text()
MOMENTS = st.none() | st.floats(allow_nan=False)
TICKETS = st.builds(
    OperationRef,
    base=st.text(),
    vps_id=TEXTS,
    action=st.none() | st.sampled_from(Action),
    job_id=TEXTS,
    poll_url=TEXTS,
    sent_at=MOMENTS,
    accepted_at=MOMENTS,
)
READ = partial(read_token, base=BASE)


def token_of(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "hostup1_" + urlsafe_b64encode(raw).decode().rstrip("=")


def contents(token: str) -> bytes:
    text = token.removeprefix("hostup1_")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def reads_or_is_refused(token: str) -> None:
    try:
        ticket = READ(token)
    except ConfigurationError:
        return
    assert ticket.base == BASE
    assert ticket.action is None or ticket.action in Action
    assert all(isinstance(moment, float | None) for moment in (ticket.sent_at, ticket.accepted_at))
    for text in (ticket.vps_id, ticket.job_id, ticket.poll_url):
        assert isinstance(text, str | None)


@given(TICKETS)
def test_a_ticket_survives_its_token(ticket: OperationRef) -> None:
    token = make_token(ticket)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert read_token(token, ticket.base) == ticket


def test_an_action_comes_back_as_a_member() -> None:
    assert READ(TOKEN).action is Action.RESET


@pytest.mark.parametrize("ticket", [TICKET, OperationRef(BASE)])
def test_a_token_is_short(ticket: OperationRef) -> None:
    assert len(make_token(ticket)) < 300


@pytest.mark.parametrize(
    "url", ["/api/jobs/j", "https://cloud.hostup.se/api/jobs/j", "http://localhost/api/jobs/j"]
)
def test_a_poll_url_is_a_ticket_of_its_own(url: str) -> None:
    assert READ(url) == OperationRef(BASE, poll_url=url)


@pytest.mark.parametrize("text", ["", "job_1", "hostup2_abc", "api/jobs/j", "ftp://x", "\x1b[31m"])
def test_neither_token_nor_url_is_refused_and_shown_harmlessly(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Neither a token nor a poll URL") as caught:
        READ(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("length", range(len(TOKEN)))
def test_a_truncated_token_is_refused(length: int) -> None:
    with pytest.raises(ConfigurationError):
        READ(TOKEN[:length])


@given(st.integers(0, len(contents(TOKEN)) * 8 - 1))
@settings(max_examples=examples(300))
def test_a_flipped_bit_is_refused_or_still_a_ticket(bit: int) -> None:
    raw = bytearray(contents(TOKEN))
    raw[bit // 8] ^= 1 << bit % 8
    reads_or_is_refused(token_of(bytes(raw)))


@given(st.integers(0, len(TOKEN) - 1), st.characters())
@settings(max_examples=examples(300))
def test_a_changed_character_is_refused_or_still_a_ticket(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed.startswith(("hostup1_", "/")):  # a slash makes it a path, as poll URLs are
        reads_or_is_refused(changed)
    else:
        with pytest.raises(ConfigurationError):
            READ(changed)


@given(st.text() | st.text().map("hostup1_".__add__) | st.binary().map(token_of))
@settings(max_examples=examples(300))
def test_arbitrary_text_is_refused_or_a_ticket(text: str) -> None:
    reads_or_is_refused(text)


NAMES = f'"{BASE}",null'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        '"text"',
        "{}",
        "[]",
        f"[{NAMES},null,null,null,null]",
        f"[{NAMES},null,null,null,null,null,null]",
        f'[{NAMES},"explode",null,null,null,null]',
        f"[{NAMES},[1],null,null,null,null]",
        f'[{NAMES},null,null,null,"soon",null]',
        f"[{NAMES},null,null,null,[],null]",
        "[" * 100_000,
        b"\xff\xfe\x00",
    ],
    ids=range(14),
)
def test_a_token_of_other_contents_is_damaged(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="damaged: copy the whole"):
        READ(token_of(text))


def token_of_fields(*fields: object) -> str:
    return token_of(json.dumps(fields))


def test_a_huge_number_in_a_token_is_damage() -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        read_token(token_of_fields("https://a", None, None, None, None, 10**400, None), "https://a")


def test_a_token_cannot_write_to_the_terminal() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_token(token_of_fields("\x1b[31m", None, None, None, None, None, None), "https://a")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "base", ["https://other.example.com", "http://cloud.hostup.se", "https://cloud.hostup.se:8443"]
)
def test_a_token_for_another_api_is_refused(base: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"made for '{BASE}', and this client talks to {base}"
    ):
        read_token(TOKEN, base)


def test_a_client_reads_its_own_token_and_no_others() -> None:
    operation = Client(KEY, base_url=BASE).operation(TOKEN)
    assert (operation.vps_id, operation.action, operation.poll_url) == (
        TICKET.vps_id,
        TICKET.action,
        TICKET.poll_url,
    )
    assert operation.token() == TOKEN
    with pytest.raises(ConfigurationError):
        Client(KEY, base_url="https://other.example.com").operation(TOKEN)


def test_a_token_that_leads_away_from_the_api_is_refused() -> None:
    token = make_token(OperationRef(BASE, poll_url="https://evil.example.com/api/jobs/j"))
    with pytest.raises(UntrustedPollUrl):
        Client(KEY, base_url=BASE).operation(token)


def test_no_token_holds_the_key() -> None:
    token = Client(KEY, base_url=BASE).operation("/api/jobs/j").token()
    assert contents(token) == b'["https://cloud.hostup.se",null,null,null,"/api/jobs/j",null,null]'
    assert KEY not in token
