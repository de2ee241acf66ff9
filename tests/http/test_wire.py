import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import examples

from hostup_async import (
    Billing,
    FieldError,
    Gate,
    Gates,
    OperatingSystem,
    PowerState,
    Resources,
    ServiceStatus,
    UnreadableReply,
    Vps,
    VpsDetails,
    VpsStatus,
)
from hostup_async._http.wire import (
    is_list,
    is_object,
    looks_like_html,
    moment_or_none,
    number_or_none,
    read_field_errors,
    read_json,
    read_object,
    read_page,
    text_or_none,
    unwrap,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
MOMENT = datetime(2026, 4, 27, 12, 34, 56, tzinfo=UTC)

GATE_JSON = {"allowed": False, "reason": "suspended", "code": "vps_not_ready"}
GATE = Gate(allowed=False, reason="suspended", code="vps_not_ready")
GATE_NAMES = ("canReset", "canStart", "canStop", "canRestart", "canShutdown")
GATES_JSON = dict.fromkeys(GATE_NAMES, GATE_JSON)
GATES = Gates(
    can_reset=GATE, can_start=GATE, can_stop=GATE, can_restart=GATE, can_shutdown=GATE, raw={}
)
BILLING_JSON = {
    "amount": 99.5,
    "currencyCode": "SEK",
    "billingCycle": "monthly",
    "isPayg": True,
    "periodYears": 1,
}
BILLING = Billing(
    amount=99.5, currency_code="SEK", billing_cycle="monthly", is_payg=True, period_years=1.0
)
SYSTEM_JSON = {
    "displayName": "Debian 13",
    "family": "debian",
    "version": "13",
    "variant": "cloud",
}
SYSTEM = OperatingSystem(
    display_name="Debian 13", family="debian", version="13", variant="cloud", raw={}
)
RESOURCES_JSON = {"cpuCores": 4, "memoryGb": 8, "storageGb": 160}
RESOURCES = Resources(cpu_cores=4.0, memory_gb=8.0, storage_gb=160.0)

VPS_JSON = {
    "id": "vps_01hxa3b4c5d6e7f8g9h0j1k2m3",
    "name": "web-1",
    "primaryIp": "192.0.2.7",
    "serviceStatus": "active",
    "powerState": "running",
    "operatingSystem": SYSTEM_JSON,
    "billing": BILLING_JSON,
    "resources": RESOURCES_JSON,
    "actions": GATES_JSON,
}
VPS = Vps(
    id="vps_01hxa3b4c5d6e7f8g9h0j1k2m3",
    name="web-1",
    primary_ip="192.0.2.7",
    service_status=ServiceStatus.ACTIVE,
    power_state=PowerState.RUNNING,
    operating_system=SYSTEM,
    billing=BILLING,
    resources=RESOURCES,
    gates=GATES,
)
DETAILS_JSON = {
    "id": "vps_1",
    "productName": "VPS M",
    "hostname": "web-1.example.se",
    "serviceStatus": "suspended",
    "createdAt": "2026-04-27T12:34:56.000Z",
    "nextDueAt": "2026-04-27T14:34:56+02:00",
    "billing": BILLING_JSON,
    "cpuCores": 4,
    "memoryGb": 8,
    "storageGb": 160,
    "actions": GATES_JSON,
}
DETAILS = VpsDetails(
    id="vps_1",
    product_name="VPS M",
    hostname="web-1.example.se",
    service_status=ServiceStatus.SUSPENDED,
    created_at=MOMENT,
    next_due_at=MOMENT,
    billing=BILLING,
    cpu_cores=4.0,
    memory_gb=8.0,
    storage_gb=160.0,
    gates=GATES,
)
STATUS_JSON = {
    "id": "vps_1",
    "powerState": "stopped",
    "uptimeSeconds": 4711,
    "cpuUsagePercent": 12.5,
    "memory": {"usedBytes": 1},
    "storage": {"usedBytes": 2},
    "network": {"inBytes": 3},
    "pendingTasks": [{"type": "reset"}],
    "actions": GATES_JSON,
}
STATUS = VpsStatus(
    id="vps_1",
    power_state=PowerState.STOPPED,
    uptime_seconds=4711.0,
    cpu_usage_percent=12.5,
    memory={"usedBytes": 1},
    storage={"usedBytes": 2},
    network={"inBytes": 3},
    pending_tasks=[{"type": "reset"}],
    gates=GATES,
)
WHOLE: list[tuple[type[Any], dict[str, Any], object]] = [
    (Gate, GATE_JSON, GATE),
    (Gates, GATES_JSON, GATES),
    (OperatingSystem, SYSTEM_JSON, SYSTEM),
    (Billing, BILLING_JSON, BILLING),
    (Resources, RESOURCES_JSON, RESOURCES),
    (Vps, VPS_JSON, VPS),
    (VpsDetails, DETAILS_JSON, DETAILS),
    (VpsStatus, STATUS_JSON, STATUS),
]
MODELS = [cls for cls, _, _ in WHOLE]
WITH_RAW = [(cls, body) for cls, body, _ in WHOLE if cls is not Gate]


def fields_of(cls: type[Any]) -> list[str]:
    return [each.name for each in attrs.fields(cls) if each.name != "raw"]


def spelling(name: str) -> str:
    camel = re.sub(r"_(.)", lambda found: found[1].upper(), name)
    return "actions" if name == "gates" else camel


FIELDS = [
    pytest.param(cls, name, id=f"{cls.__name__}-{name}")
    for cls in MODELS
    for name in fields_of(cls)
]


@pytest.mark.parametrize(("cls", "body", "expected"), WHOLE)
def test_every_field_is_read_from_its_camel_case_name(
    cls: type[Any], body: dict[str, Any], expected: object
) -> None:
    assert set(body) == {spelling(name) for name in fields_of(cls)}
    assert read_object(cls, body) == expected


@pytest.mark.parametrize("junk", [[], [[1]], True], ids=["empty list", "nested list", "true"])
@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_a_value_of_the_wrong_type_reads_as_if_it_were_absent(
    cls: type[Any], name: str, junk: object
) -> None:
    expected: object = attrs.fields_dict(cls)[name].default
    if name == "pending_tasks" or (name in {"allowed", "is_payg"} and junk is True):
        expected = junk
    assert getattr(read_object(cls, {spelling(name): junk}), name) == expected


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_null_and_absent_are_one(cls: type[Any], name: str) -> None:
    assert read_object(cls, {spelling(name): None}) == read_object(cls, {}) == cls()


@pytest.mark.parametrize("value", [None, [], True])
def test_an_id_that_is_none_is_empty(value: object) -> None:
    assert read_object(Vps, {"id": value}).id == ""
    assert read_page({"data": [{"id": value}]})[0][0].id == ""


@pytest.mark.parametrize(("cls", "body"), WITH_RAW)
def test_unknown_fields_survive_in_raw(cls: type[Any], body: dict[str, Any]) -> None:
    sent = {**body, "tags": ["a"], "raw": 1, "newField": {"x": None}}
    assert read_object(cls, sent).raw == sent


def test_nested_objects_keep_their_own_raw() -> None:
    sent = {"billing": {"amount": 1, "vat": 25}, "actions": {"canReset": {}, "canFly": {}}}
    vps = read_object(Vps, sent)
    assert vps.billing is not None
    assert vps.billing.raw == sent["billing"]
    assert vps.gates is not None
    assert vps.gates.raw == sent["actions"]


@pytest.mark.parametrize("word", list(ServiceStatus))
def test_listed_service_states_are_members(word: ServiceStatus) -> None:
    assert read_object(Vps, {"serviceStatus": word.value}).service_status is word


@pytest.mark.parametrize("word", list(PowerState))
def test_listed_power_states_are_members(word: PowerState) -> None:
    assert read_object(VpsStatus, {"powerState": word.value}).power_state is word


@pytest.mark.parametrize("word", ["hibernating", "RUNNING", ""])
def test_unlisted_words_stay_plain_strings(word: str) -> None:
    vps = read_object(Vps, {"powerState": word, "serviceStatus": word})
    assert (vps.power_state, vps.service_status) == (word, word)
    assert type(vps.power_state) is str
    assert type(vps.service_status) is str


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", ""), (42, "42"), (True, None), (1.5, None), (None, None), ({}, None)],
)
def test_texts_are_strings_or_whole_numbers(value: object, text: str | None) -> None:
    assert text_or_none(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (-1.5, -1.5),
        ("12.5", 12.5),
        ("", None),
        ("five", None),
        ("nan", None),
        ("inf", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_numbers_are_finite(value: object, number: float | None) -> None:
    assert number_or_none(value) == number


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-04-27T12:34:56.000Z", MOMENT),
        ("2026-04-27T14:34:56+02:00", MOMENT),
        ("2026-04-27T12:34:56", MOMENT),
        ("2026-04-27 12:34:56", MOMENT),
        (MOMENT.timestamp(), MOMENT),
        (MOMENT.timestamp() * 1000, MOMENT),
        ("yesterday", None),
        ("", None),
        (True, None),
        (1e300, None),
        (-1e18, None),
        (float("nan"), None),
        (None, None),
        ({}, None),
    ],
)
def test_moments_come_as_iso_or_epoch(value: object, moment: datetime | None) -> None:
    assert moment_or_none(value) == moment


