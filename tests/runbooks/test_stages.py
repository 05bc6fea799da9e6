"""Plans with stages: what can't be known before an earlier step ran is looked at, planned and approved on its own."""

import asyncio
import json
from collections.abc import Collection
from typing import Any

import pytest

from bot import cards
from runbooks import Danger, Expect, Facts, Parameters, Plan, Probe, Results, Run, Runbook
from runbooks.definition import Reading
from runbooks.plans import stage_json
from runbooks.progress import ApprovalAsked, ExecutionEnded, PlanMade
from storage import approvals, audit, controls, executions
from storage.database import Database
from storage.errors import NotPermitted, TooLate
from storage.records import Execution, HostState, Scope, State
from tests.builders import ALICE, BOB, CAROL, House, a_house, catalog_with, hosts
from tests.fakes import Reply


class Release(Runbook):
    """Build a release, then switch to what was built."""

    name, danger = "release", Danger.LOW

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """The release that is there, and whether one was built before."""
        return Facts(current=str(await host.read("cat", "/tmp/current")), built="Build it" in host.results)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """The name of the release is known once it is built."""
        undo = Run("Throw it away", "rm", "/tmp/new")
        return Plan(Run("Build it", "touch", "/tmp/new", undo=undo), then="switch")

    def switch(self, params: Parameters, facts: Facts, results: Results) -> Plan | None:
        """To the release that was built, from the one that is there now."""
        built = results["Build it"]
        if not built:
            return None
        undo = Run("Switch back", "cp", f"/tmp/{facts.current}", "/tmp/current")
        return Plan(Run("Switch", "cp", f"/tmp/{built}", "/tmp/current", undo=undo), then="tidy")

    def tidy(self, params: Parameters, facts: Facts, results: Results) -> Plan:
        """What is over."""
        return Plan(Expect("It is there", "cat", "/tmp/current", output=results["Build it"]))

    def outcome(self, params: Parameters, before: Facts, after: Facts | None) -> str | None:
        """Which release it was, and is."""
        return f"{before.current} -> {after.current if after else '?'}, built: {before.built}"


class GuardedRelease(Release):
    """The same, and every stage needs somebody else."""

    name, danger = "guarded-release", Danger.DANGEROUS


class Again(Runbook):
    """The same steps once more, under the same name."""

    name, danger = "again", Danger.DANGEROUS

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Once."""
        return Plan(Run("Touch it", "touch", "/tmp/a"), then="once_more")

    def once_more(self, params: Parameters, facts: Facts, results: Results) -> Plan:
        """And once more."""
        return Plan(Run("Touch it", "touch", "/tmp/a"))


class Rolling(Release):
    """The same over many hosts, in waves: a host is well once its last stage is over."""

    name, waves = "rolling", "1,rest"

    def health(self, params: Parameters, facts: Facts) -> Collection[Expect]:
        """It answers."""
        return (Expect("It is well", "cat", "/tmp/well"),)


class TakenBack(Release):
    """The same, and it takes back what it did when it fails."""

    name, rollback = "taken-back", "auto"


class Endless(Runbook):
    """Every stage has another one."""

    name, danger = "endless", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Once."""
        return Plan(Run("Touch it", "touch", "/tmp/a"), then="again")

    def again(self, params: Parameters, facts: Facts, results: Results) -> Plan:
        """And again."""
        return self.plan(params, facts)


class Lost(Runbook):
    """Its second stage has nobody who plans it."""

    name, danger = "lost", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Names a method that isn't there."""
        return Plan(Run("Touch it", "touch", "/tmp/a"), then="nowhere")


CATALOG = catalog_with(Release, GuardedRelease, Again, Rolling, TakenBack, Endless, Lost)


class Site:
    """What is on the hosts: the current release changes when it is switched to."""

    def __init__(self, built: Reply | None = None) -> None:
        self.current = "r1"
        self.replies: dict[str, Any] = {
            "cat /tmp/current": lambda line: Reply(out=self.current),
            "touch /tmp/new": built or Reply(out="r2"),
            "cp": self._switch,
            "rm": Reply(),
            "touch /tmp/a": Reply(),
            "cat /tmp/well": Reply(),
        }

    def _switch(self, line: str) -> Reply:
        self.current = line.split()[1].removeprefix("/tmp/")
        return Reply()


def changes(house: House) -> list[str]:
    """The changing commands that ran, in order."""
    return [line for _, line in house.remote.ran if not line.startswith("cat")]


async def approved(house: House, number: int) -> None:
    """By somebody else, as soon as it waits."""
    await house.reaches(number, State.AWAITING_APPROVAL)
    await house.engine.approve(number, CAROL)


