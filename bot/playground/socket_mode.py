"""Socket Mode: tickets, up to ten connections, envelopes to one of them, and acknowledgements from any of them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from bot.playground.state import Json

MOST_CONNECTIONS = 10
PING_SECONDS = 10.0
WARNING_SECONDS = 10.0
LIFE_SECONDS = 3600


class NoConnection(Exception):
    """The app has no open connection, so there is nobody to tell."""


class Sockets:
    """The app's connections. A client is pinged every ten seconds, and its own pings are echoed."""

    def __init__(self, *, app_id: str, changed: Callable[[], None], ping_seconds: float = PING_SECONDS) -> None:
        self.enabled = True
        self._app_id = app_id
        self._ping_seconds = ping_seconds
        self._changed = changed
        self._tickets: set[str] = set()
        self._open: dict[web.WebSocketResponse, web.Request] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._next = 0
        self._closing: set[asyncio.Task[None]] = set()

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
        self._open[socket] = request
        self._changed()
        try:
            await socket.send_json(self._hello())
            await self._read(socket)
        finally:
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
        for socket in tuple(self._open):
            await self._say_goodbye(socket, reason)
            if reason == "warning":
                task = asyncio.create_task(self._close_later(socket, close_after))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            else:
                await self._end(socket)

    def cut(self) -> None:
        """End every connection as a broken network does: no word, no closing handshake."""
        for socket, request in tuple(self._open.items()):
            self._forget(socket)
            if request.transport is not None:
                request.transport.abort()

    async def close(self) -> None:
        for task in tuple(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for socket in tuple(self._open):
            await self._end(socket)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._open),
            "connection_info": {"app_id": self._app_id},
            "debug_info": {
                "host": "local-workspace",
                "started": "",
                "build_number": 1,
                "approximate_connection_time": LIFE_SECONDS,
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

    async def _close_later(self, socket: web.WebSocketResponse, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._end(socket)

    async def _end(self, socket: web.WebSocketResponse) -> None:
        self._forget(socket)
        await socket.close()

    def _forget(self, socket: web.WebSocketResponse) -> None:
        if socket in self._open:
            del self._open[socket]
            self._changed()
