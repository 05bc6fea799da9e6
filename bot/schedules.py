"""What `/runbook schedule` means, and what the channel is told about schedules.

A schedule is kept as text in its one spelling, read by the same grammar each time. Nothing here decides whether it
runs: each moment makes a request, and that goes through the same review as any other.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import Connection

from bot import blocks
from bot.blocks import Block, Message
from bot.request import RunCommand, ScheduleCommand, kept_text, parse_runbook
from runbooks import cron
from runbooks import schedules as keeping
from runbooks.answer import Answer, said
from runbooks.catalog import binding
from runbooks.engine import Engine, Reach, Wanted
from runbooks.plans import from_json
from runbooks.progress import FiringLost, ScheduleChanged
from runbooks.schedules import Hand
from safety.approval import Demand, Electorate, together
from safety.clock import words
from safety.roles import Permission
from storage import executions
from storage import schedules as kept
from storage.canonical import sha256
from storage.errors import Invalid, NotFound, NotPermitted, OperatorError, TooLate
from storage.records import (
    Actor,
    Consent,
    Execution,
    Firing,
    FiringOutcome,
    Origin,
    Priority,
    RunRequest,
    Schedule,
    StandingApproval,
)

Handled = Callable[[Connection], object]
SHOWN = 10
"""Schedules on one page of a list: each has a row of buttons."""
LABELS = {
    "sched_pause": "Pause",
    "sched_resume": "Resume",
    "sched_run": "Run now",
    "sched_delete": "Delete",
}
"""The verbs of a schedule's buttons; each value is its number, and a mark of what was shown of it."""
_RIGHTS = "It runs with your rights as they are then, and is judged each time."
NONE = 'There are no schedules yet. Try `/runbook schedule "0 2 * * *" disk-cleanup path=/var/log on web-01`.'


# --- a schedule as a request ------------------------------------------------------------------------------------------


def command_of(schedule: Schedule) -> RunCommand:
    """What it runs. Raises Invalid where this version cannot read it."""
    parsed = parse_runbook(schedule.text)
    if not isinstance(parsed, RunCommand):
        raise Invalid(f"The request of '{schedule.name}' cannot be read any more. Make the schedule again.")
    return parsed


def request_at(schedule: Schedule, due: datetime) -> RunRequest:
    """What it asks for at one moment, as the person who made it. Raises Invalid."""
    found = request_of(command_of(schedule), schedule.made_by, schedule.channel, schedule.text)
    why = f"scheduled as '{schedule.name}' for {due:%Y-%m-%d %H:%M} UTC"
    return replace(
        found,
        reason=f"{found.reason} ({why})" if found.reason else why,
        request_id=f"schedule-{schedule.id}-{due:%Y%m%dT%H%M}Z"[:40],
    )


def request_of(command: RunCommand, actor: Actor, channel: str | None, text: str) -> RunRequest:
    """A scheduled request, without its moment."""
    return RunRequest(
        actor=actor,
        origin=Origin.SCHEDULE,
        runbook=command.runbook,
        values=command.values,
        named=command.named,
        targets=command.targets,
        channel=channel,
        text=text,
        dry_run=command.dry_run,
        reason=command.reason,
        priority=Priority(command.priority),
        rollout=command.rollout,
    )


# --- what people ask for ----------------------------------------------------------------------------------------------


