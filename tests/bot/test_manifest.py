"""The Slack app's manifest."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from bot.commands import HELP
from bot.manifest import COMMANDS, SCOPES, as_dict, as_yaml, public_url

ROOT = Path(__file__).parents[2]
URL = "https://handrail.example.com/slack/events"


def text(least: int, most: int, **more: Any) -> dict[str, Any]:
    """A string of bounded length."""
    return {"type": "string", "minLength": least, "maxLength": most, **more}


def record(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def several(items: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    """A bounded list."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


FLAG = {"type": "boolean"}
ADDRESS = text(0, 3_500, pattern="^https?://")
NAMES = {"type": "array", "items": text(1, 50), "maxItems": 100, "uniqueItems": True}
SCHEMA = record(
    ("display_information",),
    _metadata=record(major_version={"type": "integer"}, minor_version={"type": "integer"}),
    display_information=record(
        ("name",),
        name=text(1, 35),
        description=text(1, 140),
        background_color=text(4, 7, pattern="^#([0-9a-fA-F]{3}){1,2}$"),
        long_description=text(175, 4_000),
    ),
    features=record(
        app_home=record(home_tab_enabled=FLAG, messages_tab_enabled=FLAG, messages_tab_read_only_enabled=FLAG),
        bot_user=record(("display_name",), display_name=text(1, 80), always_online=FLAG),
        shortcuts=several(
            record(
                ("name", "type", "callback_id", "description"),
                name=text(1, 24),
                type={"enum": ["message", "global"]},
                callback_id=text(1, 255),
                description=text(1, 150),
            ),
            1,
            10,
        ),
        slash_commands=several(
            record(
                ("command", "description"),
                command=text(2, 32, pattern="^/"),
                url=text(0, 3_000, pattern="^https?://"),
                description=text(1, 2_000),
                usage_hint=text(1, 1_000),
                should_escape=FLAG,
            ),
            1,
            50,
        ),
    ),
    oauth_config=record(
        scopes=record(bot={**NAMES, "maxItems": 255}, user={**NAMES, "maxItems": 255}),
        redirect_urls=several(text(0, 2_500), 0, 1_000),
    ),
    settings=record(
        event_subscriptions=record(request_url=ADDRESS, bot_events=NAMES, user_events=NAMES),
        interactivity=record(("is_enabled",), is_enabled=FLAG, request_url=ADDRESS, message_menu_options_url=ADDRESS),
        org_deploy_enabled=FLAG,
        socket_mode_enabled=FLAG,
        token_rotation_enabled=FLAG,
    ),
)
"""What Slack's published schema (slackapi/manifest-schema) allows of the parts that such an app can have."""


def shape_problems(manifest: Any) -> list[str]:
    """Where Slack would refuse it."""
    found = Draft7Validator(SCHEMA).iter_errors(manifest)
    return sorted("/".join(map(str, error.absolute_path)) for error in found)


@pytest.mark.parametrize("url", [None, URL])
def test_slack_would_take_the_manifest(url: str | None) -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert shape_problems(as_dict(url)) == []


def test_the_shape_check_notices_what_slack_refuses() -> None:
    manifest: dict[str, Any] = yaml.safe_load(as_yaml())
    manifest["display_information"]["name"] = "x" * 36
    manifest["features"]["slash_commands"][0]["command"] = "runbook"
    manifest["features"]["shortcuts"][0]["name"] = "Run a runbook, and more than that"
    manifest["settings"]["interactivity"]["options_url"] = URL
    assert shape_problems(manifest) == [
        "display_information/name",
        "features/shortcuts/0/name",
        "features/slash_commands/0/command",
        "settings/interactivity",
    ]


def test_the_file_in_the_repository_is_the_manifest_for_socket_mode() -> None:
    assert (ROOT / "manifest.yml").read_text(encoding="utf-8") == as_yaml(None)


def test_socket_mode_needs_no_address() -> None:
    assert as_dict(None)["settings"]["socket_mode_enabled"] is True
    assert "url" not in as_yaml(None).replace("--url", "")


def test_over_http_commands_and_clicks_arrive_at_the_same_address() -> None:
    manifest = yaml.safe_load(as_yaml(URL))
    assert manifest["settings"]["socket_mode_enabled"] is False
    assert set(manifest["settings"]["interactivity"].values()) == {True, URL}
    assert "message_menu_options_url" in manifest["settings"]["interactivity"]
    assert {command["url"] for command in manifest["features"]["slash_commands"]} == {URL}


def test_every_command_escapes_mentions_and_is_one_that_help_tells_of() -> None:
    commands = as_dict()["features"]["slash_commands"]
    assert all(command["should_escape"] for command in commands)
    said = " ".join(line for _, line in HELP)
    assert all(f"`{name}" in said for name, _, _ in COMMANDS)


def test_each_scope_says_what_it_is_for() -> None:
    assert all(SCOPES.values())
    assert as_dict()["oauth_config"]["scopes"]["bot"] == list(SCOPES)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://ops.example.com", "https://ops.example.com/slack/events"),
        ("https://ops.example.com/", "https://ops.example.com/slack/events"),
        ("https://ops.example.com:8443/hooks/slack", "https://ops.example.com:8443/hooks/slack"),
        ("http://ops.example.com", None),
        ("ops.example.com", None),
        ("https://", None),
        ("https://user@ops.example.com", None),
        ("https://ops.example.com/a b", None),
        ("https://[::1", None),
        ("https://ops.example.com:port", None),
    ],
)
def test_an_address_slack_cannot_reach_is_not_taken(typed: str, meant: str | None) -> None:
    assert public_url(typed) == meant
