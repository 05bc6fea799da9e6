"""Chains: the plan of one runbook as a part of another's, with everything that its own rules ask for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbooks import (
    Danger,
    Facts,
    Parameters,
    Plan,
    Probe,
    Results,
    Run,
    Runbook,
    ServiceName,
    Word,
    minutes,
    positional,
)
from runbooks.catalog import Entry, joined
from runbooks.progress import ApprovalAsked
from safety.approval import Demand, Demands
from safety.review import Policy
from safety.roles import Can, Role
from storage import controls, executions
from storage.database import Database
from storage.errors import DefinitionError, NotFound, NotPermitted
from storage.records import Actor, Breaker, BreakerState, Consent, Execution, Scope, State
from tests.builders import ALICE, BOB, CAROL, House, a_house, catalog_with, commands_of
from tests.fakes import Reply


class Restart(Runbook):
    """Restart one service."""

    name, danger, cooldown, max_hosts = "again", Danger.LOW, minutes(30), 4

    class Params(Parameters):
        """Which."""

        service: ServiceName = positional("systemd unit")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether it runs."""
        return Facts(state=str(await host.read("systemctl", "is-active", params.service)))

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step."""
        back = Run("Start it", "systemctl", "start", params.service, sudo=True)
        return Plan(
            Run(f"Restart it on {facts.host}", "systemctl", "restart", params.service, sudo=True, undo=back),
            note=f"It was {facts.state}.",
        )


class Switch(Runbook):
    """Only looks by itself, but restarts."""

    name, danger, cooldown, max_hosts = "switch", Danger.READ, minutes(0), 8
    includes = ("again",)

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """What the included one wants to know, and something of its own."""
        return Facts(
            there=str(await host.read("cat", "/tmp/current")), web=await self.probe_of("again", host, service="nginx")
        )

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Mark it, then restart."""
        undo = Run("Unmark it", "rm", "/tmp/mark")
        return Plan(
            Run("Mark it", "touch", "/tmp/mark", undo=undo),
            self.include("again", facts.web, service="nginx"),
            note=f"{facts.there} is there.",
        )


class Drain(Runbook):
    """Dangerous by itself."""

    name, danger = "drain", Danger.DANGEROUS

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Drain it", "touch", "/tmp/drained"))


class Whole(Runbook):
    """Everything: includes one that includes another."""

    name, danger = "whole", Danger.LOW
    includes = ("switch", "drain")

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """Of the first."""
        return Facts(switch=await self.probe_of("switch", host))

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One after the other."""
        return Plan(self.include("drain", facts), self.include("switch", facts.switch))


class Found(Runbook):
    """Passes on what its first step printed."""

    name, danger = "found", Danger.LOW
    includes = ("again",)

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """Once it is known which service, that one."""
        which = host.results.get("Ask which")
        return Facts(web=await self.probe_of("again", host, service=which) if which else None)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Ask."""
        return Plan(Run("Ask which", "touch", "/tmp/which"), then="restart")

    def restart(self, params: Parameters, facts: Facts, results: Results) -> Plan:
        """What it said."""
        return Plan(self.include("again", facts.web or {}, service=results["Ask which"]))


CATALOG = catalog_with(Restart, Switch, Drain, Whole, Found)
REPLIES: dict[str, Any] = {
    "cat /tmp/current": Reply(out="r1"),
    "systemctl is-active": Reply(out="active"),
    "touch": Reply(),
    "touch /tmp/which": Reply(out="nginx"),
    "rm": Reply(),
    "sudo -n systemctl": Reply(),
}


def a_house_of_chains(database: Database, **more: Any) -> Any:
    """With runbooks that include others."""
    return a_house(database, replies=REPLIES, catalog=CATALOG, **more)


def changes(house: House) -> list[str]:
    """The changing commands that ran, in order."""
    return [line for _, line in house.remote.ran if not line.startswith(("cat", "systemctl is-active"))]


