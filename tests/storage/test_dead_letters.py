"""Dead letters in SQL: found by the beginning of an id, counted, moved once, announced once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import dead_letters as words
from bot.dead_letters import SHELL, Asked
from storage import audit, dead_letters, outbox
from storage.database import Database
from storage.dead_letters import Count, Requeued
from storage.errors import Invalid, NotFound, OperatorError, TooLate
from storage.records import Actor, Origin, OutboxKind, OutboxState

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
ALICE = Asked(actor=Actor(id="UALICE", name="alice"), origin=Origin.COMMAND, door=SHELL, now=NOW)


def said(connection: Connection, number: str) -> None:
    """It waited, and Slack took it."""
    begun = outbox.begin(connection, number)
    assert begun is not None
    outbox.sent(connection, begun, now=NOW, ts="1.2")


def bury(
    connection: Connection,
    number: str,
    *,
    error: str = "is_archived",
    kind: OutboxKind = OutboxKind.ALERT,
    key: str | None = None,
    payload: Mapping[str, Any] | None = None,
    at: datetime = NOW,
) -> None:
    """A dead letter with this id."""
    outbox.put(
        connection,
        id=number,
        kind=kind,
        method="post",
        payload=payload or {"text": f"letter {number}"},
        now=at,
        channel="C1",
        execution_id=7 if key else None,
        coalesce_key=key,
    )
    outbox.begin(connection, number)
    outbox.bury(connection, number, now=at, error=error)


async def state_of(database: Database, number: str) -> OutboxState | None:
    """How that message stands."""
    return await database.read(dead_letters.state_now, number)


async def test_they_are_counted_by_kind_and_error_as_what_they_were(database: Database) -> None:
    rerouted = {"text": "it ended", "rerouted": {"kind": "ending", "channel": "C9", "coalesce_key": None}}

    def fill(connection: Connection) -> None:
        bury(connection, "a1", payload=rerouted)
        bury(connection, "a2", payload=rerouted)
        bury(connection, "a3", kind=OutboxKind.ANSWER, error="user_not_found")

    await database.write(fill)
    counts = await database.read(dead_letters.counts)
    assert counts == [
        Count(kind=OutboxKind.ENDING, error="is_archived", number=2),
        Count(kind=OutboxKind.ANSWER, error="user_not_found", number=1),
    ]
    assert words.counts_words(counts) == "3 dead letters: 2 endings (is_archived), 1 answer (user_not_found)"


async def test_an_id_may_be_cut_short_as_far_as_it_is_clear(database: Database) -> None:
    for number in ("abcdef01", "abcdef02", "abcdef"):
        await database.write(bury, number)
    assert (await database.read(words.find, "ABCDEF01", SHELL)).id == "abcdef01"
    assert (await database.read(words.find, "#abcdef", SHELL)).id == "abcdef"
    with pytest.raises(Invalid, match="beginning of several"):
        await database.read(words.find, "abc", SHELL)
    for nothing in ("", "%", "_", "abcdef03", "*"):
        with pytest.raises(NotFound, match="handrail dead-letters list"):
            await database.read(words.find, nothing, SHELL)


async def test_the_ids_of_a_list_are_long_enough_to_be_clear(database: Database) -> None:
    for number in ("abcdef0123", "abcdef0145", "123456"):
        await database.write(bury, number)
    found = await database.read(words.listing, 2)
    assert (found.length, found.total, len(found.shown)) == (9, 3, 2)
    for shown in found.shown:
        assert (await database.read(words.find, shown.id[: found.length], SHELL)).id == shown.id


async def test_of_two_who_requeue_at_once_one_does_and_the_other_is_told(database: Database) -> None:
    await database.write(bury, "abcdef01")
    done = await asyncio.gather(
        *(database.write(words.requeue, ["abcdef01"], ALICE) for _ in range(2)), return_exceptions=True
    )
    [moved] = [one for one in done if isinstance(one, words.Moved)]
    [refused] = [one for one in done if isinstance(one, OperatorError)]
    assert moved.moved == ["abcdef01"]
    assert isinstance(refused, TooLate)
    assert refused.message == "'abcdef01' is no dead letter any more: it waits to be said again."
    assert [entry.kind for entry in await database.read(audit.search)] == ["dead_letter.requeued"]


async def test_one_that_was_said_meanwhile_is_no_dead_letter_any_more(database: Database) -> None:
    await database.write(bury, "abcdef01")
    await database.write(words.requeue, ["abcdef01"], ALICE)
    await database.write(said, "abcdef01")
    with pytest.raises(TooLate, match="it was said"):
        await database.write(words.discard, ["abcdef01"], ALICE)
    await database.write(outbox.bury, "abcdef01", now=NOW, error="too late")
    assert await state_of(database, "abcdef01") is OutboxState.SENT


async def test_all_or_none_are_moved_and_each_is_witnessed(database: Database) -> None:
    for number in ("abcdef01", "abcdef02"):
        await database.write(bury, number)
    with pytest.raises(NotFound):
        await database.write(words.discard, ["abcdef01", "nosuchone"], ALICE)
    assert await database.read(audit.search) == []
    moved = await database.write(words.discard, ["abcdef02", "abcdef01", "abcdef02"], ALICE)
    assert sorted(moved.moved) == ["abcdef01", "abcdef02"]
    entries = await database.read(audit.search)
    assert [entry.kind for entry in entries] == ["dead_letter.discarded"] * 2
    assert entries[0].actor == "UALICE"
    assert {entry.data["letter"] for entry in entries} == {"alert for C1"}
    assert {entry.data["error"] for entry in entries} == {"is_archived"}


async def test_only_requeueing_takes_all(database: Database) -> None:
    for number in ("abcdef01", "abcdef02"):
        await database.write(bury, number)
    with pytest.raises(Invalid, match="takes ids"):
        await database.write(words.discard, ["all"], ALICE)
    moved = await database.write(words.requeue, ["ALL"], ALICE)
    assert words.requeued_words(moved, SHELL) == "2 dead letters will be said again."
    assert await database.read(dead_letters.ids) == []
    again = await database.write(words.requeue, ["all"], ALICE)
    assert words.requeued_words(again, SHELL) == "There are no dead letters."


async def test_of_two_with_one_key_the_newer_words_are_said(database: Database) -> None:
    await database.write(bury, "abcdef01", key="step:7", kind=OutboxKind.PROGRESS)
    await database.write(bury, "abcdef02", key="step:7", kind=OutboxKind.PROGRESS, at=NOW + timedelta(seconds=1))
    assert await database.write(dead_letters.requeue, "abcdef01", NOW) is Requeued.OVERTAKEN
    await database.write(words.requeue, ["all"], ALICE)
    waiting = [one.message for one in await database.read(outbox.ready, NOW + timedelta(minutes=1))]
    assert [one.payload["text"] for one in waiting] == ["letter abcdef02"]


async def test_one_that_is_out_of_date_is_left_and_said_to_be(database: Database) -> None:
    await database.write(bury, "abcdef01", key="step:7", kind=OutboxKind.PROGRESS)

    def newer(connection: Connection) -> None:
        outbox.put(
            connection,
            id="newer",
            kind=OutboxKind.PROGRESS,
            method="post",
            payload={"text": "newer"},
            now=NOW + timedelta(seconds=5),
            channel="C1",
            execution_id=7,
            coalesce_key="step:7",
        )
        said(connection, "newer")

    await database.write(newer)
    with pytest.raises(TooLate, match="out of date"):
        await database.write(words.requeue, ["abcdef"], ALICE)
    moved = await database.write(words.requeue, ["all"], ALICE)
    assert (moved.moved, moved.overtaken) == ([], ["abcdef01"])
    assert "1 is out of date" in words.requeued_words(moved, SHELL)


async def test_an_announcement_is_claimed_once_by_many_and_loses_none(migrated_url: str) -> None:
    replicas = [Database(migrated_url) for _ in range(3)]
    for replica in replicas:
        await replica.start()
    try:
        for round_ in range(3):
            now = NOW + timedelta(minutes=11 * round_)
            await asyncio.gather(
                *(replicas[i % 3].write(bury, f"letter{round_}{i}") for i in range(6)),
                *(replica.write(words.announce, channel="C0OPS", now=now) for replica in replicas * 3),
            )
            await replicas[0].write(say_all)
            await replicas[0].write(words.announce, channel="C0OPS", now=now + timedelta(minutes=10, seconds=1))
            await replicas[0].write(say_all)
        said = await replicas[0].read(announced)
    finally:
        for replica in replicas:
            await replica.close()
    assert sum(said) == 18
    assert len(said) <= 6
    assert 0 not in said


def say_all(connection: Connection) -> None:
    """Whatever waits was said."""
    for one in outbox.ready(connection, NOW + timedelta(days=1)):
        said(connection, one.message.id)


def announced(connection: Connection) -> list[int]:
    """How many letters each announcement told of."""
    from sqlalchemy import select

    from storage import tables as t

    rows = connection.execute(select(t.outbox.c.payload).where(t.outbox.c.coalesce_key == dead_letters.ANNOUNCEMENT))
    return [int(row.payload["text"].split("*")[1].split()[0]) for row in rows]


async def test_what_an_undelivered_announcement_told_of_is_untold(database: Database) -> None:
    await database.write(bury, "abcdef01")
    assert await database.write(words.announce, channel="C0OPS", now=NOW) == words.EVERY
    assert await database.read(dead_letters.unannounced) == 0
    [waiting] = await database.read(outbox.ready, NOW)
    assert await database.write(dead_letters.not_announced, waiting.message) == 1
    assert await database.read(dead_letters.unannounced) == 1
    wait = await database.write(words.announce, channel="C0OPS", now=NOW + timedelta(minutes=4))
    assert wait == timedelta(minutes=6)
    assert await database.write(words.announce, channel="C0OPS", now=NOW + timedelta(minutes=10)) == words.EVERY
    assert await database.read(dead_letters.unannounced) == 0


async def test_they_are_never_pruned(database: Database) -> None:
    await database.write(bury, "abcdef01")
    assert await database.write(outbox.prune, before=NOW + timedelta(days=3_650)) == 0


async def test_of_two_that_wait_to_be_said_elsewhere_the_newer_words_are(database: Database) -> None:
    def sent_elsewhere(connection: Connection, number: str) -> None:
        outbox.put(
            connection,
            id=number,
            kind=OutboxKind.APPROVAL,
            method="post",
            payload={"text": f"letter {number}"},
            now=NOW,
            channel="C1",
            execution_id=7,
            coalesce_key="approval:7:1",
        )
        outbox.begin(connection, number)
        outbox.reroute(connection, number, channel="C9", now=NOW, kind=OutboxKind.ALERT)

    for number in ("first", "second"):
        await database.write(sent_elsewhere, number)
    [waiting] = [one.message for one in await database.read(outbox.ready, NOW)]
    assert (waiting.id, waiting.channel, waiting.coalesce_key) == ("first", "C9", "approval:7:1@C9")
    assert waiting.payload["text"] == "letter second"
    assert waiting.payload["rerouted"] == {"kind": "approval", "channel": "C1", "coalesce_key": "approval:7:1"}


@pytest.mark.parametrize(
    ("error", "move"),
    [
        ("not_in_channel", "/invite @handrail"),
        ("channel_not_found", "/invite @handrail"),
        ("is_archived", "unarchive"),
        ("restricted_action_read_only_channel", "posting permissions"),
        ("user_not_found", "discard"),
        ("missing_scope", "handrail doctor"),
        ("invalid_blocks", "read them here"),
        ("thread_not_found", "by itself"),
        ("it could not be said within 30 minutes", "direct message"),
        ("the sender failed (KeyError)", "traceback"),
        ("something_new", "what Slack means"),
    ],
)
async def test_every_error_comes_with_the_next_move(sqlite: Database, error: str, move: str) -> None:
    await sqlite.write(bury, "abcdef01", error=error)
    [letter] = await sqlite.read(dead_letters.newest)
    said = words.advice(letter, SHELL)
    assert move in said
    assert "handrail dead-letters " in said


async def test_what_one_says_is_shown_as_characters_and_never_its_response_url(sqlite: Database) -> None:
    payload = {
        "text": "&lt;rm -rf&gt; <@UALICE> " + "x" * 5_000,
        "user": "UBOB",
        "response_url": "https://hooks.slack.example/secret",
    }
    await sqlite.write(bury, "abcdef01", kind=OutboxKind.ANSWER, payload=payload)
    [letter] = await sqlite.read(dead_letters.newest)
    shown = str(words.show_message(letter, with_text=True))
    assert "&lt;rm -rf&gt; &lt;@UALICE&gt;" in shown
    assert "more characters" in shown
    for everything in (shown, str(words.as_json(letter)), str(words.facts(letter, SHELL))):
        assert "hooks.slack.example" not in everything
    hidden = words.show_message(replace(letter, payload=payload), with_text=False)
    assert "rm -rf" not in str(hidden)
