"""What happens becomes rows: of which kind, where, and instead of which."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert

from bot import cards
from bot.shown import shown
from bot.thread import ThreadReporter
from runbooks.progress import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalReminded,
    ApprovalVoted,
    BreakerMoved,
    Event,
    ExecutionEnded,
    ExecutionInterrupted,
    ExecutionStarted,
    ExecutionSubmitted,
    PlanMade,
    StepFinished,
    StepPrinted,
    StepRetried,
    StepStarted,
    SwitchEngaged,
)
from storage import approvals, executions, outbox
from storage import tables as t
from storage.database import Database
from storage.outbox import Ready
from storage.records import (
    Actor,
    Approval,
    ApprovalState,
    Breaker,
    BreakerState,
    Consent,
    Danger,
    Execution,
    KillSwitch,
    Origin,
    OutboxKind,
    OutputLine,
    Priority,
    Scope,
    State,
    StepRun,
    StepState,
    Thread,
)

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PLAN = {
    "hosts": [
        {
            "host": "web-01",
            "facts": {},
            "steps": [{"kind": "run", "title": "Restart", "command": "systemctl restart nginx", "undo": None}],
        }
    ],
    "services": [],
    "notes": [],
}


class Desk:
    """A reporter over a real database."""

    def __init__(self, database: Database, alerts: str | None = "C0OPS") -> None:
        self.database = database
        ids = itertools.count(1)
        self.reporter = ThreadReporter(database=database, alerts=alerts, new_id=lambda: f"m{next(ids)}")

    async def execution(self, *, channel: str | None = "C0INC", hosts: Sequence[str] = ("web-01",)) -> Execution:
        return await self.database.write(
            executions.create,
            runbook="restart-service",
            params={"service": "nginx"},
            hosts=hosts,
            services=("nginx",),
            danger=Danger.HIGH,
            actor=Actor(id="UBOB", name="bob"),
            origin=Origin.COMMAND,
            channel=channel,
            text="",
            normalised=None,
            reason=None,
            dry_run=False,
            priority=Priority.NORMAL,
            state=State.PENDING,
            timeout=timedelta(minutes=5),
            now=NOW,
        )

    async def standing(self, **more: Any) -> Execution:
        """One whose headline stands already."""
        execution = await self.execution(**more)
        thread = Thread(execution_id=execution.id, channel=execution.channel or "C0OPS", ts="1.000001")
        await self.database.write(outbox.set_thread, thread)
        return execution

    async def asked(self, execution: Execution) -> Approval:
        return await self.database.write(
            approvals.ask,
            execution.id,
            fingerprint="f" * 64,
            kind=Consent.APPROVE,
            now=NOW,
            expire=timedelta(minutes=15),
        )

    async def report(self, *events: Event) -> None:
        for event in events:
            await self.database.write(self.reporter.report, event, NOW)

    async def keep(self, execution: Execution, step: StepRun, *lines: OutputLine) -> None:
        """The rows of a step as the engine keeps them."""
        await self.database.write(_keep, execution, step, lines)

    async def words(self, ready: Ready) -> str:
        """What would be said now of what it shows."""
        said = await self.database.read(shown, ready.message, NOW)
        return str(said.payload())

    async def ready(self) -> list[Ready]:
        return await self.database.read(outbox.ready, NOW, per_channel=100)

    async def say_all(self) -> None:
        """As if Slack took everything that may be said."""
        await self.database.write(_say_all)


def _with_plan(connection: Connection, execution_id: int) -> Execution:
    return executions.set_values(connection, execution_id, plan=PLAN)


def _keep(connection: Connection, execution: Execution, step: StepRun, lines: Sequence[OutputLine]) -> None:
    values = {**asdict(step), "state": step.state.value}
    if step.attempt > 1 or step.state is not StepState.STARTED:
        connection.execute(delete(t.step_runs).where(t.step_runs.c.attempt == step.attempt))
    connection.execute(insert(t.step_runs).values(**values))
    executions.keep_output(connection, execution.id, lines)


def _say_all(connection: Connection) -> None:
    for number, ready in enumerate(outbox.ready(connection, NOW, per_channel=100), 2):
        begun = outbox.begin(connection, ready.message.id)
        assert begun is not None
        outbox.sent(connection, begun, now=NOW, ts=ready.edits or f"{number}.000001")


@pytest.fixture
def desk(sqlite: Database) -> Desk:
    return Desk(sqlite)


def a_step(execution: Execution, state: StepState = StepState.STARTED, **more: Any) -> StepRun:
    values: dict[str, Any] = {"host": "web-01", "step": "1", "attempt": 1, "title": "Restart"} | more
    return StepRun(execution_id=execution.id, state=state, started_at=NOW, **values)


def printed(text: str, number: int = 1) -> list[OutputLine]:
    return [OutputLine(host="web-01", step="1", attempt=1, seq=number, stream="out", text=text, at=NOW)]


async def test_only_the_headline_may_be_said_before_it_stands(desk: Desk) -> None:
    execution = await desk.execution()
    await desk.report(
        ExecutionSubmitted(execution=execution),
        PlanMade(execution=execution, plan=PLAN),
        ExecutionEnded(execution=execution, hosts=(), steps=()),
    )
    assert [ready.message.kind for ready in await desk.ready()] == [OutboxKind.HEADLINE]


@pytest.mark.parametrize(("steps", "length", "notes"), [(5, 800, 0), (1, 3_000, 4)])
async def test_a_short_plan_is_shown_whole_by_one_message(desk: Desk, steps: int, length: int, notes: int) -> None:
    step = {"kind": "run", "title": "Restart", "command": "x" * length, "undo": {"kind": "run", "command": "y"}}
    plan = {**PLAN, "hosts": [{"host": "web-01", "facts": {}, "steps": [step] * steps}], "notes": ["why"] * notes}
    standing = await desk.standing()
    execution = await desk.database.write(lambda c: executions.set_values(c, standing.id, plan=plan))
    await desk.report(PlanMade(execution=execution, plan=plan))
    [ready] = [ready for ready in await desk.ready() if ready.message.kind is OutboxKind.PLAN]
    whole = cards.plan_messages(execution, plan)
    assert (len(whole), await desk.words(ready)) == (1, str(whole[0].payload()))


async def test_a_long_plan_is_several_messages(desk: Desk) -> None:
    step = {"kind": "run", "title": "Restart", "command": "x" * 2_000, "undo": None}
    plan = {**PLAN, "hosts": [{"host": "web-01", "facts": {}, "steps": [step] * 20}]}
    execution = await desk.standing()
    await desk.report(PlanMade(execution=execution, plan=plan))
    said = [ready.message.payload for ready in await desk.ready() if ready.message.kind is OutboxKind.PLAN]
    assert len(said) > 1
    assert all("blocks" in payload for payload in said)


async def test_all_edits_of_a_headline_that_waits_become_the_headline(desk: Desk) -> None:
    execution = await desk.execution()
    await desk.report(ExecutionSubmitted(execution=execution), ExecutionStarted(execution=execution, steps_total=1))
    [ready] = await desk.ready()
    assert ready.message.method == "post"
    assert await desk.database.read(outbox.open_messages) == 1


async def test_without_a_channel_it_reports_in_the_alerts_channel(desk: Desk) -> None:
    execution = await desk.execution(channel=None)
    await desk.report(ExecutionSubmitted(execution=execution))
    [ready] = await desk.ready()
    assert ready.channel == "C0OPS"


async def test_without_any_channel_nothing_is_said_and_nothing_is_waited_for(sqlite: Database) -> None:
    desk = Desk(sqlite, alerts=None)
    execution = await desk.execution(channel=None)
    await desk.report(ExecutionSubmitted(execution=execution), PlanMade(execution=execution, plan=PLAN))
    await desk.reporter.headline_settled(execution)
    assert await desk.database.read(outbox.open_messages) == 0


async def test_an_ending_comes_first_as_a_post_and_then_as_an_edit_of_the_headline(desk: Desk) -> None:
    execution = await desk.standing()
    await desk.report(
        StepFinished(execution=execution, step=a_step(execution, StepState.SUCCEEDED), tail=[]),
        ExecutionEnded(execution=execution, hosts=(), steps=()),
    )
    first, second, *_ = await desk.ready()
    assert (first.message.kind, first.edits) == (OutboxKind.ENDING, None)
    assert (second.message.kind, second.edits) == (OutboxKind.ENDING, "1.000001")


async def test_a_step_is_one_message_that_always_ends_with_its_last_lines(desk: Desk) -> None:
    standing = await desk.standing()
    execution = await desk.database.write(_with_plan, standing.id)
    step, over = a_step(execution), a_step(execution, StepState.SUCCEEDED, lines=2)
    await desk.keep(execution, step, *printed("one"))
    await desk.report(StepStarted(execution=execution, step=step, command="unused", number=1, total=1))
    await desk.say_all()
    await desk.report(StepPrinted(execution=execution, step=step, tail=printed("one"), lines=1))
    await desk.keep(execution, over, *printed("two", 2))
    await desk.report(StepFinished(execution=execution, step=over, tail=printed("two", 2)))
    [ready] = [ready for ready in await desk.ready() if ready.message.kind is OutboxKind.PROGRESS]
    assert ready.edits is not None
    said = await desk.words(ready)
    assert "one\\ntwo" in said
    assert "systemctl restart nginx" in said
    assert "succeeded" in said


async def test_the_words_of_a_step_that_no_row_keeps_are_said_until_there_are_newer_ones(desk: Desk) -> None:
    execution = await desk.standing()
    step = a_step(execution)
    await desk.report(
        StepStarted(execution=execution, step=step, command="x", number=1, total=1),
        StepRetried(execution=execution, step=step, reason="exit status 1", seconds=2.0, attempt=1, most=4),
    )
    [waits] = [ready for ready in await desk.ready() if ready.message.kind is OutboxKind.PROGRESS]
    assert "try 1 of 4 failed (exit status 1); the next in 2 s" in str(waits.message.payload)
    await desk.report(StepStarted(execution=execution, step=step, command="x", number=1, total=1))
    [again] = [ready for ready in await desk.ready() if ready.message.kind is OutboxKind.PROGRESS]
    assert again.message.id == waits.message.id
    assert again.message.payload == {"shows": {"what": "step", "host": "web-01", "step": "1"}}


async def test_the_newest_of_more_lines_than_are_kept_are_said_in_words(desk: Desk) -> None:
    execution = await desk.standing()
    step = a_step(execution)
    await desk.report(StepPrinted(execution=execution, step=step, tail=printed("line 6000", 6_000), lines=6_000))
    [ready] = await desk.ready()
    assert "line 6000" in str(ready.message.payload)


async def test_with_many_hosts_only_steps_that_went_wrong_have_a_message(desk: Desk) -> None:
    hosts = tuple(f"web-{number:02}" for number in range(10))
    execution = await desk.standing(hosts=hosts)
    well, badly = (a_step(execution, state, host="web-03") for state in (StepState.SUCCEEDED, StepState.FAILED))
    await desk.report(StepStarted(execution=execution, step=a_step(execution), command="x", number=1, total=10))
    await desk.report(StepFinished(execution=execution, step=well, tail=printed("fine")))
    assert OutboxKind.PROGRESS not in [ready.message.kind for ready in await desk.ready()]
    await desk.keep(execution, badly, replace(printed("no space left")[0], host="web-03"))
    await desk.report(StepFinished(execution=execution, step=badly, tail=printed("no space left")))
    [progress] = [ready for ready in await desk.ready() if ready.message.kind is OutboxKind.PROGRESS]
    assert "no space left" in await desk.words(progress)


async def test_a_host_with_a_long_name_still_has_a_key(desk: Desk) -> None:
    execution = await desk.standing()
    step = a_step(execution, host="w" * 255)
    await desk.report(StepPrinted(execution=execution, step=step, tail=printed("one"), lines=1))
    [ready] = await desk.ready()
    assert len(ready.message.coalesce_key or "") <= 120


async def test_a_decision_takes_the_place_of_the_request_and_its_buttons(desk: Desk) -> None:
    execution = await desk.standing()
    approval = await desk.asked(execution)
    await desk.report(
        ApprovalAsked(
            execution=execution, approval=approval, plan=PLAN, why="it is dangerous", notify=None, approvers=("UCAROL",)
        )
    )
    await desk.say_all()
    given = await desk.database.write(approvals.decide, execution.id, to=ApprovalState.GIVEN, by="UCAROL", now=NOW)
    assert given is not None
    await desk.report(ApprovalDecided(execution=execution, approval=given, actor=Actor(id="UCAROL")))
    [decision] = [r for r in await desk.ready() if (r.message.coalesce_key or "").startswith("approval:")]
    assert decision.edits is not None
    assert "handrail:approve" not in str(decision.message.payload)
    assert "given by <@UCAROL>" in str(decision.message.payload)


async def test_a_vote_that_is_not_enough_stands_in_the_request_and_keeps_its_buttons(desk: Desk) -> None:
    execution = await desk.standing()
    approval = await desk.asked(execution)
    asked = ApprovalAsked(
        execution=execution, approval=approval, plan=PLAN, why="why", notify=None, approvers=("UCAROL",)
    )
    await desk.report(asked)
    await desk.say_all()
    voted = replace(approval, quorum=2, votes=("UCAROL",))
    more = replace(asked, approval=voted)
    await desk.report(ApprovalVoted(asked=more, actor=Actor(id="UCAROL"), missing=("1 of S0DBA",)))
    [request] = [r for r in await desk.ready() if (r.message.coalesce_key or "").startswith("approval:")]
    assert request.edits is not None
    assert "1 of 2 given by <@UCAROL>; still needed: 1 of <!subteam^S0DBA>" in str(request.message.payload)
    assert "handrail:approve" in str(request.message.payload)


@pytest.mark.parametrize("state", [ApprovalState.GIVEN, ApprovalState.DENIED, ApprovalState.EXPIRED])
async def test_the_reminder_says_how_long_it_waited_and_then_who_decided(desk: Desk, state: ApprovalState) -> None:
    execution = await desk.standing()
    approval = replace(await desk.asked(execution), requested_at=NOW - timedelta(seconds=450), reminded_at=NOW)
    await desk.report(
        ApprovalReminded(execution=execution, approval=approval, notify="S0ONCALL", approvers=("UCAROL",))
    )
    [reminder] = [r for r in await desk.ready() if (r.message.coalesce_key or "").startswith("reminder:")]
    assert "has waited 7 min 30 s for an approval" in str(reminder.message.payload)
    assert "<!subteam^S0ONCALL>, <@UCAROL>" in str(reminder.message.payload)
    await desk.say_all()
    settled = replace(
        approval, state=state, decided_by="UCAROL", decided_at=NOW + timedelta(seconds=30), reason="why not"
    )
    await desk.report(ApprovalDecided(execution=execution, approval=settled, actor=Actor(id="UCAROL")))
    [edited] = [r for r in await desk.ready() if (r.message.coalesce_key or "").startswith("reminder:")]
    assert edited.edits is not None
    said = str(edited.message.payload)
    assert f"Approval {state.value}" in said
    assert "waited 8 min" in said
    assert "why not" in said
    assert "S0ONCALL" not in said


async def test_an_execution_that_ends_before_anybody_decided_takes_its_buttons_away(desk: Desk) -> None:
    execution = await desk.standing()
    approval = await desk.asked(execution)
    await desk.report(
        ApprovalAsked(execution=execution, approval=approval, plan=PLAN, why="why", notify=None, approvers=())
    )
    await desk.say_all()
    await desk.report(ExecutionEnded(execution=execution, hosts=(), steps=()))
    [closed] = [r for r in await desk.ready() if (r.message.coalesce_key or "").startswith("approval:")]
    assert closed.edits is not None
    assert "no longer needed" in str(closed.message.payload)


async def test_an_interruption_matters_as_much_as_an_ending(desk: Desk) -> None:
    execution = await desk.standing()
    await desk.report(
        ExecutionInterrupted(
            execution=execution, steps=(a_step(execution),), reason="its owner died", resumable=True, undoable=False
        )
    )
    assert [ready.message.kind for ready in await desk.ready()] == [OutboxKind.ENDING, OutboxKind.ENDING]


async def test_a_switch_is_told_to_the_alerts_channel_and_where_it_was_asked(desk: Desk) -> None:
    bob = Actor(id="UBOB", name="bob")
    switch = KillSwitch(scope=Scope.GLOBAL, subject="", engaged_by=bob, engaged_at=NOW, now=True, reason=None)
    await desk.report(SwitchEngaged(switch=switch, actor=bob, running=(), waiting=(), channel="C0INC"))
    assert {ready.channel for ready in await desk.ready()} == {"C0OPS", "C0INC"}


async def test_asked_in_the_alerts_channel_a_switch_is_told_once(desk: Desk) -> None:
    bob = Actor(id="UBOB", name="bob")
    switch = KillSwitch(scope=Scope.GLOBAL, subject="", engaged_by=bob, engaged_at=NOW, now=True, reason=None)
    await desk.report(SwitchEngaged(switch=switch, actor=bob, running=(), waiting=(), channel="C0OPS"))
    assert len(await desk.ready()) == 1


async def test_a_breaker_is_told_to_the_alerts_channel_only(desk: Desk) -> None:
    execution = await desk.standing()
    breaker = Breaker(runbook="restart-service", host="web-01", state=BreakerState.OPEN, failures=5)
    await desk.report(BreakerMoved(breaker=breaker, execution=execution))
    assert [ready.channel for ready in await desk.ready()] == ["C0OPS"]


async def test_the_card_of_what_runs_long_says_its_time_anew_and_a_short_one_is_left_alone(desk: Desk) -> None:
    execution = await desk.standing()
    await desk.database.write(executions.set_values, execution.id, state=State.RUNNING.value, started_at=NOW)
    assert await desk.database.write(desk.reporter.refresh, NOW + timedelta(seconds=9)) == 1
    assert await desk.ready() == []
    for _ in range(2):
        await desk.database.write(desk.reporter.refresh, NOW + timedelta(seconds=40))
    [ready] = await desk.ready()
    assert (ready.message.kind, ready.edits) == (OutboxKind.CARD, "1.000001")
    await desk.say_all()
    await desk.database.write(executions.set_values, execution.id, state=State.SUCCEEDED.value)
    assert await desk.database.write(desk.reporter.refresh, NOW + timedelta(seconds=60)) == 0
    assert await desk.ready() == []


async def test_an_event_that_cannot_be_told_does_not_take_back_what_happened(desk: Desk) -> None:
    execution = await desk.standing()
    await desk.report(PlanMade(execution=execution, plan={"no": "hosts"}))
    await desk.report(ExecutionStarted(execution=execution, steps_total=1))
    assert [ready.message.kind for ready in await desk.ready()] == [OutboxKind.CARD]
