import asyncio
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from hostup_async import _clock
from hostup_async._store import owner
from hostup_async._store.owner import Owner


def test_an_owner_survives_its_text() -> None:
    owner = Owner.here()
    assert Owner.read(owner.text) == owner
    assert owner.pid == os.getpid()
    assert str(owner) == f"process {os.getpid()} on {owner.host}"
    assert Owner.here() != owner  # another store of this process is another owner


async def test_a_store_of_this_process_lives_while_it_is_open_and_its_loop_is() -> None:
    owner = Owner.here()
    assert owner.is_alive() is False
    owner.opened(asyncio.get_running_loop())
    assert owner.is_alive() is True
    assert Owner.read(owner.text).is_alive() is True
    owner.closed()
    assert owner.is_alive() is False
    loop = asyncio.new_event_loop()
    owner.opened(loop)
    assert owner.is_alive() is True
    loop.close()
    assert owner.is_alive() is False


def test_the_clock_of_leases_goes_on_and_is_not_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _clock.boot()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert before <= _clock.boot() < before + 60


@pytest.mark.parametrize("text", ["x", "[]", "{}", '["a", "b", "c", "d", "e", "f"]', "null"])
def test_what_is_not_an_owner_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Owner.read(text)


def test_another_machine_cannot_be_told_of() -> None:
    for elsewhere in ({"boot": "another"}, {"processes": "a container's"}):
        owner = attrs.evolve(Owner.here(), pid=1, **elsewhere)
        assert owner.is_alive() is None
        assert owner.shares_clock() is ("boot" not in elsewhere)


def test_another_process_is_alive_until_it_ends() -> None:
    code = (
        "from hostup_async._store.owner import Owner; print(Owner.here().text, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        owner = Owner.read(process.stdout.readline())
        assert owner.is_alive() is True
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owner.is_alive() is False  # killed, though not reaped yet
        process.wait()
    assert owner.is_alive() is False


def test_a_process_id_given_out_again_is_another_process() -> None:
    owner = attrs.evolve(Owner.here(), pid=os.getppid(), started="0")
    assert owner.is_alive() is False


def test_without_proc_a_living_process_id_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    here = Owner.here()
    assert here.started == ""
    assert here.boot == ""
    assert here.shares_clock() is False
    assert attrs.evolve(here, pid=os.getppid()).is_alive() is None
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert attrs.evolve(here, pid=process.pid).is_alive() is False


def test_another_users_process_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert owner._exists(1)
