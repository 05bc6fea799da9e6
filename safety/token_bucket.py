"""Rate limits: GCRA, which keeps one number per bucket (when it would be full again).

`50/min` is a bucket of 50 that refills evenly within a minute.
"""

import re
from dataclasses import dataclass

_PERIODS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "min": 60,
    "m": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "day": 86400,
    "d": 86400,
}


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many per so many seconds."""

    limit: int
    period: float

    def __str__(self) -> str:
        name = next((n for n in ("s", "min", "h", "day") if _PERIODS[n] == self.period), f"{self.period:g} s")
        return f"{self.limit}/{name}"


def parse_rate(text: str) -> Rate:
    """`50/min`, `3/hour`, `7/day`; raises ValueError in words."""
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([a-z]+)\s*", str(text).lower())
    if not match or (match[2].rstrip("s") not in _PERIODS and match[2] not in _PERIODS) or int(match[1]) < 1:
        raise ValueError(f"{text!r} is not a rate: write 50/min, 3/hour or 7/day")
    return Rate(limit=int(match[1]), period=_PERIODS.get(match[2]) or _PERIODS[match[2].rstrip("s")])


def take(rate: Rate, tat: float | None, now: float) -> float:
    """The new number after one token; over the limit when `wait` says so."""
    return max(now, tat or 0.0) + rate.period / rate.limit


def wait(rate: Rate, tat: float | None, now: float) -> float:
    """Seconds until one token can be taken; 0 when it can be now."""
    return max(0.0, take(rate, tat, now) - rate.period - now)


def used(rate: Rate, tat: float | None, now: float) -> int:
    """How many tokens are taken at this moment."""
    if tat is None or tat <= now:
        return 0
    return min(rate.limit, -int(-(tat - now) * rate.limit / rate.period // 1))
