import json
from typing import Any

import pytest
from tools import Connect, RawServer, StartSandbox, client_of, http

from hostup_async import Action, Client, ConfigurationError, Exclusion, Plan, Preflight
from hostup_async.sandbox import Sandbox

NO = {"allowed": False}
ORIGIN = "https://api.example"


@pytest.fixture
async def sandbox(start_sandbox: StartSandbox) -> Sandbox:
    return await start_sandbox(vps=12, not_ready=1)


@pytest.fixture
async def client(sandbox: Sandbox, connect: Connect) -> Client:
    return await connect(sandbox)


async def test_a_plan_of_all_costs_one_list_and_sends_nothing(
    sandbox: Sandbox, client: Client
) -> None:
    plan = await client.fleet.plan(all=True)
    assert plan.ids == sandbox.vps_ids[1:]
    assert plan.excluded == (
        Exclusion(sandbox.vps_ids[0], "its gate is shut: The VPS is suspended."),
    )
    assert (plan.action, plan.preflight, plan.origin) == ("reset", "list", sandbox.url)
    assert (await sandbox.books()).requests == {"list": 1}


async def test_where_chooses_from_what_is_listed(sandbox: Sandbox, client: Client) -> None:
    plan = await client.fleet.plan(all=True, where=lambda vps: vps.name != "web-3.example.com")
    assert plan.ids == (sandbox.vps_ids[1], *sandbox.vps_ids[3:])
    assert [one.vps_id for one in plan.excluded] == [sandbox.vps_ids[0]]
    assert (await sandbox.books()).requests == {"list": 1}
    with pytest.raises(ConfigurationError, match="`where` chooses from what the API lists"):
        await client.fleet.plan(ids=["vps_1"], where=lambda _: True)


@pytest.mark.parametrize("action", [one for one in Action if one is not Action.RESTART])
async def test_force_is_for_restart_alone(sandbox: Sandbox, client: Client, action: Action) -> None:
    with pytest.raises(ConfigurationError, match="for restart alone"):
        await client.fleet.plan(all=True, action=action, force=True)
    assert (await sandbox.books()).requests == {}


async def test_force_in_an_old_plan_is_sent_with_a_restart_alone(
    sandbox: Sandbox, client: Client
) -> None:
    plan = Plan(action="reset", origin=sandbox.url, ids=[sandbox.vps_ids[1]], force=True)
    async with client.fleet.run(plan) as run:
        report = await run.wait()
    assert [one.status for one in report.outcomes] == ["completed"]  # with a body it is refused


async def test_a_plan_of_a_name_has_that_one_alone(sandbox: Sandbox, client: Client) -> None:
    plan = await client.fleet.plan(name="WEB-3.example.com")
    assert plan.ids == (sandbox.vps_ids[2],)
    assert set((await sandbox.books()).requests) == {"list"}


@pytest.mark.parametrize(
    "selectors",
    [{}, {"ids": ["vps_1"], "all": True}, {"all": True, "name": "web"}, {"ids": [], "name": "x"}],
)
async def test_exactly_one_selector_is_asked_for(
    sandbox: Sandbox, client: Client, selectors: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="exactly one way"):
        await client.fleet.plan(**selectors)
    assert (await sandbox.books()).total_requests == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"action": "explode"}, "action must be one of 'reset', 'start', .*, not 'explode'"),
        ({"preflight": "all"}, "preflight must be one of 'none', 'list', 'gates', not 'all'"),
        ({"preflight": None}, "preflight must be one of .*, not None"),
    ],
)
async def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    client: Client, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        await client.fleet.plan(ids=["vps_1"], **wrong)


@pytest.mark.parametrize(
    "ids", ["vps_1", ["vps_1", ""], [".."], ["a/b"], [7], [None], [["vps_1"]], 7, b"vps_1"]
)
@pytest.mark.parametrize("preflight", list(Preflight))
async def test_bad_ids_are_refused_at_once(
    sandbox: Sandbox, client: Client, ids: Any, preflight: Preflight
) -> None:
    with pytest.raises(ConfigurationError, match="id"):
        await client.fleet.plan(ids=ids, preflight=preflight)
    assert (await sandbox.books()).total_requests == 0