def is_seen(engine: Engine, actor: Actor, schedule: Schedule) -> bool:
    """Whether lists show it to this person, who may read runbooks."""
    try:
        name = engine.catalog.get(command_of(schedule).runbook).name
    except (NotFound, Invalid):
        return True  # of a runbook that is gone: it can be seen, and deleted
    return engine.policy.sees(actor.id, Permission.READ, name)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A schedule as somebody sees it, and the verbs of what they may do with it now."""

    schedule: Schedule
    verbs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Considered:
    """A schedule that makes sense and that its maker may have, not kept yet. `former`: the one of its name."""

    schedule: Schedule
    wanted: Wanted
    former: Schedule | None = None
    replaces: bool = False  # whether the maker may put it in the former's place


class ScheduleDesk:
    """Answers `/runbook schedule`, all of it but `run`, which is a request of whoever asks, and `new`, a form."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def answer(
        self,
        command: ScheduleCommand,
        actor: Actor,
        channel: str | None,
        origin: Origin,
        handled: Handled,
    ) -> Message:
        """What to say to the person; `handled` is called in the transaction of each change. Raises OperatorError."""
        hand = Hand(actor=actor, origin=origin, now=self.engine.tools.clock.now(), reporter=self.engine.tools.reporter)
        match command.action:
            case "list":
                return await self._list(hand, command.page)
            case "show":
                return await self._show(command.name, hand)
            case "run" | "new":
                raise AssertionError("to run one now is a request like any other, and a new one begins with a form")
            case "make":
                return await self._make(command, channel, hand, handled)
            case "pause":
                return await self._change(keeping.pause, command, hand, handled)
            case "resume":
                return await self._change(keeping.resume, command, hand, handled)
            case "delete":
                return await self._change(keeping.delete, command, hand, handled)
            case "approve":
                return await self._approve(command, hand, handled)
            case "revoke":
                return await self._revoke(command, hand, handled)
            case _:
                assert_never(command.action)

    async def find(self, name: str, actor: Actor, origin: Origin) -> Schedule:
        """One that lists show to this person. Raises NotFound, also for one that they do not, and NotPermitted."""
        await self.engine.require(actor, Permission.READ, "see schedules", origin)
        found = await self.engine.tools.database.read(keeping.find, name)
        if not is_seen(self.engine, actor, found):
            raise NotFound(f"There is no schedule '{name}'. {keeping.HINT}")
        return found

    async def _list(self, hand: Hand, page: int) -> Message:
        await self.engine.require(hand.actor, Permission.READ, "see schedules", hand.origin)
        every = await self.engine.tools.database.read(kept.every)
        shown = [
            Shown(schedule=one, verbs=self._verbs(hand.actor, one))
            for one in every
            if is_seen(self.engine, hand.actor, one)
        ]
        return listed(shown, hand.now, page=page, offers_new=may_make(self.engine, hand.actor))

    def _verbs(self, actor: Actor, schedule: Schedule) -> tuple[str, ...]:
        """What this person may do with it now, as far as that is known before it is tried."""
        manages, reach = self._manages(actor, schedule), self._reach(schedule)
        runs = reach is not None and bool(reach.hosts) and self._may_run(actor, reach)
        pause = "sched_pause" if schedule.paused_at is None else "sched_resume"
        verbs = {pause: manages, "sched_run": runs, "sched_delete": manages}
        return tuple(verb for verb, may in verbs.items() if may)

    def _may_run(self, actor: Actor, reach: Reach) -> bool:
        return self.engine.policy.decide(
            actor.id, Permission.EXECUTE, runbook=reach.runbook, hosts=reach.hosts, includes=reach.includes
        ).allowed

    async def _show(self, name: str, hand: Hand) -> Message:
        schedule = await self.find(name, hand.actor, hand.origin)
        standing, newest = await self.engine.tools.database.read(_about, schedule)
        lines = [_line(schedule, hand.now)]
        lines += self._wants(schedule, standing)
        lines += _next_lines(schedule, hand.now)
        lines += ["*Lately*"] if newest else []
        lines += [_firing_line(schedule, firing, execution) for firing, execution in newest]
        said_ = blocks.markdown("\n".join(lines))
        row = buttons(Shown(schedule=schedule, verbs=self._verbs(hand.actor, schedule)))
        return blocks.message(said_.text, [*said_.blocks, *row])

    def _wants(self, schedule: Schedule, standing: StandingApproval | None) -> list[str]:
        """What stands in its way, or how it is consented to."""
        try:
            ready = self.engine.ready(request_at(schedule, schedule.made_at))
        except OperatorError as error:
            return [f":warning: It would not run now: {blocks.ours(error.message, 600)}"]
        if ready.wanted is None:
            return [f":warning: It would not run now: {blocks.who(schedule.made_by)} may run nothing any more."]
        demands = self._demands(ready.wanted)
        if standing is not None:
            by = ", ".join(blocks.who(Actor(id=vote)) for vote in standing.votes)
            given = (
                f"Standing approval by {by} since {blocks.moment(standing.given_at)}, for {standing.changes} changes"
            )
            short = self._falls_short(schedule, standing, ready.wanted, demands)
            return [f":warning: {given}: {blocks.inline(short, 200)}" if short else given]
        if not demands:
            return []
        needed = " and ".join(demand.words for demand in demands)
        return [f"Each time it waits for the consent of {blocks.inline(needed, 200)}; no standing approval."]

    def _falls_short(
        self, schedule: Schedule, standing: StandingApproval, wanted: Wanted, demands: Sequence[Demand]
    ) -> str:
        """Why the approval gate would not count it; empty where it would, as far as that is known without a plan."""
        if standing.mark != binding(wanted.entry, wanted.params, wanted.hosts):
            return "it holds no more, something of what it was given for changed"
        electorate = self._electorate(schedule, wanted, demands)
        if not _only_confirms(demands):
            lacking = " and ".join(demand.words for demand in electorate.lacking(demands, standing.votes))
            return f"still needed: {lacking}" if lacking else ""
        counts = {schedule.made_by.id, *electorate.people}.intersection(standing.votes)
        return "" if counts or not demands else "still needed: a confirmation, since who gave it may not any more"

    # --- making -------------------------------------------------------------------------------------------------------

    async def consider(self, command: ScheduleCommand, actor: Actor, channel: str | None, origin: Origin) -> Considered:
        """What would be made, had it been asked for now. Raises OperatorError where it would not.

        What makes no sense now, or is not allowed to its maker, is not made; a kill switch of now is no matter.
        """
        wanted_run = command.request
        if wanted_run is None:
            raise AssertionError("the grammar gives a request to schedule")
        for needed in (Permission.SCHEDULES, Permission.EXECUTE):
            await self.engine.require(actor, needed, "make schedules", origin)
        line = cron.cron_of(command.cron)
        zone = cron.zone_of(command.timezone or self.engine.policy.timezone)
        text = kept_text(wanted_run)
        ready = self.engine.ready(request_of(wanted_run, actor, channel, text))
        if ready.wanted is None:
            raise NotPermitted("Your role changed at this moment. Try again.")
        await self.engine.require(actor, Permission.SCHEDULES, "schedule that", origin, about=ready.wanted)
        await self.engine.require(actor, Permission.EXECUTE, "schedule that", origin, about=ready.wanted)
        now = self.engine.tools.clock.now()
        schedule = Schedule(
            id=0,
            name=command.name,
            text=text,
            cron=line,
            timezone=zone,
            channel=channel,
            made_by=actor,
            made_at=now,
            next_at=cron.next_after(line, zone, now),
        )
        former = await self.engine.tools.database.read(kept.find, command.name) if command.name else None
        replaces = former is not None and self._manages(actor, former)
        return Considered(schedule=schedule, wanted=ready.wanted, former=former, replaces=replaces)

    async def _make(self, command: ScheduleCommand, channel: str | None, hand: Hand, handled: Handled) -> Message:
        considered = await self.consider(command, hand.actor, channel, hand.origin)
        made = await self.engine.tools.database.write(
            keeping.make,
            considered.schedule,
            considered.wanted,
            hand,
            may_change=lambda former: self._manages(hand.actor, former),
            also=handled,
        )
        if isinstance(made, OperatorError):
            raise made
        wanted = considered.wanted
        lines = [_line(made, hand.now), *self._wants(made, None), *_next_lines(made, hand.now), f"_{_RIGHTS}_"]
        demands = self._demands(wanted)
        if demands:
            who = "you" if _only_confirms(demands) else "somebody else"
            lines.append(
                f"_So that nobody is woken for it, {who} can approve it for good: "
                f"`/runbook schedule approve {made.id} limit=20`, 20 being the most changes at a time._"
            )
        return blocks.markdown("\n".join(lines))

    def outlook(self, considered: Considered) -> list[str]:
        """What whoever is about to make it should know: paragraphs of ready mrkdwn, the last of them small print."""
        schedule, was = considered.schedule, considered.former
        named = replace(schedule, name=schedule.name or f"{considered.wanted.entry.name} (or that with a number)")
        head = [_line(named, schedule.made_at), *self._wants(schedule, None)]
        if was is not None and not considered.replaces:
            head.append(":no_entry: A schedule of this name is there already, and not yours to change. Name it anew.")
        elif was is not None:
            head.append(
                f":warning: It replaces *{blocks.inline(was.name, 80)}* (#{was.id}): {_timing(was)}, {_code(was)}, "
                f"made by {blocks.who(was.made_by)}"
            )
        window = words(self.engine.policy.catch_up.total_seconds())
        small = f"{_RIGHTS} What is missed because nothing could start it is caught up with for {window}, once."
        return ["\n".join(head), "\n".join(_next_lines(schedule, schedule.made_at)), small]

    def _demands(self, wanted: Wanted) -> tuple[Demand, ...]:
        """What the settings ask for before it runs."""
        entry = wanted.entry
        names = (entry.name, *(one.name for one in entry.includes))
        policy = self.engine.policy
        return together(d for name in names for d in policy.demanded(wanted.danger, name, wanted.hosts))

    # --- changing -----------------------------------------------------------------------------------------------------

    def _manages(self, actor: Actor, schedule: Schedule) -> bool:
        """Whether this person may change it."""
        policy, reach = self.engine.policy, self._reach(schedule)
        if reach is None:
            return policy.may(actor.id, Permission.SCHEDULES)
        return policy.decide(
            actor.id, Permission.SCHEDULES, runbook=reach.runbook, hosts=reach.hosts, includes=reach.includes
        ).allowed

    def _reach(self, schedule: Schedule) -> Reach | None:
        """What it runs where, as far as that is known now; None of a runbook that is gone."""
        try:
            command = command_of(schedule)
            entry = self.engine.catalog.get(command.runbook)
        except (NotFound, Invalid):
            return None
        try:
            hosts = tuple(host.name for host in self.engine.tools.inventory.resolve(command.targets))
        except (NotFound, Invalid):
            hosts = ()
        return Reach(runbook=entry.name, hosts=hosts, includes=tuple(one.name for one in entry.includes))

    async def _managed(self, command: ScheduleCommand, hand: Hand) -> Schedule:
        """The one of this name, which this person may change. Raises NotFound, NotPermitted."""
        doing = f"{command.action} schedules"
        await self.engine.require(hand.actor, Permission.SCHEDULES, doing, hand.origin)
        found = await self.find(command.name, hand.actor, hand.origin)
        reach = self._reach(found)
        await self.engine.require(hand.actor, Permission.SCHEDULES, f"{doing} of that", hand.origin, about=reach)
        return found

    async def _change(self, change: keeping.Change, command: ScheduleCommand, hand: Hand, handled: Handled) -> Message:
        schedule = await self._managed(command, hand)
        return await self._write(lambda connection: change(connection, str(schedule.id), hand), handled)

    async def pressed(
        self, change: keeping.Change, command: ScheduleCommand, shown: str | None, actor: Actor, handled: Handled
    ) -> Message:
        """Change the one whose button was pressed, if it is what was `shown`; what it became has its buttons again.

        Raises OperatorError.
        """
        tools = self.engine.tools
        hand = Hand(actor=actor, origin=Origin.BUTTON, now=tools.clock.now(), reporter=tools.reporter)
        schedule = await self._managed(command, hand)

        def change_it(connection: Connection) -> Answer | OperatorError:
            now = kept.get(connection, schedule.id)
            if now is not None and _face(now) != shown:
                return _other(now)
            return change(connection, str(schedule.id), hand)

        said_ = await self._write(change_it, handled)
        now = await tools.database.read(kept.get, schedule.id)
        row = buttons(Shown(schedule=now, verbs=self._verbs(actor, now))) if now is not None else []
        return blocks.message(said_.text, [*said_.blocks, *row])

    async def as_shown(self, number: int, shown: str | None, actor: Actor) -> Schedule:
        """The one whose button was pressed. Raises NotFound, NotPermitted, and TooLate where it is another by now."""
        found = await self.find(str(number), actor, Origin.BUTTON)
        if _face(found) != shown:
            raise _other(found)
        return found

    async def _write(self, change: Callable[[Connection], Answer | OperatorError], handled: Handled) -> Message:
        """Change it and mark the request handled, both or neither, so that one that is taken up again does nothing."""

        def within(connection: Connection) -> Answer | OperatorError:
            answer = change(connection)
            handled(connection)
            return answer

        return blocks.spoken(said(await self.engine.tools.database.write(within)).message)

    async def _revoke(self, command: ScheduleCommand, hand: Hand, handled: Handled) -> Message:
        """Who could have given it can take it back, too."""
        if not self.engine.policy.may(hand.actor.id, Permission.APPROVE):
            return await self._change(keeping.revoke, command, hand, handled)
        schedule = await self.find(command.name, hand.actor, hand.origin)
        return await self._write(lambda connection: keeping.revoke(connection, str(schedule.id), hand), handled)

    # --- consenting ---------------------------------------------------------------------------------------------------

    async def _approve(self, command: ScheduleCommand, hand: Hand, handled: Handled) -> Message:
        schedule = await self.find(command.name, hand.actor, hand.origin)
        ready = self.engine.ready(request_at(schedule, hand.now))
        if ready.wanted is None:
            raise NotPermitted(f"'{schedule.name}' would not run: who made it may run nothing any more.")
        wanted, demands = ready.wanted, self._demands(ready.wanted)
        if not demands:
            raise Invalid(f"'{schedule.name}' waits for nobody's approval: there is nothing to approve.")
        refusal = self._may_not_approve(schedule, wanted, demands, hand.actor)
        if refusal is None:
            if command.limit is None or command.mark is None:
                return await self._would_be_approved(schedule, wanted, command.limit)
            if command.mark != _mark(schedule, wanted, command.limit):
                raise TooLate(
                    f"'{schedule.name}' is not what that mark was shown for, or the limit is another. Look again: "
                    f"`/runbook schedule approve {schedule.id} limit={command.limit}`"
                )
        electorate = self._electorate(schedule, wanted, demands)

        def approve(connection: Connection) -> Answer | OperatorError:
            return keeping.approve(
                connection,
                schedule,
                wanted,
                command.limit or 0,
                hand,
                refusal=refusal,
                lacking=lambda votes: electorate.lacking(demands, votes),
            )

        return await self._write(approve, handled)

    def _electorate(self, schedule: Schedule, wanted: Wanted, demands: Sequence[Demand]) -> Electorate:
        """Who may approve it, also where only a confirmation is asked for."""
        return self.engine.policy.electorate(
            wanted.entry.name,
            wanted.hosts,
            besides=schedule.made_by.id,
            demands=(*demands, Demand(consent=Consent.APPROVE)),
            includes=wanted.includes,
        )

    def _may_not_approve(
        self, schedule: Schedule, wanted: Wanted, demands: Sequence[Demand], actor: Actor
    ) -> str | None:
        """Why this person's consent to every firing counts for nothing; None where it counts."""
        only_confirm = _only_confirms(demands)
        if actor.id == schedule.made_by.id:
            return None if only_confirm else f"You made '{schedule.name}' yourself: somebody else must approve it."
        right = self.engine.policy.decide(
            actor.id, Permission.APPROVE, runbook=wanted.entry.name, hosts=wanted.hosts, includes=wanted.includes
        )
        if not right.allowed:
            return f"You may not approve '{schedule.name}': {right.reason} ({right.rule})"
        if only_confirm:
            return None
        electorate = self.engine.policy.electorate(
            wanted.entry.name, wanted.hosts, besides=schedule.made_by.id, demands=demands, includes=wanted.includes
        )
        if any(actor.id in electorate.fitting(demand) for demand in demands):
            return None
        needed = " and ".join(demand.words for demand in demands)
        return f"'{schedule.name}' needs the approval of {needed}, and you are not one of them."

    async def _would_be_approved(self, schedule: Schedule, wanted: Wanted, limit: int | None) -> Message:
        """All that it would be bound to, and the words that say yes to exactly that."""
        last = await self.engine.tools.database.read(_last_changes, schedule.id)
        had = f" (#{last[0]}, the last that was planned, had {last[1]})" if last is not None else ""
        limit = limit or (max(1, last[1]) if last is not None else 10)
        params = ", ".join(f"{name}={value}" for name, value in wanted.params.items())
        return blocks.markdown(
            "\n".join(
                [
                    f"You would approve *{blocks.inline(schedule.name, 80)}* (#{schedule.id}) for each time it comes:",
                    f"• {_code(schedule)}, {_timing(schedule)}, as {blocks.who(schedule.made_by)}",
                    f"• `{blocks.inline(wanted.runbook, 100)}` ({wanted.danger}), code "
                    f"`{wanted.entry.module_hash[:12]}`, with {blocks.inline(params or 'no parameters', 600)}",
                    f"• on {blocks.counted(len(wanted.hosts), 'host')}: {blocks.listed(wanted.hosts, 30)}",
                    f"• up to {blocks.counted(limit, 'changing step')} at a time, on all hosts together{had}",
                    "Once any of it is something else, it holds no more. Say yes to exactly this by:",
                    f"`/runbook schedule approve {schedule.id} limit={limit} mark={_mark(schedule, wanted, limit)}`",
                ]
            )
        )


