import inspect
import json
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest
from attrs import fields
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import ConfigurationError, FleetPolicy, OnAmbiguous

BAD_COUNTS: list[Any] = [-1, 1.5, "3", True, nan]
BAD_SECONDS: list[Any] = [-1, nan, inf, "3", timedelta(-1)]
BAD = [
    *(("max_in_flight", value) for value in [0, *BAD_COUNTS]),
    *(("canary", value) for value in [*BAD_COUNTS, 0.5]),
    *(("max_failures", value) for value in [0, -0.5, 0.0, 1.0, *BAD_COUNTS]),
    *(("max_ambiguous", value) for value in [0, -0.5, 0.0, 1.0, *BAD_COUNTS]),
    *(("cooldown", value) for value in [*BAD_SECONDS, None]),
    *(("job_timeout", value) for value in [0, None, *BAD_SECONDS]),
    *(("deadline", value) for value in [0, *BAD_SECONDS]),
    *(("drain_timeout", value) for value in [0, None, *BAD_SECONDS]),
    *(("evidence_interval", value) for value in [0, None, *BAD_SECONDS]),
    ("on_ambiguous", "resend_if_proved_not_done"),
    ("on_ambiguous", None),
    ("reason", 7),
    ("verify", "false"),
    ("verify", 1),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=repr)
def test_a_bad_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="reason" if name == "reason" else name):
        FleetPolicy(**{name: value})


def test_durations_are_seconds_or_timedeltas() -> None:
    policy = FleetPolicy(job_timeout=timedelta(minutes=2), cooldown=timedelta(), deadline=5)
    assert (policy.job_timeout, policy.cooldown, policy.deadline) == (120.0, 0.0, 5.0)


def test_a_policy_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        FleetPolicy().canary = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("bound", "total", "allowed"),
    [(None, 10, None), (3, 10, 3), (0.05, 400, 20), (0.05, 3, 1), (0.5, 3, 1), (0.9, 10, 9)],
)
def test_bounds_are_counts_or_shares(bound: float | None, total: int, allowed: int | None) -> None:
    policy = FleetPolicy(max_failures=bound, max_ambiguous=bound)
    assert policy.failures_allowed(of=total) == allowed
    assert policy.ambiguous_allowed(of=total) == allowed


COUNTS = st.none() | st.integers(1, 10**6)
SHARES = COUNTS | st.floats(0.001, 0.999)
DURATIONS = st.floats(0.001, 10**6)


@given(
    st.builds(
        FleetPolicy,
        max_in_flight=COUNTS,
        canary=st.integers(0, 100),
        max_failures=SHARES,
        max_ambiguous=SHARES,
        cooldown=DURATIONS | st.just(0),
        job_timeout=DURATIONS,
        deadline=st.none() | DURATIONS,
        drain_timeout=DURATIONS,
        verify=st.booleans(),
        on_ambiguous=st.sampled_from(OnAmbiguous),
        evidence_interval=DURATIONS,
        reason=st.none() | st.text(),
    )
)
def test_a_policy_survives_json(policy: FleetPolicy) -> None:
    assert FleetPolicy.from_json(policy.to_json()) == policy


def test_members_of_later_versions_are_left_out() -> None:
    told = json.loads(FleetPolicy(canary=2).to_json()) | {"of_tomorrow": 1}
    del told["verify"]
    assert FleetPolicy.from_json(json.dumps(told)) == FleetPolicy(canary=2)


@pytest.mark.parametrize("text", ["", "7", "null", "[]", '"canary"', '{"canary": -1}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a policy"):
        FleetPolicy.from_json(text)


def test_every_setting_is_described() -> None:
    text = inspect.getdoc(FleetPolicy) or ""  # of the same indentation on each Python
    assert all(f"\n    {one.name}: " in text for one in fields(FleetPolicy))


@given(st.integers(1, 99), st.integers(1, 200))
def test_a_share_in_per_cent_is_as_many_as_people_count(per_cent: int, hundreds: int) -> None:
    policy = FleetPolicy(max_failures=per_cent / 100, max_ambiguous=per_cent / 100)
    assert policy.failures_allowed(of=100 * hundreds) == per_cent * hundreds
    assert policy.ambiguous_allowed(of=100 * hundreds) == per_cent * hundreds
    assert policy.failures_allowed(of=99) == max(1, 99 * per_cent // 100)
