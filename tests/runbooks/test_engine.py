"""The whole path of a request, on both databases, with hosts that answer from a table."""

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from runbooks import Call, Category, Danger, Expect, Facts, Parameters, Plan, Probe, Require, Run, Runbook, positional
from runbooks.progress import (
    ApprovalAsked,
    BreakerMoved,
    ExecutionContinued,
    ExecutionInterrupted,
    LimitRefuses,
    LookRetried,
    StepFinished,
    SwitchReminded,
    SwitchStopped,
)
from runbooks.remote import Unreached
from safety.clock import SystemClock
from safety.decision import Outcome
from safety.token_bucket import Limits, Rate
from storage import approvals, audit, controls, executions, inbox
from storage import tables as t
from storage.database import Database
from storage.errors import HostUnreachable, Invalid, LoginRefused, NotFound, NotPermitted, TooLate
from storage.records import (
    TRANSPORT,
    Actor,
    ApprovalState,
    Breaker,
    BreakerState,
    Execution,
    Origin,
    Received,
    Scope,
    State,
    StepState,
)
from tests.builders import ALICE, BOB, CAROL, DAVE, a_healthy_nginx, a_house, catalog_with, hosts, shown
from tests.fakes import START, Reply


class Drain(Runbook):
    """Drain a node, dangerously."""

    name, category, danger = "drain", Category.MAINTENANCE, Danger.DANGEROUS

    class Params(Parameters):
        """What to drain."""

        node: str = positional("node")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Two changes."""
        return Plan(
            Run("First", "touch", "/tmp/first", undo=Run("Undo first", "rm", "/tmp/first")),
            Run("Second", "touch", "/tmp/second", undo=Run("Undo second", "rm", "/tmp/second")),
        )


class Steady(Drain):
    """Two changes, harmless enough to run at once."""

    name, danger = "steady", Danger.LOW


class Repeatable(Runbook):
    """A step that may be repeated."""

    name, danger = "repeatable", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One idempotent step, then another."""
        return Plan(
            Run("Sync", "mkdir", "-p", "/tmp/sync", idempotent=True),
            Run("After", "touch", "/tmp/after", idempotent=True),
        )


class Careful(Runbook):
    """Checks before it changes."""

    name, danger = "careful", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """A precondition, then a change."""
        return Plan(
            Require("Still the same", "cat", "/etc/hostname", output="web"),
            Run("Change", "touch", "/tmp/changed"),
        )


class Look(Runbook):
    """Only looks."""

    name, danger = "look", Danger.READ

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One check."""
        return Plan(Expect("It answers", "uptime", within=0))


class Peek(Look):
    """Looks already when it plans."""

    name = "peek"

    class Params(Parameters):
        """Why, so that two requests differ."""

        why: str = "so"

    async def probe(self, host: Probe, params: Params) -> Facts:
        """One reading."""
        return Facts(up=str(await host.read("uptime")))


class StartClock:
    """The wall stands where a test puts it; sleeping takes real time."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> datetime:
        """So many seconds after the start."""
        return START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """As the machine's."""
        return SystemClock().monotonic()

    async def sleep(self, seconds: float) -> None:
        """As long as it takes."""
        await asyncio.sleep(seconds)

    def later(self, seconds: float) -> None:
        """Let the wall clock jump."""
        self._passed += seconds

    def at(self, seconds: float) -> None:
        """Put the wall clock there."""
        self._passed = seconds


TOUCH = {"touch": Reply(), "rm": Reply()}
OURS = catalog_with(Drain, Steady, Repeatable, Careful, Look)
OURS_LOOKING = catalog_with(Steady, Peek)


async def test_a_restart_runs_to_its_end_and_tells_the_pids(database: Database) -> None:
    async with a_house(database) as house:
        answer = await house.ask("restart nginx settle=0 on web-01")
        ended = await house.ends(answer)
        assert (ended.state, ended.ending) == (State.SUCCEEDED, "nginx pid 100 -> 101")
        steps = await database.read(executions.steps_of, ended.id)
        assert [(s.step, s.state) for s in steps] == [("1", StepState.SUCCEEDED), ("2", StepState.SUCCEEDED)]
        assert (await database.read(audit.verify)).ok
        assert house.remote.count("sudo -n systemctl restart") == 1
        assert await database.read(controls.locks) == []


async def test_a_failing_step_ends_it_with_the_reason_and_the_last_lines(database: Database) -> None:
    broken = {**a_healthy_nginx(), "sudo -n systemctl restart nginx": Reply(err="Job failed", status=1)}
    async with a_house(database, replies=broken) as house:
        ended = await house.ends(await house.ask("restart nginx on web-01"))
        assert ended.state is State.FAILED
        assert ended.ending == (
            "Restart the service: ended with exit status 1; `systemctl is-active nginx` says: active"
        )
        told = house.reporter.events[-1]
        assert [line.text for line in told.tail] == ["Job failed"]


async def test_a_second_restart_within_the_cooldown_is_refused_with_the_time_left(database: Database) -> None:
    async with a_house(database) as house:
        await house.ends(await house.ask("restart nginx settle=0 on web-01"))
        ended = await house.ends(await house.ask("restart nginx settle=0 on web-01"))
        assert ended.state is State.REFUSED
        assert "cooldown" in ended.ending
        assert re.search(r"again in (10|9) min", ended.ending)
        elsewhere = await house.ends(await house.ask("restart nginx settle=0 on web-02"))
        assert elsewhere.state is State.SUCCEEDED


