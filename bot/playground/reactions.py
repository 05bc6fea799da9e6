"""reactions.* and pins.*."""

from __future__ import annotations

from dataclasses import replace

from bot.playground.arguments import Arguments, channel_argument
from bot.playground.state import Channel, Json, Message, Refused, State


def add(state: State, arguments: Arguments) -> Json:
    react(state, _message(state, arguments), _emoji(arguments), user=state.identity.bot_user)
    return {"ok": True}


def get(state: State, arguments: Arguments) -> Json:
    message = _message(state, arguments)
    return {"ok": True, "type": "message", "channel": message.channel, "message": state.wire(message)}


def remove(state: State, arguments: Arguments) -> Json:
    unreact(state, _message(state, arguments), _emoji(arguments), user=state.identity.bot_user)
    return {"ok": True}


def react(state: State, message: Message, emoji: str, *, user: str) -> Message:
    """Add somebody's reaction and tell the app; refuses a second one."""
    users = message.reactions.get(emoji, ())
    if user in users:
        raise Refused("already_reacted")
    changed = state.put_message(replace(message, reactions={**message.reactions, emoji: (*users, user)}))
    event = {
        "type": "reaction_added",
        "user": user,
        "reaction": emoji,
        "item": {"type": "message", "channel": message.channel, "ts": message.ts},
        "item_user": message.user,
        "event_ts": state.next_ts(),
    }
    state.emit("reaction_added", event, message.channel)
    return changed


def unreact(state: State, message: Message, emoji: str, *, user: str) -> Message:
    users = message.reactions.get(emoji, ())
    if user not in users:
        raise Refused("no_reaction")
    left = {**message.reactions, emoji: tuple(other for other in users if other != user)}
    return state.put_message(replace(message, reactions={name: who for name, who in left.items() if who}))


def pin(state: State, arguments: Arguments) -> Json:
    message = _message(state, arguments)
    if message.pinned:
        raise Refused("already_pinned")
    state.put_message(replace(message, pinned=True))
    return {"ok": True}


def pins(state: State, arguments: Arguments) -> Json:
    channel = _channel(state, arguments)
    pinned = [message for message in state.all_messages(channel.id) if message.pinned]
    items = [{"type": "message", "channel": channel.id, "message": state.wire(message)} for message in pinned]
    return {"ok": True, "items": items}


def unpin(state: State, arguments: Arguments) -> Json:
    message = _message(state, arguments)
    if not message.pinned:
        raise Refused("no_pin")
    state.put_message(replace(message, pinned=False))
    return {"ok": True}


def _channel(state: State, arguments: Arguments) -> Channel:
    channel = channel_argument(state, arguments)
    if not state.has_bot(channel):
        raise Refused("not_in_channel")
    return channel


def _message(state: State, arguments: Arguments) -> Message:
    channel = _channel(state, arguments)
    message = state.message(channel.id, arguments.text("timestamp"))
    if message is None:
        raise Refused("message_not_found")
    return message


def _emoji(arguments: Arguments) -> str:
    name = arguments.text("name").strip(":")
    if not name or not all(letter.isalnum() or letter in "_+-:'" for letter in name):
        raise Refused("invalid_name")
    return name
