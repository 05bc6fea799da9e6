"""What Slack would not take, looked at and moved from Slack."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from bot.demo import Demo
from storage import audit, dead_letters, outbox
from storage.records import OutboxKind

PATIENCE = 20.0


async def told(running: Demo, person: str, text: str, said: str) -> str:
    """What they are told in answer to this, once it holds these words."""
    before = len(running.workspace.ephemeral(person, "incidents"))
    ack = await running.workspace.command(person, "incidents", text)
    assert ack.ok

    def answer() -> str | None:
        new = running.workspace.ephemeral(person, "incidents")[before:]
        return next((f"{m.text}\n{m.blocks}" for m in new if said in f"{m.text}\n{m.blocks}"), None)

    return await running.workspace.wait_for(lambda _: answer(), timeout=PATIENCE)


def bury(connection: Connection, number: str, kind: OutboxKind, text: str, user: str | None = None) -> None:
    """A dead letter for a channel that is not there."""
    payload = {"text": text} if user is None else {"text": text, "user": user}
    now = datetime.now(UTC)
    outbox.put(connection, id=number, kind=kind, method="post", payload=payload, now=now, channel="C0NONE")
    outbox.begin(connection, number)
    outbox.bury(connection, number, now=now, error="channel_not_found")


@pytest.fixture
async def buried(running: Demo) -> Demo:
    """Two dead letters: an alert, and an answer that Alice alone may read."""
    running.workspace.add_channel(id="C0NONE", name="none", private=True, bot_is_member=False)
    await running.app.database.write(bury, "aaaaaaaa01", OutboxKind.ALERT, "the disk is full")
    await running.app.database.write(bury, "bbbbbbbb02", OutboxKind.ANSWER, "who did what", "UALICE")
    return running


async def test_they_are_listed_and_shown_to_whoever_sees_executions(buried: Demo) -> None:
    listed = await told(buried, "bob", "/runbook dead-letters", "2 dead letters")
    assert "`aaaaaa` alert for <#C0NONE>" in listed
    assert "who did what" not in listed
    shown = await told(buried, "bob", "/runbook dead-letters show aaaaaa", "the disk is full")
    assert "/invite @handrail" in shown
    hidden = await told(buried, "bob", "/runbook dead-letters show bbbbbb", "for its reader")
    assert "who did what" not in hidden
    await told(buried, "alice", "/runbook dead-letters show bbbbbb", "who did what")
    await told(buried, "dave", "/runbook dead-letters", "executions.read")


async def test_moving_them_takes_audit_read_and_is_witnessed(buried: Demo) -> None:
    await told(buried, "bob", "/runbook dead-letters requeue aaaaaa", "audit.read")
    await told(buried, "bob", "/runbook dead-letters discard aaaaaa", "audit.read")
    buried.workspace.invite("C0NONE", "handrail")
    await told(buried, "alice", "/runbook dead-letters requeue aaaaaa", "1 dead letter will be said again.")
    await buried.workspace.wait_for(
        lambda here: any("the disk is full" in m.text for m in here.messages("none")), timeout=PATIENCE
    )
    await told(buried, "alice", "/runbook dead-letters requeue aaaaaa", "no dead letter any more: it was said")
    await told(buried, "alice", "/runbook dead-letters discard bbbbbb", "1 dead letter discarded.")
    await told(buried, "alice", "/runbook dead-letters requeue all", "There are no dead letters.")
    assert await buried.app.database.read(dead_letters.ids) == []
    entries = [e for e in await buried.app.database.read(audit.search) if e.kind.startswith("dead_letter.")]
    assert [(e.kind, e.actor, e.origin) for e in entries] == [
        ("dead_letter.discarded", "UALICE", "command"),
        ("dead_letter.requeued", "UALICE", "command"),
    ]


async def test_what_is_not_understood_is_answered_with_what_there_is(buried: Demo) -> None:
    await told(buried, "alice", "/runbook dead-letters burn aaaaaa", "has list, show, requeue, discard")
    await told(buried, "alice", "/runbook dead-letters show cccccc", "There is no dead letter")
    await told(buried, "alice", "/runbook dead-letters discard all", "takes ids")
