"""App Home: what is going on, for one person, with the buttons this person may press.

`read_home` reads it, `home_view` shows it; both are pure but for the rows. `Homes` publishes: at once to whoever opens
it, and again when something in it has changed, to those who have had it open within the hour.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection

from bot.blocks import (
    EMOJI,
    MOST_TEXT,
    Block,
    actions,
    asking,
    clock_time,
    context,
    counted,
    inline,
    moment,
    paragraphs,
    question_row,
    release_button,
    section,
    switch_line,
    told,
    weight,
    who,
    why_alone,
)
from bot.cards import given_so_far, subject
from bot.incident_cards import incident_line
from bot.pace import Bucket
from bot.schedules import is_seen, may_make
from bot.slack_trouble import Trouble, understand
from runbooks import cron
from runbooks.engine import Engine
from safety import circuit_breaker
from safety.clock import Clock
from safety.roles import Permission
from storage import audit, controls, executions, incidents, schedules
from storage.errors import StorageUnavailable
from storage.records import (
    TRANSPORT,
    Actor,
    Approval,
    Breaker,
    BreakerState,
    Consent,
    Execution,
    HostRun,
    HostState,
    Incident,
    KillSwitch,
    Schedule,
    State,
)

log = structlog.get_logger(__name__)

WAITING_SHOWN = 5
RUNNING_SHOWN = 10
INCIDENTS_SHOWN = 5
SWITCHES_SHOWN = 5
SCHEDULES_SHOWN = 5
YOURS_SHOWN = 5
HOSTS_SHOWN = 10
LOOK = 2.0  # seconds between two looks for changes
APART = 10.0  # seconds between two views of one person that nobody asked for
OPEN_FOR = 3_600.0  # seconds after it was opened
MOST_READERS = 300
CALL_TIMEOUT = 10.0
_UNFINISHED = (State.RUNNING, State.AWAITING_APPROVAL, State.PENDING, State.INTERRUPTED)
_AGAIN = {State.FAILED, State.TIMED_OUT, State.CANCELLED}
_ILL = {HostState.FAILED, HostState.TIMED_OUT, HostState.INTERRUPTED}


@dataclass(frozen=True, kw_only=True)
class Health:
    """One host: how it came out last, and its breakers that are not closed."""

    host: str
    runbook: str | None = None
    last: HostRun | None = None
    breakers: tuple[Breaker, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.breakers and (self.last is None or self.last.state not in _ILL)


@dataclass(frozen=True, kw_only=True)
class Home:
    """What one person may see, and do."""

    person: str
    has_role: bool
    may_read: bool  # what others do
    may_run: bool
    may_release: bool
    waiting: tuple[tuple[Execution, Approval], ...] = ()  # for this person's consent
    running: tuple[Execution, ...] = ()
    stoppable: frozenset[int] = frozenset()  # those of them that this person may cancel
    incidents: tuple[Incident, ...] = ()  # those that are open, the worst first
    switches: tuple[KillSwitch, ...] = ()
    schedules: tuple[Schedule, ...] = ()  # the next to fire first, paused ones last
    may_schedule: bool = False
    yours: tuple[Execution, ...] = ()
    health: tuple[Health, ...] = ()


# --- reading ----------------------------------------------------------------------------------------------------------


def read_home(connection: Connection, engine: Engine, actor: Actor) -> Home:
    """As it stands, cut down to what this person's roles allow."""
    policy, person = engine.policy, actor.id
    may_read = policy.may(person, Permission.EXECUTIONS_READ)
    known = engine.catalog.entries
    mine = [name for name in known if policy.sees(person, Permission.EXECUTIONS_READ, name)]
    among = None if len(mine) == len(known) else set(mine)
    unfinished = executions.in_states(connection, _UNFINISHED)
    running = [
        one for one in unfinished if one.actor.id == person or (may_read and (among is None or one.runbook in among))
    ]
    may_cancel = policy.may(person, Permission.CANCEL)
    return Home(
        person=person,
        has_role=any(policy.may(person, permission) for permission in Permission),
        may_read=may_read,
        may_run=policy.may(person, Permission.EXECUTE),
        may_release=policy.may(person, Permission.RELEASE),
        waiting=tuple(engine.awaiting(connection, actor)),
        running=tuple(sorted(running, key=lambda one: _UNFINISHED.index(one.state))),
        stoppable=frozenset(one.id for one in running if may_cancel or one.actor.id == person),
        schedules=_schedules(connection, engine, actor),
        may_schedule=may_make(engine, actor),
        incidents=tuple(incidents.unresolved(connection)) if may_read else (),
        switches=tuple(controls.engaged(connection)) if may_read else (),
        yours=tuple(one for one in executions.newest_by(connection, person, 20) if one.state not in _UNFINISHED),
        health=tuple(_health(connection, [host.name for host in engine.tools.inventory.hosts], among))
        if may_read
        else (),
    )


