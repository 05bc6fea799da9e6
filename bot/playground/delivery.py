"""How the app hears of things: signed HTTP requests, or envelopes over Socket Mode, and three seconds for its answer.

Commands and interactions are delivered once, whatever happens. Events are delivered again when they were not
acknowledged: at once, after a minute, after five, with the number and the reason in headers.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.playground.socket_mode import NoConnection, Sockets
from bot.playground.state import Json

ACK_SECONDS = 3.0
RETRY_AFTER_SECONDS = (0.0, 60.0, 300.0)


class Sort(Enum):
    """What is delivered; the value is the envelope's type."""

    COMMAND = "slash_commands"
    INTERACTION = "interactive"
    EVENT = "events_api"


@dataclass(frozen=True, kw_only=True)
class Ack:
    """What the app answered. `status` is `None` without an answer; `elapsed` is in real seconds.

    `error` is empty, or what the person is told went wrong: `operation_timeout`, `dispatch_failed`,
    `unknown_command`, or the error name of a message or view that Slack would refuse.
    """

    status: int | None
    body: Any = ""  # JSON as data, anything else as text
    elapsed: float = 0.0
    error: str = ""
    reason: str = ""  # why an event is delivered again, in Slack's words
    no_retry: bool = False
    trigger_id: str = ""
    response_url: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One thing the app was told, for tests and the wire inspector."""

    sort: Sort
    payload: Json
    at: float
    ack: Ack
    attempt: int = 0


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's signature, version 0: HMAC-SHA256 over `v0:timestamp:body`, in hex."""
    message = b"v0:" + str(timestamp).encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Deliveries:
    """Sends to `events_url` while one is set, else over Socket Mode.

    `wall` gives the time for signatures: the app checks them against its own clock, so it stays the real one even where
    a test sets the workspace's. `sleep` is what waits between retries of events.
    """

    def __init__(
        self,
        *,
        signing_secret: str,
        sockets: Sockets,
        now: Callable[[], float],
        wall: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        record: Callable[[Delivery], None],
        ack_seconds: float = ACK_SECONDS,
    ) -> None:
        self.events_url: str | None = None
        self.ack_seconds = ack_seconds
        self._secret = signing_secret
        self._sockets = sockets
        self._now = now
        self._wall = wall
        self._sleep = sleep
        self._record = record
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def verify(self) -> bool:
        """Send a challenge to `events_url`, as Slack does when such an address is set; says whether it came back."""
        challenge = secrets.token_hex(20)
        if self.events_url is None:
            return False
        payload = {"type": "url_verification", "token": "local", "challenge": challenge}
        ack = await self._attempt(Sort.EVENT, payload, attempt=0, reason="")
        answered = ack.body.get("challenge") if isinstance(ack.body, dict) else ack.body
        return ack.ok and answered == challenge

    async def send(self, sort: Sort, payload: Json) -> Ack:
        """Deliver once and wait for the acknowledgement."""
        return await self._attempt(sort, payload, attempt=0, reason="")

    async def send_event(self, payload: Json) -> Ack:
        """Deliver an event, again up to three times while it is not acknowledged."""
        ack = await self._attempt(Sort.EVENT, payload, attempt=0, reason="")
        for attempt, wait in enumerate(RETRY_AFTER_SECONDS, start=1):
            if ack.ok or ack.no_retry:
                return ack
            if wait:
                await self._sleep(wait)
            ack = await self._attempt(Sort.EVENT, payload, attempt=attempt, reason=ack.reason)
        return ack

    async def _attempt(self, sort: Sort, payload: Json, *, attempt: int, reason: str) -> Ack:
        at, started = self._now(), time.perf_counter()
        retry = {"x-slack-retry-num": str(attempt), "x-slack-retry-reason": reason} if attempt else {}
        try:
            async with asyncio.timeout(self.ack_seconds):
                if self.events_url is None:
                    status, body, headers = await self._over_socket(sort, payload, attempt, reason)
                else:
                    status, body, headers = await self._over_http(self.events_url, sort, payload, retry)
            ack = _judged(sort, status, body, headers)
        except TimeoutError:
            ack = Ack(status=None, error="operation_timeout", reason="http_timeout")
        except (aiohttp.ClientError, NoConnection, OSError) as error:
            ack = Ack(status=None, body=str(error), error="dispatch_failed", reason=_reason(error))
        ack = replace(ack, elapsed=time.perf_counter() - started)
        self._record(Delivery(sort=sort, payload=payload, at=at, ack=ack, attempt=attempt))
        return ack

    async def _over_http(
        self, url: str, sort: Sort, payload: Json, retry: Mapping[str, str]
    ) -> tuple[int, Any, Mapping[str, str]]:
        body, content_type = _encoded(sort, payload)
        timestamp = int(self._wall())
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (simulated)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": sign(self._secret, timestamp, body),
            **retry,
        }
        if self._session is None:
            # The total stays off: the three seconds are counted outside, over either way of delivery.
            self._session = aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=None))
        async with self._session.post(url, data=body, headers=headers, max_redirects=2) as response:
            text = await response.text()
            return response.status, _decoded(response.content_type, text), response.headers

    async def _over_socket(
        self, sort: Sort, payload: Json, attempt: int, reason: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        body = await self._sockets.ask(
            sort.value,
            payload,
            accepts_response_payload=sort is not Sort.EVENT,
            retry_attempt=attempt,
            retry_reason=reason,
        )
        return 200, body, {}


def _reason(error: Exception) -> str:
    """Why a delivery did not arrive, as `x-slack-retry-reason` has it."""
    match error:
        case aiohttp.TooManyRedirects():
            return "too_many_redirects"
        case aiohttp.ClientSSLError():
            return "ssl_error"
        case aiohttp.ClientConnectionError() | NoConnection() | OSError():
            return "connection_failed"
        case _:
            return "unknown_error"


def _encoded(sort: Sort, payload: Json) -> tuple[bytes, str]:
    form = "application/x-www-form-urlencoded"
    match sort:
        case Sort.COMMAND:
            return urlencode(payload).encode(), form
        case Sort.INTERACTION:
            return urlencode({"payload": json.dumps(payload)}).encode(), form
        case Sort.EVENT:
            return json.dumps(payload).encode(), "application/json"


def _decoded(content_type: str, text: str) -> Any:
    if content_type == "application/json" and text.strip():
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _judged(sort: Sort, status: int, body: Any, headers: Mapping[str, str]) -> Ack:
    good = 200 <= status < 300 if sort is Sort.EVENT else status == 200
    if good:
        return Ack(status=status, body=body)
    no_retry = headers.get("x-slack-no-retry") == "1"
    return Ack(status=status, body=body, error="dispatch_failed", reason="http_error", no_retry=no_retry)
