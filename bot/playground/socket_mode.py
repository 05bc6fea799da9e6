"""Socket Mode: tickets, up to ten connections, envelopes to one of them, and acknowledgements from any of them.

A connection lives for an hour of the workspace's clock, six minutes where its address has `debug_reconnects=true`. Ten
seconds before the end it is warned, at the end it is asked to come again and closed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from bot.playground.state import Json

MOST_CONNECTIONS = 10
PING_SECONDS = 10.0
WARNING_SECONDS = 10.0
LIFE_SECONDS = 3600.0
DEBUG_LIFE_SECONDS = 360.0


class NoConnection(Exception):
    """The app has no open connection, so there is nobody to tell."""


@dataclass(kw_only=True)
class _Connection:
    """One open connection; `dies_at` by the workspace's clock."""

    request: web.Request
    dies_at: float
    warned: bool = False


class Sockets:
    """The app's connections. A client is pinged every ten seconds, and its own pings are echoed.

    `now` says how old a connection is, which is looked at whenever it is pinged.
    """

    def __init__(
        self,
        *,
        app_id: str,
        now: Callable[[], float],
        changed: Callable[[], None],
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self.enabled = True
        self._app_id = app_id
        self._now = now
        self._ping_seconds = ping_seconds
        self._changed = changed
        self._tickets: set[str] = set()
        self._open: dict[web.WebSocketResponse, _Connection] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._next = 0

    @property
    def count(self) -> int:
        return len(self._open)

    def ticket(self) -> str:
        """A ticket for one connection."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=self._ping_seconds)
        await socket.prepare(request)
        if len(self._open) >= MOST_CONNECTIONS:
            await self._say_goodbye(socket, "too_many_websockets")
            await socket.close()
            return socket
        life = DEBUG_LIFE_SECONDS if request.query.get("debug_reconnects") == "true" else LIFE_SECONDS
        self._open[socket] = _Connection(request=request, dies_at=self._now() + life)
        self._changed()
        ageing = asyncio.create_task(self._age(socket))
        try:
            await socket.send_json(self._hello(life))
            await self._read(socket)
        finally:
            ageing.cancel()
            self._forget(socket)
        return socket

    async def ask(
        self,
        kind: str,
        payload: Json,
        *,
        accepts_response_payload: bool,
        retry_attempt: int = 0,
        retry_reason: str = "",
    ) -> Any:
        """Send one envelope over one connection and wait for its acknowledgement, which may come over another."""
        envelope_id = secrets.token_hex(16)
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": accepts_response_payload,
        }
        if retry_attempt:
            envelope |= {"retry_attempt": retry_attempt, "retry_reason": retry_reason}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        try:
            await self._send(envelope)
            return await answer
        finally:
            self._waiting.pop(envelope_id, None)

    async def disconnect(self, reason: str = "warning", *, close_after: float = WARNING_SECONDS) -> None:
        """Tell every connection to come again, and close it: a warning ahead of time, anything else at once."""
        if reason == "link_disabled":
            self.enabled = False
        for socket, connection in tuple(self._open.items()):
            await self._say_goodbye(socket, reason)
            if reason == "warning":
                connection.warned, connection.dies_at = True, self._now() + close_after
            else:
                await self._end(socket)

    def cut(self) -> None:
        """End every connection as a broken network does: no word, no closing handshake."""
        for socket, connection in tuple(self._open.items()):
            self._forget(socket)
            if connection.request.transport is not None:
                connection.request.transport.abort()

    async def close(self) -> None:
        for socket in tuple(self._open):
            await self._end(socket)

    def _hello(self, life: float) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._open),
            "connection_info": {"app_id": self._app_id},
            "debug_info": {
                "host": "local-workspace",
                "started": "",
                "build_number": 1,
                "approximate_connection_time": int(life),
            },
        }

    async def _read(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self._take_ack(message.data)

    def _take_ack(self, text: str) -> None:
        try:
            body = json.loads(text)
        except ValueError:
            return
        answer = self._waiting.get(str(body.get("envelope_id"))) if isinstance(body, dict) else None
        if answer is not None and not answer.done():
            answer.set_result(body.get("payload", ""))

    async def _send(self, envelope: Json) -> None:
        """To the next connection in turn, past those that are closing."""
        for _ in range(len(self._open)):
            self._next += 1
            socket = list(self._open)[self._next % len(self._open)]
            if not socket.closed:
                await socket.send_json(envelope)
                return
        raise NoConnection("The app has no Socket Mode connection.")

    async def _say_goodbye(self, socket: web.WebSocketResponse, reason: str) -> None:
        if not socket.closed:
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "local-workspace"}})

    async def _age(self, socket: web.WebSocketResponse) -> None:
        """Warn the connection when its end is near, and end it then."""
        while socket in self._open:
            await asyncio.sleep(self._ping_seconds)
            connection = self._open.get(socket)
            if connection is None:
                return
            left = connection.dies_at - self._now()
            if left <= 0:
                await self._say_goodbye(socket, "refresh_requested")
                await self._end(socket)
            elif left <= WARNING_SECONDS and not connection.warned:
                connection.warned = True
                await self._say_goodbye(socket, "warning")

    async def _end(self, socket: web.WebSocketResponse) -> None:
        self._forget(socket)
        await socket.close()

    def _forget(self, socket: web.WebSocketResponse) -> None:
        if socket in self._open:
            del self._open[socket]
            self._changed()
