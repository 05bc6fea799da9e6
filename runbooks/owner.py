"""The part of a process that executes: claims what is due, keeps its leases, notices what died or must stop.

Every loop is supervised: whatever one round does wrong is logged and the next round comes. On SQLite one owner lives at
a time, so at its start everything that another left running is reaped at once. On PostgreSQL any number of owners meet
in the database, on any number of machines: leases are counted by its clock, and its notifications wake who waits, with
a slow poll behind them.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from runbooks.engine import Engine
from storage import controls, executions
from storage.database import Bell, moment
from storage.errors import StorageUnavailable
from storage.records import Execution

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=6)
RENEW = 2.0
OVERDUE = timedelta(seconds=2)
"""For so long after a lease those who execute come first: they can ask the host, and go on."""
REAP = 1.0
WATCH = 0.2
POLL = 0.5
FENCE = 0.5
REMIND = 30.0
TELL = 5.0
LISTEN_AGAIN = 1.0
COALESCE = 0.015
"""Seconds after a look at the queue in which the calls of many commits become one more."""
AT_ONCE = 200
"""Executions one owner carries at the same time."""
SURE = LEASE.total_seconds() - RENEW
"""Seconds since our own renewal in which the database may have been away before a living owner's lease runs out."""
SILENCE = 0.8 * LEASE.total_seconds()
"""Seconds after which an owner that cannot renew takes it that others will soon take over from it."""


