"""What goes on after an interruption and what does not, on both databases, with hosts that answer from a table."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Connection, update

from bot import cards
from bot.situation import situation_of
from runbooks import Danger, Expect, Facts, Parameters, Plan, Run, Runbook
from runbooks.owner import LEASE
from runbooks.progress import ApprovalDecided, ExecutionInterrupted
from storage import audit, controls, executions, tables
from storage.database import Database
from storage.errors import Invalid, NotPermitted, TooLate
from storage.records import ApprovalState, Execution, HostState, Scope, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, catalog_with
from tests.fakes import FakeRemote, Reply
from tests.runbooks.test_engine import StartClock


class Pair(Runbook):
    """Two changes that can be taken back."""

    name, danger, cooldown, waves = "pair", Danger.LOW, timedelta(0), "2"

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One after the other."""
        return Plan(
            Run("First", "touch", f"/tmp/{facts.host}", undo=Run("Undo first", "rm", f"/tmp/{facts.host}")),
            Run("Second", "mkdir", f"/tmp/{facts.host}", undo=Run("Undo second", "rmdir", f"/tmp/{facts.host}")),
        )


class GravePair(Pair):
    """The same, with somebody's consent."""

    name, danger = "grave-pair", Danger.DANGEROUS


class BravePair(GravePair):
    """The same, taken back by itself where it fails."""

    name, rollback = "brave-pair", "auto"


class Watched(Runbook):
    """A change, and a look at it before the next."""

    name, danger, cooldown = "watched", Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """The look changes nothing."""
        return Plan(
            Run("First", "touch", "/tmp/first", undo=Run("Undo first", "rm", "/tmp/first")),
            Expect("It answers", "uptime", within=0),
            Run("Second", "mkdir", "/tmp/second"),
        )


class Again(Runbook):
    """A change that may be repeated."""

    name, danger, cooldown, waves = "again", Danger.LOW, timedelta(0), "2"

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("First", "touch", f"/tmp/{facts.host}", idempotent=True))


CATALOG = catalog_with(Pair, GravePair, BravePair, Watched, Again)
STUCK = Reply(hangs=True, ignores_term=True)


def replies(**more: Reply) -> dict[str, Reply]:
    """Everything works, but the second step does not end."""
    return {"touch": Reply(), "mkdir": STUCK, "rm": Reply(), "rmdir": Reply(), "uptime": Reply(), **more}


async def interrupted(house: House, text: str = "pair on web-01", hosts: int = 1) -> Execution:
    """Stopped in the second step of each host; its command could not be ended."""
    answer = await house.ask(text)
    if text.startswith("grave"):
        await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        await house.engine.approve(answer.execution.id, CAROL)
    await house.remote.until("mkdir", hosts)
    await house.engine.cancel(answer.execution.id, BOB)
    found = await house.reaches(answer.execution.id, State.INTERRUPTED)
    house.remote.replies["mkdir"] = Reply()
    house.remote.ran.clear()
    return found


async def buttons(house: House, execution: Execution) -> list[str]:
    """Those of its card."""
    return cards._verbs(execution, await house.database.read(situation_of, execution))


async def hosts_of(house: House, execution: Execution) -> dict[str, HostState]:
    """How each host stands."""
    return {row.host: row.state for row in await house.database.read(executions.hosts_of, execution.id)}


async def held(house: House) -> list[tuple[str, int]]:
    """The locks, each with who has it."""
    return [(lock.host, lock.execution_id) for lock in await house.database.read(controls.locks)]


async def test_a_resumed_one_that_a_kill_switch_refuses_is_as_interrupted_as_before(database: Database) -> None:
    async with a_house(database, replies=replies(), catalog=CATALOG) as house:
        found = await interrupted(house)
        await house.engine.engage(scope=Scope.HOST, subject="web-01", actor=CAROL, reason="hands off")
        await house.engine.resume(found.id, BOB, again=True)
        stopped = await house.reaches(found.id, State.INTERRUPTED, State.REFUSED)
        assert stopped.state is State.INTERRUPTED
        assert "the kill switch gate" in stopped.ending
        assert stopped.ending.endswith("; what was done on web-01 is as unknown as before")
        assert await hosts_of(house, found) == {"web-01": HostState.INTERRUPTED}
        assert await held(house) == [("web-01", found.id)]
        assert await buttons(house, stopped) == ["resume", "rollback", "giveup", "plan"]
        assert len(house.reporter.of(ExecutionInterrupted)) == 2
        assert house.remote.ran == []
        await house.engine.release(scope=Scope.HOST, subject="web-01", actor=ALICE, reason="all clear")
        await house.engine.resume(found.id, BOB, again=True)
        assert (await house.reaches(found.id)).state is State.SUCCEEDED
        assert (await database.read(audit.verify)).ok


