"""The part of a process that executes: claims what is due, keeps its leases, notices what died or must stop.

Every loop is supervised: whatever one round does wrong is logged and the next round comes. On SQLite one owner lives at
a time, so at its start everything that another left running is reaped at once.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from runbooks.engine import Engine
from storage import controls, executions
from storage.errors import StorageUnavailable
from storage.records import Execution

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=6)
RENEW = 2.0
REAP = 1.0
WATCH = 0.2
POLL = 0.5
REMIND = 30.0
AT_ONCE = 200
"""Executions one owner carries at the same time."""


class Owner:
    """Runs beside the engine until closed."""

    def __init__(self, engine: Engine, *, at_once: int = AT_ONCE) -> None:
        self.engine, self.at_once = engine, at_once
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._carried: dict[int, tuple[int, asyncio.Task[None]]] = {}
        self._seen_since: float | None = None  # since when the database has answered without a break
        self._version = -1
        self._closing = False

    async def run(self) -> None:
        """Until cancelled."""
        if self.engine.tools.database.is_sqlite:
            await self._until_it_works(self._reap_former)
        async with asyncio.TaskGroup() as group:
            for name, every, work in (
                ("claim", POLL, self._claim),
                ("renew", RENEW, self._renew),
                ("reap", REAP, self._reap),
                ("watch", WATCH, self._watch),
                ("approvals", REAP, self.engine.expire_approvals),
                ("switches", REMIND, self.engine.remind_of_switches),
            ):
                group.create_task(self._supervise(name, every, work), name=f"owner-{name}")

    async def close(self, *, patience: float = 30.0) -> None:
        """Claim nothing more, and let what runs end; what takes longer is taken up again at the next start."""
        self._closing = True
        tasks = [task for _, task in self._carried.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def carrying(self) -> int:
        """How many executions are being carried."""
        return len(self._carried)

    async def _supervise(self, name: str, every: float, work: Callable[[], Awaitable[object]]) -> None:
        clock = self.engine.tools.clock
        while True:
            try:
                await work()
            except StorageUnavailable as error:
                self._seen_since = None
                log.warning("storage_unavailable", loop=name, message=error.message)
            except Exception:  # the door this loop guards: one bad round must not end it
                log.exception("round_failed", loop=name)
            if name == "claim":
                await self._woken(every)
            else:
                await clock.sleep(every)

    async def _woken(self, seconds: float) -> None:
        waking = asyncio.ensure_future(self.engine.wake.wait())
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

    async def _reap_former(self) -> None:
        await self._take(owners=[self.id])
        await self.engine.tools.database.write(executions.disown, owner=self.id)

    async def _claim(self) -> None:
        self.engine.wake.clear()
        free = self.at_once - len(self._carried)
        if self._closing or free <= 0:
            return
        claimed = await self.engine.tools.database.write(
            executions.claim,
            owner=self.id,
            now=self.engine.tools.clock.now(),
            lease=LEASE,
            limit=free,
            carried=tuple(self._carried),
        )
        for execution in claimed:
            self._start(execution)

    def _start(self, execution: Execution) -> None:
        task = asyncio.create_task(self._carry(execution), name=f"execution-{execution.id}")
        self._carried[execution.id] = (execution.epoch, task)

    async def _carry(self, execution: Execution) -> None:
        try:
            await self.engine.carry(execution)
        except StorageUnavailable as error:
            # It stays ours until the lease runs out, then it is claimed or reaped again.
            log.warning("carrying_stopped", execution=execution.id, message=error.message)
        except Exception:  # one execution's fault must not end the owner; the reaper finds what it left
            log.exception("carrying_failed", execution=execution.id)
        finally:
            if self._carried.get(execution.id, (None,))[0] == execution.epoch:
                del self._carried[execution.id]
            self.engine.wake.set()

    async def _renew(self) -> None:
        clock = self.engine.tools.clock
        epochs = {execution_id: epoch for execution_id, (epoch, _) in self._carried.items()}
        if epochs:
            await self.engine.tools.database.write_first(
                executions.renew, owner=self.id, epochs=epochs, now=clock.now(), lease=LEASE
            )
        else:
            await self.engine.tools.database.read(controls.version)
        if self._seen_since is None:
            self._seen_since = clock.monotonic()

    async def _reap(self) -> None:
        # After an outage every lease looks expired: nobody is reaped before their owners had a full lease to renew.
        seen = self._seen_since
        if self._closing or seen is None:
            return
        if self.engine.tools.clock.monotonic() - seen >= LEASE.total_seconds():
            await self._take()

    async def _take(self, owners: Sequence[str] | None = None) -> None:
        taken = await self.engine.reap(owner=self.id, lease=LEASE, owners=owners, sparing=self._carried)
        for execution in taken:
            self._start(execution)

    async def _watch(self) -> None:
        await self.engine.record_switches()
        version = await self.engine.tools.database.read(controls.version)
        if version != self._version:
            self._version = version
            self.engine.wake.set()
            await self.engine.watch_controls()
