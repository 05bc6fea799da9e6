"""Who may consent to what, how many must, and what becomes of it: on both databases, by the engine's own doors."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbooks.answer import Answer
from runbooks.progress import ApprovalAsked, ApprovalDecided, ApprovalReminded, ApprovalVoted
from runbooks.remote import Host
from safety.approval import Demand, Demands
from safety.review import Policy
from safety.roles import Can, Role
from storage import audit, executions
from storage.database import Database
from storage.errors import NotPermitted, TooLate
from storage.records import Actor, Consent, Origin, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, hosts
from tests.runbooks.test_engine import OURS, TOUCH
from tests.safety.test_roles import Groups

ERIN, FRANK = Actor(id="UERIN", name="erin"), Actor(id="UFRANK", name="frank")
INVENTORY = replace(
    hosts(),
    hosts=(
        Host(name="web-01", address="192.0.2.1", user="ops", tags=frozenset({"web"}), environment="staging"),
        Host(name="web-02", address="192.0.2.2", user="ops", tags=frozenset({"web", "Prod"}), environment="prod"),
    ),
)


def asks(quorum: int = 1, group: str | None = None, rule: str = "approvals.runbooks.drain") -> Demand:
    """So many others."""
    return Demand(consent=Consent.APPROVE, quorum=quorum, group=group, rule=rule)


def wanting(
    *,
    roles: Mapping[str, Role] | None = None,
    groups: Groups | None = None,
    can: Mapping[str, tuple[Can, ...]] | None = None,
    **demands: Any,
) -> Callable[[Policy], Policy]:
    """More people than usual, and these demands."""
    more = {"UERIN": Role.MANAGER, "UFRANK": Role.MANAGER} if roles is None else dict(roles)

    def change(policy: Policy) -> Policy:
        people = replace(policy.people, roles={**policy.people.roles, **more}, can=can or {})
        changed = replace(policy, people=people, demands=Demands(**demands) if demands else policy.demands)
        return replace(changed, directory=groups) if groups is not None else changed

    return change


def a_house_of_ours(database: Database, **more: Any) -> Any:
    """With runbooks that touch files."""
    return a_house(database, replies=TOUCH, catalog=OURS, inventory=INVENTORY, **more)


async def waits(house: House, text: str = "drain a on web-01", by: Actor = BOB) -> int:
    """Asked for, planned, and waiting for an approval."""
    answer = await house.ask(text, by=by)
    assert answer.execution is not None, answer.message
    execution = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL, State.REFUSED, State.FAILED)
    assert execution.state is State.AWAITING_APPROVAL, execution.ending
    return execution.id


async def kinds(database: Database, execution_id: int) -> list[str]:
    """What the audit has of it."""
    return [e.kind for e in await database.read(audit.search, execution_id=execution_id, limit=500)]


async def test_two_must_say_yes_and_the_first_is_told_who_else_is_needed(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        asked = house.reporter.of(ApprovalAsked)[0]
        assert (asked.needs, asked.approval.quorum) == (("2 others",), 2)
        assert "2 others must approve it" in asked.why
        assert "approvals.runbooks.drain" in asked.why
        said = await house.engine.approve(number, CAROL)
        assert "Still needed: somebody else" in said.message
        assert (await house.get(number)).state is State.AWAITING_APPROVAL
        [voted] = house.reporter.of(ApprovalVoted)
        assert voted.asked.approval.votes == ("UCAROL",)
        assert voted.asked.plan == asked.plan
        assert voted.asked.why == asked.why
        with pytest.raises(NotPermitted, match="You have approved #1 already"):
            await house.engine.approve(number, CAROL)
        with pytest.raises(NotPermitted, match="You asked for #1 yourself"):
            await house.engine.approve(number, BOB)
        await house.engine.approve(number, ERIN)
        assert (await house.reaches(number)).state is State.SUCCEEDED
        [decided] = house.reporter.of(ApprovalDecided)
        assert decided.approval.votes == ("UCAROL", "UERIN")
        found = await kinds(database, number)
        assert (found.count("approval.vote"), found.count("approval.given")) == (1, 1)


async def test_of_a_hundred_clicks_of_two_people_one_gives_it(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        clicks = [house.engine.approve(number, who) for who in (CAROL, ERIN) * 50]
        results = await asyncio.gather(*clicks, return_exceptions=True)
        answers = [r for r in results if isinstance(r, Answer)]
        assert len(answers) == 2
        assert {type(r) for r in results} <= {Answer, NotPermitted, TooLate}
        assert (await house.reaches(number)).state is State.SUCCEEDED
        found = await kinds(database, number)
        assert (found.count("approval.vote"), found.count("approval.given")) == (1, 1)
        assert house.remote.count("touch") == 2, "it ran once"


async def test_of_a_hundred_clicks_in_three_processes_one_gives_it(database: Database, migrated_url: str) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        pipe = asyncio.subprocess.PIPE
        line = (sys.executable, "-m", "tests.runbooks.voters", migrated_url, str(number))
        voters = [await asyncio.create_subprocess_exec(*line, stdin=pipe, stdout=pipe) for _ in range(3)]
        ready = [await asyncio.wait_for(voter.stdout.readline(), 60) for voter in voters if voter.stdout is not None]
        assert ready == [b"ready\n"] * 3
        said = await asyncio.gather(*(voter.communicate(b"go\n") for voter in voters))
        assert sum(int(out) for out, _ in said) == 2
        assert (await house.reaches(number)).state is State.SUCCEEDED
        found = await kinds(database, number)
        assert (found.count("approval.vote"), found.count("approval.given")) == (1, 1)
        assert house.remote.count("touch") == 2


async def test_a_hundred_clicks_of_one_person_are_one_yes(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        results = await asyncio.gather(
            *(house.engine.approve(number, CAROL) for _ in range(100)), return_exceptions=True
        )
        assert sum(isinstance(r, Answer) for r in results) == 1
        assert (await house.get(number)).state is State.AWAITING_APPROVAL


async def test_a_group_s_quorum_takes_its_members_who_may_approve(database: Database) -> None:
    groups = Groups({"S0DBA": frozenset({"UERIN", "UFRANK", "UDAVE"})})
    change = wanting(groups=groups, runbooks={"drain": asks(2, "S0DBA")})
    async with a_house_of_ours(database, change=change) as house:
        number = await waits(house)
        assert house.reporter.of(ApprovalAsked)[0].approvers == ("S0DBA",)
        with pytest.raises(NotPermitted, match="needs the approval of 2 of S0DBA, and you are not one of them"):
            await house.engine.approve(number, CAROL)
        with pytest.raises(NotPermitted, match=r"runbooks\.approve"):
            await house.engine.approve(number, DAVE)
        await house.engine.approve(number, ERIN)
        await house.engine.approve(number, FRANK)
        assert (await house.reaches(number)).state is State.SUCCEEDED


async def test_what_danger_runbook_and_tag_ask_for_must_all_be_given(database: Database) -> None:
    groups = Groups({"S0DBA": frozenset({"UFRANK"})})
    change = wanting(
        groups=groups, runbooks={"drain": asks(2)}, tags={"prod": asks(1, "S0DBA", rule="approvals.tags.prod")}
    )
    async with a_house_of_ours(database, change=change) as house:
        number = await waits(house, "drain a on web-02")
        await house.engine.approve(number, CAROL)
        said = await house.engine.approve(number, ERIN)
        assert "Still needed: 1 of S0DBA" in said.message
        await house.engine.approve(number, FRANK)
        assert (await house.reaches(number)).state is State.SUCCEEDED


async def test_a_tag_asks_for_an_approval_of_what_would_run_at_once_elsewhere(database: Database) -> None:
    change = wanting(tags={"prod": asks(rule="approvals.tags.prod"), "env:staging": Demand(consent=Consent.CONFIRM)})
    async with a_house_of_ours(database, change=change) as house:
        number = await waits(house, "steady a on web-02")
        await house.engine.approve(number, CAROL)
        assert (await house.reaches(number)).state is State.SUCCEEDED
        own = await waits(house, "steady b on web-01")
        with pytest.raises(NotPermitted, match="Only <@UBOB>"):
            await house.engine.approve(own, CAROL)
        await house.engine.approve(own, BOB)
        assert (await house.reaches(own)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (asks(4), "needs the approval of 4 others, and only 3 people besides you may approve it on web-01"),
        (asks(2, "S0DBA"), "needs the approval of 2 of S0DBA, and only 1 person besides you in S0DBA may approve"),
        (asks(1, "S0NONE"), "needs the approval of 1 of S0NONE, and nobody but you in S0NONE may approve"),
    ],
)
async def test_a_quorum_nobody_can_reach_is_refused_at_once(database: Database, demand: Demand, said: str) -> None:
    groups = Groups({"S0DBA": frozenset({"UERIN", "UALICE"}), "S0NONE": frozenset()})
    change = wanting(groups=groups, runbooks={"drain": demand})
    async with a_house_of_ours(database, change=change) as house:
        ended = await house.ends(await house.ask("drain a on web-01", by=ALICE))
        assert ended.state is State.REFUSED
        assert said in ended.ending
        assert house.remote.count("touch") == 0


async def test_only_whose_rights_cover_that_runbook_there_may_approve(database: Database) -> None:
    can = {
        "UALICE": (Can(rule="roles:UALICE can", hosts=("env:staging",)),),
        "UCAROL": (Can(rule="roles:UCAROL can", runbooks=("restart-service",)),),
    }
    async with a_house_of_ours(database, change=wanting(roles={}, can=can)) as house:
        number = await waits(house)
        assert house.reporter.of(ApprovalAsked)[0].approvers == ("UALICE",)
        with pytest.raises(NotPermitted, match=r"drain is outside .*roles:UCAROL can\.runbooks"):
            await house.engine.approve(number, CAROL)
        await house.engine.approve(number, ALICE)
        assert (await house.reaches(number)).state is State.SUCCEEDED
        refused = await house.ends(await house.ask("drain b on web-02"))
        assert refused.state is State.REFUSED
        assert "nobody but you may approve it on web-02" in refused.ending


async def test_an_approver_who_lost_the_right_before_the_run_starts_no_longer_counts(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        await house.engine.approve(number, CAROL)
        policy = house.engine.policy
        roles = {name: role for name, role in policy.people.roles.items() if name != "UCAROL"}
        house.engine.govern(replace(policy, people=replace(policy.people, roles=roles)))
        said = await house.engine.approve(number, ERIN)
        assert "Still needed: somebody else" in said.message, "Carol's yes counts no more"
        await house.engine.approve(number, FRANK)
        assert (await house.reaches(number)).state is State.SUCCEEDED


async def test_a_given_approval_is_judged_again_when_the_run_is_admitted(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting(runbooks={"drain": asks(2)})) as house:
        number = await waits(house)
        for task in house.running:  # nobody admits it meanwhile
            task.cancel()
        await asyncio.gather(*house.running, return_exceptions=True)
        await house.engine.approve(number, CAROL)
        await house.engine.approve(number, ERIN)
        policy = house.engine.policy
        roles = {name: role for name, role in policy.people.roles.items() if name != "UCAROL"}
        house.engine.govern(replace(policy, people=replace(policy.people, roles=roles)))
        house.running[:] = [asyncio.create_task(house.owner.run())]
        async with asyncio.timeout(10):
            while len(house.reporter.of(ApprovalAsked)) < 2:
                await asyncio.sleep(0.01)
        assert (await house.reaches(number, State.AWAITING_APPROVAL)).started_at is None
        assert house.remote.count("touch") == 0
        assert house.reporter.of(ApprovalAsked)[1].approval.votes == ()


async def test_a_denial_carries_its_reason_and_is_not_limited_by_can(database: Database) -> None:
    can = {"UCAROL": (Can(rule="roles:UCAROL can", hosts=("web-02",)),)}
    async with a_house_of_ours(database, change=wanting(can=can)) as house:
        number = await waits(house)
        with pytest.raises(NotPermitted, match="You may not deny #1"):
            await house.engine.deny(number, DAVE, reason="no")
        await house.engine.deny(number, CAROL, reason="wrong host", origin=Origin.COMMAND)
        ended = await house.reaches(number)
        assert (ended.state, ended.ending) == (State.DENIED, "denied by <@UCAROL>: wrong host")
        [decided] = house.reporter.of(ApprovalDecided)
        assert decided.approval.reason == "wrong host"
        with pytest.raises(TooLate, match="It was denied by <@UCAROL>"):
            await house.engine.approve(number, ERIN)


async def test_the_request_shows_the_last_results_there(database: Database) -> None:
    async with a_house_of_ours(database, change=wanting()) as house:
        first = await waits(house)
        await house.engine.approve(first, CAROL)
        await house.reaches(first)
        denied = await waits(house, "drain b on web-02")
        await house.engine.deny(denied, CAROL)
        again = await house.ask("drain c on web-01,web-02", by=ALICE)
        assert again.execution is not None
        found = await database.read(executions.last_on, "drain", ["web-01", "web-02"], before=again.execution.id)
        assert [e.id for e in found] == [first], "what was denied says nothing about how it goes"
        assert await database.read(executions.last_on, "drain", ["web-02"], before=99) == []


async def test_the_reminder_names_what_is_missing_and_nobody_who_has_said_yes(database: Database) -> None:
    change = wanting(roles={"UERIN": Role.MANAGER}, runbooks={"drain": asks(2)})
    async with a_house_of_ours(
        database, change=lambda p: replace(change(p), expire=timedelta(seconds=3), notify="S0ONCALL")
    ) as house:
        number = await waits(house)
        await house.engine.approve(number, CAROL)
        async with asyncio.timeout(10):
            while not house.reporter.of(ApprovalReminded):
                await asyncio.sleep(0.02)
        [reminded] = house.reporter.of(ApprovalReminded)
        assert reminded.approvers == ("UALICE", "UERIN")
        assert (reminded.missing, reminded.approval.votes) == (("somebody else",), ("UCAROL",))
        ended = await house.reaches(number)
        assert ended.state is State.EXPIRED
        [expired] = house.reporter.of(ApprovalDecided)
        assert expired.approval.votes == ("UCAROL",)
        assert expired.approval.reminded_at is not None


async def test_a_person_within_their_rights_runs_and_outside_of_them_touches_nothing(database: Database) -> None:
    can = {"UBOB": (Can(rule="roles:UBOB can", runbooks=("steady",), hosts=("env:staging",), max_hosts=1),)}
    async with a_house_of_ours(database, change=wanting(can=can)) as house:
        assert (await house.ends(await house.ask("steady a on web-01"))).state is State.SUCCEEDED
        touched = len(house.remote.ran)
        for text, rule in (
            ("steady b on web-02", "roles:UBOB can.hosts"),
            ("steady b on env:prod", "roles:UBOB can.hosts"),
            ("steady b on tag:web", "roles:UBOB can.hosts"),
            ("drain b on web-01", "roles:UBOB can.runbooks"),
        ):
            answer = await house.ask(text)
            assert answer.decision is not None
            assert answer.decision.refusal is not None, text
            assert (answer.decision.refusal.gate, answer.decision.refusal.rule) == ("permission", rule)
        assert len(house.remote.ran) == touched, "nothing was looked at either"
        refused = answer.execution
        assert refused is not None
        with pytest.raises(NotPermitted, match=r"drain is outside .*\(roles:UBOB can\.runbooks\)"):
            await house.engine.roll_back(refused.id, BOB)


async def test_too_many_hosts_for_one_s_rights_is_the_blast_radius_and_is_said_before_any_look(
    database: Database,
) -> None:
    can = {"UBOB": (Can(rule="roles:UBOB can", max_hosts=1),)}
    async with a_house_of_ours(database, change=wanting(can=can)) as house:
        answer = await house.ask("steady a on web-01,web-02")
        assert answer.decision is not None
        assert answer.decision.refusal is not None
        assert answer.decision.refusal.gate == "blast radius"
        assert answer.decision.refusal.rule == "roles:UBOB can.max_hosts"
        assert house.remote.ran == []
