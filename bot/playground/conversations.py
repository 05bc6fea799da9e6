"""conversations.*: channels, who is in them, and what stands in them."""

from __future__ import annotations

from dataclasses import replace

from bot.playground.arguments import Arguments, channel_argument, page_of, whole_number
from bot.playground.state import Channel, Json, Kind, Message, Refused, State, is_ts, ts_key

LONGEST_NAME = 80
LONGEST_TOPIC = 250
MOST_IN_A_DIRECT_MESSAGE = 8
TYPES = {"public_channel": Kind.PUBLIC, "private_channel": Kind.PRIVATE, "im": Kind.DIRECT}


def listed(state: State, arguments: Arguments, among: set[str] | None = None) -> Json:
    wanted = arguments.names("types") or ["public_channel"]
    if any(name not in {*TYPES, "mpim"} for name in wanted):
        raise Refused("invalid_types")
    kinds = {TYPES[name] for name in wanted if name in TYPES}
    channels = [
        channel
        for channel in state.channels.values()
        if channel.kind in kinds
        and (among is None or channel.id in among)
        and (channel.kind is Kind.PUBLIC or state.has_bot(channel))
        and not (channel.archived and arguments.flag("exclude_archived"))
    ]
    page, cursor = page_of(channels, arguments, most=999)
    found = [channel_wire(state, channel) for channel in page]
    return {"ok": True, "channels": found, "response_metadata": {"next_cursor": cursor}}


def joined(state: State, arguments: Arguments) -> Json:
    """As `listed`, of the channels the bot is in."""
    mine = {channel.id for channel in state.channels.values() if state.has_bot(channel)}
    return listed(state, arguments, among=mine)