async def asked(house: House, text: str = "guarded-release on web-01") -> int:
    """Its number."""
    answer = await house.ask(text, by=BOB)
    assert answer.execution is not None, answer.message
    return answer.execution.id


async def in_stage(house: House, number: int, stage: int, state: State = State.AWAITING_APPROVAL) -> Execution:
    """Once it is so far."""
    async with asyncio.timeout(10):
        while True:
            execution = await house.reaches(number, state)
            if execution.stage == stage:
                return execution
            await asyncio.sleep(0.01)


async def locked(database: Database) -> list[str]:
    """Hosts that somebody holds."""
    return [lock.host for lock in await database.read(controls.locks)]


async def test_a_further_stage_is_planned_from_new_facts_and_from_what_the_first_one_printed(
    database: Database,
) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("release on web-01"))

        assert (ended.state, ended.ending) == (State.SUCCEEDED, "r1 -> r2, built: False")
        assert changes(house) == ["touch /tmp/new", "cp /tmp/r2 /tmp/current"]
        steps = await database.read(executions.steps_of, ended.id)
        assert [(step.step, step.title) for step in steps] == [
            ("1", "Build it"),
            ("2", "Switch"),
            ("3", "It is there"),
        ]
        assert (ended.stage, ended.steps_done, ended.steps_total) == (3, 3, 3)
        plan = await database.read(executions.plan_of, ended.id)
        assert plan is not None
        assert [stage["facts"]["built"] for stage in plan["hosts"][0]["later"]] == [True, True]
        assert not await locked(database)


async def test_each_stage_is_approved_on_its_own_and_the_audit_says_which(database: Database) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        second = await in_stage(house, number, 2)

        assert changes(house) == ["touch /tmp/new"]
        assert await locked(database) == ["web-01"]
        wanted = [event for event in house.reporter.events if isinstance(event, ApprovalAsked)][-1]
        assert [(step["place"], step["title"]) for step in wanted.plan["hosts"][0]["steps"]] == [(2, "Switch")]
        assert wanted.approval.fingerprint == second.fingerprint
        assert "needs an approval of its stage 2" in cards.approval_message(wanted).text

        await house.engine.approve(number, CAROL, mark=str(second.fingerprint)[:16])
        await in_stage(house, number, 3)
        await house.engine.approve(number, CAROL)
        ended = await house.reaches(number)

        assert ended.state is State.SUCCEEDED
        given = [
            entry
            for entry in await database.read(audit.search, execution_id=number, limit=500)
            if entry.kind == "approval.given"
        ]
        assert sorted((entry.data.get("stage", 1)) for entry in given) == [1, 2, 3]
        assert len({entry.data["fingerprint"] for entry in given}) == 3


async def test_an_approval_is_good_for_one_stage_even_if_the_next_has_the_same_steps(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site().replies, catalog=CATALOG) as house:
        number = await asked(house, "again on web-01")
        await approved(house, number)
        second = await in_stage(house, number, 2)

        latest = await sqlite.read(approvals.latest, number)
        assert latest is not None
        assert latest.decided_by is None
        assert latest.fingerprint == second.fingerprint
        assert changes(house) == ["touch /tmp/a"]


async def test_the_budgets_are_taken_once_for_all_stages(database: Database) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("release on web-01"))
        assert ended.state is State.SUCCEEDED
        tats = await database.read(lambda c: controls.buckets(c, ["global 50/min"]))
        refused = await house.ends(await house.ask("release on web-01"))
        assert refused.ending is not None
        assert "cooldown" in refused.ending
        assert await database.read(lambda c: controls.buckets(c, ["global 50/min"])) == tats


