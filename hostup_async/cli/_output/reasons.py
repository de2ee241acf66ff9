"""Why VPSes did not complete: equal reasons counted as one, in the words of a shell."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import field, frozen

from hostup_async import Entry, Outcome
from hostup_async._text import printable
from hostup_async.cli._shell_words import in_shell_words

_LEAST_TELLING: Final = 6  # characters; a shorter id may be part of a word
_UNKNOWN_SINCE: Final = re.compile(r"(?<= sent at )\S+(?= is unknown)")
_FEW: Final = 3


@frozen
class SharedReason:
    """A reason that some VPSes have in common.

    Attributes:
        state: What became of them: an outcome's status or an entry's state.
        words: The reason, with an ellipsis for what names a single VPS.
        own: The reason of the first of them, as it is.
        vps_ids: The VPSes, in order.
    """

    state: str
    words: str
    own: str
    vps_ids: list[str] = field(factory=list[str])

    def in_words(self, names: Mapping[str, str]) -> str:
        """The reason, and whose it is; for one VPS with its own ids."""
        few = [label(one, names) for one in self.vps_ids[:_FEW]]
        more = len(self.vps_ids) - len(few)
        whose = ", ".join(few) + (f", and {more} more" if more > 0 else "")
        return f"{self.own if len(self.vps_ids) == 1 else self.words} [{whose}]"

    def line(self, names: Mapping[str, str]) -> str:
        """How many have it, what became of them, the reason, and whose it is."""
        return f"  {len(self.vps_ids):6}  {self.state}: {self.in_words(names)}"


def label(vps_id: str, names: Mapping[str, str]) -> str:
    """A VPS as people know it: its id, and its name where that is known.

    Example:
        >>> label("vps_1", {"vps_1": "web"}), label("vps_2", {})
        ('vps_1 (web)', 'vps_2')
    """
    name = names.get(vps_id)
    return printable(f"{vps_id} ({name})" if name else vps_id)


def in_columns(vps_id: str, names: Mapping[str, str]) -> str:
    """A VPS at the head of a line: its id, two blanks, and its name where that is known.

    Example:
        >>> in_columns("vps_1", {"vps_1": "web"}), in_columns("vps_2", {})
        ('vps_1  web', 'vps_2')
    """
    return printable(f"{vps_id}  {names.get(vps_id) or ''}".rstrip())


def shared_words(one: Entry | Outcome) -> str:
    """A reason without what names one VPS, its job or its requests alone."""
    words = one.reason or ""
    for own in (one.vps_id, one.job_id, *one.request_ids):
        if own and len(own) >= _LEAST_TELLING:
            words = words.replace(own, "…")
    return in_shell_words(_UNKNOWN_SINCE.sub("…", words))


def share_reasons(found: Iterable[tuple[str, Entry | Outcome]]) -> Sequence[SharedReason]:
    """The reasons of entries or outcomes, each with its state, the most common first."""
    shared: dict[tuple[str, str], SharedReason] = {}
    for state, one in found:
        words = shared_words(one)
        key = state, words
        if key not in shared:
            shared[key] = SharedReason(state, words, in_shell_words(one.reason or ""))
        shared[key].vps_ids.append(one.vps_id)
    return sorted(shared.values(), key=lambda reason: -len(reason.vps_ids))
