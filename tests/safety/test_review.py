"""The review: what it witnesses in the transaction in which it judges."""

from datetime import timedelta

from safety.command_guard import CommandGuard, GuardException, GuardPolicy
from safety.decision import Decision, Outcome
from safety.gates import Proposal
from safety.review import Policy, review
from safety.roles import People, Role
from storage import audit
from storage.database import Database
from storage.records import Actor, Danger, Origin
from tests.fakes import START

POLICY = Policy(people=People(roles={"UBOB": Role.NOC}))
GUARD = CommandGuard(GuardPolicy(exceptions=(GuardException(name="old spool", command="rm -rf /srv/spool/2023"),)))


async def reviewed(database: Database, *commands: str) -> Decision:
    """Bob's plan with these commands."""
    proposal = Proposal(
        execution_id=None,
        actor="UBOB",
        runbook="clear-spool",
        danger=Danger.LOW,
        hosts=("web-01", "web-02"),
        services=(),
        tags=(),
        cooldown=timedelta(0),
        max_hosts=3,
        fingerprint="f" * 64,
        commands=tuple(GUARD.judge(command) for command in commands),
    )
    return await database.write(
        lambda connection: review(
            connection, proposal, POLICY, now=START, actor=Actor(id="UBOB"), origin=Origin.COMMAND
        )
    )


async def test_an_exception_that_is_used_is_in_the_audit_with_its_decision(database: Database) -> None:
    decision = await reviewed(database, "uptime", "rm -rf /srv/spool/2023", "rm -rf /srv/spool/2023")
    assert decision.outcome is Outcome.ALLOW
    used, decided = await database.read(audit.search, limit=2)
    assert (used.kind, decided.kind) == ("guard.exception_used", "decision.allow")
    assert used.data == {
        "exception": "old spool",
        "commands": ["rm -rf /srv/spool/2023"],
        "runbook": "clear-spool",
        "hosts": ["web-01", "web-02"],
        "fingerprint": "f" * 64,
        "decision": "allow",
    }
    guard = next(verdict for verdict in decided.data["verdicts"] if verdict["gate"] == "command guard")
    assert guard["rule"] == "team.exception"
    assert guard["reason"] == "3 commands understood; allowed by the team's exception 'old spool'"


async def test_an_exception_that_helps_a_refused_plan_is_in_the_audit_too(database: Database) -> None:
    decision = await reviewed(database, "rm -rf /srv/spool/2023", "reboot")
    assert decision.outcome is Outcome.REFUSE
    used = (await database.read(audit.search, words=("guard.exception_used",)))[0]
    assert used.data["decision"] == "refuse"


async def test_a_plan_without_exceptions_leaves_one_entry(database: Database) -> None:
    await reviewed(database, "uptime")
    assert [entry.kind for entry in await database.read(audit.search)] == ["decision.allow"]