async def test_a_cooldown_is_returned_when_nothing_was_changed(database: Database) -> None:
    replies = {"cat /etc/hostname": Reply(out="other"), "touch": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        first = await house.ends(await house.ask("careful on web-01"))
        assert first.state is State.FAILED
        assert "no longer as planned" in first.ending
        house.remote.replies["cat /etc/hostname"] = Reply(out="web")
        second = await house.ends(await house.ask("careful on web-01"))
        assert second.state is State.SUCCEEDED


async def test_an_unknown_person_is_refused_and_it_is_in_the_audit(database: Database) -> None:
    async with a_house(database) as house:
        answer = await house.ask("restart nginx on web-01", by=DAVE)
        assert answer.decision.outcome is Outcome.REFUSE
        assert "no role" in answer.message
        assert house.remote.ran == []
        found = await database.read(audit.search, words=("UDAVE", "decision.refuse"))
        assert len(found) == 1


async def test_wrong_requests_say_what_is_wrong(database: Database) -> None:
    async with a_house(database) as house:
        with pytest.raises(NotFound, match=r"Did you mean `restart-service`"):
            await house.ask("restart-servce nginx on web-01")
        with pytest.raises(NotFound, match=r"No host matches 'web-9'\. Did you mean"):
            await house.ask("restart nginx on web-9")
        with pytest.raises(
            Invalid, match=r"systemd unit to restart.*missing.*Example: `/runbook restart nginx on web-01`"
        ):
            await house.ask("restart on web-01")
        with pytest.raises(Invalid, match="On which host"):
            await house.ask("restart nginx")
        with pytest.raises(Invalid, match="not a unit name"):
            await house.ask("restart -H on web-01")


async def test_the_same_request_while_unfinished_is_answered_with_the_first(database: Database) -> None:
    slow = {**a_healthy_nginx(), "sudo -n systemctl restart nginx": (held := Reply(hangs=True))}
    async with a_house(database, replies=slow) as house:
        first = await house.ask("restart nginx settle=0 on web-01")
        await house.remote.until("sudo")
        second = await house.ask("restart nginx settle=0 on web-01")
        assert second.duplicate
        assert second.execution.id == first.execution.id
        held.release.set()
        assert (await house.ends(first)).state is State.SUCCEEDED


async def test_a_dry_run_shows_the_plan_and_changes_nothing(database: Database) -> None:
    async with a_house(database) as house:
        ended = await house.ends(await house.ask("restart nginx on web-01", dry_run=True))
        assert ended.state is State.SUCCEEDED
        assert "nothing was executed" in ended.ending
        assert house.remote.count("sudo -n systemctl") == 0
        assert (await house.ends(await house.ask("restart nginx settle=0 on web-01"))).state is State.SUCCEEDED


class CallsOut(Runbook):
    """Drain a node by a call, and fill it by another."""

    name, danger = "calls-out", Danger.DANGEROUS

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One call, to be undone at another place."""
        fill = Call("Fill", "https://Fill.example.com/", method="POST")
        return Plan(Call("Drain", "https://lb.example.com/", method="POST", undo=fill))


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_plan_that_calls_what_it_may_not_fails_before_anybody_approves(
    database: Database, *, dry_run: bool
) -> None:
    async with a_house(database, catalog=catalog_with(CallsOut)) as house:
        house.engine.tools = replace(house.engine.tools, call_hosts=frozenset({"lb.example.com"}))
        ended = await house.ends(await house.ask("calls-out on web-01", dry_run=dry_run))
        assert ended.state is State.FAILED
        said = "The plan calls what is not under `calls:` in handrail.yml: 'fill.example.com'. Add it there."
        assert said in str(ended.ending)
        house.engine.tools = replace(house.engine.tools, call_hosts=frozenset({"lb.example.com", "fill.example.com"}))
        answer = await house.ask("calls-out on web-01", dry_run=dry_run)
        await house.reaches(answer.execution.id, State.SUCCEEDED if dry_run else State.AWAITING_APPROVAL)


async def test_a_dangerous_run_waits_for_somebody_else(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        answer = await house.ask("drain a on web-01", by=ALICE)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        asked = house.reporter.of(ApprovalAsked)[0]
        assert asked.approvers == ("UCAROL",)
        with pytest.raises(NotPermitted, match="somebody else"):
            await house.engine.approve(waiting.id, ALICE)
        with pytest.raises(NotPermitted, match=r"runbooks\.approve"):
            await house.engine.approve(waiting.id, BOB)
        assert (await house.get(waiting.id)).state is State.AWAITING_APPROVAL
        await house.engine.approve(waiting.id, CAROL, mark=waiting.fingerprint[:16])
        assert (await house.ends(answer)).state is State.SUCCEEDED
        kinds = [e.kind for e in await database.read(audit.search, execution_id=waiting.id, limit=100)]
        assert kinds.count("approval.refused") == 2
        assert kinds.count("approval.given") == 1


async def test_of_two_approvers_at_the_same_instant_one_counts(database: Database) -> None:
    eve = Actor(id="UEVE")
    async with a_house(
        database,
        replies=TOUCH,
        catalog=OURS,
        change=lambda p: replace(
            p, people=replace(p.people, roles={**p.people.roles, "UEVE": p.people.roles["UALICE"]})
        ),
    ) as house:
        answer = await house.ask("drain a on web-01", by=BOB)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        results = await asyncio.gather(
            house.engine.approve(waiting.id, CAROL), house.engine.approve(waiting.id, eve), return_exceptions=True
        )
        assert sorted(type(r).__name__ for r in results) == ["Answer", "TooLate"]
        await house.ends(answer)
        assert house.remote.count("touch") == 2


async def test_an_approval_not_given_in_time_expires_the_execution(database: Database) -> None:
    async with a_house(
        database, replies=TOUCH, catalog=OURS, change=lambda p: replace(p, expire=timedelta(seconds=0.3))
    ) as house:
        answer = await house.ask("drain a on web-01", by=BOB)
        ended = await house.ends(answer)
        assert ended.state is State.EXPIRED
        with pytest.raises(TooLate):
            await house.engine.approve(ended.id, CAROL)
        assert house.remote.count("touch") == 0


async def its_time_is_over(database: Database, waiting: Execution) -> datetime:
    """Since 5 s; what was clicked before that is still in the inbox. The end of the time."""
    approval = await database.read(approvals.find_waiting, waiting.id)
    over = approval.requested_at - timedelta(seconds=5)
    clicked = Received(
        id="click-1",
        key="click:1",
        kind="click",
        actor=CAROL,
        channel="C0OPS",
        text="handrail:approve",
        payload={},
        received_at=over - timedelta(seconds=1),
    )
    await database.write(inbox.receive, clicked)
    await database.write(lambda c: c.execute(update(t.approvals).values(expires_at=over)).rowcount)
    return over


async def test_a_yes_that_came_in_time_counts_though_handled_late(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        answer = await house.ask("drain a on web-01", by=BOB)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        over = await its_time_is_over(database, waiting)
        for late in (None, over):
            with pytest.raises(TooLate, match="The time to approve"):
                await house.engine.approve(waiting.id, CAROL, said_at=late)
        await house.engine.approve(waiting.id, CAROL, said_at=over - timedelta(seconds=1))
        given = await database.read(approvals.latest, waiting.id)
        assert (given.state, given.decided_by) == (ApprovalState.GIVEN, "UCAROL")
        kinds = [e.kind for e in await database.read(audit.search, execution_id=waiting.id, limit=100)]
        assert kinds.count("approval.refused") == 2


async def test_what_waits_in_the_inbox_is_handled_before_its_approval_expires(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        answer = await house.ask("drain a on web-01", by=BOB)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        await its_time_is_over(database, waiting)
        await house.engine.expire_approvals()
        assert (await house.get(waiting.id)).state is State.AWAITING_APPROVAL
        await database.write(inbox.handled, "click-1")
        await house.engine.expire_approvals()
        assert (await house.ends(answer)).state is State.EXPIRED


async def test_when_nobody_else_could_approve_it_is_refused_at_once(database: Database) -> None:
    only_alice = {"UALICE": "ADMIN"}
    async with a_house(
        database,
        replies=TOUCH,
        catalog=OURS,
        change=lambda p: replace(p, people=replace(p.people, roles={k: p.people.roles[k] for k in only_alice})),
    ) as house:
        ended = await house.ends(await house.ask("drain a on web-01", by=ALICE))
        assert ended.state is State.REFUSED
        assert "nobody but you may approve" in ended.ending


async def test_a_kill_switch_stops_the_next_step_and_every_new_request(database: Database) -> None:
    replies = {"touch /tmp/first": (held := Reply(hangs=True)), "touch": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        running = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=BOB)
        refused = await house.ask("restart nginx on web-02")
        assert refused.execution.state is State.REFUSED
        assert "kill switch" in refused.message
        held.release.set()
        ended = await house.ends(running)
        assert ended.state is State.CANCELLED
        assert "kill switch" in ended.ending
        assert house.remote.count("touch /tmp/second") == 0
        with pytest.raises(NotPermitted):
            await house.engine.release(scope=Scope.GLOBAL, subject="", actor=BOB, reason="fine")
        with pytest.raises(Invalid, match="Why is it safe"):
            await house.engine.release(scope=Scope.GLOBAL, subject="", actor=ALICE, reason=None)
        await house.engine.release(scope=Scope.GLOBAL, subject="", actor=ALICE, reason="all clear")
        again = await house.ends(await house.ask("steady b on web-02"))
        assert again.state is State.SUCCEEDED


async def test_now_ends_the_running_command_and_tells_what_was_found(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply(hangs=True)}, catalog=OURS) as house:
        running = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await house.engine.engage(scope=Scope.HOST, subject="WEB-01", actor=BOB, now=True)
        ended = await house.ends(running)
        assert ended.state is State.CANCELLED
        assert "the command is stopped" in ended.ending
        async with asyncio.timeout(5):
            while not house.reporter.of(SwitchStopped):
                await asyncio.sleep(0.01)
        assert [str(death) for _, _, death in house.reporter.of(SwitchStopped)[0].found] == ["stopped"]


async def test_what_cannot_be_confirmed_dead_is_interrupted_and_keeps_its_lock(database: Database) -> None:
    stubborn = {"touch": Reply(hangs=True, ignores_term=True)}
    async with a_house(database, replies=stubborn, catalog=OURS) as house:
        running = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await house.engine.cancel(running.execution.id, BOB, reason="wrong host")
        ended = await house.ends(running)
        assert ended.state is State.INTERRUPTED
        assert "still running" in ended.ending
        assert [lock.host for lock in await database.read(controls.locks)] == ["web-01"]
        given = await house.engine.give_up(running.execution.id, BOB)
        assert given.execution.state is State.CANCELLED
        assert await database.read(controls.locks) == []


async def test_a_cancel_does_not_wait_for_a_probe_that_hangs(database: Database) -> None:
    async with a_house(database, replies={"systemctl show nginx": Reply(hangs=True)}) as house:
        answer = await house.ask("restart nginx on web-01")
        await house.remote.until("systemctl show")
        await house.engine.cancel(answer.execution.id, BOB, reason="wrong host")
        ended = await house.ends(answer)
        assert (ended.state, ended.ending) == (State.CANCELLED, "cancelled by <@UBOB>: wrong host")


async def test_now_does_not_wait_for_a_probe_that_hangs(database: Database) -> None:
    async with a_house(database, replies={"systemctl show nginx": Reply(hangs=True)}) as house:
        answer = await house.ask("restart nginx on web-01")
        await house.remote.until("systemctl show")
        await house.engine.engage(scope=Scope.SERVICE, subject="nginx", actor=BOB, now=True)
        ended = await house.ends(answer)
        assert ended.state is State.CANCELLED
        assert "while it was being planned" in ended.ending


async def test_a_service_switch_covers_its_instances(database: Database) -> None:
    async with a_house(database) as house:
        await house.engine.engage(scope=Scope.SERVICE, subject="Celery.service", actor=BOB)
        answer = await house.ask("restart celery@1 on web-01")
        assert answer.execution.state is State.REFUSED


async def test_an_emergency_overrides_what_was_engaged_before_and_only_that(database: Database) -> None:
    replies = {"touch /tmp/first": (held := Reply(hangs=True)), "touch": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=BOB, reason="deploy")
        refused = await house.ask("steady a on web-01", by=BOB, emergency=True, reason="site is down")
        assert "only for the people under emergency" in refused.message
        answer = await house.ask("steady a on web-01", by=ALICE, emergency=True, reason="site is down")
        await house.remote.until("touch")
        await house.engine.engage(scope=Scope.HOST, subject="web-01", actor=BOB)
        held.release.set()
        assert (await house.ends(answer)).state is State.CANCELLED


async def test_an_approval_cannot_be_given_while_a_switch_is_engaged(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        answer = await house.ask("drain a on web-01", by=BOB)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        await house.engine.engage(scope=Scope.RUNBOOK, subject="drain", actor=BOB)
        with pytest.raises(NotPermitted, match="kill switch"):
            await house.engine.approve(waiting.id, CAROL)
        await house.engine.release(scope=Scope.RUNBOOK, subject="drain", actor=ALICE, reason="fine")
        await house.engine.approve(waiting.id, CAROL)
        assert (await house.ends(answer)).state is State.SUCCEEDED


async def test_rate_limits_refuse_with_the_time_until_the_next(database: Database) -> None:
    names = [f"web-{n:02}" for n in range(8)]
    async with a_house(
        database,
        replies=TOUCH,
        catalog=OURS,
        inventory=hosts(*names),
        change=lambda p: replace(p, limits=Limits(runbook=(Rate(limit=5, period=60.0),))),
        clock=StartClock(),
    ) as house:
        answers = await asyncio.gather(*(house.ask(f"steady a on {name}") for name in names))
        ended = [await house.ends(answer) for answer in answers]
        states = [e.state for e in ended]
        assert states.count(State.SUCCEEDED) == 5
        assert states.count(State.REFUSED) == 3
        assert all("rate limits" in e.ending and "next in 12 s" in e.ending for e in ended if e.state is State.REFUSED)


async def test_the_breaker_opens_after_five_failures(database: Database) -> None:
    failing = {"touch": Reply(status=3)}
    async with a_house(
        database,
        replies=failing,
        catalog=catalog_with(Steady, cooldown=timedelta(0)),
        change=lambda p: replace(p, limits=Limits(runbook=(Rate(limit=50, period=60.0),))),
    ) as house:
        for number in range(5):
            assert (await house.ends(await house.ask(f"steady n{number} on web-01"))).state is State.FAILED
        ended = await house.ends(await house.ask("steady n9 on web-01"))
        assert ended.state is State.REFUSED
        assert "circuit breaker" in ended.ending
        elsewhere = await house.ends(await house.ask("steady n9 on web-02"))
        assert elsewhere.state is State.FAILED


async def test_every_window_of_a_rule_needs_a_token_and_each_person_has_a_bucket(database: Database) -> None:
    names = [f"web-{n:02}" for n in range(6)]
    limits = Limits(
        runbooks={"steady": (Rate(limit=5, period=60.0), Rate(limit=3, period=3600.0))},
        person=(Rate(limit=2, period=60.0),),
    )
    async with a_house(
        database,
        replies=TOUCH,
        catalog=OURS,
        inventory=hosts(*names),
        change=lambda p: replace(p, limits=limits),
        clock=StartClock(),
    ) as house:
        mine = [await house.ends(await house.ask(f"steady a on {name}")) for name in names[:3]]
        assert [one.state for one in mine] == [State.SUCCEEDED, State.SUCCEEDED, State.REFUSED]
        assert "You: 2 of 2 this minute, next in " in str(mine[2].ending)
        others = [await house.ends(await house.ask(f"steady a on {name}", by=ALICE)) for name in names[3:5]]
        assert [one.state for one in others] == [State.SUCCEEDED, State.REFUSED]
        assert "Runbook steady: 3 of 3 this hour, next in 20 min." in str(others[1].ending)


async def test_a_limit_that_refuses_more_than_ten_times_an_hour_is_told_once(database: Database) -> None:
    limits = Limits(runbook=(Rate(limit=1, period=3600.0),))
    async with a_house(
        database,
        replies=TOUCH,
        catalog=catalog_with(Steady, cooldown=timedelta(0)),
        change=lambda p: replace(p, limits=limits),
    ) as house:
        assert (await house.ends(await house.ask("steady first on web-01"))).state is State.SUCCEEDED
        for number in range(10):
            assert (await house.ends(await house.ask(f"steady n{number} on web-01"))).state is State.REFUSED
        assert house.reporter.of(LimitRefuses) == []
        for number in range(10, 15):
            await house.ends(await house.ask(f"steady n{number} on web-01"))
        told: list[Any] = house.reporter.of(LimitRefuses)
        assert [(event.rule, event.count) for event in told] == [("limits:runbook:steady 1/h", 11)]
        found = await database.read(audit.search, words=("limit.refuses",))
        assert [entry.data["count"] for entry in found] == [11]


# --- the way to a host ------------------------------------------------------------------------------------------------


async def test_a_host_that_cannot_be_reached_opens_its_own_breaker_for_every_runbook(database: Database) -> None:
    clock = StartClock()
    gone = Reply(raises=HostUnreachable("web-01", "'web-01' does not answer."))
    replies = {**TOUCH, "uptime": gone, "cat": gone}
    async with a_house(database, replies=replies, catalog=OURS_LOOKING, clock=clock) as house:
        for _ in range(5):
            assert (await house.ends(await house.ask("peek on web-01"))).state is State.FAILED
        opened: list[Any] = house.reporter.of(BreakerMoved)
        assert [(e.breaker.runbook, e.breaker.host, e.breaker.state) for e in opened] == [
            (TRANSPORT, "web-01", BreakerState.OPEN)
        ]
        asked = house.remote.count("uptime")
        refused = await house.ends(await house.ask("steady a on web-01"))
        assert refused.state is State.REFUSED
        assert "web-01 could not be reached 5 times in a row" in str(refused.ending)
        assert house.remote.count("uptime") == asked
        house.remote.replies["uptime"] = Reply(out="up")
        assert (await house.ends(await house.ask("peek on web-02"))).state is State.SUCCEEDED

        clock.later(61)
        for _ in range(2):
            assert (await house.ends(await house.ask("peek on web-01"))).state is State.SUCCEEDED
        states = [e.breaker.state for e in house.reporter.of(BreakerMoved)]
        assert states == [BreakerState.OPEN, BreakerState.CLOSED]  # a look and a step each, and three close it
        kinds = {entry.kind for entry in await database.read(audit.search, words=("breaker.",), limit=50)}
        assert kinds == {"breaker.open", "breaker.closed"}


async def test_of_many_that_wait_for_a_host_to_come_back_one_tries(database: Database) -> None:
    clock = StartClock()
    way = Breaker(runbook=TRANSPORT, host="web-01", state=BreakerState.OPEN, failures=5, opened_at=clock.now())
    await database.write(controls.set_breakers, [way])
    held = Reply(hangs=True, out="up")
    async with a_house(database, replies={**TOUCH, "uptime": held}, catalog=OURS_LOOKING, clock=clock) as house:
        clock.later(61)
        answers = [await house.ask(f"peek why=n{number} on web-01") for number in range(20)]
        await house.remote.until("uptime")
        ended = [await house.ends(answer) for answer in answers[1:]]
        assert {one.state for one in ended} == {State.REFUSED}
        assert "is being tried by #" in str(ended[0].ending)
        held.release.set()
        assert (await house.ends(answers[0])).state is State.SUCCEEDED


async def test_a_breaker_is_reset_by_those_who_may_release_a_switch(database: Database) -> None:
    broken = Breaker(runbook="steady", host="web-01", state=BreakerState.OPEN, failures=5)
    await database.write(controls.set_breakers, [broken])
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        with pytest.raises(NotPermitted, match=r"killswitch\.release"):
            await house.engine.reset_breaker("steady", "web-01", BOB)
        with pytest.raises(NotFound):
            await house.engine.reset_breaker("steadi", None, ALICE)
        with pytest.raises(TooLate, match="breaker list"):
            await house.engine.reset_breaker("steady", "web-02", ALICE)
        answer = await house.engine.reset_breaker("steady", None, ALICE)
        assert answer.message == "Closed: steady on web-01."
        assert await database.read(controls.used_breakers) == []
        assert (await house.ends(await house.ask("steady a on web-01"))).state is State.SUCCEEDED
        [entry] = await database.read(audit.search, words=("breaker.reset",))
        assert (entry.actor, entry.data["before"]) == (ALICE.id, "open")


async def test_an_engaged_switch_is_reminded_of_every_hour_once(database: Database) -> None:
    clock = StartClock()
    async with a_house(database, clock=clock) as house:
        await house.engine.engage(scope=Scope.TAG, subject="web", actor=BOB)
        refused = await house.ends(await house.ask("restart nginx on web-01"))
        assert "The kill switch (tag web) is engaged, by " in str(refused.ending)
        for minutes, told in ((59, 0), (61, 1), (119, 1), (122, 2)):
            clock.at(60 * minutes)
            await asyncio.gather(*(house.engine.remind_of_switches() for _ in range(3)))
            assert len(house.reporter.of(SwitchReminded)) == told, minutes


async def test_planning_says_that_a_host_must_be_tried_again(database: Database) -> None:
    away = Unreached(host="web-01", reason="'web-01' does not answer.", seconds=2.0, attempt=2, most=4)
    async with a_house(database, replies={"uptime": Reply(out="up", unreached=away)}, catalog=OURS_LOOKING) as house:
        ended = await house.ends(await house.ask("peek on web-01"))
        assert (ended.state, ended.note) == (State.SUCCEEDED, None)
        [told] = house.reporter.of(LookRetried)
        assert isinstance(told, LookRetried)
        assert told.execution.note == "'web-01' does not answer. Try 2 of 4 in 2 s."


async def test_a_busy_host_makes_the_next_one_wait_and_then_run(database: Database) -> None:
    replies = {"touch /tmp/first": (held := Reply(hangs=True)), "touch": Reply(), "mkdir": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        first = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        second = await house.ask("repeatable on web-01", by=ALICE)
        async with asyncio.timeout(5):
            while not (await house.get(second.execution.id)).note:
                await asyncio.sleep(0.01)
        assert "web-01 is held by #" in (await house.get(second.execution.id)).note
        assert house.remote.count("mkdir") == 0
        held.release.set()
        assert (await house.ends(first)).state is State.SUCCEEDED
        assert (await house.ends(second)).state is State.SUCCEEDED


async def test_readers_share_a_host(database: Database) -> None:
    replies = {"touch": Reply(hangs=True), "uptime": Reply(out="up")}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        await house.ask("steady a on web-01")
        await house.remote.until("touch")
        ended = await house.ends(await house.ask("look on web-01,web-02"))
        assert ended.state is State.SUCCEEDED


async def test_after_a_death_in_the_middle_a_person_is_asked(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply(hangs=True)}, catalog=OURS) as house:
        answer = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await asyncio.sleep(0.1)
        await house.die()
    async with a_house(database, replies=TOUCH, catalog=OURS) as house:
        found = await house.ends(answer, seconds=20)
        assert found.state is State.INTERRUPTED
        assert house.reporter.of(ExecutionInterrupted)
        assert [event.step.state for event in house.reporter.of(StepFinished)] == [StepState.INTERRUPTED]
        assert house.remote.ran == []
        with pytest.raises(TooLate):
            await house.engine.cancel(found.id, BOB)
        _, words, stopped = await house.engine.look_before_resuming(found.id, BOB)
        assert (stopped.host, stopped.place) == ("web-01", "1")
        assert "First" in words
        assert "Its command is over; how it ended is unknown." in words
        await house.engine.resume(found.id, BOB, again=False)
        ended = await house.ends(answer)
        assert ended.state is State.SUCCEEDED
        assert house.remote.count("touch /tmp/first") == 0
        assert house.remote.count("touch /tmp/second") == 1
        assert (await database.read(audit.verify)).ok


async def test_a_choice_is_about_the_stop_that_was_shown_and_no_later_one(database: Database) -> None:
    held = Reply(hangs=True, ignores_term=True)
    async with a_house(database, replies={"touch": held}, catalog=OURS) as house:
        asked = await house.ask("steady a on web-01")
        await house.remote.until("touch /tmp/first")
        await house.engine.cancel(asked.execution.id, BOB)
        found = await house.ends(asked)
        _, _, first = await house.engine.look_before_resuming(found.id, BOB)
        await house.engine.resume(found.id, BOB, again=False, mark=first.mark)
        await house.remote.until("touch /tmp/second")
        await house.engine.cancel(found.id, BOB)
        await house.reaches(found.id, State.INTERRUPTED)
        for again in (True, False):
            with pytest.raises(TooLate, match="stopped again at step 2 on web-01"):
                await house.engine.resume(found.id, BOB, again=again, mark=first.mark)
        assert house.remote.count("touch /tmp/second") == 1
        _, _, second = await house.engine.look_before_resuming(found.id, BOB)
        house.remote.replies["touch"] = Reply()
        await house.engine.resume(found.id, BOB, again=True, mark=second.mark)
        assert (await house.ends(asked)).state is State.SUCCEEDED


async def test_what_is_being_rolled_back_is_neither_resumed_nor_rolled_back_again(database: Database) -> None:
    held = Reply(hangs=True, ignores_term=True)
    replies = {"touch /tmp/second": held, "touch": Reply(), "rm": Reply(hangs=True)}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        asked = await house.ask("steady a on web-01")
        await house.remote.until("touch /tmp/second")
        await house.engine.cancel(asked.execution.id, BOB)
        found = await house.ends(asked)
        back = await house.engine.roll_back(found.id, BOB)
        await house.remote.until("rm")
        with pytest.raises(TooLate, match=f"is being rolled back by #{back.execution.id}, which is running"):
            await house.engine.resume(found.id, BOB, again=True)
        with pytest.raises(TooLate, match="is not rolled back twice"):
            await house.engine.roll_back(found.id, BOB)
        house.remote.replies["rm"].release.set()
        assert (await house.ends(back)).state is State.SUCCEEDED
        assert (await house.get(found.id)).state is State.ROLLED_BACK
        with pytest.raises(TooLate, match="was rolled back already"):
            await house.engine.roll_back(found.id, BOB)


async def test_a_rollback_that_did_not_succeed_gives_the_hosts_back_to_what_was_interrupted(database: Database) -> None:
    held = Reply(hangs=True, ignores_term=True)
    replies = {"touch /tmp/second": held, "touch": Reply(), "rm": Reply(hangs=True)}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        asked = await house.ask("steady a on web-01")
        await house.remote.until("touch /tmp/second")
        await house.engine.cancel(asked.execution.id, BOB)
        found = await house.ends(asked)
        back = await house.engine.roll_back(found.id, BOB)
        await house.remote.until("rm")
        assert [lock.execution_id for lock in await database.read(controls.locks)] == [back.execution.id]
        await house.engine.cancel(back.execution.id, BOB)
        assert (await house.ends(back)).state is State.CANCELLED
        assert [lock.execution_id for lock in await database.read(controls.locks)] == [found.id]
        await house.engine.give_up(found.id, BOB)
        assert await database.read(controls.locks) == []


async def test_asking_again_for_what_was_interrupted_leads_to_it(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply(hangs=True, ignores_term=True)}, catalog=OURS) as house:
        first = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await house.engine.cancel(first.execution.id, BOB)
        await house.reaches(first.execution.id, State.INTERRUPTED)
        again = await house.ask("steady a on web-01")
        assert (again.duplicate, again.execution.id) == (True, first.execution.id)
        house.remote.replies["touch"] = Reply()
        await house.engine.resume(first.execution.id, BOB, again=True)
        assert (await house.ends(first)).state is State.SUCCEEDED


async def test_a_look_says_when_it_cannot_know_whether_the_command_lives(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply(hangs=True, ignores_term=True)}, catalog=OURS) as house:
        answer = await house.ask("steady a on web-01")
        await house.remote.until("touch")
        await house.engine.cancel(answer.execution.id, BOB)
        found = await house.ends(answer)
        await database.write(lambda c: c.execute(update(t.step_runs).values(pgid=None)))
        _, words, _ = await house.engine.look_before_resuming(found.id, BOB)
        assert "Whether its command still runs is unknown" in words


async def test_after_a_death_an_idempotent_step_goes_on_by_itself(database: Database) -> None:
    catalog = catalog_with(Repeatable)
    replies = {"mkdir": Reply(hangs=True), "touch": Reply()}
    async with a_house(database, replies=replies, catalog=catalog) as house:
        answer = await house.ask("repeatable on web-01", by=BOB)
        await house.remote.until("mkdir")
        await asyncio.sleep(0.1)
        await house.die()
    async with a_house(database, replies={"mkdir": Reply(), "touch": Reply()}, catalog=catalog) as house:
        ended = await house.ends(answer, seconds=20)
        assert ended.state is State.SUCCEEDED
        assert house.reporter.of(ExecutionContinued)
        steps = await database.read(executions.steps_of, ended.id)
        assert [(s.step, s.attempt, s.state) for s in steps] == [
            ("1", 1, StepState.INTERRUPTED),
            ("1", 2, StepState.SUCCEEDED),
            ("2", 1, StepState.SUCCEEDED),
        ]


async def test_after_a_death_a_command_that_still_lives_is_left_to_a_person(database: Database) -> None:
    catalog = catalog_with(Repeatable)
    async with a_house(database, replies={"mkdir": Reply(hangs=True)}, catalog=catalog) as house:
        answer = await house.ask("repeatable on web-01", by=BOB)
        await house.remote.until("mkdir")
        async with asyncio.timeout(5):
            while not (steps := await database.read(executions.steps_of, answer.execution.id)) or not steps[0].pgid:
                await asyncio.sleep(0.02)
        group = steps[0].pgid
        await house.die()
    async with a_house(database, replies={"mkdir": Reply()}, catalog=catalog) as house:
        house.remote.alive[group] = (group,)
        ended = await house.ends(answer, seconds=20)
        assert ended.state is State.INTERRUPTED
        assert "still running" in ended.ending
        assert house.remote.count("mkdir") == 0


async def test_roll_back_takes_back_what_was_applied_last_first(database: Database) -> None:
    replies = {"touch /tmp/second": Reply(status=1), "touch": Reply(), "rm": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        failed = await house.ends(await house.ask("steady a on web-01"))
        assert failed.state is State.FAILED
        undone = await house.ends(await house.engine.roll_back(failed.id, BOB))
        assert undone.state is State.SUCCEEDED
        assert [line for _, line in house.remote.ran if line.startswith("rm")] == ["rm /tmp/first"]
        assert (await house.get(failed.id)).state is State.ROLLED_BACK


async def test_two_people_who_retry_at_once_run_it_once(database: Database) -> None:
    async with a_house(
        database, replies={**a_healthy_nginx(), "sudo -n systemctl restart nginx": Reply(status=1)}
    ) as house:
        failed = await house.ends(await house.ask("restart nginx settle=0 on web-01"))
        await house.die()
        told = await asyncio.gather(
            house.engine.retry(failed.id, BOB), house.engine.retry(failed.id, CAROL), return_exceptions=True
        )
        [late] = [one for one in told if isinstance(one, TooLate)]
        assert re.fullmatch(rf"<@U(BOB|CAROL)> retries #{failed.id} already: #\d+ is pending\.", late.message)
        assert len(await database.read(executions.newest)) == 2


async def test_retry_is_a_new_execution_that_skips_only_the_cooldown_of_the_first(database: Database) -> None:
    broken = {**a_healthy_nginx(), "sudo -n systemctl restart nginx": Reply(status=1)}
    async with a_house(database, replies=broken) as house:
        failed = await house.ends(await house.ask("restart nginx settle=0 on web-01"))
        house.remote.replies.update(a_healthy_nginx())
        retried = await house.engine.retry(failed.id, BOB)
        ended = await house.ends(retried)
        assert (ended.state, ended.retry_of) == (State.SUCCEEDED, failed.id)


async def test_a_retry_that_changed_nothing_leaves_the_cooldown_of_the_first(database: Database) -> None:
    clock, catalog = StartClock(), catalog_with(Steady, cooldown=timedelta(minutes=10))
    away = Reply(raises=LoginRefused("web-01", "it lets nobody in"))

    async def the_cooldown() -> tuple[int, datetime]:
        found = await database.read(controls.cooldowns, "steady", ["web-01"], clock.now())
        return found["web-01"].execution_id, found["web-01"].until

    replies = {"touch": Reply(), "touch /tmp/second": Reply(status=1)}
    async with a_house(database, replies=replies, catalog=catalog, clock=clock) as house:
        first = await house.ends(await house.ask("steady a on web-01"))
        began = await the_cooldown()
        assert began == (first.id, START + timedelta(minutes=10))

        clock.later(60)
        house.remote.replies = {"touch": away}
        retried = await house.ends(await house.engine.retry(first.id, BOB))
        assert (retried.state, await the_cooldown()) == (State.FAILED, began)
        again = await house.ends(await house.engine.retry(retried.id, BOB))
        assert (again.state, await the_cooldown()) == (State.FAILED, began)

        house.remote.replies = {"touch": Reply()}
        fresh = await house.ends(await house.ask("steady b on web-01"))
        assert fresh.state is State.REFUSED
        assert "again in 9 min" in fresh.ending
        last = await house.ends(await house.engine.retry(again.id, BOB))
        assert last.state is State.SUCCEEDED
        assert await the_cooldown() == (last.id, START + timedelta(minutes=11))


@pytest.mark.parametrize("how", ["retry", "roll back"])
async def test_a_failed_rollback_is_tried_again_in_spite_of_its_own_cooldown(database: Database, how: str) -> None:
    catalog = catalog_with(Steady, cooldown=timedelta(minutes=10))
    replies = {"touch": Reply(), "touch /tmp/second": Reply(status=1), "rm": Reply(status=1)}
    async with a_house(database, replies=replies, catalog=catalog) as house:
        first = await house.ends(await house.ask("steady a on web-01"))
        back = await house.ends(await house.engine.roll_back(first.id, BOB))
        assert back.state is State.FAILED
        house.remote.replies["rm"] = Reply()
        retries = how == "retry"
        asked = house.engine.retry(back.id, BOB) if retries else house.engine.roll_back(first.id, BOB)
        again = await house.ends(await asked)
        assert (again.state, again.rolls_back, again.retry_of) == (State.SUCCEEDED, first.id, back.id)
        fresh = await house.ends(await house.ask("steady b on web-01"))
        assert (fresh.state, "cooldown" in fresh.ending) == (State.REFUSED, True)


async def test_retry_takes_over_the_reason_and_has_an_emergency_only_of_its_own(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply()}, catalog=OURS) as house:
        answer = await house.ask("steady a on web-01", by=ALICE, reason="it burns", emergency=True)
        first = await house.ends(answer)
        assert first.emergency_at is not None
        plain = await house.ends(await house.engine.retry(first.id, ALICE))
        assert (plain.reason, plain.emergency_at) == ("it burns", None)
        answer = await house.engine.retry(first.id, ALICE, reason="it burns again", emergency=True)
        again = await house.ends(answer)
        assert again.reason == "it burns again"
        assert again.emergency_at is not None


async def test_with_several_hosts_the_first_failure_stops_the_rest(database: Database) -> None:
    replies = {"touch /tmp/first": Reply(status=2), "touch": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        ended = await house.ends(await house.ask("steady a on web-01,web-02"))
        assert ended.state is State.FAILED
        assert ended.ending.startswith("0 of 2 hosts succeeded")
        rows = await database.read(executions.hosts_of, ended.id)
        assert [str(row.state) for row in rows] == ["failed", "skipped"]


async def test_masked_output_never_becomes_a_fact(database: Database) -> None:
    async with a_house(database, replies={"systemctl show nginx": Reply(out=shown(1), altered=True)}) as house:
        ended = await house.ends(await house.ask("restart nginx on web-01"))
        assert ended.state is State.FAILED
        assert "no fact to plan with" in ended.ending
        assert house.remote.count("sudo") == 0


async def test_a_runbook_whose_code_breaks_ends_in_words(database: Database) -> None:
    class Broken(Runbook):
        """Breaks."""

        name, danger = "broken", Danger.LOW

        async def probe(self, host: Probe, params: Parameters) -> Facts:
            """Breaks."""
            raise KeyError("oops")

        def plan(self, params: Parameters, facts: Facts) -> Plan:
            """Never reached."""
            return Plan()

    async with a_house(database, catalog=catalog_with(Broken)) as house:
        ended = await house.ends(await house.ask("broken on web-01"))
        assert ended.state is State.FAILED
        assert "KeyError" in ended.ending


async def test_with_the_database_gone_now_still_ends_what_runs_here(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=OURS) as house:
        running = await house.ask("steady a on web-01")
        await house.remote.until("touch")

        async def gone(function: object, *args: object, **kwargs: object) -> None:
            from storage.errors import StorageUnavailable

            raise StorageUnavailable("The database does not answer (test).")

        real, sqlite._write = sqlite._write, gone  # type: ignore[method-assign, assignment]
        answer = await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=BOB, now=True)
        assert "could not be recorded" in answer.message
        assert "1 executions here are being ended" in answer.message
        sqlite._write = real  # type: ignore[method-assign]
        assert (await house.ends(running)).state is State.CANCELLED
        async with asyncio.timeout(5):
            while not await sqlite.read(controls.engaged):
                await asyncio.sleep(0.02)


async def test_every_door_is_judged_the_same(database: Database) -> None:
    async with a_house(database) as house:
        for origin in Origin:
            answer = await house.ask("restart nginx on web-01", by=DAVE, origin=origin)
            assert answer.decision.refusal.gate == "permission"
