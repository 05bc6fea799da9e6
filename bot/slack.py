"""The two doors to Slack: signed HTTP requests and Socket Mode, with the same listeners behind both.

A listener commits what came and acknowledges; the work goes on in `inbox.py`. Nothing here waits for Slack: the bot's
token is not checked by a call before a command is heard, so commands are taken while Slack's API is away.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import aiohttp
import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot import forms, modals
from bot.actions import PREFIX
from bot.filling import Forms
from bot.identity import actor_of
from bot.inbox import Inbox
from bot.settings import Slack
from storage.records import Actor, Origin

log = structlog.get_logger(__name__)


def client_for(slack: Slack, timeout: int = 10) -> AsyncWebClient:
    """Slack's client, pointed where the settings say; we retry by ourselves."""
    return AsyncWebClient(
        token=slack.bot_token.get_secret_value(), base_url=slack.api_url, timeout=timeout, retry_handlers=[]
    )


def bolt_app(
    slack: Slack, inbox: Inbox, forms: Forms, opened: Callable[[Actor], None] = lambda actor: None
) -> AsyncApp:
    """Bolt with our listeners. `opened` is told who looks at the app's Home tab."""

    async def authorize(team_id: str | None = None, **_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=team_id, bot_token=slack.bot_token.get_secret_value(), bot_user_id=None
        )

    secret = slack.signing_secret
    app = AsyncApp(
        client=AsyncWebClient(base_url=slack.api_url),  # it gets its token with each request
        signing_secret=secret.get_secret_value() if secret is not None else "",
        authorize=authorize,
        process_before_response=True,  # the listener only commits; without this Bolt polls for the ack every 10 ms
        request_verification_enabled=secret is not None,
        ignoring_self_events_enabled=False,
    )
    app.command(re.compile(r".*"))(_Command(inbox).hear)
    app.action(re.compile(r".*"))(_Click(inbox).hear)
    app.view(re.compile(r".*"))(_Submission(inbox, forms).hear)
    app.shortcut(re.compile(r".*"))(_Shortcut(inbox).hear)
    app.options(re.compile(r".*"))(_Search(forms).hear)
    app.event("app_home_opened")(_HomeOpened(opened).hear)
    return app


