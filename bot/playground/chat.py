"""chat.*: posting, changing and deleting messages as the app."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from bot.playground.arguments import Arguments, channel_argument
from bot.playground.block_kit import ALL_TEXT_IN_A_MESSAGE, Surface, check_blocks, text_length, with_ids
from bot.playground.state import Channel, Json, Kind, Message, Refused, State, is_ts

LONGEST_TEXT = 40_000
LONGEST_UPDATE = 4_000
LONGEST_MARKDOWN = 12_000
MOST_ATTACHMENTS = 100
METADATA_BYTES = 16_000


def post_message(state: State, arguments: Arguments) -> Json:
    channel = _posting_channel(state, arguments)
    content = read_content(arguments)
    message = put_app_message(
        state,
        channel,
        content,
        thread_ts=thread_of(state, channel, arguments),
        broadcast=arguments.flag("reply_broadcast"),
    )
    answer: Json = {"ok": True, "channel": channel.id, "ts": message.ts, "message": state.wire(message, metadata=True)}
    if len(arguments.text("text")) > LONGEST_TEXT:
        answer |= {"warning": "message_truncated", "response_metadata": {"warnings": ["message_truncated"]}}
    return answer


def post_ephemeral(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    _may_post(state, channel)
    reader = arguments.text("user")
    if reader not in state.people:
        raise Refused("user_not_found")
    if reader not in channel.members:
        raise Refused("user_not_in_channel")
    message = put_app_message(
        state, channel, read_content(arguments), thread_ts=thread_of(state, channel, arguments), visible_to=reader
    )
    return {"ok": True, "message_ts": message.ts}


def update(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    message = _own_message(state, channel, arguments, or_refuse="cant_update_message")
    if len(arguments.text("text")) > LONGEST_UPDATE:
        raise Refused("msg_too_long")
    content = read_content(arguments)
    changed = state.put_message(changed_message(state, message, content, has_text="text" in arguments.values))
    _announce_change(state, channel, message, changed)
    return {
        "ok": True,
        "channel": channel.id,
        "ts": changed.ts,
        "text": changed.text,
        "message": state.wire(changed, metadata=True),
    }


def delete(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    message = _own_message(state, channel, arguments, or_refuse="cant_delete_message")
    delete_message(state, message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


def get_permalink(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    message = state.message(channel.id, arguments.text("message_ts"))
    if message is None:
        raise Refused("message_not_found")
    permalink = f"https://{state.identity.team_domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        permalink += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"ok": True, "channel": channel.id, "permalink": permalink}


# What other ways of posting share: answers to a command or on a response_url, and file shares


def read_content(arguments: Arguments) -> Json:
    """The checked content of a message: `text`, `blocks`, `attachments`, `metadata`; absent ones are left out."""
    content: Json = {}
    if "text" in arguments.values:
        content["text"] = arguments.text("text")[:LONGEST_TEXT]
    markdown = arguments.text("markdown_text")
    blocks = arguments.structure("blocks", or_refuse="invalid_blocks_format")
    attachments = arguments.structure("attachments", or_refuse="invalid_attachments")
    metadata = arguments.structure("metadata", or_refuse="invalid_metadata_format")
    if markdown:
        if blocks or "text" in arguments:
            raise Refused("markdown_text_conflict")
        if len(markdown) > LONGEST_MARKDOWN:
            raise Refused("msg_too_long")
        content["text"], blocks = markdown, [{"type": "markdown", "text": markdown}]
    if blocks is not None:
        content["blocks"] = with_ids(_checked_blocks(blocks))
    if attachments is not None:
        content["attachments"] = _checked_attachments(attachments)
    if metadata is not None:
        content["metadata"] = _checked_metadata(metadata)
    if not content.get("text") and not content.get("blocks") and not content.get("attachments"):
        raise Refused("no_text")
    return content


def put_app_message(
    state: State,
    channel: Channel,
    content: Json,
    *,
    thread_ts: str | None = None,
    broadcast: bool = False,
    visible_to: str | None = None,
    files: tuple[str, ...] = (),
) -> Message:
    """Store a message from the app and, unless only one person sees it, tell subscribers."""
    message = state.put_message(
        Message(
            channel=channel.id,
            ts=state.next_ts(),
            user=state.identity.bot_user,
            bot_id=state.identity.bot_id,
            text=content.get("text", ""),
            blocks=content.get("blocks", ()),
            attachments=content.get("attachments", ()),
            metadata=content.get("metadata") or None,
            thread_ts=thread_ts,
            subtype="thread_broadcast" if broadcast and thread_ts else None,
            visible_to=visible_to,
            files=files,
        )
    )
    if not message.is_ephemeral:
        announce_message(state, message)
    return message


def changed_message(state: State, message: Message, content: Json, *, has_text: bool) -> Message:
    """The message with new content. Blocks stay if neither blocks nor text came; metadata stays if none came."""
    blocks = content.get("blocks", () if has_text else message.blocks)
    return replace(
        message,
        text=content.get("text", "" if "blocks" in content else message.text),
        blocks=blocks,
        attachments=content.get("attachments", message.attachments),
        metadata=content["metadata"] or None if "metadata" in content else message.metadata,
        edited_at=state.next_ts() if not blocks else message.edited_at,
    )


def delete_message(state: State, message: Message) -> None:
    state.drop_message(message)
    if message.is_ephemeral:
        return
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "channel": message.channel,
        "deleted_ts": message.ts,
        "previous_message": state.wire(message),
        "hidden": True,
    }
    _emit_message(state, state.channels[message.channel], event)


def announce_message(state: State, message: Message) -> None:
    """The `message` event, with the channel and its kind."""
    event = {**state.wire(message), "channel": message.channel}
    _emit_message(state, state.channels[message.channel], event)


def _announce_change(state: State, channel: Channel, before: Message, after: Message) -> None:
    event = {
        "type": "message",
        "subtype": "message_changed",
        "channel": channel.id,
        "message": state.wire(after),
        "previous_message": state.wire(before),
        "hidden": True,
    }
    _emit_message(state, channel, event)


def _emit_message(state: State, channel: Channel, event: Json) -> None:
    event.setdefault("ts", state.next_ts())
    event |= {"event_ts": event["ts"], "channel_type": channel.kind.event}
    state.emit(f"message.{channel.kind.value}", event, channel.id)


# Checks


def _posting_channel(state: State, arguments: Arguments) -> Channel:
    where = arguments.text("channel")
    if where in state.people:
        return state.direct(where)
    try:
        channel = state.channel(where)
    except KeyError:
        raise Refused("channel_not_found") from None
    if channel.kind is not Kind.PUBLIC and not state.has_bot(channel):
        raise Refused("channel_not_found")
    _may_post(state, channel)
    return channel


def _may_post(state: State, channel: Channel) -> None:
    if channel.archived:
        raise Refused("is_archived")
    if not state.has_bot(channel) and "chat:write.public" not in state.scopes:
        raise Refused("not_in_channel")


def thread_of(state: State, channel: Channel, arguments: Arguments) -> str | None:
    """The parent's time stamp. Stricter than Slack, which files a reply to a reply or to nothing where nobody looks."""
    if "thread_ts" not in arguments:
        return None
    thread_ts = arguments.text("thread_ts")
    parent = state.message(channel.id, thread_ts) if is_ts(thread_ts) else None
    if parent is None:
        raise Refused("thread_not_found")
    if parent.thread_ts is not None:
        raise Refused("cannot_reply_to_message")
    return thread_ts


