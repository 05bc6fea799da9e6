"""What Slack sends us: committed, then acknowledged, then worked on.

`receive` is what every listener calls: it commits the request if SQL answers within a second and says what to
acknowledge. `run` works on what was committed, once each, also what was left by a process that died; but not for ever,
where that may be why it died.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
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
AT_ONCE = 50
"""Requests that are worked on at the same time."""
CROWD = 5
"""Requests at the door from which on they go before the work on those that are through it."""
AT_ONCE_IN_A_CROWD = 2
NOT_STORED = (
    "Received, but not yet stored: the database does not answer. It will be carried out as soon as it does; if you see "
    "nothing within a minute, ask again (asking twice does no harm)."
)
Work = Callable[[Received], Awaitable[None]]
Urgent = Callable[[Received], Awaitable[str | None]]
_Arrival = tuple[Received, Origin, "asyncio.Future[bool]"]  # the future: whether it was no repeated delivery


class Inbox:
    """The door of one process."""

    def __init__(
        self, database: Database, clock: Clock, redactor: Redactor, work: Work, urgent: Urgent, put_aside: Work
    ) -> None:
        self._database, self._clock, self._redactor = database, clock, redactor
        self._work, self._urgent, self._put_aside = work, urgent, put_aside
        self._has_begun = False
        self._wake = asyncio.Event()
        self._arrived: list[_Arrival] = []  # not handed to the database yet
        self._storing: asyncio.Task[None] | None = None
        self._waiting: deque[Received] = deque()  # committed, not begun
        self._worked_on = 0
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
        storing = self._store(received, origin)
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

    def _store(self, received: Received, origin: Origin) -> "asyncio.Future[bool]":
        """Whether it is fresh, once it is committed: together with what else arrives until that commit begins."""
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._arrived.append((received, origin, stored))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_arrived())
        return stored

    async def _store_arrived(self) -> None:
        while self._arrived:
            together, self._arrived = self._arrived, []
            if not await self._store_together(together):
                for one in together:
                    await self._store_together([one])
        self._pump()

    async def _store_together(self, arrived: Sequence["_Arrival"]) -> bool:
        """False where one that can't be kept has taken the others with it."""
        try:
            fresh = await self._database.write_first(keep_all, [(received, origin) for received, origin, _ in arrived])
        except Exception as error:  # whoever waits for it must hear of it, whatever it is
            if len(arrived) > 1 and not isinstance(error, StorageUnavailable):
                return False
            for _, _, stored in arrived:
                if not stored.done():
                    stored.set_exception(error)
            return True
        for received, _, stored in arrived:
            if not stored.done():
                stored.set_result(received.id in fresh)
        return True

    async def _store_later(self, storing: "asyncio.Future[bool]", received: Received, origin: Origin) -> None:
        pause = 0.5
        while True:
            try:
                await storing
                break
            except StorageUnavailable:
                await self._clock.sleep(pause)
                pause = min(pause * 2, 5.0)
                storing = self._store(received, origin)
        self._wake.set()

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, received: Received) -> None:
        if received.id in self._busy:
            return
        self._busy.add(received.id)
        if _stops_something(received):
            self._later(self._do(received))
        else:
            self._waiting.append(received)
            self._pump()

    def _pump(self) -> None:
        """Begin what has its turn: while many stand at the door, they go first."""
        most = AT_ONCE if len(self._arrived) < CROWD else AT_ONCE_IN_A_CROWD
        while self._waiting and self._worked_on < most:
            self._worked_on += 1
            self._later(self._have_a_turn(self._waiting.popleft()))

    async def _have_a_turn(self, received: Received) -> None:
        try:
            await self._do(received)
        finally:
            self._worked_on -= 1
            self._pump()

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
                if not self._has_begun:
                    await self._begin(settled)
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

    async def _begin(self, settled: datetime) -> None:
        """Put aside what several processes that began have found and not lived to answer."""
        now = self._clock.now()
        for received in await self._database.write(inbox.found_at_start, before=settled, now=now):
            log.error("request_put_aside", request=received.id, text=received.text[:80])
            await self._put_aside(received)
        self._has_begun = True

    async def close(self) -> None:
        """Let what is being worked on come to its answer."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5)


def _stops_something(received: Received) -> bool:
    """What never waits for its turn, typed or clicked."""
    words = received.text.lower().lstrip(" `").removeprefix("handrail:")
    return received.payload.get("command") == "/killswitch" or words.startswith("cancel")


def _storable(text: str) -> str:
    """What every database keeps: PostgreSQL refuses NUL, and half a surrogate pair has no UTF-8. Both stay visible."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def keep(connection: Connection, received: Received, origin: Origin) -> bool:
    """Commit and witness a request; False for a repeated delivery."""
    return keep_all(connection, [(received, origin)]) == {received.id}


def keep_all(connection: Connection, arrived: Sequence[tuple[Received, Origin]]) -> set[str]:
    """Commit and witness requests; the ids of those that are no repeated deliveries."""
    origins = {received.id: origin for received, origin in arrived}
    fresh = inbox.receive_all(connection, [received for received, _ in arrived])
    for received in fresh:
        audit.append(
            connection,
            at=received.received_at,
            kind="request",
            actor=received.actor,
            origin=origins[received.id],
            request=received.id,
            what=received.kind,
            channel=received.channel,
            text=received.text,
        )
    return {received.id for received in fresh}