def test_a_moment_keeps_its_zone_and_is_never_naive() -> None:
    with_zone = moment_or_none("2026-04-27T14:34:56+02:00")
    without = moment_or_none("2026-04-27T12:34:56")
    assert with_zone is not None
    assert with_zone.tzinfo == timezone(timedelta(hours=2))
    assert without is not None
    assert without.tzinfo is UTC


@pytest.mark.parametrize(
    "body",
    [
        {"id": "vps_1"},
        {"success": True, "data": {"id": "vps_1"}},
        {"success": True, "timestamp": "t", "requestId": "r", "data": {"id": "vps_1"}},
        {"data": {"id": "vps_1"}},
    ],
)
def test_both_generations_envelopes_are_unwrapped(body: dict[str, Any]) -> None:
    assert unwrap(body) == {"id": "vps_1"}
    assert read_object(Vps, body).id == "vps_1"


@pytest.mark.parametrize("data", [[], "x", None, 1])
def test_data_that_is_no_object_is_no_envelope(data: object) -> None:
    body = {"id": "vps_1", "data": data}
    assert unwrap(body) == body


@pytest.mark.parametrize("body", [[], [{}], "text", 1, None, True])
def test_no_object_is_unreadable(body: object) -> None:
    with pytest.raises(UnreadableReply, match=type(body).__name__):
        read_object(Vps, body)


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}], "hasMore": True, "nextCursor": "c1"}, "c1"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, None),
        ({"success": True, "data": [{"id": "a"}, {"id": "b"}]}, None),
        ([{"id": "a"}, {"id": "b"}], None),
    ],
    ids=["envelope", "bare envelope", "old generation", "bare list"],
)
def test_a_page_is_read_in_each_shape(body: object, cursor: str | None) -> None:
    rows, following = read_page(body)
    assert [row.id for row in rows] == ["a", "b"]
    assert following == cursor