@pytest.mark.parametrize("how", ["denied", "expired", "cancelled"])
async def test_a_resumed_one_that_nobody_approves_again_stays_interrupted(sqlite: Database, how: str) -> None:
    clock = StartClock()
    async with a_house(sqlite, replies=replies(), catalog=CATALOG, clock=clock) as house:
        found = await interrupted(house, "grave-pair on web-01")
        clock.later(20 * 60)
        await house.engine.resume(found.id, BOB, again=True)
        await house.reaches(found.id, State.AWAITING_APPROVAL)
        if how == "denied":
            answer = await house.engine.deny(found.id, CAROL, reason="no")
            assert answer.message == f"You denied #{found.id}. It is interrupted as before."
        elif how == "cancelled":
            answer = await house.engine.cancel(found.id, BOB)
            assert answer.message.endswith("It is interrupted as before: *Give up* ends it.")
        else:
            clock.later(16 * 60)
        said, approval = {
            "denied": ("denied by <@UCAROL>: no", ApprovalState.DENIED),
            "expired": ("nobody decided within 15 min", ApprovalState.EXPIRED),
            "cancelled": ("cancelled by <@UBOB>", ApprovalState.WITHDRAWN),
        }[how]
        stopped = await house.reaches(found.id, State.INTERRUPTED, State.DENIED, State.EXPIRED, State.CANCELLED)
        assert stopped.state is State.INTERRUPTED
        assert stopped.ending == f"{said}; what was done on web-01 is as unknown as before"
        assert await held(house) == [("web-01", found.id)]
        [*_, decided] = house.reporter.of(ApprovalDecided)
        assert decided.approval.state is approval
        assert "being cancelled" not in str(cards.card(stopped, clock.now(), await sqlite.read(situation_of, stopped)))
        await house.engine.give_up(found.id, BOB)
        assert await held(house) == []


async def test_what_a_person_left_behind_is_not_unknown_any_more(database: Database) -> None:
    async with a_house(database, replies=replies(), catalog=CATALOG) as house:
        found = await interrupted(house)
        await house.engine.engage(scope=Scope.HOST, subject="web-01", actor=CAROL, reason="hands off")
        await house.engine.resume(found.id, BOB, again=False)
        ended = await house.reaches(found.id)
        assert ended.state is State.CANCELLED
        assert ended.ending.startswith("refused by the kill switch gate")
        assert ended.ending.endswith(" (before it went on; what was done until then stays)")
        assert await hosts_of(house, found) == {"web-01": HostState.CANCELLED}
        assert await held(house) == []
        assert await buttons(house, ended) == ["retry", "rollback", "plan"]


async def test_a_kill_switch_cancels_what_went_on_by_itself_after_a_death(sqlite: Database) -> None:
    remote = FakeRemote(replies=replies(uptime=Reply(hangs=True)))
    async with a_house(sqlite, catalog=CATALOG, remote=remote) as house:
        answer = await house.ask("watched on web-01")
        await remote.until("uptime")
        async with asyncio.timeout(5):
            while len(await sqlite.read(executions.steps_of, answer.execution.id)) < 2:
                await asyncio.sleep(0.01)
        await house.die()
        await house.engine.engage(scope=Scope.HOST, subject="web-01", actor=CAROL, reason="hands off")
    async with a_house(sqlite, replies=replies(), catalog=CATALOG) as house:
        ended = await house.reaches(answer.execution.id, seconds=20)
        assert ended.state is State.CANCELLED
        assert "the kill switch gate" in ended.ending
        assert ended.ending.endswith("(before it went on; what was done until then stays)")
        assert house.remote.ran == []
        assert await held(house) == []
        assert await buttons(house, ended) == ["retry", "rollback", "plan"]


async def test_retrying_a_failed_rollback_rolls_back_once_more_and_nothing_forward(database: Database) -> None:
    broken = replies(mkdir=Reply(status=1), rm=Reply(status=1))
    async with a_house(database, replies=broken, catalog=CATALOG) as house:
        failed = await house.ends(await house.ask("pair on web-01"))
        back = await house.ends(await house.engine.roll_back(failed.id, BOB))
        assert (back.state, await buttons(house, back)) == (State.FAILED, ["retry", "plan"])
        house.remote.replies.update(replies(mkdir=Reply()))
        house.remote.ran.clear()
        with pytest.raises(Invalid, match=rf"Try `/runbook rollback {failed.id}`"):
            await house.engine.retry(back.id, BOB, emergency=True)
        again = await house.ends(await house.engine.retry(back.id, BOB, only_failed=True))
        assert (again.state, again.rolls_back) == (State.SUCCEEDED, failed.id)
        assert house.remote.ran == [("web-01", "rm /tmp/web-01")]
        assert (await house.get(failed.id)).state is State.ROLLED_BACK
        assert await buttons(house, back) == ["plan"]
        with pytest.raises(TooLate, match="was rolled back already"):
            await house.engine.retry(back.id, BOB)