async def ended(house: House, text: str) -> Execution:
    """Asked by Bob."""
    found: Execution = await house.ends(await house.ask(text, by=BOB))
    return found


def test_the_strictest_danger_and_the_fewest_hosts_count() -> None:
    assert (CATALOG.get("switch").danger, CATALOG.get("switch").max_hosts) == (Danger.LOW, 4)
    assert (CATALOG.get("whole").danger, CATALOG.get("whole").max_hosts) == (Danger.DANGEROUS, 4)
    assert [one.name for one in CATALOG.get("whole").includes] == ["switch", "again", "drain"]
    assert CATALOG.get("again").includes == ()


async def test_the_steps_of_an_included_plan_run_where_it_stands(database: Database) -> None:
    async with a_house_of_chains(database) as house:
        found = await ended(house, "switch on web-01")

        assert found.state is State.SUCCEEDED, found.ending
        assert changes(house) == ["touch /tmp/mark", "sudo -n systemctl restart nginx"]
        plan = await database.read(executions.plan_of, found.id)
        assert plan is not None
        assert plan["notes"] == ["r1 is there. It was active."]
        assert found.services == ("nginx",)
        assert [step["title"] for step in plan["hosts"][0]["steps"]] == ["Mark it", "Restart it on web-01"]


async def test_what_a_chain_did_is_taken_back_last_one_first(sqlite: Database) -> None:
    async with a_house_of_chains(sqlite) as house:
        found = await ended(house, "switch on web-01")
        back = await house.ends(await house.engine.roll_back(found.id, BOB))

        assert back.state is State.SUCCEEDED, back.ending
        assert changes(house)[2:] == ["sudo -n systemctl start nginx", "rm /tmp/mark"]


async def test_a_runbook_that_includes_a_dangerous_one_waits_for_somebody_else(sqlite: Database) -> None:
    async with a_house_of_chains(sqlite) as house:
        answer = await house.ask("whole on web-01")
        assert answer.execution is not None
        await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        with pytest.raises(NotPermitted):
            await house.engine.approve(answer.execution.id, BOB)
        await house.engine.approve(answer.execution.id, CAROL)
        assert (await house.ends(answer)).state is State.SUCCEEDED
        assert changes(house) == ["touch /tmp/drained", "touch /tmp/mark", "sudo -n systemctl restart nginx"]


async def test_a_kill_switch_on_the_included_runbook_holds_the_whole(database: Database) -> None:
    async with a_house_of_chains(database) as house:
        await house.engine.engage(scope=Scope.RUNBOOK, subject="again", actor=ALICE)
        answer = await house.ask("switch on web-01")
        assert "kill switch (runbook again)" in answer.message
        assert house.remote.ran == []


async def test_a_kill_switch_on_the_included_runbook_stops_what_runs(database: Database) -> None:
    marking = Reply(hangs=True)
    async with a_house_of_chains(database) as house:
        house.remote.replies["touch /tmp/mark"] = marking
        answer = await house.ask("switch on web-01")
        assert answer.execution is not None
        await house.reaches(answer.execution.id, State.RUNNING)
        await house.remote.until("touch /tmp/mark")
        await house.engine.engage(scope=Scope.RUNBOOK, subject="again", actor=ALICE)
        marking.release.set()
        found = await house.ends(answer)

        assert found.state is State.CANCELLED
        assert changes(house) == ["touch /tmp/mark"]


async def test_the_cooldown_of_the_included_runbook_is_asked_for_and_begun(database: Database) -> None:
    async with a_house_of_chains(database) as house:
        assert (await ended(house, "switch on web-01")).state is State.SUCCEEDED
        refused = await ended(house, "again nginx on web-01")
        assert refused.state is State.REFUSED
        assert "again ran on web-01 less than 30 min ago" in str(refused.ending)

        assert (await ended(house, "again nginx on web-02")).state is State.SUCCEEDED
        chain = await ended(house, "switch on web-02")
        assert chain.state is State.REFUSED
        assert "again ran on web-02 less than 30 min ago" in str(chain.ending)
        assert "It is a part of switch." in str(chain.ending)
        assert await database.read(controls.locks) == []


