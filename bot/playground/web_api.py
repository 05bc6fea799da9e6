"""The Web API: `/api/METHOD`, judged in Slack's order: token, method, scope, rate, arguments, and then carried out.

`METHODS` is the whole list. A method is a plain function of the state and the arguments; what it refuses, it refuses by
raising `Refused` with Slack's error name.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.playground import chat, conversations, directory, files, reactions, views
from bot.playground.arguments import Arguments, read_arguments, token_of
from bot.playground.faults import Fault, Faults, Mode
from bot.playground.rate_limits import RateLimits, Tier
from bot.playground.state import Json, Kind, Refused, State

Perform = Callable[[State, Arguments], Json]


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of the list.

    `scope` may hold `{kind}`, filled with the kind of the channel that is meant, or be `{manage}`, the scope for
    managing a channel of that kind, or `{types}`, reading every kind of channel that is asked for.
    """

    perform: Perform
    tier: Tier
    scope: str | None = None
    required: tuple[str, ...] = ()
    takes_json: bool = True
    app_token: bool = False


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """One call the app made, as it arrived, and what it was told. `answer` is `None` where none was sent."""

    method: str
    arguments: Json
    at: float
    status: int | None
    answer: Json | None
    retry_after: int | None = None
    fault: str = ""
    headers: Json = field(default_factory=dict)
    verb: str = "POST"
    elapsed: float = 0.0  # real seconds until the answer was ready

    @property
    def ok(self) -> bool:
        return bool(self.answer and self.answer.get("ok"))

    @property
    def error(self) -> str:
        return "" if self.answer is None else str(self.answer.get("error", ""))


def _read(perform: Perform, tier: Tier, scope: str | None, *required: str) -> Method:
    return Method(perform=perform, tier=tier, scope=scope, required=required, takes_json=False)


def _write(perform: Perform, tier: Tier, scope: str | None, *required: str) -> Method:
    return Method(perform=perform, tier=tier, scope=scope, required=required)


METHODS: dict[str, Method] = {
    "api.test": _write(directory.api_test, Tier.FOUR, None),
    "auth.test": _write(directory.auth_test, Tier.SPECIAL, None),
    "bots.info": _read(directory.bots_info, Tier.THREE, "users:read"),
    "chat.delete": _write(chat.delete, Tier.THREE, "chat:write", "channel", "ts"),
    "chat.getPermalink": _read(chat.get_permalink, Tier.SPECIAL, None, "channel", "message_ts"),
    "chat.postEphemeral": _write(chat.post_ephemeral, Tier.FOUR, "chat:write", "channel", "user"),
    "chat.postMessage": _write(chat.post_message, Tier.SPECIAL, "chat:write", "channel"),
    "chat.update": _write(chat.update, Tier.THREE, "chat:write", "channel", "ts"),
    "conversations.archive": _write(conversations.archive, Tier.TWO, "{manage}", "channel"),
    "conversations.create": _write(conversations.create, Tier.TWO, "{manage}", "name"),
    "conversations.history": _read(conversations.history, Tier.THREE, "{kind}:history", "channel"),
    "conversations.info": _read(conversations.info, Tier.THREE, "{kind}:read", "channel"),
    "conversations.invite": _write(conversations.invite, Tier.THREE, "{manage}", "channel", "users"),
    "conversations.join": _write(conversations.join, Tier.THREE, "channels:join", "channel"),
    "conversations.list": _read(conversations.listed, Tier.TWO, "{types}"),
    "conversations.members": _read(conversations.members, Tier.FOUR, "{kind}:read", "channel"),
    "conversations.open": _write(conversations.opened, Tier.THREE, "im:write"),
    "conversations.replies": _read(conversations.replies, Tier.THREE, "{kind}:history", "channel", "ts"),
    "conversations.setPurpose": _write(conversations.set_purpose, Tier.TWO, "{manage}", "channel"),
    "conversations.setTopic": _write(conversations.set_topic, Tier.TWO, "{manage}", "channel"),
    "files.completeUploadExternal": _write(files.complete_upload, Tier.FOUR, "files:write", "files"),
    "files.delete": _write(files.delete, Tier.THREE, "files:write", "file"),
    "files.getUploadURLExternal": _read(files.get_upload_url, Tier.FOUR, "files:write", "filename", "length"),
    "files.info": _read(files.info, Tier.FOUR, "files:read", "file"),
    "pins.add": _write(reactions.pin, Tier.TWO, "pins:write", "channel", "timestamp"),
    "pins.list": _read(reactions.pins, Tier.TWO, "pins:read", "channel"),
    "pins.remove": _write(reactions.unpin, Tier.TWO, "pins:write", "channel", "timestamp"),
    "reactions.add": _write(reactions.add, Tier.THREE, "reactions:write", "channel", "name", "timestamp"),
    "reactions.get": _read(reactions.get, Tier.THREE, "reactions:read", "channel", "timestamp"),
    "reactions.remove": _write(reactions.remove, Tier.TWO, "reactions:write", "channel", "name", "timestamp"),
    "team.info": _read(directory.team_info, Tier.THREE, "team:read"),
    "usergroups.list": _read(directory.usergroups_list, Tier.TWO, "usergroups:read"),
    "usergroups.users.list": _read(directory.usergroups_users_list, Tier.TWO, "usergroups:read", "usergroup"),
    "users.conversations": _read(conversations.joined, Tier.THREE, "{types}"),
    "users.info": _read(directory.users_info, Tier.FOUR, "users:read", "user"),
    "users.list": _read(directory.users_list, Tier.TWO, "users:read"),
    "users.lookupByEmail": _read(directory.users_lookup_by_email, Tier.THREE, "users:read.email", "email"),
    "views.open": _write(views.opened, Tier.FOUR, None, "view", "trigger_id"),
    "views.publish": _write(views.published, Tier.FOUR, None, "view", "user_id"),
    "views.push": _write(views.pushed, Tier.FOUR, None, "view", "trigger_id"),
    "views.update": _write(views.updated, Tier.FOUR, None, "view"),
}

