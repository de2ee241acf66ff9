"""Remembers which VPS each job was accepted for."""

from typing import Final

# Jobs; about 20 MB. Older ones are forgotten first.
_REMEMBERED: Final = 100_000


class AcceptedJobs:
    """The jobs that a client knows of, each with its VPS.

    An API that names one job for two VPSes cannot have accepted both actions, and does not say
    which: such a job is disputed, and tells nothing about either VPS.
    """

    def __init__(self) -> None:
        self._vps_ids: dict[str, str] = {}
        self._disputed: set[str] = set()

    def claim(self, vps_id: str | None, *names: str | None) -> bool:
        """Note that a job is this VPS's; False where it is disputed.

        Args:
            vps_id: The VPS; None where it is not known, which disputes nothing.
            names: The job's id and its poll URL; None for what is not known.
        """
        if vps_id is None:
            return True
        known = [name for name in names if name]
        if any(self._vps_ids.setdefault(name, vps_id) != vps_id for name in known):
            self._disputed.update(known)
        while len(self._vps_ids) > _REMEMBERED:
            self._disputed.discard(next(iter(self._vps_ids)))
            del self._vps_ids[next(iter(self._vps_ids))]
        return not self.is_disputed(*known)

    def is_disputed(self, *names: str | None) -> bool:
        """Whether a job, by its id or its poll URL, was named for two VPSes."""
        return not self._disputed.isdisjoint(names)