async def test_an_open_breaker_of_the_included_runbook_holds_the_whole(database: Database) -> None:
    async with a_house_of_chains(database) as house:
        now = house.engine.tools.clock.now()
        broken = Breaker(runbook="again", host="web-01", state=BreakerState.OPEN, failures=5, opened_at=now)
        await database.write(controls.set_breakers, [broken])
        chain = await ended(house, "switch on web-01")
        assert chain.state is State.REFUSED
        assert "`/runbook breaker reset again on web-01` closes it" in str(chain.ending)
        assert (await ended(house, "switch on web-02")).state is State.SUCCEEDED


async def test_the_settings_for_the_included_runbook_hold_for_the_whole(sqlite: Database) -> None:
    def wanting(policy: Policy) -> Policy:
        demand = Demand(consent=Consent.APPROVE, rule="approvals.runbooks.again")
        return replace(policy, demands=Demands(runbooks={"again": demand}))

    async with a_house_of_chains(sqlite, change=wanting) as house:
        answer = await house.ask("switch on web-01")
        assert answer.execution is not None
        await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        await house.engine.approve(answer.execution.id, CAROL)
        assert (await house.ends(answer)).state is State.SUCCEEDED


async def test_who_may_not_run_the_included_runbook_may_not_run_the_whole(sqlite: Database) -> None:
    def limited(policy: Policy) -> Policy:
        return replace(
            policy, people=replace(policy.people, can={"UBOB": (Can(rule="roles:UBOB can", runbooks=("switch",)),)})
        )

    async with a_house_of_chains(sqlite, change=limited) as house:
        answer = await house.ask("switch on web-01")
        assert answer.message.startswith("Refused by the permission gate"), answer.message
        assert house.remote.ran == []


async def test_where_somebody_may_run_the_whole_is_where_they_may_run_its_parts(sqlite: Database) -> None:
    def narrowed(policy: Policy) -> Policy:
        can = (
            Can(rule="roles:UBOB can", runbooks=("switch",)),
            Can(rule="roles:UBOB can", runbooks=("again",), hosts=("web-02",)),
        )
        return replace(policy, people=replace(policy.people, can={"UBOB": can}))

    async with a_house_of_chains(sqlite, change=narrowed) as house:
        engine, entry = house.engine, CATALOG.get("switch")
        assert [host.name for host in engine.where(BOB, entry).hosts] == ["web-02"]
        assert engine.near_hosts("web-03", BOB, entry) == ["web-02"]
        with pytest.raises(NotFound, match="web-02") as refused:
            engine.hosts_meant(["web-03"], BOB, entry)
        assert "web-01" not in refused.value.message
        said = "\n".join(commands_of(engine)._rights("UBOB", is_other=False))
        assert "• again and switch on web-02" in said
        assert "every host" not in said


async def test_who_may_not_approve_the_included_runbook_does_not_approve_the_whole(sqlite: Database) -> None:
    def limited(policy: Policy) -> Policy:
        people = replace(
            policy.people,
            roles={**policy.people.roles, "UERIN": Role.MANAGER},
            can={"UERIN": (Can(rule="roles:UERIN can", runbooks=("whole", "switch", "again")),)},
        )
        return replace(policy, people=people)

    async with a_house_of_chains(sqlite, change=limited) as house:
        answer = await house.ask("whole on web-01")
        assert answer.execution is not None
        await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        asked = house.reporter.of(ApprovalAsked)[-1]
        assert set(asked.approvers) == {"UALICE", "UCAROL"}
        with pytest.raises(NotPermitted):
            await house.engine.approve(answer.execution.id, Actor(id="UERIN", name="erin"))
        await house.engine.approve(answer.execution.id, CAROL)
        assert (await house.ends(answer)).state is State.SUCCEEDED


