"""What the workspace remembers: people, channels, messages, views, files, and keys that expire.

Everything here is plain data and plain look-ups. Whoever changes something calls `changed()`, which wakes everybody who
waits for a change; what the app should hear about goes through `emit()`. Refusals are Slack's error names.
"""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
MOST_KEYS = 10_000  # triggers and response addresses kept; the oldest are long expired by then
SLACKBOT = "USLACKBOT"
_MIMETYPES = mimetypes.MimeTypes()
for _ending in (".log", ".md", ".yml"):
    _MIMETYPES.add_type("text/plain", _ending)
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")


class Refused(Exception):
    """Slack's answer `ok: false`: its error name, and where it says more, the messages and further fields."""

    def __init__(self, error: str, *messages: str, **fields: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages
        self.fields = fields

    def answer(self) -> Json:
        body: Json = {"ok": False, "error": self.error, **self.fields}
        if self.messages:
            body["response_metadata"] = {"messages": list(self.messages)}
        return body


class NotPossible(Exception):
    """A person tried what Slack's own client would not let them do, such as pressing a button that is not there."""


class Kind(Enum):
    """What sort of conversation; the value is the prefix of its scopes, `event` the name in message events."""

    PUBLIC = "channels"
    PRIVATE = "groups"
    DIRECT = "im"

    @property
    def event(self) -> str:
        return {Kind.PUBLIC: "channel", Kind.PRIVATE: "group", Kind.DIRECT: "im"}[self]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the app is, and in which workspace. The ids keep Slack's prefixes."""

    team_id: str = "T0LOCAL"
    team_name: str = "Local workspace (simulated)"
    team_domain: str = "local-workspace"
    app_id: str = "A0LOCAL"
    app_name: str = "Handrail"
    bot_id: str = "B0LOCAL"
    bot_user: str = "U0LOCALBOT"


@dataclass(frozen=True, kw_only=True)
class Person:
    id: str
    name: str  # the handle, without @
    display_name: str = ""
    email: str = ""
    title: str = ""  # what they do, as their profile says
    tz: str = "Europe/Berlin"
    is_bot: bool = False
    deleted: bool = False
    is_guest: bool = False

    @property
    def shown(self) -> str:
        return self.display_name or self.name


@dataclass(frozen=True, kw_only=True)
class Channel:
    id: str
    name: str
    members: frozenset[str] = frozenset()
    kind: Kind = Kind.PUBLIC
    archived: bool = False
    topic: str = ""
    purpose: str = ""
    created: int = 0
    creator: str = SLACKBOT


@dataclass(frozen=True, kw_only=True)
class Group:
    id: str
    handle: str
    name: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class File:
    id: str
    name: str
    size: int
    key: str  # what makes the upload address unguessable
    title: str = ""
    alt_text: str = ""
    content: bytes | None = None
    channels: tuple[str, ...] = ()
    user: str = ""  # who shared it; empty for the app

    @property
    def mimetype(self) -> str:
        """By its name alone, from Python's own list, so that it is the same on every machine."""
        return _MIMETYPES.guess_type(self.name)[0] or "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message as a channel shows it. `visible_to` names the only reader of an ephemeral one."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    thread_ts: str | None = None  # set on replies only
    subtype: str | None = None
    bot_id: str | None = None
    metadata: Json | None = None
    edited_at: str | None = None
    visible_to: str | None = None
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    pinned: bool = False

    @property
    def is_ephemeral(self) -> bool:
        return self.visible_to is not None

    @property
    def is_from_app(self) -> bool:
        return self.bot_id is not None


@dataclass(frozen=True, kw_only=True)
class View:
    """One modal or Home tab as one person has it before them; `values` is what they typed so far."""

    id: str
    user: str
    content: Json
    hash: str
    root: str
    previous: str | None = None
    values: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    channel: str | None = None  # the conversation that was open when it was opened

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def callback_id(self) -> str:
        return str(self.content.get("callback_id", ""))

    @property
    def external_id(self) -> str:
        return str(self.content.get("external_id", ""))

    @property
    def blocks(self) -> tuple[Json, ...]:
        return tuple(self.content["blocks"])

    @property
    def title(self) -> str:
        return str(self.content.get("title", {}).get("text", ""))


@dataclass(frozen=True, kw_only=True)
class Trigger:
    id: str
    user: str
    at: float
    view: str | None = None  # the modal the person acted in, which a push goes on top of
    channel: str | None = None  # the conversation that was open before them
    used: bool = False


@dataclass(frozen=True, kw_only=True)
class ResponseUrl:
    """One `response_url`: where its answers go, and which message it may replace or delete."""

    key: str
    user: str
    channel: str
    at: float
    source: str | None = None
    thread_ts: str | None = None
    uses: int = 0


class State:
    """The whole workspace in memory. `now` gives seconds since the epoch."""

    def __init__(
        self, *, identity: Identity, now: Callable[[], float], scopes: frozenset[str], home_enabled: bool = True
    ) -> None:
        self.identity = identity
        self.now = now
        self.scopes = scopes
        self.home_enabled = home_enabled
        self.url = ""  # where this server is reached, known once it listens
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.stacks: dict[str, list[str]] = {}  # person -> open modals, the top one last
        self.homes: dict[str, str] = {}  # person -> view id of the Home tab
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.on_change: list[Callable[[], None]] = []
        self.on_event: list[Callable[[str, Json, str | None], None]] = []
        # In the order they were posted, which is the order of their time stamps; a change keeps its place.
        self._messages: dict[str, dict[str, Message]] = {}
        self._threads: dict[tuple[str, str], dict[str, None]] = {}  # (channel, parent) -> its replies, in order
        self._last_ts = 0
        self._ids = 0

    # People and places

    def person(self, who: str) -> Person:
        """By id, handle, `@handle` or `<@ID>`; raises `KeyError`."""
        bare = who.removeprefix("<").removesuffix(">").removeprefix("@").split("|")[0]
        if bare in self.people:
            return self.people[bare]
        for person in self.people.values():
            if person.name == bare:
                return person
        raise KeyError(f"Nobody here is called {who!r}.")

    def channel(self, where: str) -> Channel:
        """By id, name or `#name`; raises `KeyError`."""
        if where in self.channels:
            return self.channels[where]
        for channel in self.channels.values():
            if channel.kind is not Kind.DIRECT and channel.name == where.removeprefix("#"):
                return channel
        raise KeyError(f"No channel here is called {where!r}.")

    def direct(self, user: str) -> Channel:
        """The direct conversation of the app and that person, opened if need be."""
        channel_id = "D" + user[1:]
        if channel_id not in self.channels:
            members = frozenset({user, self.identity.bot_user})
            self.put_channel(Channel(id=channel_id, name=user, members=members, kind=Kind.DIRECT))
        return self.channels[channel_id]

    def put_channel(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel if channel.created else replace(channel, created=int(self.now()))
        self._messages.setdefault(channel.id, {})
        self.changed()
        return self.channels[channel.id]

    def join(self, channel: Channel, user: str, *, inviter: str | None = None) -> Channel:
        if user in channel.members:
            return channel
        joined = self.put_channel(replace(channel, members=channel.members | {user}))
        event: Json = {
            "type": "member_joined_channel",
            "user": user,
            "channel": channel.id,
            "team": self.identity.team_id,
        }
        event["channel_type"] = "C" if channel.kind is Kind.PUBLIC else "G"
        if inviter:
            event["inviter"] = inviter
        self.emit("member_joined_channel", event, channel.id)
        return joined

    def has_bot(self, channel: Channel) -> bool:
        return self.identity.bot_user in channel.members

    # Messages

    def next_ts(self) -> str:
        """A time stamp later than every one before, as Slack writes it: seconds, a dot, six digits."""
        self._last_ts = max(int(self.now() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def put_message(self, message: Message) -> Message:
        self._messages.setdefault(message.channel, {})[message.ts] = message
        if message.thread_ts is not None:
            self._threads.setdefault((message.channel, message.thread_ts), {})[message.ts] = None
        self.changed()
        return message

    def drop_message(self, message: Message) -> None:
        self._messages[message.channel].pop(message.ts)
        if message.thread_ts is not None:
            self._threads[message.channel, message.thread_ts].pop(message.ts)
        self.changed()

    def message(self, channel: str, ts: str) -> Message | None:
        """The message everybody sees at that place, never an ephemeral one."""
        found = self._messages.get(channel, {}).get(ts)
        return None if found is None or found.is_ephemeral else found

    def any_message(self, channel: str, ts: str) -> Message | None:
        return self._messages.get(channel, {}).get(ts)

    def all_messages(self, channel: str) -> list[Message]:
        """Oldest first, ephemeral ones included."""
        return list(self._messages.get(channel, {}).values())

    def history(self, channel: str) -> list[Message]:
        """What stands in the channel itself, oldest first: no replies (unless broadcast), nothing ephemeral."""
        return [
            message
            for message in self.all_messages(channel)
            if not message.is_ephemeral and (message.thread_ts is None or message.subtype == "thread_broadcast")
        ]

    def replies(self, channel: str, thread_ts: str) -> list[Message]:
        answers = (self._messages[channel][ts] for ts in self._threads.get((channel, thread_ts), ()))
        return [message for message in answers if not message.is_ephemeral]

    def wire(self, message: Message, *, metadata: bool = False) -> Json:
        """The message as the Web API and payloads show it."""
        body: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
        body["team"] = self.identity.team_id
        if message.subtype:
            body["subtype"] = message.subtype
        if message.bot_id:
            body |= {"bot_id": message.bot_id, "app_id": self.identity.app_id}
        if message.blocks:
            body["blocks"] = list(message.blocks)
        if message.attachments:
            body["attachments"] = list(message.attachments)
        if message.edited_at:
            body["edited"] = {"user": message.user, "ts": message.edited_at}
        if message.reactions:
            body["reactions"] = [
                {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
            ]
        if message.files:
            body["files"] = [self.file_wire(self.files[file_id]) for file_id in message.files]
        if message.metadata and metadata:
            body["metadata"] = message.metadata
        return body | self._thread_fields(message)

    def _thread_fields(self, message: Message) -> Json:
        if message.thread_ts:
            parent = self.message(message.channel, message.thread_ts)
            return {"thread_ts": message.thread_ts} | ({"parent_user_id": parent.user} if parent else {})
        replies = self.replies(message.channel, message.ts)
        if not replies:
            return {}
        users = list(dict.fromkeys(reply.user for reply in replies))
        return {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users": users,
            "reply_users_count": len(users),
            "latest_reply": replies[-1].ts,
        }

    def file_wire(self, file: File) -> Json:
        return {
            "id": file.id,
            "name": file.name,
            "title": file.title or file.name,
            "size": file.size,
            "user": file.user or self.identity.bot_user,
            "channels": list(file.channels),
            "alt_txt": file.alt_text,
            "mimetype": file.mimetype,
            "filetype": file.name.rpartition(".")[2].lower() if "." in file.name else "text",
            "mode": "hosted",
            "url_private": f"{self.url}/files/{file.id}/{quote(file.name)}",
        }

    # Short-lived keys

    def new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}0{self._ids:07d}"

    def new_trigger(self, user: str, *, view: str | None = None, channel: str | None = None) -> str:
        trigger_id = f"{self.new_id('')}.{int(self.now())}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(id=trigger_id, user=user, at=self.now(), view=view, channel=channel)
        _forget_oldest(self.triggers)
        return trigger_id

    def exchange_trigger(self, trigger_id: str) -> Trigger:
        """Use a trigger up; refuses one that is unknown, used, or more than three seconds old."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise Refused("invalid_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if self.now() - trigger.at > TRIGGER_SECONDS:
            raise Refused("expired_trigger_id")
        self.triggers[trigger_id] = replace(trigger, used=True)
        return trigger

    def new_response_url(
        self, *, user: str, channel: str, source: str | None = None, thread_ts: str | None = None
    ) -> str:
        key = secrets.token_hex(16)
        self.response_urls[key] = ResponseUrl(
            key=key, user=user, channel=channel, at=self.now(), source=source, thread_ts=thread_ts
        )
        _forget_oldest(self.response_urls)
        return key

    # Being heard

    def changed(self) -> None:
        for wake in tuple(self.on_change):
            wake()

    def emit(self, subscription: str, event: Json, channel: str | None) -> None:
        """Tell the app, if it subscribed to that event and may hear that channel."""
        for hear in tuple(self.on_event):
            hear(subscription, event, channel)


def ts_key(ts: str) -> tuple[int, int]:
    """For ordering time stamps, which are strings and never floats; those without a dot count whole seconds."""
    seconds, _, rest = ts.partition(".")
    return int(seconds), int(rest.ljust(6, "0")[:6] or 0)


def _forget_oldest(keys: dict[str, Any]) -> None:
    while len(keys) > MOST_KEYS:
        del keys[next(iter(keys))]


def is_ts(text: str) -> bool:
    return _TS.fullmatch(text) is not None
