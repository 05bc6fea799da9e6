"""What is written for Slack, as somebody reads it at a terminal. Pure, but for the time zone of this machine."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from html import unescape

from bot.blocks import inline

Names = Mapping[str, str]
"""People's names by their ids, of those who are known."""

SIGNS = {
    "white_check_mark": "✓",
    "x": "✗",
    "no_entry": "✗",
    "no_entry_sign": "✗",
    "warning": "!",
    "rotating_light": "!",
    "octagonal_sign": "!",
}
"""Emoji that say something; any other stands beside words that say the same."""
PICTURES = frozenset(
    {
        *("alarm_clock", "arrow_forward", "bar_chart", "bell", "bookmark", "calendar", "clipboard", "electric_plug"),
        *("email", "fast_forward", "hourglass", "hourglass_flowing_sand", "large_blue_circle", "large_yellow_circle"),
        *("leftwards_arrow_with_hook", "lock", "mag", "mailbox_with_no_mail", "memo", "ocean", "raised_hand"),
        *("red_circle", "turtle", "white_circle", "zap"),
    }
)

_PERSON = re.compile(r"<@([UW][A-Z0-9]{1,30})(?:\|([^<>]*))?>")
_DATE = re.compile(r"<!date\^([0-9]{1,12})\^([^|<>^]*)(?:\^[^|<>]*)?\|([^<>]*)>")
_GROUP = re.compile(r"<!subteam\^(S[A-Z0-9]{1,30})(?:\|([^<>]*))?>")
_CHANNEL = re.compile(r"<#([CDG][A-Z0-9]{1,30})(?:\|([^<>]*))?>")
_LINK = re.compile(r"<((?:https?|mailto):[^|<>\s]+)(?:\|([^<>]*))?>")
# Alone between white space: `root:x:0:0` is no emoji.
_EMOJI = re.compile(r"(?<!\S):([a-z_]+):(?: |(?!\S))")


def people_in(text: str) -> set[str]:
    """The ids of those whom a text mentions."""
    return {found[1] for found in _PERSON.finditer(text)}


def read(text: str, names: Names, zone: tzinfo | None = None) -> str:
    """Ready mrkdwn as plain text; times in that zone, else in this machine's, and in UTC."""
    text = _EMOJI.sub(_sign, text)
    text = _DATE.sub(lambda found: _time(found, zone), text)
    text = _PERSON.sub(lambda found: inline(_person(found, names), 80), text)
    text = _GROUP.sub(lambda found: f"@{(found[2] or found[1]).removeprefix('@')}", text)
    text = _CHANNEL.sub(lambda found: f"#{found[2] or found[1]}", text)
    text = _LINK.sub(_link, text)
    return unescape(text)


def sentence(text: str, names: Names) -> str:
    """A text that is not escaped, with the names of those whom it mentions."""
    return _PERSON.sub(lambda found: unescape(inline(_person(found, names), 80)), text)


def _person(found: re.Match[str], names: Names) -> str:
    return f"@{names.get(found[1]) or found[2] or found[1]}"


def _sign(found: re.Match[str]) -> str:
    if found[1] in SIGNS:
        return f"{SIGNS[found[1]]} " if found[0].endswith(" ") else SIGNS[found[1]]
    return "" if found[1] in PICTURES else found[0]


def _time(found: re.Match[str], zone: tzinfo | None) -> str:
    try:
        at = datetime.fromtimestamp(int(found[1]), UTC)
        here = at.astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return found[3]
    clock = "%H:%M:%S" if "secs" in found[2] else "%H:%M"
    day = "%Y-%m-%d " if "date" in found[2] else ""
    if not here.utcoffset():
        return f"{at:{day}{clock}} UTC"
    other_day = day if at.date() != here.date() else ""
    return f"{here:{day}{clock} %Z} ({at:{other_day}{clock}} UTC)"


def _link(found: re.Match[str]) -> str:
    address = found[1].removeprefix("mailto:")
    return address if found[2] in {None, "", found[1], address} else f"{found[2]} ({address})"
