"""The account and the store: from flags, environment, configuration and keyring, in this order."""

import os
import shlex
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

from attrs import frozen

from hostup_async import (
    Budget,
    Client,
    Event,
    OnEvent,
    Retrying,
    Store,
    Timeouts,
    Waiting,
    open_store,
)
from hostup_async._config import BASE_VARIABLE, KEY_VARIABLE, SecretText, find_base, find_key
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode, usage
from hostup_async.cli._inputs.limits import read_limit, read_share
from hostup_async.cli._inputs.paths import NO_STORE, expand, store_in
from hostup_async.cli._inputs.policy import duration
from hostup_async.cli._inputs.profiles import Profile, config_path, default_store, read_profile
from hostup_async.cli._options import STORE_VARIABLE, AccountOptions, LimitOptions, StoreOptions
from hostup_async.cli._output.waits import budget_in_words

T = TypeVar("T")
READING: Final = 15.0
"""Seconds of retries for a command that reads: a person waits, and can ask again."""
RUNNING: Final = 180.0
"""Seconds of retries in a run, which should outlast a short failure of the network."""
# Seconds: a shorter wait is over before a person wonders.
_LONG_WAIT: Final = 1.0
_HOUR: Final = 3600.0
_SERVICE: Final = "hostup"


@frozen
class Account:
    """The API, the key and the profile that a command uses.

    Attributes:
        key: The API key.
        source: Where the key was found, for people.
        base: Address of the API; None for the default.
        profile: The profile in use.
        options: The options that led here.
        limits: The options that say what is known of the rate limit.
        patience: Seconds for which a request without an answer is retried; None for the default.
        budget: One rate-limit budget for all clients that the command opens.
    """

    key: SecretText
    source: str
    base: str | None
    profile: Profile
    options: AccountOptions
    limits: LimitOptions
    patience: float | None
    budget: Budget

    def client(self, on_event: OnEvent | None = None, *, patience: float = RUNNING) -> Client:
        """A client, not entered yet; it retries for `patience` seconds where no answer comes."""
        return Client(
            self.key,
            base_url=self.base,
            timeouts=Timeouts(call=patience if self.patience is None else self.patience),
            budget=self.budget,
            on_event=on_event or print_wait,
        )

    @property
    def origin(self) -> str:
        """The API's scheme, host and port."""
        return find_base(self.base)

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return find_key(self.key).fingerprint

    @property
    def flags(self) -> list[str]:
        """The options that lead another command to the same account."""
        limits = {"--limit": self.limits.limit, "--share": self.limits.share}
        return [*account_flags(self.options), *_flags(limits)]


def account_flags(options: AccountOptions) -> list[str]:
    """The options that lead another command to the account that these lead to."""
    key_file = options.key_file
    return _flags(
        {
            "--profile": options.profile,
            "--api-base": options.api_base,
            "--key-file": key_file and os.fspath(Path(key_file).absolute()),
        }
    )


def store_flags(options: StoreOptions) -> list[str]:
    """The options that lead another command to the same store."""
    return _flags({"--store": options.store and store_in(Path.cwd(), options.store)})


def _flags(given: Mapping[str, str | None]) -> list[str]:
    return [word for flag, value in given.items() if value for word in (flag, value)]


def print_wait(event: Event) -> None:
    """Say what a command that reads waits for."""
    match event:
        case Retrying():
            sys.stderr.write(f"hostup: retrying {event.path}: {printable(event.reason)}\n")
        case Waiting() if event.seconds >= _LONG_WAIT:
            wait = budget_in_words(event.reason, event.seconds, event.why)
            sys.stderr.write(f"hostup: waiting for the rate limit: {wait}\n")
        case _:
            return
    sys.stderr.flush()


def find_account(options: AccountOptions, limits: LimitOptions) -> Account:
    """The account that options, environment, configuration and keyring lead to.

    Raises:
        CommandFailed: There is no key, or an option or the configuration cannot be used.
    """
    profile = read_profile(options.profile)
    bases = (options.api_base, *_in_order(options, os.environ.get(BASE_VARIABLE), profile.api_base))
    base = next(filter(None, bases), None)
    found = next(_keys(options, profile), None)
    if found is None:
        raise CommandFailed(_no_key(profile), ExitCode.AUTHENTICATION)
    key, source = found
    patience = None if options.patience is None else duration("--patience", options.patience)
    budget = _make_budget(limits, profile)
    return Account(key, source, base, profile, options, limits, patience, budget)


