"""The circuit breaker of a runbook on a host, or of the way to a host: pybreaker's state machine over numbers in SQL.

pybreaker decides what an outcome does to the counters. Time is ours, because it looks at the wall clock itself: an open
breaker half-opens after `RESET` and lets one execution through. That trial is leased by the execution's id, for a time,
so that one which never says how it ended does not keep the breaker shut.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pybreaker

from storage.records import TRANSPORT, Breaker, BreakerState

FAILURES = 5
SUCCESSES = 3
RESET = timedelta(seconds=60)
WAY = "ssh"
"""What people call the transport's breaker by."""


class _FailedError(Exception):
    """Stands for a failed execution inside pybreaker."""


def opens_at(breaker: Breaker) -> datetime | None:
    """When an open breaker lets one execution through."""
    return breaker.opened_at + RESET if breaker.state is BreakerState.OPEN and breaker.opened_at else None


def lets_through(breaker: Breaker, execution_id: int | None, now: datetime) -> bool:
    """Whether an execution may start: closed, or due for its one trial."""
    if breaker.state is BreakerState.CLOSED:
        return True
    if breaker.probing not in {None, execution_id} and (breaker.probing_until is None or now < breaker.probing_until):
        return False
    due = opens_at(breaker)
    return breaker.state is BreakerState.HALF_OPEN or (due is not None and due <= now)


def admitted(breaker: Breaker, execution_id: int, *, until: datetime) -> Breaker:
    """After an execution was let through: a trial is leased to it, until then at the longest."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    successes = 0 if breaker.state is BreakerState.OPEN else breaker.successes
    return replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        successes=successes,
        probing=execution_id,
        probing_until=until,
    )


def after(breaker: Breaker, *, succeeded: bool, execution_id: int, now: datetime) -> Breaker:
    """After an execution ended on this host. An outcome that arrives while it is open changes nothing."""
    if breaker.state is BreakerState.OPEN:
        return breaker
    storage = pybreaker.CircuitMemoryStorage(breaker.state.value)
    for _ in range(breaker.failures):
        storage.increment_counter()
    for _ in range(breaker.successes):
        storage.increment_success_counter()
    machine = pybreaker.CircuitBreaker(
        fail_max=FAILURES,
        reset_timeout=RESET.total_seconds(),
        success_threshold=SUCCESSES,
        state_storage=storage,
        throw_new_error_on_trip=False,
    )
    try:
        machine.call(_outcome, succeeded)
    except _FailedError:
        pass
    state = BreakerState(storage.state)
    return replace(
        breaker,
        state=state,
        failures=storage.counter,
        successes=storage.success_counter,
        opened_at=now if state is BreakerState.OPEN else None,
        **_freed(breaker, execution_id),
    )


def given_back(breaker: Breaker, execution_id: int) -> Breaker:
    """After an execution that says nothing about the host (cancelled, stopped): its trial is free again."""
    return replace(breaker, **_freed(breaker, execution_id))


def _freed(breaker: Breaker, execution_id: int) -> dict[str, Any]:
    return {"probing": None, "probing_until": None} if breaker.probing == execution_id else {}


def name(breaker: Breaker) -> str:
    """As people type it: "restart-service on web-01", "ssh on web-01" for the way to a host."""
    return f"{breaker.runbook if breaker.runbook != TRANSPORT else WAY} on {breaker.host}"


def _outcome(succeeded: bool) -> None:
    if not succeeded:
        raise _FailedError
