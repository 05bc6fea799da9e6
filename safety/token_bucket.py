"""Rate limits: GCRA, which keeps one number per bucket (when it would be full again).

`50/min` is a bucket of 50 that refills evenly within a minute. A rule may have several windows (`5/min` and `7/day`):
each is a bucket of its own, and all must have a token.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from safety.clock import words

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

    @property
    def window(self) -> str:
        """The window as people say it: "minute", "hour", "30 s"."""
        long = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
        return long.get(int(self.period)) or words(self.period)


Rates = tuple[Rate, ...]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many executions may be admitted; `runbooks` are the rates of single ones instead of `runbook`."""

    everything: Rates = (Rate(limit=50, period=60.0),)
    service: Rates = (Rate(limit=10, period=60.0),)
    runbook: Rates = (Rate(limit=5, period=60.0),)
    person: Rates = (Rate(limit=20, period=60.0),)
    look: Rates = (Rate(limit=30, period=60.0),)  # probes and dry runs of one person
    runbooks: Mapping[str, Rates] = field(default_factory=dict)


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


def returns(rate: Rate, tat: float | None, now: float) -> float:
    """Seconds until one more token is there; 0 while the bucket is full."""
    if tat is None or tat <= now:
        return 0.0
    return (tat - now) % (rate.period / rate.limit) or rate.period / rate.limit


def used(rate: Rate, tat: float | None, now: float) -> int:
    """How many tokens are taken at this moment."""
    if tat is None or tat <= now:
        return 0
    return min(rate.limit, -int(-(tat - now) * rate.limit / rate.period // 1))


def shown(rate: Rate, tat: float | None, now: float) -> str:
    """ "2 of 5 this minute, next in 12 s"."""
    taken, seconds = used(rate, tat, now), returns(rate, tat, now)
    return f"{taken} of {rate.limit} this {rate.window}" + (f", next in {words(seconds)}" if taken else "")
