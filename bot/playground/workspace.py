"""The local workspace: a server that speaks Slack's protocol, and people, driven from Python or a page.

    workspace = Workspace()
    await workspace.start()
    # the app runs with SLACK_API_URL=workspace.api_url
    workspace.events_url = "http://127.0.0.1:3000/slack/events"
    ack = await workspace.command("alice", "incidents", "/runbook restart nginx on web-01")
    await workspace.wait_for(lambda w: "succeeded" in w.transcript("incidents"))

Without an `events_url` the app is reached over Socket Mode. Everything here is simulated and in memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aiohttp import web

from bot.playground import files, response_urls
from bot.playground.browser import Browser
from bot.playground.delivery import ACK_SECONDS, Deliveries, Delivery
from bot.playground.directory import group_wire
from bot.playground.faults import Faults
from bot.playground.files import Upload
from bot.playground.gestures import CommandSpec, Gestures, ShortcutSpec
from bot.playground.rate_limits import RateLimits
from bot.playground.response_urls import Reply
from bot.playground.socket_mode import PING_SECONDS, Sockets
from bot.playground.state import Channel, Group, Identity, Json, Kind, Person, Refused, State
from bot.playground.transcript import transcript
from bot.playground.web_api import ALL_SCOPES, ApiCall, WebApi

T = TypeVar("T")

BOT_TOKEN = "xoxb-local-workspace"
APP_TOKEN = "xapp-local-workspace"
SIGNING_SECRET = "local-workspace-signing-secret"
MOST_RECORDED = 20_000
LARGEST_UPLOAD = 64 * 1024 * 1024

PEOPLE = (
    Person(id="UALICE", name="alice", display_name="Alice Adams", email="alice@example.com", tz="Europe/Berlin"),
    Person(id="UBOB", name="bob", display_name="Bob Brandt", email="bob@example.com", tz="Europe/Berlin"),
    Person(id="UCAROL", name="carol", display_name="Carol Chen", email="carol@example.com", tz="America/New_York"),
    Person(id="UDAVE", name="dave", display_name="Dave Diaz", email="dave@example.com", tz="Asia/Kolkata"),
)
CHANNELS = (
    Channel(id="C0INC", name="incidents", topic="What is broken right now"),
    Channel(id="C0OPS", name="ops", topic="Alerts and upkeep"),
)
GROUPS = (Group(id="S0ONCALL", handle="oncall", name="On call", members=("UBOB", "UCAROL")),)
COMMANDS = (
    CommandSpec(
        command="/runbook",
        description="Plan and run a runbook",
        usage_hint="NAME [values] [on TARGET] [--dry-run]",
        should_escape=True,
    ),
    CommandSpec(
        command="/killswitch",
        description="Stop everything, or release it",
        usage_hint="global on|off [--now] [reason]",
        should_escape=True,
    ),
    CommandSpec(command="/incident", description="Open or follow an incident", should_escape=True),
    CommandSpec(command="/audit", description="See what happened", should_escape=True),
)


@dataclass(frozen=True, kw_only=True)
class FirstLine:
    """Something to type for a start, and what comes of it: the page offers it where nothing was said yet."""

    text: str
    about: str


# What a ChatOps bot asks to hear. Reading whole channels (`message.channels`, `message.groups`) has to be asked for.
SUBSCRIPTIONS = frozenset({"app_mention", "app_home_opened", "member_joined_channel", "message.im", "reaction_added"})
_SCOPE_OF_EVENT = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "member_joined_channel": "channels:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "file_shared": "files:read",
    "subteam_updated": "usergroups:read",
    "subteam_members_changed": "usergroups:read",
}


class Workspace(Gestures):
    """Starts without messages; a given channel without members has everybody in it.

    `now` is the workspace's clock in seconds: time stamps, rate limits, the expiry of triggers and response addresses.
    Real time is only in `ack_seconds`, how long an acknowledgement is waited for, `ping_seconds`, how often sockets are
    pinged and their age is looked at, and `sleep`, which waits between retries and in slow answers.
    """

    def __init__(
        self,
        *,
        bot_token: str = BOT_TOKEN,
        app_token: str = APP_TOKEN,
        signing_secret: str = SIGNING_SECRET,
        events_url: str | None = None,
        rate_limits: bool = True,
        rate_scale: float = 1.0,
        now: Callable[[], float] = time.time,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ack_seconds: float = ACK_SECONDS,
        ping_seconds: float = PING_SECONDS,
        people: Sequence[Person] = PEOPLE,
        channels: Sequence[Channel] = CHANNELS,
        groups: Sequence[Group] = GROUPS,
        command_specs: Sequence[CommandSpec] = COMMANDS,
        shortcut_specs: Sequence[ShortcutSpec] = (),
        scopes: frozenset[str] = ALL_SCOPES,
        subscriptions: frozenset[str] = SUBSCRIPTIONS,
        identity: Identity | None = None,
        takes_messages: bool = True,
        first_lines: Sequence[FirstLine] = (),
    ) -> None:
        identity = identity or Identity()
        state = State(identity=identity, now=now, scopes=scopes)
        self.bot_token = bot_token
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.subscriptions = subscriptions
        self.takes_messages = takes_messages  # whether people may write to the app, as its manifest says
        self.first_lines = tuple(first_lines)
        self.began = wall()
        self.faults = Faults()
        self.limits = RateLimits(now=now, enabled=rate_limits, scale=rate_scale)
        self.sockets = Sockets(app_id=identity.app_id, now=now, changed=state.changed, ping_seconds=ping_seconds)
        self.wire: deque[ApiCall | Delivery | Reply | Upload] = deque(maxlen=MOST_RECORDED)
        self.recorded = 0  # how many there have been, also those no longer kept
        deliveries = Deliveries(
            signing_secret=signing_secret,
            sockets=self.sockets,
            now=now,
            wall=wall,
            sleep=sleep,
            record=self._record,
            ack_seconds=ack_seconds,
        )
        super().__init__(state=state, deliveries=deliveries, command_specs=command_specs, shortcut_specs=shortcut_specs)
        self.events_url = events_url
        self._api = WebApi(
            state=state,
            bot_token=bot_token,
            app_token=app_token,
            open_connection=self._open_connection,
            limits=self.limits,
            faults=self.faults,
            record=self._record,
            sleep=sleep,
        )
        self._runner: web.AppRunner | None = None
        self._events: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Event] = set()
        self._populate(people, channels, groups)
        state.on_change.append(self._wake)
        state.on_event.append(self._tell_app)
        self.faults.on_change = state.changed
        self.browser = Browser(self)

    # Running

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; with port 0 on any free one. Only on loopback addresses, for nothing here asks who you are."""
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The local workspace listens on loopback addresses only, not on {host}.")
        application = web.Application(client_max_size=LARGEST_UPLOAD)
        application.router.add_route("GET", "/api/{method}", self._api.handle)
        application.router.add_route("POST", "/api/{method}", self._api.handle)
        application.router.add_post("/respond/{key}", self._respond)
        application.router.add_post("/upload/{file}/{key}", self._upload)
        application.router.add_get("/files/{file}/{name}", self._download)
        application.router.add_get("/link/", self.sockets.handle)
        self.browser.add_routes(application)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        self.state.url = f"http://{host}:{bound[1]}"
        self.state.changed()

    async def close(self) -> None:
        self.faults.clear()
        for task in tuple(self._events):
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        await self.sockets.close()
        await self.browser.close()
        await self._deliveries.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Workspace:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where the page is, without a slash at the end."""
        return self.state.url

    @property
    def api_url(self) -> str:
        """What `SLACK_API_URL` has to be."""
        return f"{self.state.url}/api/"

    @property
    def events_url(self) -> str | None:
        """Where commands, interactions and events are posted to; `None` means Socket Mode."""
        return self._deliveries.events_url

    @events_url.setter
    def events_url(self, url: str | None) -> None:
        self._deliveries.events_url = url
        self.state.changed()  # the page says how the app is reached

    async def verify_events_url(self) -> bool:
        """Whether the app answers Slack's challenge there."""
        return await self._deliveries.verify()

    # Peopling

    def add_person(
        self, *, id: str, name: str, display_name: str = "", email: str = "", tz: str = "Europe/Berlin"
    ) -> Person:
        """Somebody new, in no channel yet."""
        person = Person(id=id, name=name, display_name=display_name, email=email, tz=tz)
        self.state.people[id] = person
        self.state.changed()
        return person

    def add_channel(
        self,
        *,
        id: str,
        name: str,
        members: Sequence[str] | None = None,
        bot_is_member: bool = True,
        archived: bool = False,
        private: bool = False,
    ) -> Channel:
        """A channel with those members by id or handle, everybody if not given."""
        humans = [person.id for person in self.state.people.values() if not person.is_bot]
        inside = {self.state.person(who).id for who in members} if members is not None else set(humans)
        if bot_is_member:
            inside.add(self.state.identity.bot_user)
        kind = Kind.PRIVATE if private else Kind.PUBLIC
        return self.state.put_channel(
            Channel(id=id, name=name, members=frozenset(inside), archived=archived, kind=kind)
        )

    def add_group(self, *, id: str, handle: str, members: Sequence[str] = (), name: str = "") -> Group:
        ids = tuple(self.state.person(who).id for who in members)
        group = Group(id=id, handle=handle, name=name, members=ids)
        self.state.groups[id] = group
        self.state.changed()
        return group

    def change_group(self, handle: str, members: Sequence[str]) -> Group:
        """Who is on call now; the app hears of it where it subscribed to that."""
        before = next(group for group in self.state.groups.values() if group.handle == handle.removeprefix("@"))
        ids = tuple(self.state.person(who).id for who in members)
        after = self.state.groups[before.id] = replace(before, members=ids)
        who = self.state.identity
        changed: Json = {
            "type": "subteam_members_changed",
            "subteam_id": after.id,
            "team_id": who.team_id,
            "date_update": int(self.state.now()),
            "added_users": [user for user in ids if user not in before.members],
            "removed_users": [user for user in before.members if user not in ids],
        }
        self.state.emit("subteam_members_changed", changed, None)
        updated = {"type": "subteam_updated", "subteam": group_wire(self.state, after, with_users=True)}
        self.state.emit("subteam_updated", updated, None)
        self.state.changed()
        return after

    def archive(self, channel: str) -> None:
        self.state.put_channel(replace(self.state.channel(channel), archived=True))

    def remove_bot(self, channel: str) -> None:
        found = self.state.channel(channel)
        self.state.put_channel(replace(found, members=found.members - {self.state.identity.bot_user}))

    def invite(self, channel: str, who: str) -> None:
        """Let somebody in, or the bot by its id or name."""
        self.state.join(self.state.channel(channel), self.state.person(who).id)

    # Looking

    @property
    def calls(self) -> list[ApiCall]:
        """Every Web API call that arrived, oldest first."""
        return [entry for entry in self.wire if isinstance(entry, ApiCall)]

    def calls_of(self, method: str) -> list[ApiCall]:
        return [call for call in self.calls if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything the app was told, oldest first, retries included."""
        return [entry for entry in self.wire if isinstance(entry, Delivery)]

    @property
    def replies(self) -> list[Reply]:
        """Every use of a `response_url`."""
        return [entry for entry in self.wire if isinstance(entry, Reply)]

    def transcript(self, channel: str, *, reader: str | None = None) -> str:
        """The channel as plain text; with `reader` also what only that person sees."""
        who = self.state.person(reader).id if reader else None
        return transcript(self.state, self.state.channel(channel), reader=who)

    async def wait_for(self, predicate: Callable[[Workspace], T | None], timeout: float = 10) -> T:
        """Wait until `predicate(workspace)` is truthy and give its value; it is asked again on every change.

        Raises `TimeoutError` that shows every channel, so that a failing test says what did happen.
        """
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    woken.clear()
                    found = predicate(self)
                    if found:
                        return found
                    await woken.wait()
        except TimeoutError:
            raise TimeoutError(f"Not within {timeout:g} s. What stands there:\n\n{self._everything()}") from None
        finally:
            self._waiting.discard(woken)

    # Within

    def _populate(self, people: Sequence[Person], channels: Sequence[Channel], groups: Sequence[Group]) -> None:
        who = self.state.identity
        bot = Person(id=who.bot_user, name=who.app_name.lower(), display_name=who.app_name, is_bot=True)
        self.state.people |= {person.id: person for person in (*people, bot)}
        everybody = frozenset(self.state.people)
        for channel in channels:
            self.state.put_channel(channel if channel.members else replace(channel, members=everybody))
        self.state.groups |= {group.id: group for group in groups}

    def _open_connection(self) -> str:
        if not self.sockets.enabled:
            raise Refused("access_denied")
        return f"{self.state.url.replace('http', 'ws', 1)}/link/?ticket={self.sockets.ticket()}"

    def _record(self, entry: ApiCall | Delivery | Reply | Upload) -> None:
        self.wire.append(entry)
        self.recorded += 1
        self.state.changed()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def _everything(self) -> str:
        return "\n".join(self.transcript(channel_id) for channel_id in self.state.channels)

    def _tell_app(self, subscription: str, event: Json, channel: str | None) -> None:
        scope = _SCOPE_OF_EVENT.get(subscription)
        if subscription not in self.subscriptions or (scope is not None and scope not in self.state.scopes):
            return
        if channel is not None and not self.state.has_bot(self.state.channels[channel]):
            return
        task = asyncio.get_running_loop().create_task(self._send_event(self._event_payload(event)))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _send_event(self, payload: Json) -> None:
        await self._deliveries.send_event(payload)

    def _event_payload(self, event: Json) -> Json:
        who = self.state.identity
        authorization = {
            "enterprise_id": None,
            "team_id": who.team_id,
            "user_id": who.bot_user,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        return {
            "token": "local",
            "team_id": who.team_id,
            "context_team_id": who.team_id,
            "context_enterprise_id": None,
            "api_app_id": who.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": self.state.new_id("Ev"),
            "event_time": int(self.state.now()),
            "event_context": secrets.token_hex(8),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
        }

    async def _respond(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        response, body = await response_urls.handle(self.state, request)
        self._record(
            Reply(
                body=body,
                at=self.state.now(),
                status=response.status,
                answer=response.text or "",
                elapsed=time.perf_counter() - started,
            )
        )
        return response

    async def _upload(self, request: web.Request) -> web.Response:
        started, file = time.perf_counter(), request.match_info["file"]
        content = await _uploaded_bytes(request)
        taken = files.receive(self.state, file, request.match_info["key"], content)
        self._record(
            Upload(
                file=file,
                size=len(content),
                at=self.state.now(),
                status=200 if taken else 404,
                elapsed=time.perf_counter() - started,
            )
        )
        return web.Response(text=f"OK - {len(content)}") if taken else web.Response(status=404, text="no such upload")

    async def _download(self, request: web.Request) -> web.Response:
        """A file's bytes, for whoever shows the bot's token and may read files."""
        file = self.state.files.get(request.match_info["file"])
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != self.bot_token or "files:read" not in self.state.scopes:
            return web.Response(status=403, text="Show the bot's token, which needs the scope files:read.")
        if file is None or file.content is None:
            return web.Response(status=404, text="no such file")
        return web.Response(body=file.content, content_type=file.mimetype)


async def _uploaded_bytes(request: web.Request) -> bytes:
    """The raw body, or the one file of a multipart form."""
    if request.content_type != "multipart/form-data":
        return await request.read()
    for value in (await request.post()).values():
        if isinstance(value, web.FileField):
            content: Any = value.file.read()
            return bytes(content)
    return b""