def _only_confirms(demands: Sequence[Demand]) -> bool:
    """Whether nothing but the requester's own yes is asked for."""
    return all(demand.consent is Consent.CONFIRM for demand in demands)


def _mark(schedule: Schedule, wanted: Wanted, limit: int) -> str:
    """Short for all that somebody was shown: a yes is to that."""
    bound = binding(wanted.entry, wanted.params, wanted.hosts)
    shown = [bound, schedule.id, schedule.text, schedule.cron, schedule.timezone, schedule.made_by.id, limit]
    return sha256(shown)[:8]


def may_make(engine: Engine, actor: Actor) -> bool:
    """Whether this person may have schedules at all."""
    return all(engine.policy.may(actor.id, one) for one in (Permission.EXECUTE, Permission.SCHEDULES))


def _face(schedule: Schedule) -> str:
    """Short for what a list shows of it but for its next time, and whether it is paused."""
    return sha256([schedule.id, schedule.text, schedule.cron, schedule.timezone, schedule.made_by.id])[:8]


def _other(schedule: Schedule) -> TooLate:
    return TooLate(
        f"'{schedule.name}' is not what these buttons were shown for: it was replaced since, so nothing was done. "
        f"`/runbook schedule show {schedule.id}` shows what it is now."
    )


def _about(
    connection: Connection, schedule: Schedule
) -> tuple[StandingApproval | None, list[tuple[Firing, Execution | None]]]:
    newest = kept.firings(connection, schedule.id)
    found = [
        (one, executions.find(connection, one.execution_id) if one.execution_id is not None else None) for one in newest
    ]
    return kept.standing(connection, schedule.id), found


