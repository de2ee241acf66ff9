"""Which key, which API and which store: flags, environment, configuration, keyring."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from cli_tools import here, sandbox

from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import Account, existing_store, find_account, find_store
from hostup_async.cli._inputs.profiles import Profile, config_path, default_store, read_profile
from hostup_async.cli._options import AccountOptions, LimitOptions

pytestmark = pytest.mark.usefixtures("cli_home")
CONFIG = """
default_profile = "prod"
[profiles.prod]
api_key = "sk_prod_00000000"
api_base = "https://prod.example.com"
store = "/var/lib/prod.db"
[profiles.staging]
api_key = "sk_staging_00000000"
api_base = "https://staging.example.com"
[profiles.keyless]
"""


def configure(text: str = CONFIG, mode: int = 0o600) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def account(**options: str) -> Account:
    return find_account(AccountOptions(**options), LimitOptions())


def test_the_default_profile() -> None:
    path = configure()
    found = account()
    assert (str(found.key), found.base) == ("sk_prod_00000000", "https://prod.example.com")
    assert found.source == f"profile prod of {path}"
    assert find_store(None, found.profile) == "/var/lib/prod.db"
    assert "sk_prod" not in repr(found)


def test_the_environment_goes_before_the_default_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    monkeypatch.setenv("HOSTUP_API_KEY", "sk_env_00000000")
    monkeypatch.setenv("HOSTUP_API_BASE", "https://env.example.com")
    assert (str(account().key), account().base) == ("sk_env_00000000", "https://env.example.com")


def test_a_profile_that_is_named_is_not_overruled_by_the_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure()
    monkeypatch.setenv("HOSTUP_API_KEY", "sk_env_00000000")
    monkeypatch.setenv("HOSTUP_API_BASE", "https://env.example.com")
    found = account(profile="staging")
    assert str(found.key) == "sk_staging_00000000"
    assert found.base == "https://staging.example.com"
    assert found.flags == ["--profile", "staging"]
    assert str(account(profile="keyless").key) == "sk_env_00000000"


def test_flags_go_before_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configure()
    monkeypatch.setenv("HOSTUP_API_KEY", "sk_env_00000000")
    file = tmp_path / "key"
    file.write_text("sk_file_00000000\n")
    found = account(key_file=str(file), api_base="https://flag.example.com", profile="staging")
    assert (str(found.key), found.base) == ("sk_file_00000000", "https://flag.example.com")


@pytest.mark.parametrize("content", [None, " \n", b"\xff\xfe"])
def test_a_key_file_that_cannot_be_used(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CommandFailed, match="--key-file") as failed:
        account(key_file=str(file))
    assert failed.value.code is ExitCode.USAGE


def test_the_keyring_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = ModuleType("keyring.errors")
    vars(errors)["KeyringError"] = vars(errors)["NoKeyringError"] = RuntimeError
    ring = ModuleType("keyring")
    vars(ring)["get_password"] = lambda service, name: f"sk_{service}_{name}_00000000"
    vars(ring)["__spec__"] = sys.__spec__
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert str(account().key) == "sk_hostup_default_00000000"
    assert account().source == "the keyring, as default of hostup"
    monkeypatch.setenv("HOSTUP_API_KEY", "sk_env_00000000")
    assert str(account().key) == "sk_env_00000000"


def test_no_key_anywhere() -> None:
    with pytest.raises(CommandFailed, match="no API key: set HOSTUP_API_KEY") as failed:
        account()
    assert failed.value.code is ExitCode.AUTHENTICATION


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    path = configure(mode=mode)
    with pytest.raises(CommandFailed, match=f"chmod 600 {path}"):
        read_profile(None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("profiles = ", "is not valid TOML"),
        ("[profiles.default]\napi_kye = 'x'", "'api_kye'; known are api_key"),
        ("[profiles.default]\napi_key = 5", "api_key must be a string"),
        ("default_profile = 'gone'", "no profile 'gone'; its profiles: none"),
    ],
)
def test_a_file_that_cannot_be_used(text: str, words: str) -> None:
    configure(text)
    with pytest.raises(CommandFailed, match=words):
        read_profile(None)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(CommandFailed, match="does not exist"):
        read_profile("prod")
    configure()
    with pytest.raises(CommandFailed, match="its profiles: prod, staging, keyless"):
        read_profile("production")


def test_without_profiles_there_is_the_empty_default() -> None:
    assert read_profile(None) == Profile()
    configure("profiles = 5")
    assert read_profile(None) == Profile()


def test_the_default_store_is_for_this_user_alone(cli_home: Path) -> None:
    store = default_store()
    assert store == cli_home / "state" / "hostup" / "fleet.db"
    assert store.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(CommandFailed, match="there is no store"):
        existing_store(None, Profile())


def test_auth_check_tells_the_key_by_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        works = here("auth", "check")
        assert not any("reset" in kind for kind in served.books().requests)
    with sandbox(monkeypatch, vps=1, scopes={"power:vm"}):
        lacks = here("auth", "check", "--json")
    assert works.returncode == 0
    assert "the variable HOSTUP_API_KEY" in works.stdout
    assert "sk_test" not in works.stdout + lacks.stdout
    assert lacks.returncode == 5
    assert "read:vm" in lacks.stdout
    assert "missing" in lacks.stdout