@pytest.mark.parametrize(("cursor", "read"), [("x", "x"), ("", None), (None, None), (7, "7")])
def test_a_text_or_a_number_is_a_cursor(cursor: object, read: str | None) -> None:
    assert read_page({"data": [], "nextCursor": cursor}) == ([], read)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"data": [None, {"id": "a"}]}, "list of objects"),
        ({"data": ["x"]}, "list of objects"),
        ({"data": [], "nextCursor": {"at": 1}}, "nextCursor"),
        ({"data": [], "nextCursor": ["x"]}, "nextCursor"),
        ({"data": [{"id": "a"}], "hasMore": True}, "nextCursor"),
    ],
)
def test_a_page_that_is_not_whole_is_not_taken_for_the_whole(body: object, says: str) -> None:
    with pytest.raises(UnreadableReply, match=says):
        read_page(body)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, "x", None, 3])
def test_a_page_without_a_list_is_unreadable(body: object) -> None:
    with pytest.raises(UnreadableReply, match="without a list"):
        read_page(body)


@pytest.mark.parametrize(
    ("value", "errors"),
    [
        ([{"pointer": "/a", "detail": "d", "code": "c"}], (FieldError("/a", "d", "c"),)),
        ([{"pointer": 1}, "x", None, {}], (FieldError("1"), FieldError())),
        (None, ()),
        ({"pointer": "/a"}, ()),
        ("x", ()),
    ],
)
def test_field_errors_are_read_and_junk_is_none(
    value: object, errors: tuple[FieldError, ...]
) -> None:
    assert read_field_errors(value) == errors


@given(JSON)
def test_any_json_reads_or_is_unreadable(body: object) -> None:
    for cls in MODELS:
        if is_object(body):
            assert isinstance(read_object(cls, body), cls)
        else:
            with pytest.raises(UnreadableReply):
                read_object(cls, body)


@given(st.sampled_from(WHOLE), st.data())
def test_any_json_in_any_field_reads(
    whole: tuple[type[Any], dict[str, Any], object], data: st.DataObject
) -> None:
    cls, body, _ = whole
    name = data.draw(st.sampled_from(sorted(body)))
    assert isinstance(read_object(cls, {**body, name: data.draw(JSON)}), cls)


@given(JSON)
def test_json_survives_its_bytes(value: object) -> None:
    body = json.dumps(value, allow_nan=False) if _is_strict(value) else "null"
    assert read_json(body.encode()) == json.loads(body)


def _is_strict(value: object) -> bool:
    """Whether every JSON reader reads it alike: big integers and NaN are read in many ways."""
    if is_object(value):
        return all(map(_is_strict, value.values()))
    if is_list(value):
        return all(map(_is_strict, value))
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")  # noqa: PLR0124 - NaN differs
    return not isinstance(value, int) or abs(value) < 2**63


@given(st.binary())
@settings(max_examples=examples(300))
def test_any_bytes_read_or_are_unreadable(body: bytes) -> None:
    try:
        read_json(body)
    except UnreadableReply as error:
        assert str(error).isprintable()  # noqa: PT017 - most bodies raise, some may not


def test_an_empty_body_says_so() -> None:
    with pytest.raises(UnreadableReply, match="empty body"):
        read_json(b"")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><h1>502 Bad Gateway</h1>", "HTML"),
        (b" \r\n\t<!DOCTYPE html>", "HTML"),
        (b"upstream connect error", "not JSON"),
        (b'{"id": "vps_1"', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "not JSON"),
    ],
    ids=["page", "indented page", "text", "truncated", "no text", "too deep"],
)
def test_what_is_no_json_is_named_and_shown(body: bytes, kind: str) -> None:
    with pytest.raises(UnreadableReply, match=kind) as caught:
        read_json(body)
    assert repr(body[:60]) in str(caught.value)
    assert looks_like_html(body) == (kind == "HTML")