# What a bot that uses every method here was installed with.
ALL_SCOPES = frozenset(
    {"app_mentions:read", "chat:write", "commands", "users:read", "users:read.email", "usergroups:read", "team:read"}
    | {"channels:read", "channels:history", "channels:join", "channels:manage", "groups:read", "groups:history"}
    | {"groups:write", "im:read", "im:history", "im:write", "files:read", "files:write", "pins:read", "pins:write"}
    | {"reactions:read", "reactions:write"}
)


class WebApi:
    """Answers `/api/METHOD`. `record` hears of every call; `sleep` is what a slow answer waits with."""

    def __init__(
        self,
        *,
        state: State,
        bot_token: str,
        app_token: str,
        open_connection: Callable[[], str],
        limits: RateLimits,
        faults: Faults,
        record: Callable[[ApiCall], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._state = state
        self._bot_token = bot_token
        self._app_token = app_token
        self._limits = limits
        self._faults = faults
        self._record = record
        self._sleep = sleep
        opened = Method(
            perform=lambda state, arguments: {"ok": True, "url": open_connection()},
            tier=Tier.THREE,
            scope="connections:write",
            app_token=True,
        )
        self._methods = METHODS | {"apps.connections.open": opened}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        fault = self._faults.take(name)
        call = _Call(name=name, request=request, at=self._state.now())
        if fault is not None and fault.mode in {Mode.SLOW, Mode.STATUS, Mode.HANG, Mode.CUT}:
            interrupted = await self._suffer(fault, call)
            if interrupted is not None:
                return interrupted
        answer, status, retry_after = await self._answer(call)
        if fault is not None and fault.mode in {Mode.DROP_AFTER_EFFECT, Mode.HANG_AFTER_EFFECT}:
            return await self._lose(fault, call, answer)
        self._record(call.recorded(status=status, answer=answer, retry_after=retry_after, fault=_words(fault)))
        return _response(answer, status=status, headers=self._headers(call, retry_after))

    async def _answer(self, call: _Call) -> tuple[Json, int, int | None]:
        """The answer, its HTTP status, and seconds to wait where it was one call too many."""
        try:
            method = self._methods.get(call.name)
            call.arguments = await read_arguments(call.request, takes_json=method is None or method.takes_json)
            self._check_token(token_of(call.request, call.arguments), method)
            if method is None:
                raise Refused("unknown_method", req_method=call.name)
            if method.app_token and call.request.method != "POST":
                raise Refused("invalid_arguments")
            self._check_scope(method, call.arguments)
            wait = self._limits.take(call.name, method.tier, self._posted_to(call))
            if wait is not None:
                name = "rate_limited" if call.name == "chat.postMessage" else "ratelimited"
                return Refused(name).answer(), 429, wait
            _check_required(method, call.arguments)
            return method.perform(self._state, call.arguments), 200, None
        except Refused as refusal:
            return refusal.answer(), 200, None

    def _posted_to(self, call: _Call) -> str | None:
        """The channel a post counts against, whether it was named by id, by name or by the person on the other side."""
        if call.name != "chat.postMessage":
            return None
        where = call.arguments.text("channel")
        try:
            return "D" + where[1:] if where in self._state.people else self._state.channel(where).id
        except KeyError:
            return where

    def _check_token(self, token: str, method: Method | None) -> None:
        if not token:
            raise Refused("not_authed")
        if token not in {self._bot_token, self._app_token}:
            raise Refused("invalid_auth")
        wants_app_token = method is not None and method.app_token
        if (token == self._app_token) != wants_app_token:
            raise Refused("not_allowed_token_type")

    def _check_scope(self, method: Method, arguments: Arguments) -> None:
        if method.scope is None or method.app_token:
            return
        for needed in self._scopes_needed(method.scope, arguments):
            if needed not in self._state.scopes:
                raise Refused("missing_scope", needed=needed, provided=",".join(sorted(self._state.scopes)))

    def _scopes_needed(self, scope: str, arguments: Arguments) -> list[str]:
        channel = self._state.channels.get(arguments.text("channel"))
        kind = channel.kind if channel else Kind.PRIVATE if arguments.flag("is_private") else Kind.PUBLIC
        match scope:
            case "{manage}":
                return [{Kind.PUBLIC: "channels:manage", Kind.PRIVATE: "groups:write", Kind.DIRECT: "im:write"}[kind]]
            case "{types}":
                kinds = [conversations.TYPES[name] for name in arguments.names("types") if name in conversations.TYPES]
                return [f"{kind.value}:read" for kind in kinds or [Kind.PUBLIC]]
            case _:
                return [scope.replace("{kind}", kind.value)]

    def _headers(self, call: _Call, retry_after: int | None) -> dict[str, str]:
        scopes = ",".join(sorted(self._state.scopes))
        headers = {"x-oauth-scopes": scopes, "x-slack-req-id": f"local-{id(call):x}", "cache-control": "no-store"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return headers

    async def _suffer(self, fault: Fault, call: _Call) -> web.StreamResponse | None:
        """The fault's effect before anything is carried out; `None` if the call goes on afterwards."""
        if fault.mode is Mode.SLOW:
            await self._sleep(fault.seconds)
            return None
        call.arguments = await _arguments_if_readable(call.request)
        if fault.mode in {Mode.HANG, Mode.CUT}:
            self._record(call.recorded(status=None, answer=None, fault=fault.words))
            return await self._never_answer(call.request) if fault.mode is Mode.HANG else _cut(call.request)
        error = fault.error or ("ratelimited" if fault.status == 429 else "internal_error")
        answer = Refused(error).answer()
        self._record(
            call.recorded(status=fault.status, answer=answer, retry_after=fault.retry_after, fault=fault.words)
        )
        if fault.is_html:
            return web.Response(text="<html>Not Slack.</html>", content_type="text/html", status=fault.status)
        return _response(answer, status=fault.status, headers=self._headers(call, fault.retry_after))

    async def _lose(self, fault: Fault, call: _Call, answer: Json) -> web.StreamResponse:
        self._record(call.recorded(status=None, answer=answer, fault=fault.words))
        if fault.mode is Mode.HANG_AFTER_EFFECT:
            return await self._never_answer(call.request)
        return _cut(call.request)

    async def _never_answer(self, request: web.Request) -> web.StreamResponse:
        await self._faults.until_cleared()
        return _cut(request)


@dataclass(kw_only=True)
class _Call:
    """A call on its way; the arguments come once they are read."""

    name: str
    request: web.Request
    at: float
    arguments: Arguments = field(default_factory=lambda: Arguments({}))
    started: float = field(default_factory=time.perf_counter)

    def recorded(
        self, *, status: int | None, answer: Json | None, fault: str = "", retry_after: int | None = None
    ) -> ApiCall:
        given = {name: value for name, value in self.arguments.values.items() if name != "token"}
        return ApiCall(
            method=self.name,
            arguments=given,
            at=self.at,
            status=status,
            answer=answer,
            retry_after=retry_after,
            fault=fault,
            headers={"user-agent": self.request.headers.get("User-Agent", "")},
            verb=self.request.method,
            elapsed=time.perf_counter() - self.started,
        )


def _check_required(method: Method, arguments: Arguments) -> None:
    missing = [name for name in method.required if name not in arguments]
    if missing:
        raise Refused("invalid_arguments", *(f"[ERROR] missing required field: {name}" for name in missing))


async def _arguments_if_readable(request: web.Request) -> Arguments:
    try:
        return await read_arguments(request, takes_json=True)
    except Refused:
        return Arguments({})


def _response(answer: Any, *, status: int, headers: dict[str, str]) -> web.Response:
    return web.json_response(answer, status=status, headers=headers)


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer. The response returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _words(fault: Fault | None) -> str:
    return "" if fault is None else fault.words