def info(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    body = channel_wire(state, channel)
    if arguments.flag("include_num_members"):
        body["num_members"] = len(channel.members)
    return {"ok": True, "channel": body}


def members(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    page, cursor = page_of(sorted(channel.members), arguments)
    return {"ok": True, "members": page, "response_metadata": {"next_cursor": cursor}}


def history(state: State, arguments: Arguments) -> Json:
    """Newest first, without replies and without anything ephemeral."""
    channel = _readable(state, arguments)
    messages = _between(state.history(channel.id), arguments)[::-1]
    page, cursor = page_of(messages, arguments, most=999)
    metadata = arguments.flag("include_all_metadata")
    return {
        "ok": True,
        "messages": [state.wire(message, metadata=metadata) for message in page],
        "has_more": bool(cursor),
        "pin_count": sum(message.pinned for message in state.all_messages(channel.id)),
        "response_metadata": {"next_cursor": cursor},
    }


def replies(state: State, arguments: Arguments) -> Json:
    """The parent first, then its replies, oldest first. `ts` may be any message of the thread."""
    channel = _readable(state, arguments)
    message = state.message(channel.id, arguments.text("ts"))
    if message is None:
        raise Refused("thread_not_found")
    parent = state.message(channel.id, message.thread_ts) if message.thread_ts else message
    answers = _between(state.replies(channel.id, message.thread_ts or message.ts), arguments)
    page, cursor = page_of([*([parent] if parent else []), *answers], arguments, default=1000, most=1000)
    metadata = arguments.flag("include_all_metadata")
    return {
        "ok": True,
        "messages": [state.wire(item, metadata=metadata) for item in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def opened(state: State, arguments: Arguments) -> Json:
    """A direct message with one person. Group direct messages are not part of this workspace."""
    if "channel" in arguments:
        return {"ok": True, "channel": {"id": channel_argument(state, arguments).id}}
    users = arguments.names("users")
    if not users:
        raise Refused("users_list_not_supplied")
    if any(user not in state.people for user in users):
        raise Refused("user_not_found")
    if len(users) > MOST_IN_A_DIRECT_MESSAGE:
        raise Refused("too_many_users")
    if len(users) > 1:
        raise Refused("method_not_supported_for_channel_type")
    if state.people[users[0]].is_bot:
        raise Refused("cannot_dm_bot")
    already = "D" + users[0][1:] in state.channels
    channel = state.direct(users[0])
    body = channel_wire(state, channel) if arguments.flag("return_im") else {"id": channel.id}
    return {"ok": True, "channel": body} | ({"no_op": True, "already_open": True} if already else {})


def join(state: State, arguments: Arguments) -> Json:
    channel = channel_argument(state, arguments)
    if channel.kind is not Kind.PUBLIC:
        raise Refused("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refused("is_archived")
    if state.has_bot(channel):
        note: Json = {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}
        return {"ok": True, "channel": channel_wire(state, channel)} | note
    return {"ok": True, "channel": channel_wire(state, state.join(channel, state.identity.bot_user))}


def create(state: State, arguments: Arguments) -> Json:
    name = arguments.text("name")
    if not name:
        raise Refused("invalid_name_required")
    if len(name) > LONGEST_NAME:
        raise Refused("invalid_name_maxlength")
    if name != name.lower() or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise Refused("invalid_name_specials")
    if any(channel.name == name for channel in state.channels.values()):
        raise Refused("name_taken")
    bot = state.identity.bot_user
    kind = Kind.PRIVATE if arguments.flag("is_private") else Kind.PUBLIC
    channel = Channel(id=state.new_id("C"), name=name, kind=kind, members=frozenset({bot}), creator=bot)
    return {"ok": True, "channel": channel_wire(state, state.put_channel(channel))}


def archive(state: State, arguments: Arguments) -> Json:
    channel = _own(state, arguments)
    if channel.archived:
        raise Refused("already_archived")
    state.put_channel(replace(channel, archived=True))
    return {"ok": True}


def invite(state: State, arguments: Arguments) -> Json:
    channel = _own(state, arguments)
    users = arguments.names("users")
    if not users:
        raise Refused("no_user")
    if any(user not in state.people for user in users):
        raise Refused("user_not_found")
    if all(user in channel.members for user in users):
        raise Refused("already_in_channel")
    for user in users:
        channel = state.join(channel, user, inviter=state.identity.bot_user)
    return {"ok": True, "channel": channel_wire(state, channel)}


def set_topic(state: State, arguments: Arguments) -> Json:
    channel = _own(state, arguments)
    topic = _short(arguments.text("topic"))
    return {"ok": True, "channel": channel_wire(state, state.put_channel(replace(channel, topic=topic)))}


def set_purpose(state: State, arguments: Arguments) -> Json:
    channel = _own(state, arguments)
    purpose = _short(arguments.text("purpose"))
    return {"ok": True, "channel": channel_wire(state, state.put_channel(replace(channel, purpose=purpose)))}


def channel_wire(state: State, channel: Channel) -> Json:
    """The channel as the Web API shows it."""
    common: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_im": channel.kind is Kind.DIRECT,
        "is_mpim": False,
        "context_team_id": state.identity.team_id,
    }
    if channel.kind is Kind.DIRECT:
        other = next(iter(sorted(channel.members - {state.identity.bot_user})), "")
        return {**common, "user": other, "is_channel": False, "is_group": False, "is_private": True}
    return {
        **common,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind is Kind.PUBLIC,
        "is_group": channel.kind is Kind.PRIVATE,
        "is_private": channel.kind is Kind.PRIVATE,
        "is_general": False,
        "is_member": state.has_bot(channel),
        "creator": channel.creator,
        "topic": {"value": channel.topic, "creator": channel.creator, "last_set": channel.created},
        "purpose": {"value": channel.purpose, "creator": channel.creator, "last_set": channel.created},
        "num_members": len(channel.members),
    }


def _readable(state: State, arguments: Arguments) -> Channel:
    channel = channel_argument(state, arguments)
    if not state.has_bot(channel):
        raise Refused("not_in_channel")
    return channel


def _own(state: State, arguments: Arguments) -> Channel:
    """A channel the bot may manage: it is a member, and it is not a direct message."""
    channel = channel_argument(state, arguments)
    if channel.kind is Kind.DIRECT:
        raise Refused("method_not_supported_for_channel_type")
    if not state.has_bot(channel):
        raise Refused("not_in_channel")
    return channel


def _moment(arguments: Arguments, name: str) -> tuple[int, int] | None:
    if name not in arguments:
        return None
    text = arguments.text(name)
    if not is_ts(text) and whole_number(text) is None:
        raise Refused(f"invalid_ts_{name}")
    return ts_key(text)


def _short(text: str) -> str:
    if len(text) > LONGEST_TOPIC:
        raise Refused("too_long")
    return text


def _between(messages: list[Message], arguments: Arguments) -> list[Message]:
    """Those within `oldest` and `latest`, the ends themselves only with `inclusive`."""
    inclusive = arguments.flag("inclusive")
    oldest = _moment(arguments, "oldest") or (0, 0)
    latest = _moment(arguments, "latest") or (1 << 62, 0)
    return [
        message
        for message in messages
        if oldest < ts_key(message.ts) < latest or (inclusive and ts_key(message.ts) in (oldest, latest))
    ]
