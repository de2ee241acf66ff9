"""Which key, which API, which store: flags, environment, configuration, keyring, in this order."""

import os
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

from attrs import frozen

from hostup_async import Budget, Client, Event, OnEvent, Retrying, Timeouts
from hostup_async._config import BASE_VARIABLE, KEY_VARIABLE, SecretText
from hostup_async.cli._exits import CommandFailed, ExitCode, usage
from hostup_async.cli._inputs.policy import duration
from hostup_async.cli._inputs.profiles import Profile, config_path, default_store, read_profile
from hostup_async.cli._options import AccountOptions

T = TypeVar("T")
READING: Final = 15.0
"""Someone is waiting for what is read, and can ask again."""
RUNNING: Final = 180.0
"""A run outlasts what can be outlasted."""
_HOUR: Final = 3600.0
_SERVICE: Final = "hostup"


@frozen
class Account:
    """What a command talks to.

    Attributes:
        key: The key.
        source: Where the key was found, for people.
        base: The API's origin; None for the default.
        profile: The profile in use.
        options: What was asked for.
        patience: For how many seconds a call retries without answers; None for the usual.
        budget: One for the command, whatever clients it opens one after the other.
    """

    key: SecretText
    source: str
    base: str | None
    profile: Profile
    options: AccountOptions
    patience: float | None
    budget: Budget

    def client(self, on_event: OnEvent | None = None, *, patience: float = RUNNING) -> Client:
        """A client, not entered yet; without answers, a call retries for `patience` seconds."""
        return Client(
            self.key,
            base_url=self.base,
            timeouts=Timeouts(call=patience if self.patience is None else self.patience),
            budget=self.budget,
            on_event=on_event or _tell_retries,
        )

    @property
    def flags(self) -> list[str]:
        """The options that lead another command to the same account."""
        given = {
            "--profile": self.options.profile,
            "--api-base": self.options.api_base,
            "--key-file": self.options.key_file,
        }
        return [word for flag, value in given.items() if value for word in (flag, value)]


def _tell_retries(event: Event) -> None:
    if isinstance(event, Retrying):
        sys.stderr.write(f"hostup: trying {event.path} again: {event.reason}\n")


def find_account(options: AccountOptions) -> Account:
    """The account that the options, or else the environment and so on, lead to.

    Raises:
        CommandFailed: There is no key, or something on the way cannot be used.
    """
    profile = read_profile(options.profile)
    bases = (options.api_base, *_in_order(options, _env_base(), profile.api_base))
    base = next(filter(None, bases), None)
    found = next(_keys(options, profile), None)
    if found is None:
        raise CommandFailed(_no_key(profile), ExitCode.AUTHENTICATION)
    key, source = found
    given = options.patience
    patience = None if given is None else duration("--patience", given)
    return Account(key, source, base, profile, options, patience, Budget(max_wait=_HOUR))


def _in_order(options: AccountOptions, environment: T, profile: T) -> tuple[T, T]:
    """The environment goes first, but a profile that was asked for by name is not overruled.

    Otherwise `--profile staging` would act with whatever key the shell happens to hold.
    """
    return (profile, environment) if options.profile else (environment, profile)


def _env_base() -> str | None:
    return os.environ.get(BASE_VARIABLE)


def _keys(options: AccountOptions, profile: Profile) -> Iterator[tuple[SecretText, str]]:
    if options.key_file:
        yield _key_in(options.key_file), f"the file {options.key_file}"
    variable = _key(os.environ.get(KEY_VARIABLE)), f"the variable {KEY_VARIABLE}"
    written = profile.api_key, f"profile {profile.name} of {config_path()}"
    for key, source in _in_order(options, variable, written):
        if key:
            yield key, source
    if kept := _in_keyring(profile.name):
        yield kept, f"the keyring, as {profile.name} of {_SERVICE}"


def _key(text: str | None) -> SecretText | None:
    return SecretText(text.strip()) if text and text.strip() else None


def _key_in(name: str) -> SecretText:
    try:
        key = _key(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"--key-file cannot be read: {error}"
        raise usage(message) from None
    if key is None:
        message = f"--key-file {name} is empty"
        raise usage(message)
    return key


def _in_keyring(name: str) -> SecretText | None:
    if find_spec("keyring") is None:
        return None
    import keyring  # noqa: PLC0415 - an extra, and slow to import
    from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415 - likewise

    try:
        return _key(keyring.get_password(_SERVICE, name))
    except NoKeyringError:
        return None
    except KeyringError as error:
        sys.stderr.write(f"hostup: the keyring cannot be used: {error}\n")
        return None


def _no_key(profile: Profile) -> str:
    return (
        f"no API key: set {KEY_VARIABLE}, or write it into {config_path()} (mode 600) as api_key "
        f"under [profiles.{profile.name}], or into the keyring (pip install 'hostup[keyring]'; "
        f"keyring set {_SERVICE} {profile.name}). Keys are made in HostUp's control panel, with "
        "the scopes read:vm and power:vm."
    )


def find_store(given: str | None, profile: Profile) -> str:
    """Where runs are recorded."""
    return given or profile.store or os.fspath(default_store())


def existing_store(given: str | None, profile: Profile) -> str:
    """Likewise, for a command that only reads: a file that is not there is not made.

    Raises:
        CommandFailed: There is no such file.
    """
    store = find_store(given, profile)
    path = store.removeprefix("sqlite:///")
    if "://" not in path and not Path(path).exists():
        message = f"there is no store {path} yet: no run was recorded there"
        raise CommandFailed(message)
    return store


def command_line(*words: str) -> str:
    """A command, to be pasted into a shell."""
    return shlex.join(["hostup", *words])
