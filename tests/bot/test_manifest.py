"""The Slack app's manifest."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.commands import HELP
from bot.manifest import COMMANDS, SCOPES, as_dict, as_yaml, public_url

ROOT = Path(__file__).parents[2]
URL = "https://handrail.example.com/slack/events"


def shape_problems(manifest: Any) -> list[str]:
    """What Slack would refuse, by the bounds of its reference."""
    commands = manifest["features"]["slash_commands"]
    checks = {
        "unknown parts": set(manifest) <= {"display_information", "features", "oauth_config", "settings"},
        "name": 0 < len(manifest["display_information"]["name"]) <= 35,
        "description": len(manifest["display_information"]["description"]) <= 140,
        "bot name": 0 < len(manifest["features"]["bot_user"]["display_name"]) <= 80,
        "number of commands": 1 <= len(commands) <= 50,
        "command names": all(c["command"].startswith("/") and len(c["command"]) <= 32 for c in commands),
        "descriptions": all(0 < len(c["description"]) <= 2000 for c in commands),
        "hints": all(0 < len(c["usage_hint"]) <= 1000 for c in commands),
        "interactivity": manifest["settings"]["interactivity"]["is_enabled"] is True,
        "scopes": all(":" in scope or scope == "commands" for scope in manifest["oauth_config"]["scopes"]["bot"]),
    }
    return [name for name, good in checks.items() if not good]


@pytest.mark.parametrize("url", [None, URL])
def test_slack_would_take_the_manifest(url: str | None) -> None:
    assert shape_problems(as_dict(url)) == []


def test_the_shape_check_notices_what_slack_refuses() -> None:
    manifest: dict[str, Any] = yaml.safe_load(as_yaml())
    manifest["display_information"]["name"] = "x" * 36
    manifest["features"]["slash_commands"][0]["command"] = "runbook"
    assert shape_problems(manifest) == ["name", "command names"]


def test_the_file_in_the_repository_is_the_manifest_for_socket_mode() -> None:
    assert (ROOT / "manifest.yml").read_text(encoding="utf-8") == as_yaml(None)


def test_socket_mode_needs_no_address() -> None:
    assert as_dict(None)["settings"]["socket_mode_enabled"] is True
    assert "url" not in as_yaml(None).replace("--url", "")


def test_over_http_commands_and_clicks_arrive_at_the_same_address() -> None:
    manifest = yaml.safe_load(as_yaml(URL))
    assert manifest["settings"]["socket_mode_enabled"] is False
    assert manifest["settings"]["interactivity"]["request_url"] == URL
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
