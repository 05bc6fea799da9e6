"""What Slack sends us: committed, then acknowledged, then worked on.

`receive` is what every listener calls: it commits the request if SQL answers within a second and says what to
acknowledge. `run` works on what was committed, once each, also what was left by a process that died.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from safety.clock import Clock
from safety.redaction import Redactor
from storage import audit, inbox
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.records import Actor, Origin, Received

log = structlog.get_logger(__name__)

PATIENCE = 1.0
"""Seconds SQL gets before the acknowledgement says that nothing is stored yet."""
URGENT = 0.4
"""What a kill switch waits for SQL: it must end what runs here within a second, whatever the database does."""
POLL = 0.5
NOT_STORED = (
    "Received, but not yet stored: the database does not answer. It will be carried out as soon as it does; if you see "
    "nothing within a minute, ask again (asking twice does no harm)."
)
Work = Callable[[Received], Awaitable[None]]
Urgent = Callable[[Received], Awaitable[str | None]]


class Inbox:
    """The door of one process."""

    def __init__(self, database: Database, clock: Clock, redactor: Redactor, work: Work, urgent: Urgent) -> None:
        self._database, self._clock, self._redactor = database, clock, redactor
        self._work, self._urgent = work, urgent
        self._wake = asyncio.Event()
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(
        self,
        *,
        key: str,
        kind: str,
        actor: Actor,
        channel: str | None,
        text: str,
        payload: Mapping[str, Any],
        origin: Origin,
    ) -> str | None:
        """Commit it; what to tell the person at once, or None. A repeated delivery is committed once."""
        clean = self._redactor.redact(_storable(text))
        received = Received(
            id=uuid.uuid4().hex,
            key=_storable(f"{kind}:{key}")[:255],
            kind=kind,
            actor=replace(actor, id=_storable(actor.id), name=_storable(actor.name)),
            channel=_storable(channel) if channel is not None else None,
            text=clean.text,
            payload={
                **{name: _storable(value) if isinstance(value, str) else value for name, value in payload.items()},
                "altered": clean.altered,
            },
            received_at=self._clock.now(),
        )
        storing = asyncio.ensure_future(self._database.write_first(keep, received, origin))
        try:
            patience = URGENT if payload.get("command") == "/killswitch" else PATIENCE
            fresh = await asyncio.wait_for(asyncio.shield(storing), patience)
        except (TimeoutError, StorageUnavailable):
            self._later(self._store_later(storing, received, origin))
            # A kill switch cannot wait for the database: this process obeys it now, and says what it could not do.
            return await self._urgent(received) or NOT_STORED
        if fresh:
            self._start(received)
        return None

    async def _store_later(self, storing: "asyncio.Future[bool]", received: Received, origin: Origin) -> None:
        pause = 0.5
        while True:
            try:
                await storing
                break
            except StorageUnavailable:
                await self._clock.sleep(pause)
                pause = min(pause * 2, 5.0)
                storing = asyncio.ensure_future(self._database.write_first(keep, received, origin))
        self._wake.set()

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, received: Received) -> None:
        if received.id not in self._busy:
            self._busy.add(received.id)
            self._later(self._do(received))

    async def _do(self, received: Received) -> None:
        try:
            await self._work(received)
        except StorageUnavailable as error:
            log.warning("request_waits", request=received.id, message=error.message)
        except Exception:  # one request's fault must not stop the others; it was answered with a reference
            log.exception("request_failed", request=received.id)
        finally:
            self._busy.discard(received.id)

    async def run(self) -> None:
        """Take up what is committed and not yet worked on, until cancelled."""
        while True:
            try:
                # A request younger than this is being worked on by the process that received it.
                settled = self._clock.now() - timedelta(seconds=2)
                for received in await self._database.read(inbox.unhandled):
                    if received.kind == "say" or received.received_at < settled:
                        self._start(received)
            except StorageUnavailable as error:
                log.warning("storage_unavailable", loop="inbox", message=error.message)
            except Exception:  # the door this loop guards
                log.exception("round_failed", loop="inbox")
            try:
                await asyncio.wait_for(self._wake.wait(), POLL)
            except TimeoutError:
                continue
            self._wake.clear()

    async def close(self) -> None:
        """Let what is being worked on come to its answer."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5)


def _storable(text: str) -> str:
    """What every database keeps: PostgreSQL refuses NUL, and half a surrogate pair has no UTF-8. Both stay visible."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def keep(connection: Connection, received: Received, origin: Origin) -> bool:
    """Commit and witness a request; False for a repeated delivery."""
    if not inbox.receive(connection, received):
        return False
    audit.append(
        connection,
        at=received.received_at,
        kind="request",
        actor=received.actor,
        origin=origin,
        request=received.id,
        what=received.kind,
        channel=received.channel,
        text=received.text,
    )
    return True