def _last_changes(connection: Connection, schedule_id: int) -> tuple[int, int] | None:
    """The newest execution of it that has a plan, and how many changing steps that holds."""
    for firing in kept.firings(connection, schedule_id, limit=20):
        plan = executions.plan_of(connection, firing.execution_id) if firing.execution_id is not None else None
        if plan and firing.execution_id is not None:
            return firing.execution_id, from_json(plan).changes
    return None


# --- words ------------------------------------------------------------------------------------------------------------


def changed(event: ScheduleChanged) -> Message:
    """Somebody changed a schedule: everybody in its channel may know."""
    schedule = event.schedule
    name = blocks.inline(schedule.name, 80)
    by = f" by {blocks.who(event.actor)}" if event.actor is not None else ""
    said_ = blocks.ours(event.words, 600)
    head = f":calendar: *Schedule {name}* {said_}{by and f' ({by.strip()})'}"
    return blocks.message(
        f"Schedule {name} {said_}", [blocks.section(head), blocks.context(f"{_code(schedule)} · {_timing(schedule)}")]
    )


def lost(event: FiringLost) -> Message:
    """A moment passed and it did not run."""
    schedule, firing = event.schedule, event.firing
    name, why = blocks.inline(schedule.name, 80), _why(schedule, firing, 900)
    when = blocks.moment(firing.due_at)
    if firing.outcome is FiringOutcome.MISSED and firing.count > 1 and firing.last_due is not None:
        text = f"missed {firing.count} moments, from {when} to {blocks.moment(firing.last_due)}: {why}"
    elif firing.outcome is FiringOutcome.MISSED:
        text = f"missed {when}: {why}"
    else:
        text = f"did not run at {when}: {why}"
    if event.caught_up:
        text += ". The newest moment is made up for now"
    # What went wrong is its maker's to mend.
    to = f" {blocks.who(schedule.made_by)}" if firing.outcome is FiringOutcome.REFUSED else ""
    emoji = ":fast_forward:" if firing.outcome is FiringOutcome.SKIPPED else ":warning:"
    more = f"{_code(schedule)} · {_timing(schedule)} · `/runbook schedule show {schedule.id}`"
    return blocks.message(
        f"Schedule {name} {text}", [blocks.section(f"{emoji} *Schedule {name}* {text}.{to}"), blocks.context(more)]
    )


