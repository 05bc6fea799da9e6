"""The queue as people see it: how long it is, who is next, and when that is likely to start.

`forecast` is pure: it lets the executions of now run for as long as such ones usually do, and sees when each that waits
would find its hosts and a place free.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from runbooks.progress import ExecutionWaiting, Reporter
from safety.clock import Clock
from safety.clock import words as duration
from storage import chores, controls, executions
from storage.records import Caps, Execution, State

RECOUNT = 1.0
"""Seconds for which a count is good, with what was added here since."""
TELL_EVERY = timedelta(seconds=10)
SETTLED = timedelta(seconds=3)
"""What has not waited for so long is about to start."""
SHOWN = 10
"""Headlines that are edited at a time."""
HISTORY = 20
"""Executions of a runbook whose median says how long one takes."""


class Length:
    """How many wait, counted at most once a second: every request asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count, self._counted_at = 0, -math.inf

    def look(self, connection: Connection) -> int:
        """How many wait."""
        now = self._clock.monotonic()
        if now - self._counted_at > RECOUNT:
            self._count, self._counted_at = executions.count_waiting(connection), now
        return self._count

    def add(self) -> None:
        """One more does."""
        self._count += 1


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one stands: 1 is next. `starts_in`: None where nothing like it, or like what is before it, ever ran."""

    number: int
    starts_in: timedelta | None

    @property
    def words(self) -> str:
        """ "3rd in the queue, starts in about 2 min"."""
        said = f"{_ordinal(self.number)} in the queue"
        if self.starts_in is None:
            return said
        if self.starts_in < timedelta(seconds=10):
            return f"{said}, starts any moment"
        return f"{said}, starts in about {duration(_rounded(self.starts_in.total_seconds()))}"


def places(connection: Connection, caps: Caps, now: datetime) -> dict[int, Place]:
    """Where everything that waits stands, by execution."""
    queue = executions.waiting(connection)
    if not queue:
        return {}
    carried = executions.in_states(connection, (State.RUNNING, State.INTERRUPTED), limit=10_000)
    wanted = {execution.runbook for execution in (*queue, *carried)}
    usual = {name: executions.usual_duration(connection, name, last=HISTORY) for name in sorted(wanted)}
    return forecast(queue, carried, usual, caps, now)


def tell(connection: Connection, caps: Caps, reporter: Reporter, now: datetime) -> int:
    """Say where they stand in the headlines of those that are next, and of some that were not told yet; of how many.

    Only what changed is said, and nothing to what may start at this very moment. Slack takes about one edit a second.
    """
    if not chores.claim(connection, "queue", due=now - TELL_EVERY, now=now):
        return 0
    found = places(connection, caps, now)
    queue = [one for one in executions.waiting(connection) if one.queued_at <= now - SETTLED]
    chosen = [*queue[:SHOWN], *[one for one in queue[SHOWN:] if one.note is None][:SHOWN]]
    news = [one for one in chosen if one.id in found and one.note != found[one.id].words]
    for execution in news:
        noted = executions.set_values(connection, execution.id, note=found[execution.id].words)
        locks = controls.locks(connection, execution.hosts) if execution.danger.changes_hosts else []
        holders = [executions.get(connection, number) for number in sorted({lock.execution_id for lock in locks})]
        event = ExecutionWaiting(execution=noted, locks=tuple(locks), holders=tuple(holders))
        reporter.report(connection, event, now)
    return len(news)


def forecast(
    queue: Sequence[Execution],
    carried: Sequence[Execution],
    usual: Mapping[str, timedelta | None],
    caps: Caps,
    now: datetime,
) -> dict[int, Place]:
    """`queue` in its order. What was interrupted keeps its hosts for as long as nobody decides: no time can be said."""
    hosts: dict[str, float] = {}  # when a host is free for a change, in seconds from now
    ends: list[float] = []
    for execution in carried:
        end = math.inf if execution.state is State.INTERRUPTED else _left(execution, usual, now)
        if execution.state is State.RUNNING:
            heapq.heappush(ends, end)
        if execution.danger.changes_hosts:
            hosts |= {host: max(end, hosts.get(host, 0.0)) for host in execution.hosts}
    found: dict[int, Place] = {}
    for number, execution in enumerate(queue, 1):
        start = 0.0
        if len(ends) >= caps.overall:
            start = heapq.heappop(ends)
        if execution.danger.changes_hosts:
            start = max([start, *(hosts.get(host, 0.0) for host in execution.hosts)])
        length = usual.get(execution.runbook)
        end = start + length.total_seconds() if length is not None else math.inf
        heapq.heappush(ends, end)
        if execution.danger.changes_hosts:
            hosts |= dict.fromkeys(execution.hosts, end)
        starts_in = timedelta(seconds=start) if math.isfinite(start) else None
        found[execution.id] = Place(number=number, starts_in=starts_in)
    return found


def _left(execution: Execution, usual: Mapping[str, timedelta | None], now: datetime) -> float:
    """Seconds until one that runs is likely to be over; a moment for one that is overdue."""
    length = usual.get(execution.runbook)
    if length is None:
        return math.inf
    began = execution.started_at or now
    return max(1.0, (length - (now - began)).total_seconds())


def _rounded(seconds: float) -> float:
    """As exactly as it can be known: to 10 s below two minutes, to minutes below an hour, to 10 min beyond."""
    step = 10 if seconds < 120 else 60 if seconds < 3_600 else 600
    return math.ceil(seconds / step) * step


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"
