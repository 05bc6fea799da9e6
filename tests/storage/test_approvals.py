"""Approvals and their votes, on both databases."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import Connection

from runbooks.plans import StoredPlan
from storage import approvals
from storage.database import Database
from storage.records import Approval, ApprovalState, Consent
from tests.builders import admit, catalog_with
from tests.fakes import START

LATER = START + timedelta(minutes=5)


def asked(connection: Connection) -> Approval:
    """Two of a group are asked."""
    execution = admit(connection, catalog_with().get("restart-service"), StoredPlan(hosts=()), now=START)
    return approvals.ask(
        connection,
        execution.id,
        fingerprint="f" * 64,
        kind=Consent.APPROVE,
        now=START,
        expire=timedelta(minutes=15),
        quorum=2,
        group="S0DBA",
    )


async def test_votes_are_kept_in_their_order_and_nobody_votes_twice(database: Database) -> None:
    approval = await database.write(asked)
    assert (approval.quorum, approval.group, approval.votes) == (2, "S0DBA", ())
    assert await database.write(approvals.vote, approval.id, by="UCAROL", said_at=LATER)
    assert await database.write(approvals.vote, approval.id, by="UALICE", said_at=LATER + timedelta(seconds=1))
    assert not await database.write(approvals.vote, approval.id, by="UCAROL", said_at=LATER + timedelta(seconds=2))
    found = await database.read(approvals.find_waiting, approval.execution_id)
    assert found is not None
    assert found.votes == ("UCAROL", "UALICE")
    assert await database.read(approvals.waiting) == [found]


async def test_of_a_hundred_votes_of_two_people_two_are_kept(database: Database) -> None:
    approval = await database.write(asked)
    people = ["UCAROL", "UALICE"] * 50
    kept = await asyncio.gather(*(database.write(approvals.vote, approval.id, by=p, said_at=LATER) for p in people))
    assert sum(kept) == 2


async def test_a_vote_comes_too_late_after_the_end_of_its_time_and_after_a_decision(database: Database) -> None:
    approval = await database.write(asked)
    late: datetime = approval.expires_at
    assert not await database.write(approvals.vote, approval.id, by="UCAROL", said_at=late)
    denied = await database.write(
        approvals.decide, approval.execution_id, to=ApprovalState.DENIED, by="UALICE", now=LATER, reason="wrong host"
    )
    assert denied is not None
    assert (denied.state, denied.reason, denied.votes) == (ApprovalState.DENIED, "wrong host", ())
    assert not await database.write(approvals.vote, approval.id, by="UCAROL", said_at=LATER)