def listed(shown: Sequence[Shown], now: datetime, *, page: int = 1, offers_new: bool = False) -> Message:
    """One page of schedules, each with its next time and its buttons. `offers_new`: there is one for the form."""
    pages = max(1, math.ceil(len(shown) / SHOWN))
    page = min(max(1, page), pages)
    part = shown[(page - 1) * SHOWN : page * SHOWN]
    lines = [_line(one.schedule, now, code=160) for one in part] or [NONE]
    rows: list[Block] = []
    for one, line in zip(part, lines, strict=False):
        show = blocks.asking("ask", "Show", f"schedule show {one.schedule.id}")
        rows += [blocks.section(line), *buttons(one, *([show] if show is not None else []))]
    said_ = blocks.message("\n".join(lines), rows or blocks.paragraphs(lines))
    said_ = blocks.with_question(said_, *(("New schedule", "schedule new") if offers_new else ()))
    if pages == 1:
        return said_
    first = (page - 1) * SHOWN + 1
    return blocks.paged(
        said_,
        newer=f"schedule list page={page - 1}" if page > 1 else None,
        older=f"schedule list page={page + 1}" if page < pages else None,
        labels=("Previous", "Next"),
        note=f"{first} to {first + len(part) - 1} of {blocks.counted(len(shown), 'schedule')}",
    )