async def test_a_crash_while_a_stage_waits_for_approval_loses_neither_the_wait_nor_the_lock(
    database: Database,
) -> None:
    site = Site()
    async with a_house(database, replies=site.replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        await in_stage(house, number, 2)
        await house.die()

    async with a_house(database, replies=site.replies, catalog=CATALOG) as house:
        assert await locked(database) == ["web-01"]
        await approved(house, number)
        await in_stage(house, number, 3)
        await house.engine.approve(number, CAROL)
        assert (await house.reaches(number)).state is State.SUCCEEDED
        assert changes(house) == ["cp /tmp/r2 /tmp/current"]


async def test_a_crash_while_a_stage_is_planned_is_taken_up(sqlite: Database) -> None:
    site = Site()
    looks = [Reply(out="r1"), Reply(out="r1", hangs=True)]
    replies = {**site.replies, "cat /tmp/current": lambda line: looks.pop(0) if looks else Reply(out=site.current)}
    async with a_house(sqlite, replies=replies, catalog=CATALOG) as house:
        number = await asked(house, "release on web-01")
        await in_stage(house, number, 2, State.PENDING)
        async with asyncio.timeout(5):
            while looks:
                await asyncio.sleep(0.01)
        await house.die()

    async with a_house(sqlite, replies=site.replies, catalog=CATALOG) as house:
        assert (await house.reaches(number)).state is State.SUCCEEDED
        assert changes(house) == ["cp /tmp/r2 /tmp/current"]


async def test_a_stage_cannot_be_approved_while_a_kill_switch_is_engaged(database: Database) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        await in_stage(house, number, 2)
        await house.engine.engage(scope=Scope.HOST, subject="web-01", actor=ALICE)

        with pytest.raises(NotPermitted, match="kill switch"):
            await house.engine.approve(number, CAROL)
        assert (await house.get(number)).state is State.AWAITING_APPROVAL
        assert changes(house) == ["touch /tmp/new"]


async def test_a_kill_switch_between_two_stages_cancels_and_what_was_done_can_be_taken_back(
    database: Database,
) -> None:
    building = Reply(out="r2", hangs=True)
    async with a_house(database, replies=Site(built=building).replies, catalog=CATALOG) as house:
        number = await asked(house, "release on web-01")
        async with asyncio.timeout(5):
            while "touch /tmp/new" not in changes(house):
                await asyncio.sleep(0.01)
        await house.engine.engage(scope=Scope.RUNBOOK, subject="release", actor=ALICE)
        building.release.set()
        ended = await house.reaches(number)

        assert ended.state is State.CANCELLED
        assert ended.ending is not None
        assert "kill switch (runbook release)" in ended.ending
        assert "before stage 2; what was done until then stays" in ended.ending
        assert changes(house) == ["touch /tmp/new"]
        assert not await locked(database)
        (host,) = await database.read(executions.hosts_of, number)
        assert (host.state, host.reason) == (HostState.SKIPPED, "stage 2 was not begun")
        told = [event for event in house.reporter.events if isinstance(event, ExecutionEnded)][-1]
        assert told.undoable


async def test_a_stage_that_is_denied_frees_the_hosts_and_says_what_stays(database: Database) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        await in_stage(house, number, 2)
        await house.engine.deny(number, CAROL, reason="not today")
        ended = await house.reaches(number)

        assert ended.state is State.CANCELLED
        assert ended.ending == "denied by <@UCAROL>: not today (before stage 2; what was done until then stays)"
        assert not await locked(database)


async def test_what_all_stages_did_is_rolled_back_last_one_first(database: Database) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("release on web-01"))
        back = await house.ends(await house.engine.roll_back(ended.id, BOB))

        assert back.state is State.SUCCEEDED, back.ending
        assert changes(house)[2:] == ["cp /tmp/r1 /tmp/current", "rm /tmp/new"]
        assert (await house.get(ended.id)).state is State.ROLLED_BACK


@pytest.mark.parametrize(
    ("built", "why"),
    [
        (Reply(out="token-•••", altered=True), "it was masked, cut or lost in part"),
        (Reply(out="\n".join(["r2"] * 1_001)), "it is longer than 1,000 lines"),
    ],
)
async def test_a_result_that_was_masked_or_is_too_long_plans_nothing(sqlite: Database, built: Reply, why: str) -> None:
    async with a_house(sqlite, replies=Site(built=built).replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("release on web-01"))

        assert ended.state is State.FAILED
        assert ended.ending is not None
        assert why in ended.ending
        assert changes(house) == ["touch /tmp/new"]


