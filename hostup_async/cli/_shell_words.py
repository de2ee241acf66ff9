"""Messages of the library, which speak of Python, in the words of a shell."""

import re
from typing import Final

_ARGUMENTS: Final = (
    "max_in_flight",
    "max_failures",
    "max_ambiguous",
    "on_ambiguous",
    "job_timeout",
    "cooldown",
    "skip_booted_within",
)


def as_option(name: str) -> str:
    """The option for an argument of the library.

    Example:
        >>> as_option("max_in_flight")
        '--max-in-flight'
    """
    return f"--{name.replace('_', '-')}"


# Patterns of what messages say, and what is said at a shell in place of it.
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"`?client\.vps\.list\(\)`?", "hostup vps list"),
    (r"`?client\.vps\.gates\(id\)`?", "hostup vps show ID"),
    (r"client\.vps\.status\('\.\.\.'\)", "hostup vps status ID"),
    (r"client\.vps\.status\((['\"])(.*?)\1\)", r"hostup vps status \2"),
    (r"client\.fleet\.resume\('([^']*)', store=\.\.\.\)", r"hostup fleet resume \1"),
    (r"follow it with client\.operation\('[^']*'\)", "hostup vps status ID shows its state"),
    (r"client\.operation\('[^']*'\)\.wait\(\.\.\.\)", "hostup vps status ID"),
    (r"; `errors` names the fields\.", "."),
    (
        r"Wait `retry_after` seconds; the client's budget .*? `max_wait`\.",
        "Wait, then try again.",
    ),
    (r"allow more with Client\(budget=Budget\(max_wait=\.\.\.\)\)", "try again then"),
    (r"pass other_key=True \(on the command line: --other-key\)", "add --other-key"),
    (r"pass (store=)?None for memory", "--store none for none"),
    (r"pass allow_http=True where the network is trusted", "an address of this machine"),
    (r"pass Client\(api_key=\.\.\.\) or set", "set"),
)
_ARGUMENT: Final = re.compile(rf"\b({'|'.join(_ARGUMENTS)})(?= must| \d)")


def in_shell_words(message: str) -> str:
    """A message of the library for a person at a shell.

    Example:
        >>> in_shell_words("404 not_found. Check the id against `client.vps.list()`.")
        '404 not_found. Check the id against hostup vps list.'
    """
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return _ARGUMENT.sub(lambda found: as_option(found[0]), message)
