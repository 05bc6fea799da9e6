"""Time and chance, injected. Only this module looks at the wall clock."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What long-lived objects ask for the time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemClock:
    """The real one."""

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """The event loop's sleep."""
        await asyncio.sleep(seconds)


Sleep = Callable[[float], Awaitable[None]]


def jitter(seconds: float, share: float = 0.1) -> float:
    """A length of time, up to `share` more or less, so that many waiters do not return at once."""
    return seconds * (1 + share * (2 * random.random() - 1))  # noqa: S311 - spreading load, not a secret


def words(seconds: float) -> str:
    """A length of time as people say it: "7 min 12 s", "3 h", "0.4 s"."""
    if seconds < 0:
        seconds = 0
    if seconds < 10 and round(seconds, 1) != int(seconds):
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"
