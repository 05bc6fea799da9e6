"""What happens to an execution, written down as what the channel must be told.

`report` runs in the transaction of the thing it tells: it puts messages into the outbox, nothing else. What can be read
from rows later (the headline, a step's message) is only marked, and gets its words when it is said (`bot/shown.py`).
One headline per execution, edited in place; in its thread the plan, the requests for consent, one message per step, and
the ending; switches, breakers and emergencies go to the alerts channel. `bot/outbox.py` says it all.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import uuid4

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import cards, shown
from bot.blocks import Message, who
from bot.cards import StepNews
from runbooks.progress import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalReminded,
    ApprovalVoted,
    BreakerMoved,
    EmergencyUsed,
    Event,
    ExecutionContinued,
    ExecutionEnded,
    ExecutionInterrupted,
    ExecutionStarted,
    ExecutionSubmitted,
    ExecutionWaiting,
    FiringLost,
    HostFinished,
    LimitRefuses,
    LookRetried,
    PlanMade,
    ScheduleChanged,
    StepFinished,
    StepPrinted,
    StepRetried,
    StepStarted,
    SwitchEngaged,
    SwitchReleased,
    SwitchReminded,
    SwitchStopped,
    WaveEnded,
)
from safety.clock import Sleep
from safety.clock import words as duration
from storage import approvals, executions, outbox
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.records import (
    Approval,
    ApprovalState,
    Execution,
    OutboxKind,
    OutboxState,
    State,
    StepRun,
    StepState,
)

log = structlog.get_logger(__name__)

HOSTS_IN_FULL = 5  # with more hosts, only steps that did not go well get a message of their own
STEPS_OF_ONE, LONGEST_OF_ONE = 5, 5_000  # steps and characters of a plan that is surely one message
LONGEST_KEY = 120
HEADLINE_WAIT = 5.0  # seconds
HEADLINE_POLL = 0.05
OLD = timedelta(seconds=10)  # so long a card may say the same of how long something takes
_WENT_WRONG = {StepState.FAILED, StepState.TIMED_OUT, StepState.STOPPED, StepState.INTERRUPTED}


@dataclass(frozen=True, kw_only=True)
class Said:
    """One row for the outbox: a message in words, or `shows`, what it is to show when it is said (then with a key)."""

    kind: OutboxKind
    message: Message | None = None
    shows: Mapping[str, Any] | None = None
    method: str = "post"
    channel: str | None
    execution_id: int | None = None
    key: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)  # beside the message, in the payload


class ThreadReporter:
    """The `Reporter` that speaks to Slack through the outbox. `alerts` is a channel id, or None for no such channel."""

    def __init__(
        self,
        *,
        database: Database,
        alerts: str | None = None,
        new_id: Callable[[], str] = lambda: uuid4().hex,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._alerts = alerts
        self._new_id = new_id
        self._sleep = sleep

    def report(self, connection: Connection, event: Event, now: datetime) -> None:
        """Write down what this event makes us say. Raises only what the database raises."""
        try:
            rows = list(self._rows(event, self._look_up(connection, event), now))
        except (SQLAlchemyError, OSError):  # the transaction is lost, and with it the thing that happened
            raise
        except Exception:  # a message that can't be made must not take the thing that happened back
            log.exception("event_not_reported", event_kind=type(event).__name__)
            return
        for row in rows:
            self._put(connection, row, now)

    def refresh(self, connection: Connection, now: datetime) -> int:
        """Have the cards of what runs said anew, since they say how long it takes; returns how many run.

        What has just begun needs none, and short ones end before it would be.
        """
        running = executions.in_states(connection, (State.RUNNING,))
        for execution in running:
            if execution.started_at is not None and now - execution.started_at >= OLD:
                for row in self._card(execution):
                    self._put(connection, row, now)
        return len(running)

    async def headline_settled(self, execution: Execution) -> None:
        """Return when a headline stands, or when waiting for one would be waiting for Slack; at most after 5 s."""
        if self._channel(execution) is None:
            return
        for _ in range(int(HEADLINE_WAIT / HEADLINE_POLL)):
            try:
                if await self._database.read(self._is_settled, execution):
                    return
            except StorageUnavailable:
                return
            await self._sleep(HEADLINE_POLL)

    def _is_settled(self, connection: Connection, execution: Execution) -> bool:
        channel = self._channel(execution)
        if channel is not None and outbox.channel_is_postable(connection, channel):
            return True
        if outbox.thread_of(connection, execution.id) is not None:
            return True
        headline = outbox.headline_of(connection, execution.id)
        # An error means that Slack was tried and failed. A headline on its way to another channel has none.
        return headline is None or headline.state is OutboxState.DEAD or headline.error is not None

    # --- what is looked up --------------------------------------------------------------------------------------------

    def _look_up(self, connection: Connection, event: Event) -> "_Known":
        match event:
            case StepPrinted() | StepRetried() | StepFinished() if _says_more(event):
                plan = executions.plan_of(connection, event.execution.id)
                return _Known(command=shown.command_of(plan, event.step))
            case ExecutionEnded():
                return _Known(withdrawn=self._withdrawn(connection, event.execution))
            case _:
                return _Known()

    def _withdrawn(self, connection: Connection, execution: Execution) -> Approval | None:
        """A request that nobody decided before the execution ended still has its buttons: they must go."""
        approval = approvals.latest(connection, execution.id)
        if approval is None or approval.state not in {ApprovalState.WAITING, ApprovalState.WITHDRAWN}:
            return None
        return replace(approval, state=ApprovalState.WITHDRAWN)

    # --- what is said -------------------------------------------------------------------------------------------------

    def _rows(self, event: Event, known: "_Known", now: datetime) -> Iterator[Said]:
        match event:
            case ExecutionSubmitted(execution=execution):
                yield from self._headline(execution)
            case PlanMade(execution=execution, plan=plan):
                if _is_one_message(execution, plan):
                    yield from self._showing(execution, OutboxKind.PLAN, shown.PLAN, f"plan:{execution.id}")
                else:
                    for message in cards.plan_messages(execution, plan):
                        yield from self._in_thread(execution, OutboxKind.PLAN, message)
                yield from self._card(execution)
            case LookRetried(execution=execution):
                yield from self._card(execution)
            case ApprovalAsked(execution=execution, approval=approval):
                key = _approval_key(execution, approval.id)
                yield from self._in_thread(execution, OutboxKind.APPROVAL, cards.approval_message(event), key)
                yield from self._card(execution, kind=OutboxKind.APPROVAL)
            case ApprovalVoted(asked=asked):
                execution, approval = asked.execution, asked.approval
                said = cards.approval_message(asked, event.missing)
                yield from self._in_thread(execution, OutboxKind.APPROVAL, said, _approval_key(execution, approval.id))
                yield from self._card(execution, kind=OutboxKind.APPROVAL)
            case ApprovalReminded(execution=execution, approval=approval):
                said = cards.reminder(event, now)
                yield from self._in_thread(execution, OutboxKind.APPROVAL, said, _reminder_key(execution, approval.id))
            case ApprovalDecided(execution=execution, approval=approval):
                yield from self._approval_over(execution, approval)
                yield from self._card(execution, kind=OutboxKind.APPROVAL)
            case ExecutionWaiting(execution=execution):
                yield from self._card(execution)
            case ExecutionStarted(execution=execution):
                yield from self._card(execution)
            case StepStarted(execution=execution, step=step):
                if len(execution.hosts) <= HOSTS_IN_FULL:
                    yield from self._step(execution, step)
                yield from self._card(execution)
            case StepPrinted(execution=execution, step=step) | StepRetried(execution=execution, step=step):
                if len(execution.hosts) <= HOSTS_IN_FULL:
                    yield from self._step(execution, step, _news(event, known))
            case StepFinished(execution=execution, step=step):
                if len(execution.hosts) <= HOSTS_IN_FULL or step.state in _WENT_WRONG:
                    yield from self._step(execution, step, _news(event, known))
            case HostFinished(execution=execution):
                yield from self._card(execution)
            case WaveEnded(execution=execution):
                key = f"wave:{execution.id}"  # one message, edited with each wave
                yield from self._in_thread(execution, OutboxKind.PROGRESS, cards.wave_message(event), key)
            case ExecutionEnded():
                yield from self._ended(event, known)
            case ExecutionInterrupted(execution=execution):
                yield from self._in_thread(execution, OutboxKind.ENDING, cards.interruption(event))
                yield from self._card(execution, kind=OutboxKind.ENDING)
            case ExecutionContinued(execution=execution, actor=actor):
                said = cards.continued(execution, who(actor) if actor else None, event.words)
                yield from self._in_thread(execution, OutboxKind.APPROVAL, said)
                yield from self._card(execution, kind=OutboxKind.APPROVAL)
            case SwitchEngaged():
                yield from self._alert(cards.switch_engaged(event), event.channel)
            case SwitchStopped():
                yield from self._alert(cards.switch_stopped(event), event.channel)
            case SwitchReleased():
                yield from self._alert(cards.switch_released(event), event.channel)
            case EmergencyUsed(execution=execution):
                yield from self._alert(cards.emergency(event), execution.channel)
            case SwitchReminded(switch=switch):
                yield from self._alert(cards.switch_reminded(switch, now), None)
            case LimitRefuses(execution=execution):
                yield from self._alert(cards.limit_refuses(event), None if self._alerts else execution.channel)
            case BreakerMoved(execution=execution):
                asked_in = execution.channel if execution is not None and not self._alerts else None
                yield from self._alert(cards.breaker_moved(event), asked_in)
            case ScheduleChanged() | FiringLost():
                yield from self._about_schedule(event)
            case _:
                assert_never(event)

    def _approval_over(self, execution: Execution, approval: Approval) -> Iterator[Said]:
        """The request and its reminder, if there was one, become what came of it: nobody is called any more."""
        said = cards.decided(execution, approval)
        yield from self._in_thread(execution, OutboxKind.APPROVAL, said, _approval_key(execution, approval.id))
        if approval.reminded_at is not None:
            yield from self._in_thread(execution, OutboxKind.APPROVAL, said, _reminder_key(execution, approval.id))

    def _headline(self, execution: Execution) -> Iterator[Said]:
        # The key of its edits: as long as it wasn't said, what it shows is the newest of them.
        yield from self._showing(execution, OutboxKind.HEADLINE, shown.CARD, _card_key(execution))

    def _card(self, execution: Execution, *, kind: OutboxKind = OutboxKind.CARD) -> Iterator[Said]:
        yield from self._showing(execution, kind, shown.CARD, _card_key(execution), method="update")

    def _showing(
        self, execution: Execution, kind: OutboxKind, shows: Mapping[str, Any], key: str, *, method: str = "post"
    ) -> Iterator[Said]:
        channel = self._channel(execution)
        if channel is not None:
            yield Said(kind=kind, shows=shows, method=method, channel=channel, execution_id=execution.id, key=key)

    def _in_thread(
        self, execution: Execution, kind: OutboxKind, message: Message, key: str | None = None
    ) -> Iterator[Said]:
        channel = self._channel(execution)
        if channel is not None:
            yield Said(kind=kind, message=message, channel=channel, execution_id=execution.id, key=key)

    def _step(self, execution: Execution, step: StepRun, news: StepNews | None = None) -> Iterator[Said]:
        """The message of a step, as its rows have it; with `news`, which says more than they do, in these words."""
        key = _step_key(execution, step)
        if news is None:
            yield from self._showing(execution, OutboxKind.PROGRESS, shown.step(step), key)
        else:
            yield from self._in_thread(execution, OutboxKind.PROGRESS, cards.step_message(news), key)

    def _ended(self, event: ExecutionEnded, known: "_Known") -> Iterator[Said]:
        execution = event.execution
        yield from self._in_thread(execution, OutboxKind.ENDING, cards.ending(event))
        yield from self._card(execution, kind=OutboxKind.ENDING)
        if known.withdrawn is not None:
            yield from self._approval_over(execution, known.withdrawn)
        if _is_long(event):
            yield from self._log(execution)

    def _log(self, execution: Execution) -> Iterator[Said]:
        channel = self._channel(execution)
        if channel is not None:
            yield Said(
                kind=OutboxKind.PROGRESS,
                message=Message(text=f"Full log of #{execution.id}"),
                method="upload",
                channel=channel,
                execution_id=execution.id,
                more={"log": execution.id},
            )

    def _alert(self, message: Message, asked_in: str | None) -> Iterator[Said]:
        for channel in dict.fromkeys(filter(None, (self._alerts, asked_in))):
            yield Said(kind=OutboxKind.ALERT, message=message, channel=channel)

    def _about_schedule(self, event: ScheduleChanged | FiringLost) -> Iterator[Said]:
        from bot import schedules  # it knows the engine, for which a kill switch at the command line must not wait

        channel = event.schedule.channel or self._alerts
        said = schedules.changed(event) if isinstance(event, ScheduleChanged) else schedules.lost(event)
        if channel is not None:
            yield Said(kind=OutboxKind.ALERT, message=said, channel=channel)

    def _channel(self, execution: Execution) -> str | None:
        return execution.channel or self._alerts

    def _put(self, connection: Connection, row: Said, now: datetime) -> None:
        if row.shows is not None and row.key is not None and row.execution_id is not None:
            outbox.show(
                connection,
                id=self._new_id(),
                kind=row.kind,
                method=row.method,
                shows=row.shows,
                coalesce_key=row.key,
                now=now,
                channel=row.channel,
                execution_id=row.execution_id,
            )
            return
        if row.message is None:
            raise AssertionError("what shows nothing has words")
        outbox.put(
            connection,
            id=self._new_id(),
            kind=row.kind,
            method=row.method,
            payload=row.message.payload(**row.more),
            now=now,
            channel=row.channel,
            execution_id=row.execution_id,
            coalesce_key=row.key,
        )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What an event alone doesn't tell."""

    command: str | None = None
    withdrawn: Approval | None = None