async def test_what_is_being_taken_back_is_not_retried_meanwhile(database: Database) -> None:
    async with a_house(database, replies=replies(mkdir=Reply(status=1)), catalog=CATALOG) as house:
        answer = await house.ask("brave-pair on web-01")
        await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        await house.engine.approve(answer.execution.id, CAROL)
        failed = await house.ends(answer)
        back = await house.reaches(failed.id + 1, State.AWAITING_APPROVAL)
        assert (back.rolls_back, await buttons(house, failed)) == (failed.id, ["plan"])
        for only_failed in (False, True):
            with pytest.raises(TooLate, match=f"rolled back by #{back.id}, which is awaiting approval: it can be"):
                await house.engine.retry(failed.id, BOB, only_failed=only_failed)
        await house.engine.cancel(back.id, BOB)
        assert await buttons(house, failed) == ["retry", "rollback", "plan"]
        assert (await house.engine.retry(failed.id, BOB)).execution.retry_of == failed.id


HALF = {"rm /tmp/web-02": Reply(status=1)}
"""Taking back fails on web-02."""


async def test_a_host_that_was_taken_back_is_neither_resumed_nor_taken_back_twice(database: Database) -> None:
    async with a_house(database, replies=replies(**HALF), catalog=CATALOG) as house:
        found = await interrupted(house, "pair on web-01,web-02", hosts=2)
        back = await house.ends(await house.engine.roll_back(found.id, BOB))
        assert back.state is State.FAILED
        assert await hosts_of(house, found) == {"web-01": HostState.CANCELLED, "web-02": HostState.INTERRUPTED}
        (row, _) = await database.read(executions.hosts_of, found.id)
        assert row.reason == f"rolled back by #{back.id}"
        house.remote.replies["rm /tmp/web-02"] = Reply()
        house.remote.ran.clear()
        _, words, stopped = await house.engine.look_before_resuming(found.id, BOB)
        assert (stopped.host, stopped.place, "Interrupted as well" in words) == ("web-02", "2", False)
        await house.engine.resume(found.id, BOB, again=True, mark=stopped.mark)
        ended = await house.reaches(found.id)
        assert (ended.state, ended.ending) == (
            State.CANCELLED,
            f"1 of 2 hosts succeeded. web-01: rolled back by #{back.id}",
        )
        again = await house.ends(await house.engine.roll_back(found.id, BOB))
        assert again.state is State.SUCCEEDED
        assert house.remote.ran == [
            ("web-02", line) for line in ("mkdir /tmp/web-02", "rmdir /tmp/web-02", "rm /tmp/web-02")
        ]
        assert (await house.get(found.id)).state is State.ROLLED_BACK


async def test_a_host_that_was_taken_back_is_among_those_that_are_retried(sqlite: Database) -> None:
    broken = replies(**HALF, **{"mkdir": Reply(), "mkdir /tmp/web-02": Reply(status=1)})
    async with a_house(sqlite, replies=broken, catalog=CATALOG) as house:
        failed = await house.ends(await house.ask("pair on web-01,web-02"))
        assert await hosts_of(house, failed) == {"web-01": HostState.SUCCEEDED, "web-02": HostState.FAILED}
        assert (await house.ends(await house.engine.roll_back(failed.id, BOB))).state is State.FAILED
        answer = await house.engine.retry(failed.id, BOB, only_failed=True)
        assert answer.execution.hosts == ("web-01", "web-02")


async def test_what_is_being_rolled_back_is_not_given_up(database: Database) -> None:
    async with a_house(database, replies=replies(rmdir=Reply(hangs=True)), catalog=CATALOG) as house:
        found = await interrupted(house)
        back = (await house.engine.roll_back(found.id, BOB)).execution
        await house.remote.until("rmdir")
        with pytest.raises(TooLate, match=rf"being rolled back by #{back.id}, which is running.*cancel {back.id}"):
            await house.engine.give_up(found.id, BOB)
        assert await held(house) == [("web-01", back.id)]
        await house.engine.cancel(back.id, BOB)
        await house.reaches(back.id)
        await house.engine.give_up(found.id, BOB)
        assert await held(house) == []