def _schedules(connection: Connection, engine: Engine, actor: Actor) -> tuple[Schedule, ...]:
    if not engine.policy.may(actor.id, Permission.READ):
        return ()
    every = [one for one in schedules.every(connection) if is_seen(engine, actor, one)]
    fires = sorted((one for one in every if one.next_at is not None), key=lambda one: (str(one.next_at), one.id))
    return (*fires, *(one for one in every if one.next_at is None))


def _health(connection: Connection, hosts: Sequence[str], among: set[str] | None) -> Iterator[Health]:
    outcomes = executions.outcomes(connection, among=among)
    tripped: dict[str, list[Breaker]] = {}
    for breaker in controls.used_breakers(connection):
        is_seen = among is None or breaker.runbook == TRANSPORT or breaker.runbook in among
        if breaker.state is not BreakerState.CLOSED and is_seen:
            tripped.setdefault(breaker.host, []).append(breaker)
    for host in hosts:
        runbook, last = outcomes.get(host, (None, None))
        yield Health(host=host, runbook=runbook, last=last, breakers=tuple(tripped.get(host, ())))


# --- showing ----------------------------------------------------------------------------------------------------------


def home_view(home: Home, now: datetime) -> Mapping[str, Any]:
    """The view. Whatever is in the records, Slack takes it: every list is short, and what is left out is counted."""
    return _as_of(now, _shown(home), until=now + timedelta(seconds=OPEN_FOR))


def _as_of(now: datetime, shown: Sequence[Block], *, until: datetime) -> Mapping[str, Any]:
    """Who has it open is known to one process alone: after a restart it stays as it is, and the words say so."""
    said = (
        f"As of {clock_time(now)}. It changes by itself until {clock_time(until)}, or until Handrail is restarted; "
        "after that, leave this tab and come back."
    )
    below = ({"type": "divider"}, context(said))
    return {"type": "home", "blocks": [dict(block) for block in (*shown, *below)]}


def _shown(home: Home) -> list[Block]:
    """All that stands there but the time: the same for as long as nothing that is seen has changed."""
    shown = [
        *_for_you(home),
        *_incidents(home),
        *_switches(home),
        *_running(home),
        *_schedule_blocks(home),
        *_yours(home),
        *_health_blocks(home),
    ]
    return _fitting(shown) or [section("Nothing waits for you. `/runbook can` says what your role is for.")]


def _fitting(shown: list[Block]) -> list[Block]:
    """As much from the top as Slack takes: what waits for the reader comes first."""
    room = MOST_TEXT
    for place, block in enumerate(shown):
        room -= weight(block)
        if room < 0:
            return [*shown[:place], context("_More than fits here: `/runbook status` and `/runbook history` have it._")]
    return shown


