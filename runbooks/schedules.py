"""Schedules: making, changing and consenting to them, and what becomes of each moment at which one is due.

Everything here but `Timer` happens inside one transaction of its caller's. What a schedule runs is a request like any
other, of the person who made it, with the rights that person has at that moment.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from runbooks import cron
from runbooks.answer import Answer, mention
from runbooks.catalog import binding
from runbooks.cron import Passed
from runbooks.engine import Engine, Ready, Wanted
from runbooks.progress import FiringLost, Reporter, ScheduleChanged
from safety.approval import Demand
from safety.clock import words
from safety.roles import Permission
from storage import audit, schedules
from storage.database import repeat
from storage.errors import Invalid, NotFound, NotPermitted, OperatorError, StorageUnavailable
from storage.records import (
    HANDRAIL,
    Actor,
    Firing,
    FiringOutcome,
    Origin,
    RunRequest,
    Schedule,
    StandingApproval,
)

log = structlog.get_logger(__name__)

MOST = 500
"""Schedules that are kept."""
LOOK = 1.0
"""Seconds between two looks at what is due."""
HINT = "`/runbook schedule list` shows those there are."


# --- making and changing them -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Hand:
    """Who changes schedules, through which door, when."""

    actor: Actor
    origin: Origin
    now: datetime
    reporter: Reporter


def find(connection: Connection, name: str) -> Schedule:
    """By name or number. Raises NotFound."""
    found = schedules.find(connection, name)
    if found is None:
        raise NotFound(f"There is no schedule '{name}'. {HINT}")
    return found


def make(
    connection: Connection,
    schedule: Schedule,
    wanted: Wanted,
    hand: Hand,
    *,
    may_change: Callable[[Schedule], bool],
    also: Callable[[Connection], object],
) -> Schedule | OperatorError:
    """Keep it, under a name that is free where it has none; another of its name becomes it, if that `may_change`.

    `also` runs in the same transaction, so that one request makes one schedule.
    """
    also(connection)
    former = schedules.find(connection, schedule.name) if schedule.name else None
    if former is not None and not may_change(former):
        _witness(connection, "denied", former, hand, what="replace a schedule", permission=Permission.SCHEDULES.value)
        return NotPermitted(f"There is a schedule '{former.name}' already, and it is not yours to change.")
    if former is None and schedules.count(connection) >= MOST:
        return NotPermitted(f"There are {MOST} schedules already. Delete one first: `/runbook schedule delete NAME`.")
    if former is None:
        name = schedule.name or _free_name(connection, wanted.entry.name)
        made = schedules.add(connection, replace(schedule, name=name))
    else:
        _void(connection, former, "the schedule was replaced", hand)
        made = schedules.change(connection, replace(schedule, id=former.id))
    _witness(
        connection,
        "schedule.made" if former is None else "schedule.replaced",
        made,
        hand,
        before=None if former is None else _shown(former),
        after=_shown(made),
    )
    verb = "was made" if former is None else f"was replaced (it was {mention(former.made_by)}'s)"
    hand.reporter.report(connection, ScheduleChanged(schedule=made, actor=hand.actor, words=verb), hand.now)
    return made


def _free_name(connection: Connection, runbook: str) -> str:
    short = runbook[:58]
    names = (short, *(f"{short}-{number}" for number in range(2, MOST + 2)))
    return next(name for name in names if schedules.find(connection, name) is None)


def pause(connection: Connection, name: str, hand: Hand) -> Answer:
    """It fires no more until it is resumed, and misses nothing meanwhile."""
    schedule = find(connection, name)
    if schedule.paused_at is not None:
        return Answer(message=f"'{schedule.name}' is paused already.")
    paused = schedules.change(connection, replace(schedule, next_at=None, paused_by=hand.actor.id, paused_at=hand.now))
    return _changed(connection, "schedule.paused", paused, hand, "was paused")


def resume(connection: Connection, name: str, hand: Hand) -> Answer:
    """It fires again, from the next moment on."""
    schedule = find(connection, name)
    if schedule.paused_at is None:
        return Answer(message=f"'{schedule.name}' is not paused.")
    next_at = cron.next_after(schedule.cron, schedule.timezone, hand.now)
    resumed = schedules.change(connection, replace(schedule, next_at=next_at, paused_by=None, paused_at=None))
    return _changed(connection, "schedule.resumed", resumed, hand, "was resumed")


def delete(connection: Connection, name: str, hand: Hand) -> Answer:
    """Forget it; what it started goes on."""
    schedule = find(connection, name)
    _void(connection, schedule, "the schedule was deleted", hand)
    schedules.remove(connection, schedule.id)
    return _changed(connection, "schedule.deleted", schedule, hand, "was deleted")


def _changed(connection: Connection, kind: str, schedule: Schedule, hand: Hand, said: str) -> Answer:
    _witness(connection, kind, schedule, hand, **_shown(schedule))
    hand.reporter.report(connection, ScheduleChanged(schedule=schedule, actor=hand.actor, words=said), hand.now)
    return Answer(message=f"'{schedule.name}' {said}.")


Change = Callable[[Connection, str, Hand], Answer]
"""One of the changes: of whose schedule, by number, by whom."""


# --- consent to every firing ------------------------------------------------------------------------------------------


def approve(
    connection: Connection,
    schedule: Schedule,
    wanted: Wanted,
    limit: int,
    hand: Hand,
    *,
    refusal: str | None,
    lacking: Callable[[tuple[str, ...]], tuple[Demand, ...]],
) -> Answer | OperatorError:
    """Consent to every firing, as long as runbook, code, parameters and hosts stay, with at most `limit` changes.

    `refusal`: why this person may not. `lacking`: what is still to be given once these people have.
    """
    found = schedules.get(connection, schedule.id)
    if found is None or found.revision != schedule.revision:
        return NotFound(f"'{schedule.name}' has changed at this moment. Look at it again: {HINT}")
    if refusal is not None:
        _witness(connection, "schedule.approval_refused", schedule, hand, reason=refusal)
        return NotPermitted(refusal)
    mark, former = binding(wanted.entry, wanted.params, wanted.hosts), schedules.standing(connection, schedule.id)
    same = former is not None and (former.mark, former.changes) == (mark, limit)
    votes = tuple(dict.fromkeys([*(former.votes if former is not None and same else ()), hand.actor.id]))
    if former is not None and former.votes == votes and same:
        return Answer(message=f"You approved '{schedule.name}' for good already, for {_changes(limit)} at most.")
    given = StandingApproval(schedule_id=schedule.id, mark=mark, changes=limit, votes=votes, given_at=hand.now)
    schedules.put_standing(connection, given)
    missing = " and ".join(demand.words for demand in lacking(votes))
    _witness(
        connection,
        "schedule.approved",
        schedule,
        hand,
        **_shown(schedule),
        runbook=wanted.entry.name,
        module=wanted.entry.module_hash,
        params=dict(wanted.params),
        hosts=list(wanted.hosts),
        mark=mark,
        changes=limit,
        votes=list(votes),
        missing=missing or None,
    )
    still = f" Still needed: {missing}." if missing else ""
    said = f"has a standing approval, for {_changes(limit)} at most, on {_counted(len(wanted.hosts), 'host')}.{still}"
    hand.reporter.report(connection, ScheduleChanged(schedule=schedule, actor=hand.actor, words=said), hand.now)
    return Answer(message=f"'{schedule.name}' {said}")


def revoke(connection: Connection, name: str, hand: Hand) -> Answer:
    """Each firing is asked about again."""
    schedule = find(connection, name)
    if not _void(connection, schedule, "it was revoked", hand):
        return Answer(message=f"'{schedule.name}' has no standing approval.")
    return Answer(message=f"The standing approval of '{schedule.name}' is revoked: each time is asked about again.")


def _void(connection: Connection, schedule: Schedule, why: str, hand: Hand) -> bool:
    """Take the standing approval away, if there is one; whether there was."""
    former = schedules.standing(connection, schedule.id)
    if former is None:
        return False
    schedules.remove_standing(connection, schedule.id)
    _witness(
        connection,
        "schedule.approval_void",
        schedule,
        hand,
        why=why,
        mark=former.mark,
        changes=former.changes,
        votes=list(former.votes),
    )
    actor = None if hand.actor == HANDRAIL else hand.actor
    said = f"has no standing approval any more: {why}"
    hand.reporter.report(connection, ScheduleChanged(schedule=schedule, actor=actor, words=said), hand.now)
    return True


def _changes(limit: int) -> str:
    return _counted(limit, "changing step")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- firing -----------------------------------------------------------------------------------------------------------


class Timer:
    """Fires what is due. Any number of processes may each have one: a moment is claimed in SQL.

    `read` makes the request that a schedule stands for at one moment; it raises OperatorError. `settled` returns once
    it is known as well as it can be who is in which group.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        read: Callable[[Schedule, datetime], RunRequest],
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._engine, self._read, self._settled = engine, read, settled

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("schedules", self.look, every=LOOK, sleep=self._engine.tools.clock.sleep)

    async def look(self) -> None:
        """See to everything that is due now."""
        tools = self._engine.tools
        due = await tools.database.read(schedules.due, tools.clock.now())
        if due and self._settled is not None:
            await self._settled()
        for schedule in due:
            await self._attend(schedule, tools.clock.now())

    async def _attend(self, schedule: Schedule, now: datetime) -> None:
        database = self._engine.tools.database
        if schedule.next_at is None:
            return
        try:
            passed = cron.passed(
                schedule.cron, schedule.timezone, schedule.next_at, now, window=self._engine.policy.catch_up
            )
        except Invalid as error:
            await database.write(self._cannot_go_on, schedule, now, error.message)
            return
        if passed.last is None:
            await database.write(self._miss, schedule, passed, now)
            return
        try:
            await database.write(self._fire, schedule, passed, self._ready(schedule, passed.last), now)
            self._engine.wake.set()
        except _NotYetError:
            log.info("schedule_waits", schedule=schedule.id)
        except StorageUnavailable:
            raise
        except OperatorError as error:
            await database.write(self._lose, schedule, passed, error.message, now)
        except Exception:  # one schedule must not keep the others from firing
            log.exception("schedule_failed", schedule=schedule.id)
            await database.write(self._lose, schedule, passed, "it could not be started; the log says why", now)

    def _ready(self, schedule: Schedule, due: datetime) -> Ready:
        """Raises OperatorError where it makes no sense any more, or its maker may have no schedules any more.

        Raises _NotYetError where that can't be known now.
        """
        policy, maker = self._engine.policy, schedule.made_by
        right, ready = policy.decide(maker.id, Permission.SCHEDULES), None
        if right.allowed:
            ready = self._engine.ready(self._read(schedule, due))
            if (wanted := ready.wanted) is not None:
                right = policy.decide(
                    maker.id,
                    Permission.SCHEDULES,
                    runbook=wanted.runbook,
                    hosts=wanted.hosts,
                    includes=wanted.includes,
                )
                if right.allowed:
                    return ready
        if not policy.knows_every_group():
            raise _NotYetError
        if ready is not None and ready.wanted is None:
            return ready  # who may run nothing is refused by the gate
        raise NotPermitted(f"{mention(maker)}, who made it, may not have it run any more: {right.reason}")

    def _fire(self, connection: Connection, schedule: Schedule, passed: Passed, ready: Ready, now: datetime) -> None:
        """Claim the moment, and have its request accepted, both or neither."""
        due = passed.last
        if due is None or not self._claim(connection, schedule, passed, now):
            return
        other = schedules.unfinished(connection, schedule.id)
        if other is not None:
            self._keep(connection, schedule, due, FiringOutcome.SKIPPED, now, f"#{other} of it has not ended")
            return
        if ready.wanted is not None:
            self._check_standing(connection, schedule, ready.wanted, now)
        answer = ready.accept(connection, None)
        if answer.duplicate and answer.execution is not None:
            said = f"the same was asked for by hand, and #{answer.execution.id} has not ended"
            self._keep(connection, schedule, due, FiringOutcome.SKIPPED, now, said)
        elif answer.execution is not None:
            self._keep(connection, schedule, due, FiringOutcome.FIRED, now, None, answer.execution.id)
        elif answer.decision is not None:
            self._keep(connection, schedule, due, FiringOutcome.REFUSED, now, answer.message)
        else:
            raise _NotYetError

    def _check_standing(self, connection: Connection, schedule: Schedule, wanted: Wanted, now: datetime) -> None:
        given = schedules.standing(connection, schedule.id)
        if given is not None and given.mark != binding(wanted.entry, wanted.params, wanted.hosts):
            why = "its runbook's code, its parameters or its hosts are not what they were"
            _void(connection, schedule, why, self._hand(now))

    def _lose(self, connection: Connection, schedule: Schedule, passed: Passed, reason: str, now: datetime) -> None:
        if passed.last is not None and self._claim(connection, schedule, passed, now):
            self._keep(connection, schedule, passed.last, FiringOutcome.REFUSED, now, reason)

    def _miss(self, connection: Connection, schedule: Schedule, passed: Passed, now: datetime) -> None:
        if schedule.next_at is None or not schedules.claim(connection, schedule, next_at=passed.next_at):
            return
        length = words(self._engine.policy.catch_up.total_seconds())
        self._keep_missed(connection, schedule, passed, now, f"nothing could start it within {length}")

    def _claim(self, connection: Connection, schedule: Schedule, passed: Passed, now: datetime) -> bool:
        """Whether this moment is ours; those before it that nobody saw to are recorded."""
        if passed.last is None or not schedules.claim(connection, schedule, next_at=passed.next_at):
            return False
        if schedules.firing(connection, schedule.id, passed.last) is not None:
            return False  # it was replaced by one with the same moment, which had been seen to
        if passed.missed:
            self._keep_missed(connection, schedule, passed, now, "Handrail was not there", caught_up=True)
        return True

    def _keep_missed(
        self,
        connection: Connection,
        schedule: Schedule,
        passed: Passed,
        now: datetime,
        reason: str,
        *,
        caught_up: bool = False,
    ) -> None:
        first = schedule.next_at
        if first is None or schedules.firing(connection, schedule.id, first) is not None:
            return
        firing = Firing(
            schedule_id=schedule.id,
            name=schedule.name,
            due_at=first,
            outcome=FiringOutcome.MISSED,
            at=now,
            count=passed.missed,
            last_due=passed.last_missed,
            reason=reason,
        )
        self._put(connection, schedule, firing, now, caught_up=caught_up)

    def _cannot_go_on(self, connection: Connection, schedule: Schedule, now: datetime, reason: str) -> None:
        """What can't even be read is paused, so that it is told once."""
        found = schedules.get(connection, schedule.id)
        if found is None or found != schedule or schedule.next_at is None:
            return
        stopped = replace(schedule, next_at=None, paused_by=HANDRAIL.id, paused_at=now)
        schedules.change(connection, stopped)
        said = f"{reason} It is paused; `/runbook schedule resume {schedule.id}` once that is mended"
        if schedules.firing(connection, schedule.id, schedule.next_at) is None:
            self._keep(connection, schedule, schedule.next_at, FiringOutcome.REFUSED, now, said)

    def _keep(
        self,
        connection: Connection,
        schedule: Schedule,
        due: datetime,
        outcome: FiringOutcome,
        now: datetime,
        reason: str | None,
        execution_id: int | None = None,
    ) -> None:
        fired = outcome is FiringOutcome.FIRED
        firing = Firing(
            schedule_id=schedule.id,
            name=schedule.name,
            due_at=due,
            outcome=outcome,
            at=now,
            reason=reason,
            execution_id=execution_id if fired else None,
            wait_until=due + self._engine.policy.catch_up if fired else None,
        )
        self._put(connection, schedule, firing, now)

    def _put(
        self, connection: Connection, schedule: Schedule, firing: Firing, now: datetime, *, caught_up: bool = False
    ) -> None:
        """Keep what became of it, witness it, and tell it where no execution does."""
        schedules.keep_firing(connection, firing)
        by_its_maker = firing.outcome in {FiringOutcome.FIRED, FiringOutcome.REFUSED}
        audit.append(
            connection,
            at=now,
            kind=f"schedule.{firing.outcome.value}",
            actor=schedule.made_by if by_its_maker else HANDRAIL,
            origin=Origin.SCHEDULE,
            execution_id=firing.execution_id,
            schedule=schedule.id,
            name=schedule.name,
            due=firing.due_at.isoformat(),
            text=schedule.text,
            reason=firing.reason,
            count=firing.count,
        )
        if firing.outcome is not FiringOutcome.FIRED:
            event = FiringLost(schedule=schedule, firing=firing, caught_up=caught_up)
            self._engine.tools.reporter.report(connection, event, now)

    def _hand(self, now: datetime) -> Hand:
        return Hand(actor=HANDRAIL, origin=Origin.SCHEDULE, now=now, reporter=self._engine.tools.reporter)


class _NotYetError(Exception):
    """The queue is full, or who is in a group is not known: the moment stays due, until it can't be caught up with."""


# --- what is witnessed ------------------------------------------------------------------------------------------------


def _shown(schedule: Schedule) -> dict[str, str | None]:
    return {
        "text": schedule.text,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "channel": schedule.channel,
        "made_by": schedule.made_by.id,
    }


def _witness(connection: Connection, kind: str, schedule: Schedule, hand: Hand, **data: Any) -> None:
    audit.append(
        connection,
        at=hand.now,
        kind=kind,
        actor=hand.actor,
        origin=hand.origin,
        schedule=schedule.id,
        name=schedule.name,
        **data,
    )