async def test_a_stage_without_a_plan_is_the_end(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site(built=Reply(out="")).replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        ended = await house.reaches(number)

        assert ended.state is State.SUCCEEDED
        assert changes(house) == ["touch /tmp/new"]
        assert len([event for event in house.reporter.events if isinstance(event, PlanMade)]) == 1


async def test_no_host_begins_a_stage_when_one_failed_in_the_stage_before(sqlite: Database) -> None:
    site = Site()
    async with a_house(sqlite, replies=site.replies, catalog=CATALOG) as house:
        house.remote.replies["touch /tmp/new"] = lambda line: Reply(
            out="r2", status=0 if house.remote.ran[-1][0] == "web-01" else 1
        )
        ended = await house.ends(await house.ask("release on web-01,web-02"))

        assert ended.state is State.FAILED
        assert changes(house) == ["touch /tmp/new", "touch /tmp/new"]
        found = await sqlite.read(executions.hosts_of, ended.id)
        assert [host.state for host in found] == [HostState.SKIPPED, HostState.FAILED]


async def test_a_stage_that_nobody_plans_is_found_before_anything_runs(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("lost on web-01"))

        assert ended.state is State.FAILED
        assert ended.ending == "lost has no method 'nowhere' to plan its next stage."
        assert changes(house) == []


async def test_a_cancel_while_a_stage_waits_ends_it(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site().replies, catalog=CATALOG) as house:
        number = await asked(house)
        await approved(house, number)
        await in_stage(house, number, 2)
        await house.engine.cancel(number, BOB)
        ended = await house.reaches(number)

        assert ended.state is State.CANCELLED
        with pytest.raises(TooLate):
            await house.engine.approve(number, CAROL)
        assert not await locked(sqlite)


async def test_an_interrupted_stage_is_resumed_where_it_stopped(database: Database) -> None:
    site = Site()
    site.replies["cp"] = Reply(lost=True)
    async with a_house(database, replies=site.replies, catalog=CATALOG) as house:
        number = await asked(house, "release on web-01")
        await house.reaches(number, State.INTERRUPTED)
        house.remote.replies["cp"] = site._switch
        await house.engine.resume(number, BOB, again=True)
        ended = await house.reaches(number)

        assert ended.state is State.SUCCEEDED, ended.ending
        assert changes(house) == ["touch /tmp/new", "cp /tmp/r2 /tmp/current", "cp /tmp/r2 /tmp/current"]


async def test_every_stage_goes_in_waves_and_a_host_is_asked_whether_it_is_well_once_it_is_through(
    database: Database,
) -> None:
    async with a_house(database, replies=Site().replies, catalog=CATALOG, inventory=hosts("a", "b", "c")) as house:
        ended = await house.ends(await house.ask("rolling on a,b,c"))

        assert ended.state is State.SUCCEEDED, ended.ending
        ran = [(host, line) for host, line in house.remote.ran if not line.startswith("cat /tmp/current")]
        assert ran[0] == ("a", "touch /tmp/new")
        assert sorted(ran[1:3]) == [("b", "touch /tmp/new"), ("c", "touch /tmp/new")]
        assert ran[3] == ("a", "cp /tmp/r2 /tmp/current")
        steps = await database.read(executions.steps_of, ended.id)
        assert [(s.host, s.step) for s in steps if s.step.startswith("w")] == [
            ("a", "w5.1"),
            ("a", "w6.1"),
            ("b", "w6.1"),
            ("c", "w6.1"),
        ]
        assert not await locked(database)


async def test_what_was_done_is_taken_back_by_itself_when_a_further_stage_cannot_be_planned(
    database: Database,
) -> None:
    site = Site(built=Reply(out="secret", altered=True))
    async with a_house(database, replies=site.replies, catalog=CATALOG) as house:
        failed = await house.ends(await house.ask("taken-back on web-01"))
        back = await house.reaches(failed.id + 1)

        assert back.state is State.SUCCEEDED, back.ending
        assert (await house.get(failed.id)).state is State.ROLLED_BACK
        assert changes(house) == ["touch /tmp/new", "rm /tmp/new"]
        assert not await locked(database)


async def test_the_whole_plan_is_shown_with_its_stages(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("release on web-01"))
        whole = await sqlite.read(executions.plan_of, ended.id)
        assert whole is not None
        shown = json.dumps([message.payload() for message in cards.plan_messages(ended, whole)])

        assert "Plan of #" in shown
        assert shown.index("*1. Build it*") < shown.index("*Stage 2*") < shown.index("*2. Switch*")
        assert shown.index("*2. Switch*") < shown.index("*Stage 3*") < shown.index("*3. It is there*")
        assert f"fingerprint of stage 3 `{str(ended.fingerprint)[:16]}`" in shown

        second = json.dumps([m.payload() for m in cards.plan_messages(ended, stage_json(whole, 2))])
        assert "Stage 2 of #" in second
        assert "Build it" not in second


async def test_stages_have_an_end(sqlite: Database) -> None:
    async with a_house(sqlite, replies=Site().replies, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("endless on web-01"), seconds=60)

        assert ended.state is State.FAILED
        assert "endless has more than 20 stages on web-01" in str(ended.ending)
        assert len(changes(house)) == 20


def test_a_result_that_is_not_there_is_said_in_words() -> None:
    found = Results({"Build it": Reading("r2", exit_status=0)}, {"Ask": "it was masked"})
    assert (found["Build it"], found.get("Other"), "Ask" in found, list(found)) == ("r2", None, False, ["Build it"])
    with pytest.raises(ValueError, match="no result of a step 'Other'"):
        _ = found["Other"]
    with pytest.raises(ValueError, match="'Ask' printed: it was masked"):
        _ = found["Ask"]
