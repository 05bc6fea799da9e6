"""Answers on a `response_url`: five within half an hour, for one person's eyes unless told otherwise.

They go past the channel's posting permissions. `replace_original` and `delete_original` act on the message whose button
was pressed; a typed command has no such message, so there they post anew or do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aiohttp import web

from bot.playground import chat
from bot.playground.arguments import Arguments, read_arguments
from bot.playground.state import (
    RESPONSE_URL_SECONDS,
    RESPONSE_URL_USES,
    Channel,
    Json,
    Message,
    Refused,
    ResponseUrl,
    State,
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One use of a `response_url`, for tests and the wire inspector."""

    body: Json
    at: float
    status: int
    answer: str = ""
    elapsed: float = 0.0  # real seconds until the answer was ready


async def handle(state: State, request: web.Request) -> tuple[web.Response, Json]:
    """Carry out one answer; gives the HTTP response and what had been sent."""
    arguments = Arguments({})
    try:
        arguments = await read_arguments(request, takes_json=True)
        carry_out(state, use(state, request.match_info["key"]), arguments)
        return web.Response(text="ok"), arguments.values
    except Refused as refusal:
        gone = refusal.error in {"expired_url", "used_url"}
        return web.json_response(refusal.answer(), status=404 if gone else 400), arguments.values


def use(state: State, key: str) -> ResponseUrl:
    """Count one use; refuses an address that is unknown, too old, or used up."""
    found = state.response_urls.get(key)
    if found is None or state.now() - found.at > RESPONSE_URL_SECONDS:
        raise Refused("expired_url")
    if found.uses >= RESPONSE_URL_USES:
        raise Refused("used_url")
    used = replace(found, uses=found.uses + 1)
    state.response_urls[key] = used
    return used


def carry_out(state: State, target: ResponseUrl, arguments: Arguments) -> Message | None:
    """Delete or replace the source message, or post a new one."""
    source = state.any_message(target.channel, target.source) if target.source else None
    if arguments.flag("delete_original"):
        if source is not None:
            chat.delete_message(state, source)
        return None
    content = chat.read_content(arguments)
    if source is not None and arguments.flag("replace_original"):
        has_text = "text" in arguments.values
        return state.put_message(chat.changed_message(state, source, content, has_text=has_text))
    return post_answer(state, state.channels[target.channel], content, arguments, user=target.user)


def post_answer(
    state: State, channel: Channel, content: Json, arguments: Arguments, *, user: str, thread_ts: str | None = None
) -> Message:
    """A new message in answer to somebody, visible to all only with `response_type: in_channel`."""
    everybody = arguments.text("response_type", "ephemeral") == "in_channel"
    thread_ts = chat.thread_of(state, channel, arguments) or thread_ts
    return chat.put_app_message(state, channel, content, thread_ts=thread_ts, visible_to=None if everybody else user)
