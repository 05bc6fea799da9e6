"""Cron lines and time zones: what they mean, when they fire, and how people say it. Pure.

A line has five fields and means what Debian's cron makes of it: days of the week count from Sunday as 0 or 7, days of
the month and of the week are alternatives where neither begins with a star, names and ranges and steps are understood.
A moment that a clock skips is made up for when the clock goes on; one that a clock shows twice counts once. Lines with
a star in minute or hour follow the hours as they come instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError
from cronsim.explain import explain

from storage.errors import Invalid

MOST = 1_000
"""Moments that are counted one by one."""
LONGEST = 100
"""Characters of a line."""
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")
_EXAMPLE = 'Write five fields, like "0 2 * * *" for 02:00 every day: minute, hour, day of month, month, day of week.'


def cron_of(text: str) -> str:
    """A line in its one spelling; raises Invalid for what is none, and for one that never fires."""
    typed = " ".join(re.sub("[‐‑‒–—―−]", "-", text).lower().split())
    if typed.startswith("@"):
        return _nickname(typed)
    fields = typed.split()
    shown = typed if len(typed) <= 60 else f"{typed[:59]}…"
    if len(fields) != 5 or len(typed) > LONGEST or not all(map(_FIELD.fullmatch, fields)):
        raise Invalid(f"'{shown}' is no cron line. {_EXAMPLE}")
    try:
        found = CronSim(typed, datetime(2026, 1, 1, tzinfo=UTC))
        next(found)
    except StopIteration:
        raise Invalid(f"'{shown}' never comes: no day is like that.") from None
    except (CronSimError, AssertionError, ValueError) as error:
        if _is_right_by_field(fields):
            raise Invalid(f"'{shown}' never comes: none of its months has such a day.") from None
        what = f" ({str(error).lower()})" if isinstance(error, CronSimError) else ""
        raise Invalid(f"'{shown}' is no cron line{what}. {_EXAMPLE}") from error
    return typed


def _is_right_by_field(fields: list[str]) -> bool:
    """Whether each field means something by itself: what is wrong is that they never meet."""
    minute, hour, day, month, weekday = fields
    try:
        for line in (f"{minute} {hour} {day} * {weekday}", f"0 0 * {month} *"):
            CronSim(line, datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError):
        return False
    return True


def _nickname(typed: str) -> str:
    if typed in _NICKNAMES:
        return _NICKNAMES[typed]
    if typed == "@reboot":
        raise Invalid("@reboot is no time, and Handrail starts no runbooks because it was started itself. Name a time.")
    known = ", ".join(_NICKNAMES)
    raise Invalid(f"'{typed[:60]}' is none of {known}. {_EXAMPLE}")


def zone_of(text: str) -> str:
    """The name of a time zone in its one spelling; raises Invalid, with near misses."""
    names = _names()
    typed = re.sub("[‐‑‒–—―−]", "-", text.strip()).replace(" ", "_")
    found = names.get(typed.casefold())
    if found is not None:
        return found
    last = [name for name in names.values() if name.rpartition("/")[2].casefold() == typed.casefold()]
    near = sorted(last) or [
        names[key] for key in get_close_matches(typed[:64].casefold(), list(names), n=2, cutoff=0.7)
    ]
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else " Write one like Europe/Berlin, or UTC."
    raise Invalid(f"'{text[:60]}' is no time zone.{hint}")


def zones() -> list[str]:
    """The names of all time zones that are known here."""
    return list(_names().values())


@cache
def _names() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones())}


def moments(line: str, zone: str, after: datetime) -> Iterator[datetime]:
    """When it fires after that moment, in UTC, one later than the other; for ever, or until nothing fits any more.

    Raises Invalid where line or zone are known no more.
    """
    try:
        found = CronSim(line, after.astimezone(ZoneInfo(zone)))
    except (CronSimError, AssertionError, ValueError) as error:
        raise Invalid(f"'{line}' is no cron line any more.") from error
    except (ZoneInfoNotFoundError, OSError) as error:
        raise Invalid(f"The time zone '{zone}' is not known here any more.") from error
    newest = after.astimezone(UTC)
    for moment in found:
        # Within an hour that a clock shows twice, what comes first may lie before `after`.
        at = moment.astimezone(UTC)
        if at > newest:
            newest = at
            yield at


def next_after(line: str, zone: str, after: datetime) -> datetime | None:
    """The first moment after that one, or None where nothing fits any more. Raises Invalid."""
    return next(moments(line, zone, after), None)


def next_few(line: str, zone: str, after: datetime, *, most: int = 5) -> list[datetime]:
    """The first moments after that one. Raises Invalid."""
    return list(islice(moments(line, zone, after), most))


def newest_firing(line: str, zone: str, now: datetime) -> datetime | None:
    """The newest moment up to `now` at which it fired; None where that is more than a year ago. Raises Invalid."""
    for days in (1, 8, 32, 367):
        found = max(_up_to(line, zone, now - timedelta(days=days), now), default=None)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The moments from one that is due up to now. `last`: the newest, if it is not too old to be of use."""

    last: datetime | None
    missed: int  # how many others there are; of very many, those that were counted
    last_missed: datetime | None  # the newest of them
    next_at: datetime | None  # the first after now


def passed(line: str, zone: str, due: datetime, now: datetime, *, window: timedelta) -> Passed:
    """What came due from `due` up to now; only what is not older than `window` is of use. Raises Invalid."""
    found = [due, *_up_to(line, zone, due, now, most=MOST - 1)]
    if len(found) == MOST:
        recent = _up_to(line, zone, max(found[-1], now - window - timedelta(seconds=1)), now)
        found += list(recent)[-2:]
    missed = found[:-1] if now - found[-1] <= window else found
    return Passed(
        last=found[-1] if missed != found else None,
        missed=len(missed),
        last_missed=missed[-1] if missed else None,
        next_at=next_after(line, zone, max(now, due)),
    )


def _up_to(line: str, zone: str, after: datetime, now: datetime, *, most: int | None = None) -> Iterator[datetime]:
    for moment in islice(moments(line, zone, after), most):
        if moment > now:
            return
        yield moment


def in_words(line: str, zone: str) -> str:
    """ "At 02:00 every day (Europe/Berlin)"."""
    try:
        said = explain(line)
    except Exception:  # a line it cannot put into words is still a line
        said = f"`{line}`"
    return f"{said} ({zone})"


def local(at: datetime, zone: str) -> str:
    """A moment as the schedule's own clock shows it: "Thu 2026-11-26 02:00"."""
    return f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"