@pytest.mark.parametrize(
    "words", [{"action": "explode"}, {"preflight": "maybe"}, {"name": ""}, {"name": 7}]
)
async def test_bad_words_are_refused_at_once(
    sandbox: Sandbox, client: Client, words: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        await client.fleet.plan(**{"all": "name" not in words, **words})
    assert (await sandbox.books()).total_requests == 0


SWITCHES = [{"all": "false"}, {"all": 1}, {"ids": ["vps_1"], "force": "0"}, {"all": None}]


@pytest.mark.parametrize("words", SWITCHES)
async def test_switches_take_true_and_false_alone(
    sandbox: Sandbox, client: Client, words: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=r"(all|force) must be True or False"):
        await client.fleet.plan(**words)
    assert (await sandbox.books()).total_requests == 0


async def test_each_misuse_says_what_to_pass(client: Client) -> None:
    fleet: Any = client.fleet
    plan = await fleet.plan(ids=["vps_1"], preflight="none")
    with pytest.raises(ConfigurationError, match=r"plan must be a Plan, such as .*fleet\.plan"):
        fleet.run(["vps_1"])
    with pytest.raises(ConfigurationError, match=r"policy must be a FleetPolicy, such as"):
        fleet.run(plan, {"canary": 1})
    with pytest.raises(ConfigurationError, match=r"run_id must be a str, such as run\.id"):
        await fleet.resume(7, store=None)
    with pytest.raises(ConfigurationError, match="other_key must be True or False"):
        await fleet.resume("run", store=None, other_key="no")


@pytest.mark.parametrize("count", [2, 11])
async def test_ids_are_taken_once_each_and_checked_against_the_account(
    sandbox: Sandbox, client: Client, count: int
) -> None:
    ids = sandbox.vps_ids[1 : count + 1]
    plan = await client.fleet.plan(ids=[*ids, "vps_none", ids[0]])
    assert plan.ids == ids
    assert plan.excluded == (Exclusion("vps_none", "the account has no such VPS"),)
    assert "reset" not in (await sandbox.books()).requests


async def test_without_preflight_ids_are_believed(sandbox: Sandbox, client: Client) -> None:
    plan = await client.fleet.plan(ids=["vps_2", "vps_1", "vps_2"], preflight="none")
    assert plan.ids == ("vps_2", "vps_1")
    assert (await sandbox.books()).total_requests == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"serviceStatus": "terminated"}, "it is terminated"),
        (
            {"actions": {"canReset": {"allowed": False, "reason": "Frozen."}}},
            "its gate is shut: Frozen.",
        ),
        (
            {"actions": {"canReset": {"allowed": False, "code": "locked"}}},
            "its gate is shut: locked",
        ),
        ({"actions": {"canReset": {"allowed": False}}}, "its gate is shut: it does not say why"),
        ({"actions": {"canStart": {"allowed": False}}}, None),
        ({"actions": {"canReset": {}}}, None),
        ({"actions": None}, None),
        ({"serviceStatus": "suspended"}, None),
        ({}, None),
    ],
)
async def test_only_a_denial_excludes(row: dict[str, Any], why: str | None) -> None:
    body = json.dumps({"data": [{"id": "vps_1", **row}], "nextCursor": None}).encode()
    async with RawServer(http(body)) as server, client_of(server.url) as client:
        plan = await client.fleet.plan(all=True)
    assert plan.excluded == ((Exclusion("vps_1", why),) if why else ())
    assert len(plan) == (why is None)


async def test_gates_are_read_when_the_turn_comes(sandbox: Sandbox, client: Client) -> None:
    plan = await client.fleet.plan(all=True, preflight="gates")
    async with client.fleet.run(plan) as run:
        await run.wait()
    books = await sandbox.books()
    assert books.requests["status"] == len(plan)
    assert books.requests["reset"] == len(plan)


def a_plan(**fields: Any) -> Plan:
    known: dict[str, Any] = {"action": "restart", "origin": ORIGIN, "ids": ["vps_1", "vps_2"]}
    return Plan(**{**known, **fields})


@pytest.mark.parametrize("ids", ["vps_1", [""], [".."], ["a/b"], [7], 7])
def test_a_plan_made_by_hand_has_ids_too(ids: Any) -> None:
    with pytest.raises(ConfigurationError, match="id"):
        a_plan(ids=ids)
    assert a_plan(ids=["vps_1", "vps_1"]).ids == ("vps_1",)


def test_a_plan_survives_json() -> None:
    plan = a_plan(force=True, preflight="gates", excluded=(Exclusion("vps_3", "why not"),))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert (again.hash, again.action, again.preflight) == (plan.hash, Action.RESTART, "gates")


def test_the_hash_is_of_what_is_done_and_to_whom() -> None:
    hashes = [
        a_plan(**fields).hash
        for fields in (
            {},
            {"ids": ["vps_1"]},
            {"ids": ["vps_2", "vps_1"]},
            {"action": "reset"},
            {"force": True},
            {"origin": "https://other.example"},
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert a_plan().hash == a_plan(preflight="none").hash


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ids", ["vps_1", "vps_3"]),
        ("ids", "vps_1"),
        ("action", "stop"),
        ("force", True),
        ("origin", "https://evil.example"),
        ("hash", "0" * 16),
        ("hash", None),
    ],
)
def test_a_plan_that_was_changed_is_refused(member: str, value: object) -> None:
    told = json.loads(a_plan().to_json()) | {member: value}
    with pytest.raises(ConfigurationError, match="changed"):
        Plan.from_json(json.dumps(told))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "7", '{"id": 1}', '"ids"'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a plan"):
        Plan.from_json(text)


@pytest.mark.parametrize("member", ["action", "preflight", "ids", "excluded"])
def test_a_member_that_makes_no_sense_is_refused(member: str) -> None:
    told = json.loads(a_plan().to_json()) | {member: 7}
    with pytest.raises(ConfigurationError):
        Plan.from_json(json.dumps(told))


async def test_a_plan_for_another_api_is_refused(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="this client talks to"):
        client.fleet.run(a_plan())


async def test_an_empty_plan_is_a_run_that_has_ended(sandbox: Sandbox, client: Client) -> None:
    report = await client.fleet.reset([])
    assert (report.outcomes, report.succeeded, report.ratio) == ((), True, None)
    assert (await sandbox.books()).total_requests == 0
