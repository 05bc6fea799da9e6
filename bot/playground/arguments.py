"""What a Web API call brought with it, read from any of the encodings Slack takes.

Query string, form body, JSON body, or query and form mixed; structured values inside a form are JSON strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.playground.state import Channel, Json, Kind, Refused, State

LONGEST_NUMBER = 18  # digits


class Arguments:
    """The arguments of one call. Reading one in the wrong shape refuses the call."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool | dict | list):
            raise Refused("invalid_arguments", f"[ERROR] must provide a string [json-pointer:/{name}]")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        return default if value is None else str(value).lower() in {"1", "true"}

    def number(self, name: str, default: int, *, most: int) -> int:
        """A positive whole number, cut to `most` as Slack does."""
        if name not in self:
            return default
        number = whole_number(self.text(name))
        if number is None or number < 1:
            raise Refused("invalid_limit")
        return min(number, most)

    def names(self, name: str) -> list[str]:
        """A comma-joined string or a JSON list."""
        value = self.values.get(name)
        if isinstance(value, list):
            return [str(item) for item in value]
        return [item.strip() for item in str(value or "").split(",") if item.strip()]

    def structure(self, name: str, *, or_refuse: str) -> Any:
        """A JSON value, given as such or as a JSON string; `None` when absent. Bad JSON refuses with `or_refuse`."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise Refused(or_refuse) from None


async def read_arguments(request: web.Request, *, takes_json: bool) -> Arguments:
    """Collect the arguments of a request. A JSON body is ignored, as Slack does, by methods that do not take JSON."""
    values: Json = dict(request.query)
    if request.method == "POST":
        if request.content_type == "application/json":
            values |= _json_body(await _text(request)) if takes_json else {}
        elif request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            values |= await _form_body(request)
    return Arguments(values)


def token_of(request: web.Request, arguments: Arguments) -> str:
    """The token from the header, or the `token` argument."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return str(arguments.values.get("token") or "")


def page_of(items: list[Any], arguments: Arguments, *, default: int = 100, most: int = 1000) -> tuple[list[Any], str]:
    """One page of a list and the cursor of the next, empty at the end."""
    cursor, limit = arguments.text("cursor"), arguments.number("limit", default, most=most)
    prefix, _, start = cursor.partition(":")
    first = whole_number(start) if cursor else 0
    if first is None or (cursor and prefix != "next"):
        raise Refused("invalid_cursor")
    after = first + limit
    return items[first:after], f"next:{after}" if after < len(items) else ""


def whole_number(text: str) -> int | None:
    """The number those digits are; `None` for anything else, digits of other scripts and endless ones included."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def channel_argument(state: State, arguments: Arguments, name: str = "channel") -> Channel:
    """The channel that call means; a private one without the bot does not exist for it."""
    try:
        channel = state.channels[arguments.text(name)]
    except KeyError:
        raise Refused("channel_not_found") from None
    if channel.kind is not Kind.PUBLIC and not state.has_bot(channel):
        raise Refused("channel_not_found")
    return channel


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise Refused("invalid_json") from None


async def _form_body(request: web.Request) -> Json:
    try:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except (ValueError, LookupError):  # neither UTF-8 nor a charset there is; a multipart body without its boundary
        raise Refused("invalid_form_data") from None


def _json_body(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("invalid_json") from None
    if not isinstance(body, dict):
        raise Refused("json_not_object")
    return body