class _Command:
    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def hear(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Commit a slash command, then acknowledge it."""
        actor = actor_of(body)
        if not actor.is_slack:
            await ack()  # of nobody: there is nobody to answer
            return
        said = await self.inbox.receive(
            key=_key(body, "command", "text", "user_id", "channel_id"),
            kind="command",
            actor=actor,
            channel=str(body.get("channel_id") or "")[:40] or None,
            text=str(body.get("text") or ""),
            payload={
                "command": body.get("command"),
                "response_url": body.get("response_url"),
                "trigger_id": body.get("trigger_id"),
            },
            origin=Origin.COMMAND,
        )
        await ack(said) if said else await ack()


class _Click:
    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def hear(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Commit the click of a button, or a choice from a menu, then acknowledge it."""
        action, actor = (body.get("actions") or [{}])[0], actor_of(body)
        verb = str(action.get("action_id") or "")
        if not verb.startswith(PREFIX) or not actor.is_slack:
            await ack()
            return
        channel = body.get("channel") or body.get("container") or {}
        view = body.get("view") or {}
        place = forms.carried(view)
        chosen = action.get("selected_option") or {}
        said = await self.inbox.receive(
            key=_key(body, "actions", "user", "container"),
            kind="click",
            actor=actor,
            channel=str(channel.get("id") or channel.get("channel_id") or "")[:40] or place.channel,
            text=verb,
            payload={
                "value": action.get("value") or chosen.get("value"),
                "response_url": body.get("response_url"),
                "trigger_id": body.get("trigger_id"),
                **(
                    {
                        "view_id": view.get("id"),
                        "thread": place.thread,
                        "metadata": str(view.get("private_metadata") or "")[:3_000],
                    }
                    if view
                    else {}
                ),
            },
            origin=Origin.BUTTON,
        )
        if said:  # an acknowledgement of a click carries no words, so they go before it, while Slack waits
            log.warning("click_not_stored", verb=verb)
            if not await _tell(str(body.get("response_url") or ""), said):
                return  # without an acknowledgement Slack shows that something went wrong, which is all we can say
        await ack()


class _HomeOpened:
    def __init__(self, opened: Callable[[Actor], None]) -> None:
        self.opened = opened

    async def hear(self, event: dict[str, Any]) -> None:
        """Nothing is committed: whoever sees an old view opens it again."""
        actor = actor_of({"user_id": event.get("user")})
        if event.get("tab") == "home" and actor.is_slack:
            self.opened(actor)


class _Submission:
    def __init__(self, inbox: Inbox, forms: Forms) -> None:
        self.inbox, self.forms = inbox, forms

    async def hear(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Commit what was filled into a modal, then acknowledge it; what can't be used is said beside its field."""
        view, actor = body.get("view") or {}, actor_of(body)
        heard = (self.forms.submitted(actor, view) or modals.submitted(view)) if actor.is_slack else None
        if heard is None:
            await ack()
            return
        if heard.errors:
            await ack(response_action="errors", errors=dict(heard.errors))
            return
        said = await self.inbox.receive(
            key=heard.key or _key(body, "view", "user"),
            kind=heard.kind,
            actor=actor,
            channel=heard.channel,
            text=heard.text,
            payload=heard.payload,
            origin=Origin.MODAL,
        )
        if said:
            log.warning("submission_not_stored", kind=heard.kind)
            # Where a page was to come, the note stands in its place and under its name: below it lies what was filled
            # in, and the page finds it there once the database answers.
            note = forms.note("Not stored yet", said, external_id=heard.payload.get("view"))
            action = "push" if heard.then.get("response_action") == "push" else "update"
            await ack(response_action=action, view=dict(note))
        else:
            await ack(**heard.then)


class _Shortcut:
    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def hear(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Commit a shortcut, with the message it was used on, then acknowledge it."""
        actor = actor_of(body)
        if not actor.is_slack:
            await ack()
            return
        message = body.get("message") or {}
        thread = message.get("thread_ts") or body.get("message_ts")
        said = await self.inbox.receive(
            key=_key(body, "callback_id", "user", "action_ts"),
            kind="shortcut",
            actor=actor,
            channel=str((body.get("channel") or {}).get("id") or "")[:40] or None,
            text=str(body.get("callback_id") or "")[:200],
            payload={
                "response_url": body.get("response_url"),
                "trigger_id": body.get("trigger_id"),
                "thread": str(thread) if thread else None,
            },
            origin=Origin.SHORTCUT,
        )
        if said and not await _tell(str(body.get("response_url") or ""), said):
            return  # as for clicks
        await ack()


class _Search:
    def __init__(self, forms: Forms) -> None:
        self.forms = forms

    async def hear(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Answer with what a menu offers for what was typed. Nothing comes of it, and so nothing is kept."""
        action_id, block_id, typed = (str(body.get(name) or "") for name in ("action_id", "block_id", "value"))
        await ack(**await self.forms.suggest(actor_of(body), action_id, block_id, typed, body.get("view") or {}))


async def _tell(response_url: str, text: str) -> bool:
    """Say it to the one who clicked; whether that was done within a second."""
    if not response_url:
        return False
    webhook = AsyncWebhookClient(response_url, timeout=1, retry_handlers=[])
    try:
        async with asyncio.timeout(1):
            return (await webhook.send(text=text, response_type="ephemeral", replace_original=False)).status_code == 200
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("click_not_answered", error=type(error).__name__)
        return False


def _key(body: Mapping[str, Any], *parts: str) -> str:
    """What makes a delivery the same as another: its trigger id; without one, what it says."""
    trigger = body.get("trigger_id")
    if trigger:
        return str(trigger)
    said = json.dumps([body.get(part) for part in parts], sort_keys=True, default=str)
    return "body:" + hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest()


BODY_WITHIN = 5.0
"""Seconds in which a request's body has to be there: Slack waits three for the whole answer."""


def events_handler(app: AsyncApp, signing_secret: str) -> Any:
    """The aiohttp handler of `POST /slack/events`. Of what Slack did not sign nothing is read but its bytes.

    https://docs.slack.dev/authentication/verifying-requests-from-slack/
    """
    verifier = SignatureVerifier(signing_secret)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_WITHIN):
                text = (await request.read()).decode()  # too large a body is aiohttp's to refuse
        except (TimeoutError, UnicodeDecodeError):
            return _refused(request, 400)
        if not _is_signed(verifier, request, text):
            is_check = text.startswith("ssl_check=1") or "&ssl_check=1" in text  # of our certificate, never signed
            return web.Response() if is_check else _refused(request, 401)
        parsed = _parsed(request, text)
        if parsed is None:
            return _refused(request, 400)
        return await to_aiohttp_response(await app.async_dispatch(parsed))

    return handle


def _refused(request: web.Request, status: int) -> web.Response:
    response = web.json_response({"error": "invalid request"}, status=status)
    if not request.content.is_eof():
        response.force_close()
    return response


def _is_signed(verifier: SignatureVerifier, request: web.Request, text: str) -> bool:
    timestamps = request.headers.getall("X-Slack-Request-Timestamp", ())
    signatures = request.headers.getall("X-Slack-Signature", ())
    return (
        # The SDK reads the one with int(), and compares the other if it is ASCII.
        len(timestamps) == len(signatures) == 1
        and re.fullmatch(r"[0-9]{1,12}", timestamps[0]) is not None
        and re.fullmatch(r"v0=[0-9a-f]{64}", signatures[0]) is not None
        and verifier.is_valid(text, timestamps[0], signatures[0])
    )


def _parsed(request: web.Request, text: str) -> AsyncBoltRequest | None:
    """The request as Bolt reads it; None for a body that no Slack sends."""
    try:
        parsed = AsyncBoltRequest(body=text, query=request.query_string, headers={**request.headers})
        _Body.model_validate(parsed.body)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        log.warning("body_not_understood", error=type(error).__name__)
        return None
    return parsed


class _Shape(BaseModel):
    """What a field must be that Bolt or we look into; what else there is does not matter."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Id(_Shape):
    id: str | None = None


class _Choice(_Shape):
    value: str | None = None


class _Action(_Shape):
    action_id: str = ""
    block_id: str | None = None
    value: str | None = None
    selected_option: _Choice | None = None


class _View(_Id):
    type: str
    callback_id: str = ""
    external_id: str | None = None
    private_metadata: str | None = None
    state: dict[str, Any] | None = None


class _Function(_Id):
    callback_id: str = ""


class _Event(_Shape):
    type: str
    function: _Function = _Function()
    inputs: dict[str, Any] = {}


class _Body(_Shape):
    """What Slack sends, as far as anybody looks into it.

    https://docs.slack.dev/interactivity/handling-user-interaction/#payloads
    """

    type: str | None = None
    command: str | None = None
    text: str | None = None
    user_id: str | None = None
    channel_id: str | None = None
    trigger_id: str | None = None
    response_url: str | None = None
    callback_id: str = ""
    action_id: str = ""
    block_id: str | None = None
    value: str | None = None
    user: _Id | None = None
    channel: _Id | None = None
    team: _Id | None = None
    enterprise: _Id | None = None
    container: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    view: _View = _View(type="")
    actions: Annotated[list[_Action], Field(min_length=1)] = []
    event: _Event = _Event(type="")
    authorizations: list[dict[str, Any]] = []
    response_urls: list[dict[str, Any]] = []


class Socket:
    """Socket Mode, kept connected."""

    def __init__(self, app: AsyncApp, slack: Slack) -> None:
        if slack.app_token is None:
            raise ValueError("Socket Mode needs SLACK_APP_TOKEN")
        self._token = slack.app_token.get_secret_value()
        self._app = app
        self._handler: AsyncSocketModeHandler | None = None

    async def connect(self) -> None:
        """Connect, and again whenever it breaks: the client does that by itself."""
        self._handler = AsyncSocketModeHandler(self._app, self._token)
        await self._handler.connect_async()  # type: ignore[no-untyped-call]

    async def connected(self) -> bool:
        """Whether a connection stands."""
        return self._handler is not None and await self._handler.client.is_connected()

    async def close(self) -> None:
        """Take nothing more."""
        if self._handler is not None:
            await self._handler.close_async()  # type: ignore[no-untyped-call]
            self._handler = None