async def test_a_rollback_is_held_by_a_kill_switch_on_the_included_runbook(database: Database) -> None:
    async with a_house_of_chains(database) as house:
        found = await ended(house, "switch on web-01")
        await house.engine.engage(scope=Scope.RUNBOOK, subject="again", actor=ALICE)
        back = await house.ends(await house.engine.roll_back(found.id, BOB))

        assert back.state is State.REFUSED
        assert "kill switch (runbook again)" in str(back.ending)
        assert len(changes(house)) == 2


async def test_a_result_is_passed_on_to_an_included_runbook(sqlite: Database) -> None:
    async with a_house_of_chains(sqlite) as house:
        found = await ended(house, "found on web-01")

        assert found.state is State.SUCCEEDED, found.ending
        assert changes(house) == ["touch /tmp/which", "sudo -n systemctl restart nginx"]
        assert found.services == ("nginx",)


async def test_a_result_that_is_no_value_for_the_included_runbook_plans_nothing(sqlite: Database) -> None:
    async with a_house_of_chains(sqlite) as house:
        house.remote.replies["touch /tmp/which"] = Reply(out="--now; reboot")
        found = await ended(house, "found on web-01")

        assert found.state is State.FAILED
        assert "again cannot be included" in str(found.ending)
        assert changes(house) == ["touch /tmp/which"]


def entry(kind: type[Runbook]) -> Entry:
    """As the catalog makes it."""
    return Entry(
        runbook=kind(),
        danger=kind.danger,
        cooldown=timedelta(0),
        timeout=kind.timeout,
        max_hosts=1,
        module_hash="test",
    )


def test_a_chain_without_an_end_and_one_to_nowhere_are_left_out() -> None:
    class First(Drain):
        """One."""

        name, includes = "first", ("second",)

    class Second(Drain):
        """Two."""

        name, includes = "second", ("first", "nobody")

    class Third(Drain):
        """Includes what is left out."""

        name, includes = "third", ("second",)

    kinds = (First, Second, Third, Drain)
    left_out: list[str] = []
    kept = joined({kind.name: entry(kind) for kind in kinds}, left_out)
    assert list(kept) == ["drain"]
    assert len(left_out) == 3
    assert "second includes 'first', which includes it: a chain has an end." in left_out[0]
    assert all("second includes 'nobody', which is no runbook." in said for said in left_out)


def test_what_is_not_named_cannot_be_included() -> None:
    with pytest.raises(DefinitionError, match="name it in `includes`"):
        Drain().include("again", {}, service="nginx")


def test_a_plan_with_a_further_stage_is_no_part_of_another() -> None:
    with pytest.raises(DefinitionError, match="further stage"):
        Plan(Plan(Run("Do it", "true"), then="more"))


def test_a_value_that_an_included_command_could_take_for_an_option_is_refused() -> None:
    class Takes(Runbook):
        """A word that may start with a dash would be one; Word refuses it at the door."""

        name, danger = "takes", Danger.LOW

        class Params(Parameters):
            """One."""

            word: Word = positional("a word")

        def plan(self, params: Params, facts: Facts) -> Plan:
            """Use it."""
            return Plan(Run("Use it", "touch", params.word))

    class Gives(Runbook):
        """Gives it."""

        name, danger, includes = "gives", Danger.LOW, ("takes",)

        def plan(self, params: Parameters, facts: Facts) -> Plan:
            """What the host said."""
            return Plan(self.include("takes", facts, word="-rf"))

    catalog = catalog_with(Takes, Gives)
    with pytest.raises(ValueError, match="takes cannot be included"):
        catalog.get("gives").runbook.plan(Parameters(), Facts(host="web-01"))