class Owner:
    """Runs beside the engine until closed.

    One that does not execute (`executes=False`) does what any process may: approvals expire, people are reminded, and
    what a dead owner left is *interrupted* if nobody who executes has taken it up.
    """

    def __init__(self, engine: Engine, *, at_once: int = AT_ONCE, executes: bool = True) -> None:
        self.engine, self.at_once, self.executes = engine, at_once, executes
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._carried: dict[int, tuple[int, asyncio.Task[None]]] = {}
        self._seen_since: float | None = None  # since when the database has answered without a break
        self._answered: float | None = None  # when the newest renewal that succeeded was begun
        self._controls = asyncio.Event()  # set when a switch or cancel was written elsewhere
        self._looked: asyncio.TimerHandle | None = None  # while the last look is that fresh
        self._called = False  # since then
        self._version = -1
        self._closing = False
        self._hurrying = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        if self.executes and self.engine.tools.database.is_sqlite:
            await self._until_it_works(self._reap_former)
        loops: list[tuple[str, float, Callable[[], Awaitable[object]], asyncio.Event | None]] = [
            ("approvals", REAP, self.engine.expire_approvals, None),
            ("switches", REMIND, self.engine.remind_of_switches, None),
            ("places", TELL, self.engine.tell_places, None),
            ("watch", WATCH, self._watch, self._controls),
            ("listen", LISTEN_AGAIN, self._listen, None),
            ("renew", RENEW, self._renew, None),
            ("reap", REAP, self._reap, None),
        ]
        if self.executes:
            loops += [
                ("claim", POLL, self._claim, self.engine.wake),
                ("fence", FENCE, self._fence, None),
            ]
        async with asyncio.TaskGroup() as group:
            for name, every, work, wake in loops:
                group.create_task(self._supervise(name, every, work, wake), name=f"owner-{name}")

    async def close(self, *, patience: float = 30.0) -> None:
        """Claim nothing more, and let what runs end; what takes longer is left to whoever comes next.

        What a cut leaves on the hosts goes on there, and is followed by its next owner.
        """
        self._closing = True
        tasks = [task for _, task in self._carried.values()]
        if tasks:
            ending = asyncio.ensure_future(asyncio.wait(tasks, timeout=patience))
            hurrying = asyncio.ensure_future(self._hurrying.wait())
            await asyncio.wait({ending, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            for task in (ending, hurrying, *tasks):
                task.cancel()
            await asyncio.gather(ending, hurrying, *tasks, return_exceptions=True)
        if self.executes:
            try:
                await self.engine.tools.database.write_first(self._let_go)
            except StorageUnavailable as error:
                log.warning("not_let_go", message=error.message)  # its leases run out by themselves

    def hurry(self) -> None:
        """Let `close` wait no longer for what runs."""
        self._hurrying.set()

    @property
    def carrying(self) -> int:
        """How many executions are being carried."""
        return len(self._carried)

    async def _supervise(
        self, name: str, every: float, work: Callable[[], Awaitable[object]], wake: asyncio.Event | None
    ) -> None:
        clock = self.engine.tools.clock
        while True:
            try:
                await work()
            except StorageUnavailable as error:
                if name != "listen":  # a call that is not heard costs a poll, and says nothing of leases
                    self._seen_since = None
                log.warning("storage_unavailable", loop=name, message=error.message)
            except Exception:  # the door this loop guards: one bad round must not end it
                log.exception("round_failed", loop=name)
            if wake is not None:
                await self._woken(wake, every)
            else:
                await clock.sleep(every)

    async def _woken(self, wake: asyncio.Event, seconds: float) -> None:
        waking = asyncio.ensure_future(wake.wait())
        sleeping = asyncio.ensure_future(self.engine.tools.clock.sleep(seconds))
        try:
            await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            sleeping.cancel()
            await asyncio.gather(waking, sleeping, return_exceptions=True)

    async def _until_it_works(self, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
                return
            except StorageUnavailable as error:
                log.warning("storage_unavailable", loop="start", message=error.message)
                await self.engine.tools.clock.sleep(0.5)

    # --- being woken --------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        await self.engine.tools.database.listen(self._heard)

    def _heard(self, bell: Bell) -> None:
        if bell is Bell.CONTROLS:
            self._controls.set()
        elif bell is not Bell.QUEUE:
            return
        elif self._looked is None:
            self._look()
        else:
            self._called = True

    def _look(self) -> None:
        """At once for the first call, and once more for all that come soon after it."""
        self._called = False
        self.engine.wake.set()
        self._looked = asyncio.get_running_loop().call_later(COALESCE, self._look_again)

    def _look_again(self) -> None:
        self._looked = None
        if self._called:
            self._look()

    # --- claiming and carrying ----------------------------------------------------------------------------------------

    async def _reap_former(self) -> None:
        await self._take(owners=[self.id])
        await self.engine.tools.database.write(executions.disown, owner=self.id)

    async def _claim(self) -> None:
        self.engine.wake.clear()
        free = self.at_once - len(self._carried)
        if self._closing or free <= 0:
            return
        for execution in await self.engine.tools.database.write(self._claim_in, free):
            self._start(execution)

    def _claim_in(self, connection: Connection, free: int) -> list[Execution]:
        return executions.claim(
            connection,
            owner=self.id,
            now=self._moment(connection),
            lease=LEASE,
            limit=free,
            carried=tuple(self._carried),
            caps=self.engine.caps,
            expired=self._is_sure,
        )

    def _start(self, execution: Execution) -> None:
        task = asyncio.create_task(self._carry(execution), name=f"execution-{execution.id}")
        self._carried[execution.id] = (execution.epoch, task)

    async def _carry(self, execution: Execution) -> None:
        try:
            await self.engine.carry(execution)
        except StorageUnavailable as error:
            # It stays ours until the lease runs out, then it is claimed or reaped again.
            log.warning("carrying_stopped", execution=execution.id, message=error.message)
        except Exception as error:  # one execution's fault must not end the owner
            log.exception("carrying_failed", execution=execution.id)
            await self._break_off(execution, error)
        finally:
            if self._carried.get(execution.id, (None,))[0] == execution.epoch:
                del self._carried[execution.id]
            self.engine.wake.set()

    async def _break_off(self, execution: Execution, error: Exception) -> None:
        """It ends, in words, instead of breaking again whenever it is claimed."""
        try:
            await self.engine.break_off(execution, error)
        except Exception:  # the same door; the reaper finds what is left
            log.exception("not_broken_off", execution=execution.id)

    def _let_go(self, connection: Connection) -> None:
        executions.let_go(connection, owner=self.id, now=self._moment(connection), lease=LEASE)

    # --- leases -------------------------------------------------------------------------------------------------------

    def _moment(self, connection: Connection) -> datetime:
        """Now, as leases are counted: by the database's clock where machines meet."""
        return moment(connection, self.engine.tools.clock.now())

    async def _renew(self) -> None:
        clock = self.engine.tools.clock
        began = clock.monotonic()
        epochs = {execution_id: epoch for execution_id, (epoch, _) in self._carried.items()}
        if epochs:
            await self.engine.tools.database.write_first(self._renew_in, epochs)
        else:
            await self.engine.tools.database.read(controls.version)
        now = clock.monotonic()
        if self._seen_since is None or now - began > SURE:  # so slow an answer is an outage to everybody
            self._seen_since = now
        self._answered = began

    def _renew_in(self, connection: Connection, epochs: dict[int, int]) -> None:
        executions.renew(connection, owner=self.id, epochs=epochs, now=self._moment(connection), lease=LEASE)

    @property
    def _is_sure(self) -> bool:
        """Whether a lease that ran out says that its owner is dead.

        After an outage every lease looks expired: nobody is replaced before all had a full lease to renew.
        """
        if self._seen_since is None or self._answered is None:
            return False
        now = self.engine.tools.clock.monotonic()
        return now - self._seen_since >= LEASE.total_seconds() and now - self._answered <= SURE

    async def _reap(self) -> None:
        if not self._closing and self._is_sure:
            await self._take()

    async def _take(self, owners: Sequence[str] | None = None) -> None:
        def is_sure() -> bool:
            return owners is not None or self._is_sure

        taken = await self.engine.reap(
            owner=self.id if self.executes else None,
            lease=LEASE,
            owners=owners,
            overdue=None if self.executes else OVERDUE,
            sparing=self._carried,
            is_sure=is_sure,
        )
        for execution in taken:
            self._start(execution)

    async def _fence(self) -> None:
        """What may be repeated is ended before somebody else can repeat it: we could not renew for too long."""
        if self._answered is None or self.engine.tools.database.is_sqlite:
            return
        if self.engine.tools.clock.monotonic() - self._answered > SILENCE:
            self.engine.let_go_of_what_may_be_repeated()

    # --- controls -----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        self._controls.clear()
        await self.engine.record_switches()
        version = await self.engine.tools.database.read(controls.version)
        if version != self._version:
            self.engine.wake.set()
            await self.engine.watch_controls()
            self._version = version  # not before: what broke in the middle is looked at again