@pytest.mark.parametrize(("step", "to"), [("uptime", State.CANCELLED), ("mkdir", State.INTERRUPTED)])
async def test_what_is_cancelled_while_its_owner_is_dead_is_unknown_only_in_the_middle_of_a_change(
    sqlite: Database, step: str, to: State
) -> None:
    remote = FakeRemote(replies=replies(**{step: Reply(hangs=True)}))
    async with a_house(sqlite, catalog=CATALOG, remote=remote) as house:
        answer = await house.ask("watched on web-01")
        await remote.until(step)
        async with asyncio.timeout(5):
            while (await house.get(answer.execution.id)).steps_done < {"uptime": 1, "mkdir": 2}[step]:
                await asyncio.sleep(0.01)
        await house.die()
        await house.engine.cancel(answer.execution.id, BOB)
    async with a_house(sqlite, replies=replies(), catalog=CATALOG) as house:
        ended = await house.ends(answer, seconds=20)
        assert ended.state is to
        assert house.remote.ran == []
        if to is State.CANCELLED:
            assert ended.ending == "cancelled by <@UBOB>"
            assert await hosts_of(house, ended) == {"web-01": HostState.CANCELLED}
            assert await held(house) == []
            assert await buttons(house, ended) == ["retry", "rollback", "plan"]
        else:
            assert await held(house) == [("web-01", ended.id)]


async def test_no_host_of_what_was_given_up_runs_or_waits(database: Database) -> None:
    remote = FakeRemote(replies=replies(touch=Reply(hangs=True)))
    async with a_house(database, catalog=CATALOG, remote=remote) as house:
        answer = await house.ask("again on web-01,web-02")
        await remote.until("touch", 2)
        await house.die()
        await house.engine.cancel(answer.execution.id, BOB)
        await house.engine.reap(owner=None, lease=LEASE, owners=["another"])
        found = await house.get(answer.execution.id)
        assert found.state is State.INTERRUPTED
        assert await hosts_of(house, found) == dict.fromkeys(("web-01", "web-02"), HostState.INTERRUPTED)
        waits = executions.set_host
        await database.write(lambda c: waits(c, found.id, "web-02", state=HostState.WAITING) and None)
        await house.engine.give_up(found.id, BOB)
        ended = await hosts_of(house, found)
        assert ended == {"web-01": HostState.INTERRUPTED, "web-02": HostState.INTERRUPTED}
        assert await held(house) == []


async def test_a_plan_of_another_version_is_left_to_a_person_and_keeps_nothing_else_up(database: Database) -> None:
    remote = FakeRemote(replies=replies(touch=Reply(hangs=True)))
    async with a_house(database, catalog=CATALOG, remote=remote) as house:
        bad = (await house.ask("again on web-01")).execution.id
        good = await house.ask("again on web-02")
        await remote.until("touch", 2)
        await house.die()
        await database.write(another_version, bad)
    async with a_house(database, replies=replies(), catalog=CATALOG) as house:
        assert (await house.ends(good, seconds=20)).state is State.SUCCEEDED
        found = await house.reaches(bad, State.INTERRUPTED)
        with pytest.raises(TooLate, match=r"has no plan to resume\. Give it up"):
            await house.engine.resume(bad, BOB, again=True)
        await house.engine.give_up(bad, BOB)
        assert await hosts_of(house, found) == {"web-01": HostState.INTERRUPTED}
        assert await held(house) == []


def another_version(connection: Connection, execution_id: int) -> None:
    """The stored plan lacks what this version needs."""
    plan = dict(executions.plan_of(connection, execution_id) or {})
    del plan["notes"]
    connection.execute(update(tables.executions).where(tables.executions.c.id == execution_id).values(plan=plan))


async def test_who_gives_up_what_a_stuck_rollback_holds_is_sent_to_that(sqlite: Database) -> None:
    async with a_house(sqlite, replies=replies(rmdir=STUCK), catalog=CATALOG) as house:
        found = await interrupted(house)
        back = (await house.engine.roll_back(found.id, BOB)).execution
        await house.remote.until("rmdir")
        await house.engine.cancel(back.id, BOB)
        await house.reaches(back.id, State.INTERRUPTED)
        with pytest.raises(TooLate, match=rf"by #{back.id}, which is interrupted .*\*Give up\* there ends that"):
            await house.engine.give_up(found.id, BOB)


async def test_a_stranger_learns_nothing_of_a_rollback_by_retrying_it_with_a_reason(sqlite: Database) -> None:
    async with a_house(sqlite, replies=replies(mkdir=Reply(status=1), rm=Reply(status=1)), catalog=CATALOG) as house:
        failed = await house.ends(await house.ask("pair on web-01"))
        back = await house.ends(await house.engine.roll_back(failed.id, BOB))
        with pytest.raises(NotPermitted):
            await house.engine.retry(back.id, DAVE, reason="why not")