def _make_budget(options: LimitOptions, profile: Profile) -> Budget:
    limit, share = profile.limit, profile.share
    if options.limit is not None:
        limit = read_limit("--limit", options.limit)
    if options.share is not None:
        share = read_share("--share", options.share)
    return Budget(limit, share=1.0 if share is None else share, max_wait=_HOUR)


def _in_order(options: AccountOptions, environment: T, profile: T) -> tuple[T, T]:
    """The environment goes before the profile, unless the profile was chosen by name.

    Otherwise `--profile staging` would act with the key that happens to be in the environment.
    """
    return (profile, environment) if options.profile else (environment, profile)


def _keys(options: AccountOptions, profile: Profile) -> Iterator[tuple[SecretText, str]]:
    if options.key_file:
        yield _key_in(options.key_file), f"the file {options.key_file}"
    from_environment = _key(os.environ.get(KEY_VARIABLE)), f"the variable {KEY_VARIABLE}"
    from_profile = profile.api_key, f"profile {profile.name} of {_config_name()}"
    for key, source in _in_order(options, from_environment, from_profile):
        if key:
            yield key, source
    if kept := _in_keyring(profile.name):
        yield kept, f"the keyring, as {profile.name} of {_SERVICE}"


def _config_name() -> str:
    try:
        return str(config_path())
    except CommandFailed:  # the home directory is not known
        return "~/.config/hostup/config.toml"


def _key(text: str | None) -> SecretText | None:
    return SecretText(text.strip()) if text and text.strip() else None


def _key_in(name: str) -> SecretText:
    try:
        key = _key(expand(name).read_text(encoding="utf-8-sig"))
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
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to import

        return _key(keyring.get_password(_SERVICE, name))
    except Exception as error:  # noqa: BLE001 - the system's keyring is a plug-in, which may raise anything
        if type(error).__name__ != "NoKeyringError":
            sys.stderr.write(f"hostup: the keyring cannot be used: {printable(error)}\n")
        return None


def _no_key(profile: Profile) -> str:
    return (
        f"there is no API key: set {KEY_VARIABLE}, or write the key to {_config_name()} (mode 600) "
        f"as api_key under [profiles.{profile.name}], or to the keyring (pip install "
        f"'hostup[keyring]'; keyring set {_SERVICE} {profile.name}). Make a key in HostUp's "
        "control panel, with the scopes read:vm and power:vm."
    )


def find_store(option: str | None, profile: Profile) -> str:
    """Where runs are recorded: the option's store, or the profile's, or the default one."""
    if option:
        return store_in(Path.cwd(), _not_relative(option))
    return profile.store or os.fspath(default_store())


def _not_relative(option: str) -> str:
    """The option; refuses a variable that means another file in each directory."""
    is_variable = option == os.environ.get(STORE_VARIABLE)
    if is_variable and not os.path.isabs(store_in(Path(), option)) and option != NO_STORE:  # noqa: PTH117 - it may be a URL
        message = (
            f"{STORE_VARIABLE} is {printable(option)!r}, which is another file in each directory, "
            "so that what is recorded in one is not seen in the others: set it to a whole path"
        )
        raise usage(message)
    return option


def existing_store(option: str | None, profile: Profile) -> str:
    """Find the store for a command that reads recorded runs, without creating its file.

    Raises:
        CommandFailed: The file does not exist.
    """
    store = find_store(option, profile)
    if not store_exists(store):
        message = f"there is no store {store} yet: no run has been recorded in it"
        raise CommandFailed(message)
    return store


def recorded_store(store: StoreOptions, account: AccountOptions) -> str:
    """Find the store for a command that reads recorded runs and needs no key.

    Raises:
        CommandFailed: The file does not exist.
    """
    return existing_store(store.store, read_profile(account.profile))


def store_exists(store: str) -> bool:
    """Whether a store is there already, rather than to be created by its first run."""
    path = store.removeprefix("sqlite:///")
    return "://" in path or Path(path).exists()


@asynccontextmanager
async def open_to_read(store: str) -> AsyncGenerator[Store, None]:
    """Open a store for a command that only reads: also where this user may not write to it."""
    path = Path(store.removeprefix("sqlite:///"))
    is_writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    async with open_store(store, read_only=not is_writable) as opened:
        yield opened


def command_line(*words: str) -> str:
    """A `hostup` command, quoted for a shell."""
    return shlex.join(["hostup", *words])
