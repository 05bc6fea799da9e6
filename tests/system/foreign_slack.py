"""A second Slack, small and strict, that shares no code with the local workspace: what a stranger sends and answers.

The Web API side records every call and answers the least that a client accepts. The other side signs slash commands and
clicks as Slack's documentation says ("Verifying requests from Slack", version 0) and posts them.
"""

import hashlib
import hmac
import io
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the Web API, or one use of a response address (method `respond`)."""

    method: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the app answered to a delivery. `seconds`: how long it took."""

    status: int
    text: str
    seconds: float


@dataclass(kw_only=True)
class ForeignSlack:
    """Listens on loopback until closed."""

    bot_token: str = "xoxb-1-foreign"
    signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5"
    events_url: str = ""
    calls: list[Call] = field(default_factory=list)
    _port: int = 0
    _runner: web.AppRunner | None = None
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def start(self) -> None:
        """Answer the Web API."""
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._answer)
        app.router.add_post("/commands/{key}", self._respond)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Answer nothing more."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """What SLACK_API_URL has to be."""
        return f"http://127.0.0.1:{self._port}/api/"

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        fields: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            fields |= await request.json()
        else:
            fields |= dict(await request.post())
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        self.calls.append(Call(method=method, fields=fields))
        return web.json_response(self._least(method, fields))

    def _least(self, method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        match method:
            case "auth.test":
                return {"ok": True, "user_id": "U0BOT", "bot_id": "B0BOT", "team_id": "T1", "team": "t", "user": "bot"}
            case "chat.postMessage":
                ts = f"{int(time.time())}.{next(self._numbers):06d}"
                return {"ok": True, "channel": fields["channel"], "ts": ts, "message": {"text": fields.get("text", "")}}
            case "chat.update":
                return {"ok": True, "channel": fields["channel"], "ts": fields["ts"], "text": fields.get("text", "")}
            case "chat.postEphemeral":
                return {"ok": True, "message_ts": f"{int(time.time())}.{next(self._numbers):06d}"}
            case "conversations.replies" | "conversations.history":
                return {"ok": True, "messages": [], "has_more": False}
            case "conversations.open":
                return {"ok": True, "channel": {"id": f"D{fields.get('users', '')}"}}
            case "usergroups.users.list":
                return {"ok": True, "users": []}
            case _:
                return {"ok": True}

    async def _respond(self, request: web.Request) -> web.Response:
        self.calls.append(Call(method="respond", fields=await request.json()))
        return web.Response(text="ok")

    # What people see

    def said(self) -> str:
        """Everything that was ever posted, updated or answered, as the JSON that came."""
        return "\n".join(json.dumps(call.fields, ensure_ascii=False, default=str) for call in self.calls)

    def private(self, person: str) -> str:
        """What only one person was told, and what their response addresses were used for."""
        return "\n".join(
            json.dumps(call.fields, ensure_ascii=False, default=str)
            for call in self.calls
            if call.method == "respond" or (call.method == "chat.postEphemeral" and call.fields.get("user") == person)
        )

    def button(self, label: str, saying: str) -> Mapping[str, Any] | None:
        """The newest button with this label on a message that says this too, with its channel."""
        for call in reversed(self.calls):
            blocks = call.fields.get("blocks") or []
            if saying not in json.dumps(blocks):
                continue
            for block in json.loads(blocks) if isinstance(blocks, str) else blocks:
                for element in block.get("elements", ()) if block.get("type") == "actions" else ():
                    if element.get("text", {}).get("text") == label:
                        return {
                            "block_id": block.get("block_id", "b"),
                            "channel": call.fields.get("channel"),
                            **element,
                        }
        return None

    # What is sent

    def trigger(self) -> str:
        """A new trigger id."""
        return f"{time.time_ns()}.{next(self._numbers)}.foreign"

    def command_form(self, person: str, text: str, *, command: str = "/runbook", trigger: str | None = None) -> bytes:
        """The body of a slash command."""
        return urlencode(
            {
                "token": "gIkuvaNzQIHg97ATvDxqgjtO",
                "team_id": "T1",
                "team_domain": "example",
                "channel_id": "C0INC",
                "channel_name": "incidents",
                "user_id": person,
                "user_name": person.lower(),
                "command": command,
                "text": text,
                "api_app_id": "A1",
                "is_enterprise_install": "false",
                "response_url": self.api_url.replace("/api/", f"/commands/{next(self._numbers)}"),
                "trigger_id": trigger or self.trigger(),
            }
        ).encode()

    def click_form(self, person: str, action: Mapping[str, Any], *, trigger: str | None = None) -> bytes:
        """The body of a click on a button, as `button` gives it."""
        payload = {
            "type": "block_actions",
            "api_app_id": "A1",
            "token": "gIkuvaNzQIHg97ATvDxqgjtO",
            "team": {"id": "T1", "domain": "example"},
            "user": {"id": person, "username": person.lower(), "name": person.lower(), "team_id": "T1"},
            "container": {"type": "message", "message_ts": "1.000001", "channel_id": "C0INC", "is_ephemeral": False},
            "channel": {"id": "C0INC", "name": "incidents"},
            "trigger_id": trigger or self.trigger(),
            "response_url": self.api_url.replace("/api/", f"/commands/{next(self._numbers)}"),
            "actions": [
                {
                    "type": "button",
                    "action_id": action.get("action_id", ""),
                    "block_id": action.get("block_id", "b"),
                    "value": action.get("value", ""),
                    "text": action.get("text", {"type": "plain_text", "text": "?"}),
                    "action_ts": f"{time.time():.6f}",
                }
            ],
        }
        return urlencode({"payload": json.dumps(payload)}).encode()

    async def deliver(
        self,
        body: bytes,
        *,
        age: int = 0,
        secret: str | None = None,
        signed: bool = True,
        timestamp: str | None = None,
    ) -> Answer:
        """Post it. `age`: how many seconds ago it was signed; `timestamp`: sent, and signed, instead of the time."""
        moment = timestamp if timestamp is not None else str(int(time.time()) - age)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if signed:
            basis = f"v0:{moment}:".encode() + body
            signature = hmac.new((secret or self.signing_secret).encode(), basis, hashlib.sha256).hexdigest()
            headers |= {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={signature}"}
        began = time.monotonic()
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.events_url, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return Answer(status=answer.status, text=await answer.text(), seconds=time.monotonic() - began)

    async def command(self, person: str, text: str, **how: Any) -> Answer:
        """A signed slash command; `command` and `trigger` as of `command_form`, the rest as of `deliver`."""
        form = {name: how.pop(name) for name in ("command", "trigger") if name in how}
        return await self.deliver(self.command_form(person, text, **form), **how)

    async def click(self, person: str, action: Mapping[str, Any], *, trigger: str | None = None) -> Answer:
        """A signed click."""
        return await self.deliver(self.click_form(person, action, trigger=trigger))
