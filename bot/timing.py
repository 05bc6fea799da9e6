"""When a schedule fires, as a form asks for it: a usual time, or a cron line. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runbooks import cron
from storage.errors import Invalid

LINE = "line"
"""Instead of a usual time: the cron line says it."""
USUAL: Mapping[str, tuple[str, str]] = {
    "hour": ("Every hour", "{minute} * * * *"),
    "day": ("Every day", "{minute} {hour} * * *"),
    "workday": ("Monday to Friday", "{minute} {hour} * * 1-5"),
    "mon": ("Every Monday", "{minute} {hour} * * 1"),
    "tue": ("Every Tuesday", "{minute} {hour} * * 2"),
    "wed": ("Every Wednesday", "{minute} {hour} * * 3"),
    "thu": ("Every Thursday", "{minute} {hour} * * 4"),
    "fri": ("Every Friday", "{minute} {hour} * * 5"),
    "sat": ("Every Saturday", "{minute} {hour} * * 6"),
    "sun": ("Every Sunday", "{minute} {hour} * * 0"),
    "month": ("The 1st of each month", "{minute} {hour} 1 * *"),
}
"""What is offered: its name, and its cron line with places for the time of day."""
NIGHT = "02:00"
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What somebody chose or wrote, nothing of it checked. `often`: a key of USUAL, LINE, or nothing yet."""

    often: str = ""
    at: str = NIGHT
    line: str = ""
    timezone: str = ""
    name: str = ""

    @property
    def cron(self) -> str:
        """The line that is meant; empty while none is."""
        if self.often not in USUAL:
            return _spelled(self.line) if self.often == LINE else ""
        hour, _, minute = (self.at if _TIME.fullmatch(self.at) else NIGHT).partition(":")
        return USUAL[self.often][1].format(minute=int(minute), hour=int(hour))


def timing_of(line: str, *, timezone: str = "", name: str = "") -> Timing:
    """What was typed, as a usual time where it is one. Without a line nothing is chosen yet."""
    if not line:
        return Timing(timezone=timezone, name=name)
    spelled = _by_numbers(_spelled(line))
    for often, (_, form) in USUAL.items():
        pattern = re.escape(form).replace(r"\{minute\}", "(?P<minute>[0-5]?[0-9])")
        found = re.fullmatch(pattern.replace(r"\{hour\}", "(?P<hour>[01]?[0-9]|2[0-3])"), spelled)
        if found is not None:
            parts = found.groupdict()
            at = f"{int(parts.get('hour') or 0):02}:{int(parts['minute']):02}"
            return Timing(often=often, at=at, timezone=timezone, name=name)
    return Timing(often=LINE, line=line, timezone=timezone, name=name)


def _spelled(line: str) -> str:
    """The line in its one spelling; one that is none as it stands."""
    try:
        return cron.cron_of(line)
    except Invalid:
        return " ".join(line.split())


def _by_numbers(line: str) -> str:
    """The same with days of the week as numbers, Sunday as 0."""
    fields, _, days = line.rpartition(" ")
    for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat")):
        days = days.replace(name, str(number))
    return f"{fields} {'0' if days == '7' else days}"


def wrong(timing: Timing) -> dict[str, str]:
    """What is wrong with the time, by the field it stands in."""
    found: dict[str, str] = {}
    if timing.often not in USUAL and timing.often != LINE:
        found["often"] = "How often? Choose one, or the cron line."
    elif timing.often != LINE and timing.line.strip():
        found["line"] = "A cron line, and a usual time above: choose the cron line there, or empty this."
    elif timing.often == LINE:
        try:
            cron.cron_of(timing.cron)
        except Invalid as error:
            found["line"] = error.message
    if timing.often in USUAL and not _TIME.fullmatch(timing.at):
        found["at"] = "At which time of the day?"
    try:
        cron.zone_of(timing.timezone)
    except Invalid as error:
        found["timezone"] = error.message
    return found