_ASKS_TWICE = {
    "sched_run": "It runs now, as you, and is judged like all that you ask for.",
    "sched_delete": "It never comes again, and its standing approval is gone with it. What runs goes on.",
}


def buttons(shown: Shown, *first: Block) -> list[Block]:
    """A row of what somebody may do with a schedule, after what is there anyway; none where there is nothing."""
    row = [*first, *(_button(verb, shown.schedule) for verb in shown.verbs)]
    return [{"type": "actions", "block_id": f"handrail:schedule:{shown.schedule.id}", "elements": row}] if row else []


def _button(verb: str, schedule: Schedule) -> Block:
    label, name = LABELS[verb], blocks.clip(schedule.name, 60)
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"handrail:{verb}",
        "text": {"type": "plain_text", "text": label},
        "value": f"{schedule.id}:{_face(schedule)}",
        "accessibility_label": blocks.clip(f"{label}: schedule {schedule.name}", 75),
    }
    if verb in _ASKS_TWICE:
        button["confirm"] = {
            "title": {"type": "plain_text", "text": f"{label}?"},
            "text": {"type": "plain_text", "text": f"{name}. {_ASKS_TWICE[verb]}"},
            "confirm": {"type": "plain_text", "text": label},
            "deny": {"type": "plain_text", "text": "Not now"},
        }
    return button | ({"style": "danger"} if verb == "sched_delete" else {})


