"""files.*: the three-step upload. Ask for an address, send the bytes there, complete and share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from bot.playground import chat
from bot.playground.arguments import Arguments, whole_number
from bot.playground.state import Channel, File, Json, Refused, State

MOST_CHANNELS = 100
LONGEST_ALT_TEXT = 1_000


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The bytes of one file on their way in, for the wire inspector."""

    file: str
    size: int
    at: float
    status: int
    elapsed: float


def get_upload_url(state: State, arguments: Arguments) -> Json:
    """Where to send the bytes: an absolute address on this server, good for this file only."""
    length = whole_number(arguments.text("length"))
    if not length:
        raise Refused("invalid_arguments", "[ERROR] must be more than 0 [json-pointer:/length]")
    if len(arguments.text("alt_txt")) > LONGEST_ALT_TEXT:
        raise Refused("alt_txt_too_large")
    file = File(
        id=state.new_id("F"),
        name=arguments.text("filename"),
        size=length,
        key=secrets.token_hex(16),
        alt_text=arguments.text("alt_txt"),
    )
    state.files[file.id] = file
    return {"ok": True, "upload_url": f"{state.url}/upload/{file.id}/{file.key}", "file_id": file.id}


def receive(state: State, file_id: str, key: str, content: bytes) -> bool:
    """Keep the bytes; says whether that address existed and the length is the announced one."""
    file = state.files.get(file_id)
    if file is None or not secrets.compare_digest(file.key, key) or len(content) != file.size:
        return False
    state.files[file_id] = replace(file, content=content)
    return True


def complete_upload(state: State, arguments: Arguments) -> Json:
    wanted = arguments.structure("files", or_refuse="invalid_arguments")
    if (
        not isinstance(wanted, list)
        or not wanted
        or not all(isinstance(item, dict) and "id" in item for item in wanted)
    ):
        raise Refused("invalid_arguments", "[ERROR] missing required field: files [json-pointer:/files]")
    files = [_uploaded(state, item) for item in wanted]
    channels = [_target(state, channel_id) for channel_id in _channel_ids(arguments)]
    for file in files:
        state.files[file.id] = replace(file, channels=tuple(channel.id for channel in channels))
    for channel in channels:
        _share(state, channel, files, arguments)
    return {"ok": True, "files": [state.file_wire(state.files[file.id]) for file in files]}


def delete(state: State, arguments: Arguments) -> Json:
    """The file is gone, from the messages that showed it too; one of a message alone takes the message with it."""
    file = _finished(state, arguments.text("file"))
    for channel_id in file.channels:
        for message in state.all_messages(channel_id):
            if file.id not in message.files:
                continue
            left = tuple(file_id for file_id in message.files if file_id != file.id)
            if left or message.text or message.blocks:
                state.put_message(replace(message, files=left))
            else:
                chat.delete_message(state, message)
    del state.files[file.id]
    state.changed()
    return {"ok": True}


def info(state: State, arguments: Arguments) -> Json:
    return {"ok": True, "file": state.file_wire(_finished(state, arguments.text("file"))), "comments": []}


def announce(state: State, channel: Channel, file: File) -> None:
    """The `file_shared` event."""
    event = {
        "type": "file_shared",
        "channel_id": channel.id,
        "file_id": file.id,
        "file": {"id": file.id},
        "user_id": file.user or state.identity.bot_user,
        "event_ts": state.next_ts(),
    }
    state.emit("file_shared", event, channel.id)


def _uploaded(state: State, item: Json) -> File:
    file = _finished(state, str(item["id"]))
    return replace(file, title=str(item.get("title") or file.name))


def _finished(state: State, file_id: str) -> File:
    file = state.files.get(file_id)
    if file is None or file.content is None:
        raise Refused("file_not_found")
    return file


def _channel_ids(arguments: Arguments) -> list[str]:
    ids = arguments.names("channels") or arguments.names("channel_id")
    if len(ids) > MOST_CHANNELS:
        raise Refused("too_many_channels")
    return ids


def _target(state: State, channel_id: str) -> Channel:
    channel = state.channels.get(channel_id)
    if channel is None:
        raise Refused("channel_not_found")
    if channel.archived:
        raise Refused("is_archived")
    if not state.has_bot(channel):
        raise Refused("not_in_channel")
    return channel


def _share(state: State, channel: Channel, files: list[File], arguments: Arguments) -> None:
    content = {"text": arguments.text("initial_comment")}
    thread_ts = chat.thread_of(state, channel, arguments)
    chat.put_app_message(state, channel, content, thread_ts=thread_ts, files=tuple(file.id for file in files))
    for file in files:
        announce(state, channel, file)
