"""The door for the page: its files, the workspace as one person sees it, live changes, and what people do there.

The page asks nobody for a password, so the door is narrow: requests must name a loopback host, must not come from
another origin, and what changes something must be JSON. That keeps other web pages open in the same browser out.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from bot.playground.delivery import Ack, Delivery
from bot.playground.faults import EVERY_METHOD, Mode
from bot.playground.files import Upload
from bot.playground.response_urls import Reply
from bot.playground.state import Json, Kind, Message, NotPossible, Person, Refused, View
from bot.playground.views import view_wire
from bot.playground.web_api import METHODS, ApiCall

if TYPE_CHECKING:
    from bot.playground.workspace import Workspace

FILES = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
TEXTS = frozenset({"text/plain", "text/csv", "application/json"})
MOST_MESSAGES = 300  # per channel, the newest
MOST_WIRE = 200
APP_HOME = "app-home"  # as the page calls that place
CALM_SECONDS = 0.15  # changes closer together than this are told as one
KEEP_ALIVE_SECONDS = 15.0
HEADERS = {
    # Nothing is loaded from elsewhere, not even pictures: they are shown as links.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# What is left to see of a token, a response or upload address, a socket's ticket, a trigger.
_SECRET = re.compile(r"(xox[a-z]-|xapp-|/respond/|/upload/\w+/|[?&]ticket=|\b\d{8}\.\d{9,}\.)[\w.-]+")

Do = Callable[[Json], Awaitable[Json]]


class Browser:
    """Serves the page of one workspace, to any number of windows."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._windows: set[asyncio.Event] = set()
        self._closing = False
        workspace.state.on_change.append(self._wake)
        self._gestures: dict[str, Do] = {
            "send": self._send,
            "upload": self._upload,
            "click": self._click,
            "choose": self._choose,
            "suggest": self._suggest,
            "type": self._type,
            "submit": self._submit,
            "close": self._close_view,
            "shortcut": self._shortcut,
            "message_shortcut": self._message_shortcut,
            "home": self._home,
            "react": self._react,
            "add_fault": self._add_fault,
            "clear_faults": self._clear_faults,
            "limits": self._limits,
            "sockets": self._sockets,
        }

    def add_routes(self, application: web.Application) -> None:
        application.router.add_get("/", self._guarded(self._index))
        application.router.add_get("/page/{name}", self._guarded(self._file))
        application.router.add_get("/ui/state", self._guarded(self._state))
        application.router.add_get("/ui/wire", self._guarded(self._wire))
        application.router.add_get("/ui/changes", self._guarded(self._changes))
        application.router.add_get("/ui/file/{file}", self._guarded(self._shared_file))
        application.router.add_post("/ui/do/{gesture}", self._guarded(self._do))

    async def close(self) -> None:
        """Let every window's stream end."""
        self._closing = True
        self._wake()
        await asyncio.sleep(0)

    # The door

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not _is_loopback(request.host) or not _is_own_origin(request):
                raise web.HTTPForbidden(text="This page is for a browser on the same machine only.", headers=HEADERS)
            if request.method == "POST" and request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType(text="JSON only.", headers=HEADERS)
            return await handler(request)

        return guarded

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return _file_response("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in {path.name for path in FILES.iterdir()}:
            raise web.HTTPNotFound
        return _file_response(name)

    # Looking

    async def _state(self, request: web.Request) -> web.StreamResponse:
        try:
            person = self._workspace.state.person(request.query.get("person", ""))
        except KeyError:
            person = next(p for p in self._workspace.state.people.values() if not p.is_bot)
        return _json(self._seen_by(person, request.query.get("channel", "")))

    async def _wire(self, request: web.Request) -> web.StreamResponse:
        """The newest lines, numbered from the first that ever was; with `after` only those the page does not have."""
        try:
            after = int(request.query.get("after", "-1"))
        except ValueError:
            raise web.HTTPBadRequest(text="`after` is a number.", headers=HEADERS) from None
        recorded = self._workspace.recorded
        wanted = max(0, min(MOST_WIRE, recorded - 1 - after))
        entries = list(self._workspace.wire)[-wanted:] if wanted else []
        first = recorded - len(entries)
        return _json({"entries": [{"n": first + n, **_entry(entry)} for n, entry in enumerate(entries)]})

    async def _shared_file(self, request: web.Request) -> web.StreamResponse:
        """A shared file: pictures to look at, text to read, anything else to keep."""
        file = self._workspace.state.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound
        shown = file.mimetype if file.mimetype in PICTURES else "text/plain" if file.mimetype in TEXTS else None
        headers = {**HEADERS, "Content-Type": f"{shown}; charset=utf-8" if shown else "application/octet-stream"}
        if shown is None:
            headers["Content-Disposition"] = "attachment"
        return web.Response(body=file.content, headers=headers)

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one line whenever something changed; the page then asks for what it shows."""
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        changed = asyncio.Event()
        changed.set()
        self._windows.add(changed)
        try:
            while not self._closing:
                await response.write(b"data: changed\n\n" if changed.is_set() else b": still here\n\n")
                changed.clear()
                await asyncio.sleep(CALM_SECONDS)
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    continue
        except (ConnectionError, asyncio.CancelledError):
            pass  # The window was closed.
        finally:
            self._windows.discard(changed)
        return response

    def _wake(self) -> None:
        for window in self._windows:
            window.set()

    def _seen_by(self, person: Person, looked_at: str = "") -> Json:
        """What that person sees: all messages of the channel looked at, of the others only when and whose they are."""
        workspace, state = self._workspace, self._workspace.state
        state.direct(person.id)
        channels = [channel for channel in state.channels.values() if person.id in channel.members]
        known = {channel.id for channel in channels} | {APP_HOME}
        here = looked_at if looked_at in known else channels[0].id if channels else ""
        home = workspace.home(person.id)
        return {
            "me": person.id,
            "app": {
                "user": state.identity.bot_user,
                "name": state.identity.app_name,
                "reached": self._reached(),
                "takes_messages": workspace.takes_messages,
            },
            "began": workspace.began,
            "first_lines": [{"text": line.text, "about": line.about} for line in workspace.first_lines],
            "people": [
                {"id": p.id, "name": p.name, "shown": p.shown, "title": p.title, "bot": p.is_bot}
                for p in state.people.values()
            ],
            "groups": [{"id": g.id, "handle": g.handle} for g in state.groups.values()],
            "channels": [
                {
                    "id": channel.id,
                    "name": state.identity.app_name if channel.kind is Kind.DIRECT else channel.name,
                    "kind": channel.kind.value,
                    "topic": channel.topic,
                    "archived": channel.archived,
                    "members": sorted(channel.members),
                    "recent": [[message.ts, message.user] for message in self._visible(channel.id, person)],
                    "messages": [self._message(message) for message in self._visible(channel.id, person)]
                    if channel.id == here
                    else None,
                }
                for channel in channels
            ],
            "views": [self._view(view) for view in workspace.views(person.id)],
            "home": self._view(home) if home else None,
            "commands": [
                {"command": spec.command, "description": spec.description, "hint": spec.usage_hint}
                for spec in workspace.command_specs
            ],
            "shortcuts": [
                {"name": spec.name, "id": spec.callback_id, "on_message": spec.on_message}
                for spec in workspace.shortcut_specs
            ],
            "methods": sorted(METHODS),
            "faults": [{"id": fault.id, "words": fault.words} for fault in workspace.faults.all()],
            "limits": workspace.limits.enabled,
            "sockets": workspace.sockets.count,
            "recorded": workspace.recorded,
        }

    def _reached(self) -> str:
        if self._workspace.events_url is not None:
            return "reached over HTTP"
        count = self._workspace.sockets.count
        return f"reached over Socket Mode ({count} connected)" if count else "not connected yet"

    def _visible(self, channel: str, person: Person) -> list[Message]:
        everything = self._workspace.state.all_messages(channel)
        return [message for message in everything if message.visible_to in (None, person.id)][-MOST_MESSAGES:]

    def _message(self, message: Message) -> Json:
        return {
            **self._workspace.state.wire(message),
            "channel": message.channel,
            "only_you": message.is_ephemeral,
            "pinned": message.pinned,
        }

    def _view(self, view: View) -> Json:
        return {**view_wire(self._workspace.state, view), "errors": dict(view.errors)}

    # Doing

    async def _do(self, request: web.Request) -> web.StreamResponse:
        gesture = self._gestures.get(request.match_info["gesture"])
        if gesture is None:
            raise web.HTTPNotFound
        try:
            given = await request.json()
            return _json({"ok": True, **await gesture(given)})
        except NotPossible as error:
            return _json({"ok": False, "error": str(error)})
        except Refused as refusal:
            return _json({"ok": False, "error": refusal.error})
        except (KeyError, TypeError, ValueError) as error:
            return _json({"ok": False, "error": f"That request makes no sense here: {error}"}, status=400)

    async def _send(self, given: Json) -> Json:
        """What was typed into the composer: a slash command or a message."""
        text, thread_ts = str(given["text"]).strip(), given.get("thread_ts")
        if text.startswith("/"):
            return _told(await self._workspace.command(given["person"], given["channel"], text, thread_ts=thread_ts))
        await self._workspace.say(given["person"], given["channel"], text, thread_ts=thread_ts)
        return {}

    async def _upload(self, given: Json) -> Json:
        """A file chosen or pasted there, in base64."""
        content = base64.b64decode(str(given["content"]), validate=True)
        words, thread_ts = str(given.get("text") or ""), given.get("thread_ts")
        await self._workspace.upload(
            given["person"], given["channel"], str(given["name"]), content, text=words, thread_ts=thread_ts
        )
        return {}

    async def _click(self, given: Json) -> Json:
        target, block_id = self._target(given), given.get("block_id")
        return _told(await self._workspace.click(given["person"], target, given["action_id"], block_id=block_id))

    async def _choose(self, given: Json) -> Json:
        target, block_id = self._target(given), given.get("block_id")
        return _told(
            await self._workspace.choose(
                given["person"], target, given["action_id"], given["choice"], block_id=block_id
            )
        )

    async def _suggest(self, given: Json) -> Json:
        target, typed, block_id = self._target(given), str(given["typed"]), given.get("block_id")
        found = await self._workspace.suggest(given["person"], target, given["action_id"], typed, block_id=block_id)
        return {"options": found}

    async def _type(self, given: Json) -> Json:
        self._workspace.type_into(given["person"], given["values"])
        return {}

    async def _submit(self, given: Json) -> Json:
        return _told(await self._workspace.submit_view(given["person"], given["values"]))

    async def _close_view(self, given: Json) -> Json:
        await self._workspace.close_view(given["person"], whole_stack=bool(given.get("whole_stack")))
        return {}

    async def _shortcut(self, given: Json) -> Json:
        return _told(
            await self._workspace.shortcut(given["person"], given["callback_id"], looking_at=given.get("channel"))
        )

    async def _message_shortcut(self, given: Json) -> Json:
        message = self._some_message(given)
        return _told(await self._workspace.message_shortcut(given["person"], message, given["callback_id"]))

    async def _home(self, given: Json) -> Json:
        await self._workspace.open_home(given["person"])
        return {}

    async def _react(self, given: Json) -> Json:
        """Add a reaction, or take one's own back."""
        message, emoji = self._some_message(given), str(given["emoji"])
        mine = self._workspace.state.person(given["person"]).id in message.reactions.get(emoji, ())
        (self._workspace.unreact if mine else self._workspace.react)(given["person"], message, emoji)
        return {}

    async def _add_fault(self, given: Json) -> Json:
        faults, method = self._workspace.faults, str(given.get("method") or EVERY_METHOD)
        times = int(given["times"]) if given.get("times") else None
        match given["mode"]:
            case Mode.SLOW.value:
                faults.slow(float(given.get("seconds") or 2), method, times=times)
            case "rate_limited":
                faults.rate_limited(int(given.get("seconds") or 5), method, times=times)
            case "server_error":
                faults.server_error(method, times=times)
            case Mode.CUT.value:
                faults.cut(method, times=times)
            case Mode.HANG.value:
                faults.hang(method, times=times)
            case Mode.DROP_AFTER_EFFECT.value:
                faults.drop_after_effect(method, times=times)
            case other:
                raise ValueError(f"no such fault: {other}")
        return {}

    async def _clear_faults(self, given: Json) -> Json:
        self._workspace.faults.clear(given.get("id"))
        return {}

    async def _limits(self, given: Json) -> Json:
        self._workspace.limits.enabled = bool(given["enabled"])
        self._workspace.state.changed()
        return {}

    async def _sockets(self, given: Json) -> Json:
        if given["how"] == "cut":
            self._workspace.sockets.cut()
        else:
            await self._workspace.sockets.disconnect("refresh_requested")
        return {}

    def _target(self, given: Json) -> Message | View:
        if given.get("view"):
            return self._workspace.state.views[given["view"]]
        return self._some_message(given)

    def _some_message(self, given: Json) -> Message:
        message = self._workspace.state.any_message(given["channel"], given["ts"])
        if message is None:
            raise NotPossible("That message is gone.")
        return message


def _told(ack: Ack) -> Json:
    return {"elapsed": round(ack.elapsed, 3), "failed": ack.error}


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_own_origin(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    same_site = request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    own = origin is None or origin == f"http://{request.host}"
    # A link from elsewhere may open the page itself; it can neither read nor do anything there.
    return own and (same_site or request.path == "/")


def _json(body: Any, *, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers=HEADERS)


def _file_response(name: str) -> web.Response:
    path = FILES / name
    headers = {**HEADERS, "Content-Type": f"{TYPES[path.suffix]}; charset=utf-8"}
    return web.Response(body=path.read_bytes(), headers=headers)


def _entry(entry: ApiCall | Delivery | Reply | Upload) -> Json:
    """One line of the wire inspector, with what lies behind it. What would let somebody act as the app is masked."""
    match entry:
        case ApiCall():
            line: Json = {
                "way": "app to Slack",
                "verb": entry.verb,
                "name": entry.method,
                "status": entry.status,
                "good": entry.ok and entry.status == 200,
                "note": entry.fault or entry.error,
                "sent": entry.arguments,
                "answer": entry.answer,
            }
        case Delivery():
            payload = entry.payload
            again = f"attempt {entry.attempt + 1}" if entry.attempt else ""
            line = {
                "way": "Slack to app",
                "verb": "POST",
                "name": payload.get("command") or payload.get("event", {}).get("type") or payload.get("type"),
                "status": entry.ack.status,
                "good": entry.ack.ok,
                "note": " ".join(filter(None, (again, entry.ack.error))),
                "sent": payload,
                "answer": entry.ack.body,
            }
        case Reply():
            line = {
                "way": "app to Slack",
                "verb": "POST",
                "name": "response_url",
                "status": entry.status,
                "good": entry.status == 200,
                "note": "",
                "sent": entry.body,
                "answer": entry.answer,
            }
        case Upload():
            line = {
                "way": "app to Slack",
                "verb": "POST",
                "name": "upload_url",
                "status": entry.status,
                "good": entry.status == 200,
                "note": "",
                "sent": f"{entry.size} bytes of {entry.file}",
                "answer": "",
            }
    elapsed = entry.ack.elapsed if isinstance(entry, Delivery) else entry.elapsed
    return {
        **line,
        "sent": _masked(line["sent"]),
        "answer": _masked(line["answer"]),
        "at": entry.at,
        "ms": elapsed * 1000,
    }


def _masked(value: Any) -> Any:
    """The same, without tokens and without the secret ends of addresses and triggers."""
    match value:
        case str():
            return _SECRET.sub(lambda found: f"{found[1]}…", value)
        case dict():
            return {name: "…" if name == "token" else _masked(item) for name, item in value.items()}
        case list() | tuple():
            return [_masked(item) for item in value]
        case _:
            return value