def _title(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _for_you(home: Home) -> Iterator[Block]:
    if not home.has_role:
        yield section(
            f"<@{home.person}>, no role in Handrail is yours yet, so there is little to see here. Whoever keeps its "
            "`handrail.yml` can give you one."
            if home.person.startswith(("U", "W"))
            else "No role in Handrail is yours yet."
        )
        return
    if not home.waiting:
        return
    yield _title(f"Waiting for you ({len(home.waiting)})")
    for execution, approval in home.waiting[:WAITING_SHOWN]:
        confirm = approval.kind is Consent.CONFIRM
        lines = [
            f"{EMOJI[State.AWAITING_APPROVAL]} *{_subject(execution)}*",
            f"{who(execution.actor)} asks{_in_channel(execution)}, until {moment(approval.expires_at)}",
            *([inline(execution.note, 300)] if execution.note else []),
            *([f"Reason: {inline(execution.reason, 200)}"] if execution.reason else []),
            *([given_so_far(approval)] if approval.votes else []),
        ]
        yield section("\n".join(lines))
        verbs = ["confirm", "cancel"] if confirm else ["approve", "deny"]
        yield from actions(execution.id, [*verbs, "plan"], fingerprint=approval.fingerprint, place="home-waiting")
    yield from _more(len(home.waiting) - WAITING_SHOWN, "`/runbook status` lists them.")


def _incidents(home: Home) -> Iterator[Block]:
    if not home.incidents:
        return
    yield _title(f"Open incidents ({len(home.incidents)})")
    yield from paragraphs([incident_line(incident) for incident in home.incidents[:INCIDENTS_SHOWN]])
    yield from _more(len(home.incidents) - INCIDENTS_SHOWN, "`/incident list` lists them.")


def _switches(home: Home) -> Iterator[Block]:
    if not home.switches:
        return
    yield _title(f"Kill switches engaged ({len(home.switches)})")
    for place, switch in enumerate(home.switches[:SWITCHES_SHOWN]):
        yield section(switch_line(switch))
        if home.may_release:
            yield from release_button(switch, place)
    yield from _more(len(home.switches) - SWITCHES_SHOWN, "`/killswitch status` lists them.")


def _running(home: Home) -> Iterator[Block]:
    shown = {execution.id for execution, _ in home.waiting[:WAITING_SHOWN]}
    running = [execution for execution in home.running if execution.id not in shown]
    if not running:
        if home.may_read:
            yield _title("Running")
            yield section(f":white_check_mark: Nothing {'else ' if shown else ''}runs or waits.")
        return
    yield _title(f"Running ({len(running)})")
    for execution in running[:RUNNING_SHOWN]:
        button = execution.id in home.stoppable and execution.cancel_at is None
        row = actions(execution.id, ["cancel"]) if button and execution.state is not State.INTERRUPTED else []
        yield _with(section(_running_line(execution)), row)
    yield from _more(len(running) - RUNNING_SHOWN, "`/runbook status` lists them.")


def _running_line(execution: Execution) -> str:
    lines = [f"{EMOJI[execution.state]} *{_subject(execution)}*"]
    step = ""
    if execution.state is State.RUNNING and execution.steps_total:
        current = f": {inline(execution.current, 100)}" if execution.current else ""
        step = f", step {min(execution.steps_done + 1, execution.steps_total)} of {execution.steps_total}{current}"
    since = execution.started_at or execution.created_at
    lines.append(f"{execution.state.words.capitalize()}{step}, since {moment(since)}")
    note = execution.ending if execution.state is State.INTERRUPTED else execution.note
    if note and execution.state is not State.RUNNING:
        lines.append(told(note, 250))
    if execution.cancel_at is not None:
        lines.append(":octagonal_sign: being cancelled")
    lines.append(f"{who(execution.actor)}{_in_channel(execution)}")
    return "\n".join(lines)


def _schedule_blocks(home: Home) -> Iterator[Block]:
    if not home.schedules and not home.may_schedule:
        return
    yield _title(f"Schedules ({len(home.schedules)})" if home.schedules else "Schedules")
    lines = [_schedule_line(schedule) for schedule in home.schedules[:SCHEDULES_SHOWN]]
    yield from paragraphs(lines or ["Nothing is scheduled yet."])
    yield from _more(len(home.schedules) - SCHEDULES_SHOWN, "`/runbook schedule list` lists them.")
    if home.may_schedule:
        yield from question_row(asking("ask", "New schedule", "schedule new"), place="home-schedule")


def _schedule_line(schedule: Schedule) -> str:
    timing = inline(cron.in_words(schedule.cron, schedule.timezone), 120)
    if schedule.paused_at is not None:
        following = "*paused*"
    else:
        following = f"next {moment(schedule.next_at)}" if schedule.next_at is not None else "never again"
    return f":calendar: *{inline(schedule.name, 80)}* (#{schedule.id}): {timing}, {following}"


def _yours(home: Home) -> Iterator[Block]:
    if not home.yours:
        return
    yield _title("Your recent runs")
    for execution in home.yours[:YOURS_SHOWN]:
        again = home.may_run and execution.state in _AGAIN and execution.started_at is not None
        when = f", {moment(execution.ended_at)}" if execution.ended_at is not None else ""
        why = f"\n{why_alone(execution, 200)}" if execution.ending else ""
        line = f"{EMOJI[execution.state]} {_subject(execution)}\n*{execution.state_words.capitalize()}*{when}{why}"
        yield _with(section(line), actions(execution.id, ["retry"]) if again else [])


def _health_blocks(home: Home) -> Iterator[Block]:
    if not home.health:
        return
    ill = [health for health in home.health if not health.is_well]
    unknown = [health.host for health in home.health if health.is_well and health.last is None]
    well = len(home.health) - len(ill) - len(unknown)
    yield _title("Hosts")
    said = [f":x: {len(ill)} with trouble"] if ill else []
    said += [f":white_check_mark: {well} well the last time"] if well else []
    said += [f":white_circle: {len(unknown)} not used lately"] if unknown else []
    yield section(" · ".join(said))
    yield from paragraphs([_health_line(health) for health in ill[:HOSTS_SHOWN]])
    yield from _more(len(ill) - HOSTS_SHOWN, "`/runbook breaker` and `/runbook history` say more.")


def _health_line(health: Health) -> str:
    parts = [_breaker_words(breaker) for breaker in health.breakers[:3]]
    if health.last is not None and health.last.state in _ILL and health.runbook is not None:
        when = f", {moment(health.last.ended_at)}" if health.last.ended_at is not None else ""
        state = health.last.state.value.replace("_", " ")
        parts.append(f"{inline(health.runbook, 60)} {state} (#{health.last.execution_id}{when})")
    return f"*{inline(health.host, 80)}*: {'; '.join(parts)}"


def _breaker_words(breaker: Breaker) -> str:
    due = circuit_breaker.opens_at(breaker)
    name = "the way to it" if breaker.runbook == TRANSPORT else inline(breaker.runbook, 60)
    until = f", one trial from {moment(due, seconds=True)} on" if due is not None else ""
    return f":zap: breaker of {name} {breaker.state.value} after {counted(breaker.failures, 'failure')}{until}"


def _subject(execution: Execution) -> str:
    return subject(execution, 160)


def _in_channel(execution: Execution) -> str:
    channel = execution.channel or ""
    return f" in <#{channel}>" if channel.isascii() and channel.isalnum() and channel[:1] in "CG" else ""


def _with(block: Block, row: Sequence[Block]) -> Block:
    """A paragraph with the one button of that row beside it."""
    return {**block, "accessory": row[0]["elements"][0]} if row else block


def _more(number: int, where: str) -> Iterator[Block]:
    if number > 0:
        yield context(f"… and {number:,} more. {where}")


# --- publishing -------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Reader:
    """Somebody who has opened it lately."""

    actor: Actor
    opened_at: float
    asked: bool = True  # it was opened and not yet shown
    looked_at: int = -1  # the state of things that was last read for them
    published_at: float = -APART
    shown: Sequence[Block] | None = None


@dataclass(kw_only=True)
class Homes:
    """The open Home tabs of one process. `run` until cancelled; `opened` in the loop `run` runs in."""

    engine: Engine
    client: AsyncWebClient
    clock: Clock
    _readers: dict[str, _Reader] = field(default_factory=dict)
    _pace: Bucket = field(default_factory=lambda: Bucket(per_second=1.0, burst=10))  # Slack takes some 100 a minute
    _held_until: float = 0.0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def opened(self, actor: Actor) -> None:
        """Somebody looks at it: show it as it is now."""
        now = self.clock.monotonic()
        known = self._readers.pop(actor.id, None) or _Reader(actor=actor, opened_at=now)
        known.opened_at, known.asked = now, True
        self._readers[actor.id] = known  # the newest stands last
        while len(self._readers) > MOST_READERS:
            del self._readers[next(iter(self._readers))]
        self._woken.set()

    async def run(self) -> None:
        """Publish what changed, for ever. What Slack or the database doesn't take is tried again with the next look."""
        while True:
            try:
                await self._round()
            except StorageUnavailable as error:
                log.warning("home_not_read", error=error.message)
            await self._rest()

    async def _rest(self) -> None:
        """Until somebody opens it, or some seconds, where somebody has it open."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._woken.wait())}
        if self._readers:
            waits.add(asyncio.ensure_future(self.clock.sleep(LOOK)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._woken.clear()

    async def _round(self) -> None:
        now = self.clock.monotonic()
        self._readers = {id: one for id, one in self._readers.items() if now - one.opened_at < OPEN_FOR}
        if not self._readers or now < self._held_until:
            return
        mark, is_moving = await self.engine.tools.database.read(_mark)
        due = [one for one in self._readers.values() if self._is_due(one, mark, now, is_moving=is_moving)]
        for reader in sorted(due, key=lambda one: (not one.asked, one.published_at)):
            if self._pace.wait(now) > 0 or now < self._held_until:
                return
            home = await self.engine.tools.database.read(read_home, self.engine, reader.actor)
            shown = _shown(home)
            reader.looked_at = mark
            if reader.asked or shown != reader.shown:
                self._pace.take(now)
                await self._publish(reader, shown)

    def _is_due(self, reader: _Reader, mark: int, now: float, *, is_moving: bool) -> bool:
        """Whether to look again: it was opened, or something may have changed and the last view is old enough."""
        return reader.asked or (now - reader.published_at >= APART and (is_moving or reader.looked_at != mark))

    async def _publish(self, reader: _Reader, shown: Sequence[Block]) -> None:
        reader.published_at = self.clock.monotonic()
        now, left = self.clock.now(), timedelta(seconds=reader.opened_at + OPEN_FOR - reader.published_at)
        view = _as_of(now, shown, until=now + left)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await self.client.views_publish(user_id=reader.actor.id, view=dict(view))
        except Exception as error:  # every way a call can fail; nothing but this view hangs on it
            failure = understand(error)
            log.warning("home_not_published", error=failure.error)
            reader.looked_at = -1
            if failure.trouble is Trouble.BUSY:
                self._held_until = self.clock.monotonic() + failure.retry_after
            elif not failure.is_passing:
                reader.asked, reader.shown = False, shown  # until it is opened again, or changes
            return
        reader.asked, reader.shown = False, shown


def _mark(connection: Connection) -> tuple[int, bool]:
    """What grows with everything that is witnessed, and whether something runs, whose steps are not."""
    return audit.head(connection)[0], bool(executions.in_states(connection, (State.RUNNING,), limit=1))
