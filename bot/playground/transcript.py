"""A channel as plain text: who said what, buttons in brackets, replies indented, ephemeral lines marked."""

from __future__ import annotations

from collections.abc import Iterator

from bot.playground import words
from bot.playground.state import SLACKBOT, Channel, Kind, Message, State


def transcript(state: State, channel: Channel, *, reader: str | None = None) -> str:
    """What everybody sees there; with `reader`, also what only that person sees."""
    return "\n".join(_lines(state, channel, reader)) + "\n"


def _lines(state: State, channel: Channel, reader: str | None) -> Iterator[str]:
    yield f"{'@' if channel.kind is Kind.DIRECT else '#'}{channel.name}"
    seen = [
        message
        for message in state.all_messages(channel.id)
        if message.visible_to is None or (reader is not None and message.visible_to == reader)
    ]
    for message in seen:
        if message.thread_ts is None:
            yield from _said(state, message, indent="")
            for reply in seen:
                if reply.thread_ts == message.ts:
                    yield from _said(state, reply, indent="    ")


def _said(state: State, message: Message, *, indent: str) -> Iterator[str]:
    who = "Slackbot" if message.user == SLACKBOT else state.people[message.user].shown
    mark = " (only visible to you)" if message.is_ephemeral else ""
    first, *rest = words.read(state, message).split("\n")
    yield f"{indent}{who}{mark}: {first}".rstrip()
    yield from (f"{indent}  {line}".rstrip() for line in rest)
    if message.reactions:
        yield indent + "  " + " ".join(f":{name}: {len(users)}" for name, users in message.reactions.items())