def _code(schedule: Schedule, most: int = 300) -> str:
    """Its request, as it is typed."""
    text = schedule.text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return f"`/runbook {blocks.inline(text, most)}`"


def _timing(schedule: Schedule) -> str:
    return blocks.inline(cron.in_words(schedule.cron, schedule.timezone), 200)


def _line(schedule: Schedule, now: datetime, *, code: int = 300) -> str:
    """One schedule in two lines. `code`: at most so much of its request."""
    if schedule.paused_at is not None:
        by = blocks.who(Actor(id=schedule.paused_by or "", name="Handrail" if schedule.paused_by == "handrail" else ""))
        state = f"*paused* since {blocks.moment(schedule.paused_at)} by {by}"
    elif schedule.next_at is None:
        state = "never again"
    else:
        state = f"next {blocks.moment(schedule.next_at)}, {_in(schedule.next_at, now)}"
    number = f" (#{schedule.id})" if schedule.id else ""
    head = f"• *{blocks.inline(schedule.name, 80)}*{number}: {_timing(schedule)}, {state}"
    return f"{head}\n    {_code(schedule, code)}, made by {blocks.who(schedule.made_by)}"


def _next_lines(schedule: Schedule, now: datetime) -> list[str]:
    """The next moments, by the reader's clock and by the schedule's own."""
    if schedule.paused_at is not None:
        return []
    try:
        found = cron.next_few(schedule.cron, schedule.timezone, now)
        own = [cron.local(at, schedule.timezone) for at in found]
    except Invalid as error:
        return [blocks.ours(error.message)]
    return ["*Next*"] + [
        f"• {blocks.moment(at)}, {_in(at, now)} ({shown} {schedule.timezone})"
        for at, shown in zip(found, own, strict=True)
    ]


def _in(at: datetime, now: datetime) -> str:
    return f"in {words(max(0.0, (at - now).total_seconds()))}" if at > now else "any moment"


def _why(schedule: Schedule, firing: Firing, most: int) -> str:
    """Its reason. It may hold what somebody typed, so that it mentions nobody but who made the schedule."""
    said_ = blocks.ours(firing.reason or "no reason is known", most)
    return re.sub(rf"<@(?!{re.escape(schedule.made_by.id)}>)([UW][A-Z0-9]+)>", r"@\1", said_)


def _firing_line(schedule: Schedule, firing: Firing, execution: Execution | None) -> str:
    when = blocks.moment(firing.due_at)
    if execution is not None:
        return f"• {when}: {blocks.EMOJI[execution.state]} #{execution.id} {execution.state_words}"
    many = f" ({firing.count} moments)" if firing.count > 1 else ""
    return f"• {when}: {firing.outcome}{many}, {_why(schedule, firing, 200)}"
