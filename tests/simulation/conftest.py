"""Fixtures of the simulation's tests."""

import pytest


@pytest.fixture(autouse=True)
def short_waits() -> None:
    """Overrides the one of all tests: a history has time, and the real waits are to be proved."""