def _is_long(event: ExecutionEnded) -> bool:
    """Whether it printed lines that no message in the thread shows: then the full log is attached."""
    if len(event.execution.hosts) > HOSTS_IN_FULL:
        return any(step.lines for step in event.steps)
    return any(step.lines > shown.TAIL for step in event.steps)


def _card_key(execution: Execution) -> str:
    return f"card:{execution.id}"


def _approval_key(execution: Execution, approval_id: int) -> str:
    return f"approval:{execution.id}:{approval_id}"


def _reminder_key(execution: Execution, approval_id: int) -> str:
    return f"reminder:{execution.id}:{approval_id}"


def _step_key(execution: Execution, step: StepRun) -> str:
    """All tries of a step share one message. A name too long for the column is told by its hash."""
    key = f"step:{execution.id}:{step.host}:{step.step}"
    if len(key) <= LONGEST_KEY:
        return key
    return f"step:{execution.id}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _is_one_message(execution: Execution, plan: Mapping[str, Any]) -> bool:
    """Whether a plan is surely one message, and all of what is kept: one stage with few and short steps."""
    parts: Sequence[Mapping[str, Any]] = plan["hosts"]
    if execution.stage > 1 or len(parts) > HOSTS_IN_FULL or any(part.get("then") for part in parts):
        return False
    steps = sum(1 for part in parts for _ in cards.numbered_json([*part["steps"], *part.get("health", ())]))
    notes = len(plan.get("notes", ()))
    return steps + notes <= STEPS_OF_ONE and len(str(plan)) <= LONGEST_OF_ONE


def _says_more(event: StepPrinted | StepRetried | StepFinished) -> bool:
    """Whether it has words that no row keeps: a pause, what a daemon says, the newest of more lines than are kept."""
    from runbooks.steps import MOST_LINES  # as above: what runs steps is nothing to wait for

    match event:
        case StepPrinted():
            return event.lines > MOST_LINES
        case StepRetried():
            return True
        case StepFinished():
            return bool(event.look) or event.step.dropped > 0


def _news(event: StepPrinted | StepRetried | StepFinished, known: "_Known") -> StepNews | None:
    """What it says beyond its rows; None when they say it all."""
    if not _says_more(event):
        return None
    news = StepNews(execution=event.execution, step=event.step, command=known.command)
    match event:
        case StepPrinted():
            return replace(news, tail=event.tail, lines=event.lines)
        case StepRetried():
            return replace(news, note=_retry_words(event))
        case StepFinished():
            return replace(news, tail=event.tail, lines=event.step.lines, note=event.look)


def _retry_words(event: StepRetried) -> str:
    return f"try {event.attempt} of {event.most} failed ({event.reason}); the next in {duration(event.seconds)}"
