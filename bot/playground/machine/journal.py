"""The journal of a simulated host."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

LENGTH = 5000  # entries kept


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the journal."""

    at: datetime
    unit: str
    origin: str  # "systemd[1]"
    text: str


class Journal:
    """The entries, oldest first."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.entries: list[Entry] = []
        self._now = now

    def note(self, unit: str, text: str, *, origin: str = "systemd[1]") -> None:
        """Add a line; the oldest go when it is long."""
        self.entries.append(Entry(at=self._now(), unit=unit, origin=origin, text=text))
        del self.entries[:-LENGTH]

    def of(self, unit: str) -> list[Entry]:
        """Those of one unit."""
        return [entry for entry in self.entries if entry.unit == unit]