def _own_message(state: State, channel: Channel, arguments: Arguments, *, or_refuse: str) -> Message:
    message = state.message(channel.id, arguments.text("ts"))
    if message is None:
        raise Refused("message_not_found")
    if message.bot_id != state.identity.bot_id:
        raise Refused(or_refuse)
    if channel.archived:
        raise Refused("is_archived")
    return message


def _checked_blocks(blocks: Any) -> list[Json]:
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    problems = check_blocks(blocks, surface=Surface.MESSAGE)
    if problems:
        named = [problem.removeprefix("[ERROR] ") for problem in problems]
        raise Refused("invalid_blocks", *problems, errors=named)
    if text_length(blocks) > ALL_TEXT_IN_A_MESSAGE:
        raise Refused("msg_blocks_too_long")
    return blocks


def _checked_attachments(attachments: Any) -> tuple[Json, ...]:
    if not isinstance(attachments, list) or not all(isinstance(item, dict) for item in attachments):
        raise Refused("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise Refused("too_many_attachments")
    for index, item in enumerate(attachments):
        problems = check_blocks(item.get("blocks", []), surface=Surface.MESSAGE, at=f"/attachments/{index}/blocks")
        if problems:
            raise Refused("invalid_attachments", *problems)
    return tuple(attachments)


def _checked_metadata(metadata: Any) -> Json:
    """`event_type` and a flat or nested `event_payload`; an empty object removes what was there."""
    if not isinstance(metadata, dict):
        raise Refused("invalid_metadata_format")
    if not metadata:
        return {}
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_schema")
    if len(json.dumps(metadata)) > METADATA_BYTES:
        raise Refused("metadata_too_large")
    return metadata
