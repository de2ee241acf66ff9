import json
from typing import Any

import pytest

from hostup_async.sandbox import Durations, Fault, FaultRule, JobRule, Limit, SandboxConfig
from hostup_async.sandbox._ids import seeded_random


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vps": -1}, "vps must be 0 or more"),
        ({"vps": 1.5}, "vps must be a whole number"),
        ({"vps": True}, "vps must be a whole number"),
        ({"page_size_max": 101}, "page_size_max must be from 1 to 100"),
        ({"poll_shape": "xml"}, "poll_shape must be one of operation, job, status_data"),
        ({"gates_on": ["summary", "moon"]}, "gates_on may hold only"),
        ({"job_failure_rate": 1.1}, "job_failure_rate must be from 0 to 1"),
        ({"latency": "slow"}, "latency must be a number"),
        ({"poll_path": "/api/jobs"}, r"poll_path must hold \{job_id\}"),
        ({"poll_path": "x/{job_id}"}, "poll_path must begin with /"),
        ({"api_key": ""}, "api_key must not be empty"),
        ({"vps": 2, "stopped": 2, "not_ready": 1}, "must not exceed vps"),
        ({"job_failure_rate": 0.6, "completed_with_success_false_rate": 0.6}, "not exceed 1"),
        ({"job_prefixes": []}, "job_prefixes must not be empty"),
        ({"limit": {"requests": 0, "seconds": 1}}, "requests must be 1 or more"),
        ({"limit": {"requests": 1, "seconds": 0}}, "seconds must be above 0"),
        ({"jobs": {"kind": "never"}}, "kind must be one of"),
        ({"jobs": {"median": float("inf")}}, "median must be 0 or more"),
        ({"faults": [{"fault": "no_such_fault"}]}, "no_such_fault"),
        ({"faults": [{"fault": "stall", "on": "moon"}]}, "on must be one of"),
        ({"faults": [{"fault": "lost_reply", "acts": False}]}, "contradicts"),
        ({"uptime_step": 0}, "uptime_step must be above 0"),
        ({"forget_after": -1}, "forget_after must be 0 or more"),
        ({"vps": 1, "ids": ["a", "b"]}, "ids must not be more than vps"),
        ({"vps": 1, "names": ["a", "b"]}, "names must not be more than vps"),
        ({"names": "db-1"}, "a list of texts is needed, not the single text 'db-1'"),
        ({"ids": [1]}, "a list of texts is needed, which 1 does not fit in"),
        ({"ids": ["a", "a"]}, "ids must not hold one twice"),
        ({"ids": ["a/b"]}, "ids may hold only letters"),
        ({"job_rules": [{"ends": "badly"}]}, "ends must be one of completed, failed"),
        ({"job_rules": [{"ends": "failed", "on": "poll"}]}, "on must be one of reset, start"),
        ({"job_rules": [{"ends": "failed", "skip": -1}]}, "skip must be 0 or more"),
        ({"job_rules": [{"ends": "never", "error": "x"}]}, "'never' tells no error"),
        ({"job_rules": [{"ends": "failed", "vps_ids": ["moon"]}]}, "no VPS 'moon'"),
        ({"job_rules": [{"ends": "failed", "vps_ids": "moon"}]}, "a list of ids, not the single"),
        ({"faults": [{"fault": "stall", "vps_ids": ["moon"]}]}, "no VPS 'moon'"),
    ],
)
def test_wrong_settings_are_refused_plainly(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SandboxConfig(**settings)


def test_settings_survive_json() -> None:
    config = SandboxConfig(
        vps=3,
        ids=["a", "b"],
        names=["db-1"],
        frozen=True,
        job_rules=[JobRule("failed", skip=1, times=2, vps_ids=["b"], error="no disk")],
        gates_on=["status"],
        limit=Limit(requests=3, seconds=1.5, kind="bucket"),
        jobs=Durations(kind="bimodal", median=2),
        faults=[FaultRule(Fault.STALL, on="poll", vps_ids=["a", "b"], times=2)],
        forget_after=3,
    )
    assert SandboxConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_ids_depend_on_the_seed_alone() -> None:
    ids = SandboxConfig(vps=500, seed=3).vps_ids
    assert ids == SandboxConfig(vps=500, seed=3).vps_ids
    assert ids[:10] == SandboxConfig(vps=10, seed=3).vps_ids
    assert len({*ids, *SandboxConfig(vps=500, seed=4).vps_ids}) == 1000
    assert all(len(id_) == 30 and id_ == id_.lower() and id_.startswith("vps_") for id_ in ids)


def test_durations() -> None:
    rng = seeded_random("durations")
    assert Durations(kind="instant", median=9).draw(rng) == 0
    assert Durations(median=9).draw(rng) == 9
    spread = sorted(Durations(kind="lognormal", median=20).draw(rng) for _ in range(2001))
    assert 18 < spread[1000] < 22
    assert spread[0] < 10
    assert spread[-1] > 40
    two = [
        Durations(kind="bimodal", median=1, slow=7, slow_share=0.3).draw(rng) for _ in range(999)
    ]
    assert set(two) == {1, 7}
    assert 200 < two.count(7) < 400


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_knows_whether_it_does_the_work(fault: Fault) -> None:
    refuses = {"disconnect_before", "stall_before", "redirect", "html_403", "success_false"}
    errors = {"error_500", "html_502", "error_503", "error_504", "conflict"}
    assert FaultRule(fault).does_work == (fault.value not in refuses | errors)


def test_what_a_rule_matches() -> None:
    action = FaultRule(Fault.STALL, on="action", vps_ids={"a"})
    assert action.matches("restart", "a")
    assert not action.matches("restart", "b")
    assert not action.matches("poll", "a")
    assert FaultRule(Fault.STALL, on="any").matches("poll", None)
    assert not FaultRule(Fault.STALL).matches("restart", "a")
