"""The Slack app's manifest: what an app must be to serve Handrail, to be pasted where Slack asks for one.

`manifest.yml` in the repository is `as_yaml(None)`: the app for Socket Mode, which needs no public address.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bot.incident_cards import SCOPES as INCIDENT_SCOPES

PATH = "/slack/events"
"""Where commands and clicks arrive over HTTP."""

COMMANDS = (
    ("/runbook", "Plan and run a runbook", "NAME [values] [key=value] [on TARGET] [--dry-run] | list | status | help"),
    ("/killswitch", "Stop everything, or one part of it", "global on|off [--now] [reason] | service NAME on | status"),
    ("/audit", "See who did what", "[words]"),
    ("/incident", "Open and follow an incident", 'open "checkout is slow" sev2 service=NAME | note TEXT | help'),
)
"""Name, description, usage hint."""


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """One way in from Slack's own menus: the bolt beside the composer, or the menu of a message."""

    callback_id: str
    name: str
    about: str
    on_message: bool


SHORTCUTS = (
    Shortcut(
        callback_id="handrail:run",
        name="Run a runbook",
        about="Choose one, fill it in, see the plan",
        on_message=False,
    ),
    Shortcut(
        callback_id="handrail:run_here",
        name="Run a runbook",
        about="Choose one for what this message is about; it reports in this channel",
        on_message=True,
    ),
)
SCOPES: Mapping[str, str] = {
    "commands": "hear slash commands",
    "chat:write": "post and edit messages",
    "chat:write.public": "post in public channels without being invited",
    "im:write": "write to the person who asked where the channel can't be posted to",
    "channels:read": "look at the alerts channel (doctor)",
    "groups:read": "the same in private channels",
    "channels:history": "find a post again whose answer was lost, before repeating it",
    "groups:history": "the same in private channels",
    "files:write": "attach full logs",
    "usergroups:read": "know who is in the user groups of `roles:`",
    **INCIDENT_SCOPES,
}
"""Every scope the bot's token needs, and what for."""

DISPENSABLE = frozenset(INCIDENT_SCOPES)
"""What can be missing: what takes it is left, and that is said."""

EVENTS = ("app_home_opened",)
"""What Slack tells the app by itself."""

_HEAD = """\
# The Slack app. Create it from this at api.slack.com/apps (Create New App, From a manifest), or run
# `handrail manifest --url https://…/slack/events` for one that is reached over HTTP instead of Socket Mode.
"""


def as_dict(url: str | None = None) -> Mapping[str, Any]:
    """The manifest. `url` is the public address of `POST /slack/events`; None makes an app for Socket Mode."""
    address = {} if url is None else {"url": url}
    events = {} if url is None else {"request_url": url}
    # Menus that are searched as one types ask at an address of their own, which is the same here.
    options = {} if url is None else {"request_url": url, "message_menu_options_url": url}
    return {
        "display_information": {
            "name": "Handrail",
            "description": "Plans, asks approval for, runs, stops and proves operations.",
            "background_color": "#1f3a4d",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "handrail", "always_online": True},
            "shortcuts": [
                {
                    "name": one.name,
                    "type": "message" if one.on_message else "global",
                    "callback_id": one.callback_id,
                    "description": one.about,
                }
                for one in SHORTCUTS
            ],
            "slash_commands": [
                {"command": name, "description": about, "usage_hint": hint, "should_escape": True, **address}
                for name, about, hint in COMMANDS
            ],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS), **events},
            "interactivity": {"is_enabled": True, **options},
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }


def public_url(typed: str) -> str | None:
    """The address Slack is to post to, with the path added where only a host was given; None if it can't be one."""
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(typed.strip())
        valid = parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
        valid = valid and (parts.port is None or parts.port > 0) and "@" not in parts.netloc
    except ValueError:  # brackets or a port that cannot be read
        return None
    if not valid or any(character.isspace() for character in typed.strip()):
        return None
    path = PATH if parts.path in {"", "/"} else parts.path
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def as_yaml(url: str | None = None) -> str:
    """The manifest as text, ready to be pasted."""
    return _HEAD + yaml.safe_dump(dict(as_dict(url)), sort_keys=False, allow_unicode=True, width=120)
