"""The audit can only grow, and shows what was done to it behind its back."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage import audit, executions
from storage import tables as t
from storage.canonical import canonical
from storage.database import Database
from storage.errors import Invalid
from storage.records import HANDRAIL, Actor, Danger, Origin, Priority, State
from tests.fakes import START

UNLOCK = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["ALTER TABLE audit DISABLE TRIGGER USER"],
}


def witness(connection: Connection, number: int) -> None:
    """One entry."""
    audit.append(
        connection, at=START, kind="test", actor=HANDRAIL, origin=Origin.ENGINE, number=number, text="a 100% _"
    )


@pytest.fixture
async def ten(database: Database) -> Database:
    """A chain of ten."""
    for number in range(10):
        await database.write(witness, number)
    return database


async def test_entries_of_one_commit_are_a_chain_whoever_fails_in_it(database: Database) -> None:
    def fails(connection: Connection) -> None:
        witness(connection, 99)
        raise ValueError("no")

    def looks(connection: Connection) -> int:
        witness(connection, 3)
        return audit.head(connection)[0]

    work: list[Callable[[Connection], Any]] = [lambda c: witness(c, 1), fails, lambda c: witness(c, 2), looks]
    done = await asyncio.gather(*(database.write(one) for one in work), return_exceptions=True)
    assert [type(one) for one in done] == [type(None), ValueError, type(None), int]
    assert done[3] == 3
    found = await database.read(audit.verify)
    assert (found.ok, found.entries) == (True, 3)


async def test_what_one_commit_has_witnessed_can_be_read_in_it(database: Database) -> None:
    def looks(connection: Connection) -> tuple[int, bool]:
        witness(connection, 1)
        seen = audit.head(connection)[0]
        witness(connection, 2)
        return seen, audit.verify(connection).ok

    assert await database.write(looks) == (1, True)
    assert (await database.read(audit.verify)).entries == 2


def behind_its_back(*statements: str) -> Callable[[Connection], None]:
    """What the database's owner can do."""

    def change(connection: Connection) -> None:
        for statement in [*UNLOCK[connection.dialect.name], *statements]:
            connection.execute(text(statement))

    return change


async def test_a_whole_chain_verifies(ten: Database) -> None:
    found = await ten.read(audit.verify)
    assert (found.ok, found.entries) == (True, 10)
    assert (await ten.read(audit.verify, against=found.head)).ok


COPY = "SELECT seq, at, 'forged', actor, origin, execution_id, data, previous, hash FROM audit WHERE seq = 3"
COLUMNS = "(seq, at, kind, actor, origin, execution_id, data, previous, hash)"


@pytest.mark.parametrize(
    ("statement", "engines"),
    [
        ("UPDATE audit SET kind = 'forged' WHERE seq = 3", "both"),
        ("DELETE FROM audit WHERE seq = 3", "both"),
        ("DELETE FROM audit", "both"),
        (f"INSERT OR REPLACE INTO audit {COLUMNS} {COPY}", "sqlite"),
        (f"REPLACE INTO audit {COLUMNS} {COPY}", "sqlite"),
        (f"INSERT INTO audit {COLUMNS} {COPY} ON CONFLICT (seq) DO UPDATE SET kind = 'forged'", "postgresql"),
        (f"INSERT INTO audit {COLUMNS} {COPY} AND true ON CONFLICT (seq) DO UPDATE SET kind = 'forged'", "sqlite"),
        (f"INSERT INTO audit {COLUMNS} SELECT 99, at, kind, actor, origin, 1, data, previous, 'x' FROM audit", "both"),
        ("TRUNCATE audit", "postgresql"),
    ],
)
async def test_the_database_itself_refuses_to_change_it(ten: Database, statement: str, engines: str) -> None:
    if engines not in {"both", "sqlite" if ten.is_sqlite else "postgresql"}:
        return  # the other engine has no such statement
    before = await ten.read(audit.verify)
    with pytest.raises(DBAPIError, match="append-only"):
        await ten.write(lambda c: c.execute(text(statement)))
    assert await ten.read(audit.verify) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE audit SET data = '{}' WHERE seq = 4", "entry 4"),
        ("UPDATE audit SET actor = 'UMALLORY' WHERE seq = 4", "entry 4"),
        ("DELETE FROM audit WHERE seq = 5", "entry 5 is missing"),
        ("DELETE FROM audit WHERE seq IN (5, 6)", "entries 5 to 6 are missing"),
        ("DELETE FROM audit WHERE seq > 8", "the newest 2 entries are missing"),
        ("DELETE FROM audit", "the newest 10 entries are missing"),
    ],
)
async def test_what_was_changed_behind_its_back_is_named(ten: Database, change: str, problem: str) -> None:
    await ten.write(behind_its_back(change))
    found = await ten.read(audit.verify)
    assert any(problem in said for said in found.problems), found.problems


async def test_swapped_entries_are_found(ten: Database) -> None:
    await ten.write(
        behind_its_back(
            "UPDATE audit SET seq = -4 WHERE seq = 4",
            "UPDATE audit SET seq = 4 WHERE seq = 5",
            "UPDATE audit SET seq = 5 WHERE seq = -4",
        )
    )
    said = (await ten.read(audit.verify)).problems
    assert {"entry 4 was changed", "entry 5 was changed"} <= set(said)


async def test_many_problems_are_bounded(ten: Database) -> None:
    await ten.write(behind_its_back("UPDATE audit SET actor = 'UMALLORY'"))
    assert len((await ten.read(audit.verify, most=3)).problems) == 3


async def test_entries_appended_during_the_walk_do_no_harm(ten: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 1)  # so that the walk takes as long as there is something to append
    walk = asyncio.ensure_future(asyncio.to_thread(asyncio.run, _verified(ten.url.render_as_string(False))))
    while not walk.done():
        await ten.write(witness, 11)
    assert (await walk).ok


async def _verified(url: str) -> audit.Verification:
    database = Database(url)
    await database.start()
    try:
        return await database.read(audit.verify)
    finally:
        await database.close()


@pytest.mark.parametrize("form", ["{hash}", "{seq}:{hash}", "#{seq} {hash}", "#{seq} `{hash}`", " {seq}:{HASH} "])
async def test_a_head_is_taken_as_it_was_printed_or_posted(ten: Database, form: str) -> None:
    seq, mark = await ten.read(audit.head)
    noted = form.format(seq=seq, hash=mark, HASH=mark.upper())
    assert (await ten.read(audit.verify, against=noted)).ok
    await ten.write(witness, 11)
    assert (await ten.read(audit.verify, against=noted)).ok


@pytest.mark.parametrize("form", ["", "latest", "10", "10:", "a" * 63, "a" * 65, f"x:{'a' * 64}", f"{'a' * 64}:3"])
async def test_what_is_no_head_is_said(ten: Database, form: str) -> None:
    with pytest.raises(Invalid, match="SEQ:HASH"):
        await ten.read(audit.verify, against=form)


async def test_a_head_newer_than_the_chain_tells_how_many_entries_were_cut_off(ten: Database) -> None:
    """The head row was set back too, so that the chain alone looks whole."""
    seq, mark = await ten.read(audit.head)
    cut = "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit WHERE seq = 7)"
    await ten.write(behind_its_back(cut, "DELETE FROM audit WHERE seq > 7"))
    assert (await ten.read(audit.verify)).ok
    (said,) = (await ten.read(audit.verify, against=f"{seq}:{mark}")).problems
    assert said.startswith("the newest 3 entries are missing: the given head is that of entry 10, the last one is 7")
    (said,) = (await ten.read(audit.verify, against=mark)).problems
    assert "cut off" in said


async def test_a_head_set_back_alone_is_found(ten: Database) -> None:
    back = "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit WHERE seq = 7)"
    await ten.write(behind_its_back(back))
    (said,) = (await ten.read(audit.verify)).problems
    assert "set back" in said


async def test_a_head_with_another_number_does_not_pass(ten: Database) -> None:
    _, mark = await ten.read(audit.head)
    assert not (await ten.read(audit.verify, against=f"9:{mark}")).ok
    assert not (await ten.read(audit.verify, against=f"9:{audit.FIRST}")).ok


TEXTS = st.text(st.characters(exclude_categories=()))


@given(
    st.integers(0, 2**63),
    st.datetimes(timezones=st.sampled_from([UTC])),
    TEXTS,
    TEXTS,
    st.none() | st.integers(0, 2**63),
    st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans() | st.none() | st.lists(TEXTS)),
)
def test_the_hashed_text_is_canonical_json(
    seq: int, at: datetime, kind: str, actor: str, execution_id: int | None, data: dict[str, Any]
) -> None:
    text_ = audit.hashed_text(seq, at, kind, actor, "cli", execution_id, canonical(data), audit.FIRST)
    assert text_ == canonical(
        {
            "seq": seq,
            "at": at.isoformat(timespec="microseconds"),
            "kind": kind,
            "actor": actor,
            "origin": "cli",
            "execution_id": execution_id,
            "data": canonical(data),
            "previous": audit.FIRST,
        }
    )


async def test_a_head_noted_earlier_shows_a_rewritten_history(ten: Database) -> None:
    noted = (await ten.read(audit.verify)).head

    def rewrite(connection: Connection) -> None:
        behind_its_back("DELETE FROM audit", f"UPDATE audit_head SET seq = 0, hash = '{audit.FIRST}'")(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
        for number in range(12):
            witness(connection, 100 + number)

    await ten.write(rewrite)
    assert (await ten.read(audit.verify)).ok
    found = await ten.read(audit.verify, against=noted)
    assert any("history was rewritten" in said for said in found.problems)


async def test_a_rolled_back_transaction_leaves_no_entry(ten: Database) -> None:
    def fails(connection: Connection) -> None:
        witness(connection, 11)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ten.write(fails)
    assert (await ten.read(audit.verify)).entries == 10


async def test_search_takes_wild_cards_literally_and_pages(ten: Database) -> None:
    assert len(await ten.read(audit.search, words=("100%",))) == 10
    assert await ten.read(audit.search, words=("1_0",)) == []
    first: list[Any] = await ten.read(audit.search, limit=4)
    second: list[Any] = await ten.read(audit.search, limit=4, before=first[-1].seq)
    assert [entry.seq for entry in [*first, *second]] == [10, 9, 8, 7, 6, 5, 4, 3]


# --- search -----------------------------------------------------------------------------------------------------------

ALICE, BOB = Actor(id="UALICE"), Actor(id="UBOB")


def _execution(connection: Connection, runbook: str, host: str, channel: str) -> int:
    return executions.create(
        connection,
        runbook=runbook,
        params={},
        hosts=[host],
        services=[],
        danger=Danger.LOW,
        actor=ALICE,
        origin=Origin.COMMAND,
        channel=channel,
        text="",
        normalised=None,
        reason=None,
        dry_run=False,
        priority=Priority.NORMAL,
        state=State.PENDING,
        timeout=timedelta(minutes=5),
        now=START,
    ).id


@pytest.fixture
async def history(database: Database) -> Database:
    """Two incidents: a restart on web-01 by Alice, a kill on db-01 by Bob, and what belongs to no execution."""

    def live(connection: Connection) -> None:
        restart = _execution(connection, "restart-service", "web-01", "C0ONE")
        kill = _execution(connection, "kill-process", "db-01", "C0TWO")

        def entry(minute: int, kind: str, actor: Actor, execution_id: int | None = None, **data: Any) -> None:
            at = START + timedelta(minutes=minute)
            audit.append(
                connection, at=at, kind=kind, actor=actor, origin=Origin.COMMAND, execution_id=execution_id, **data
            )

        entry(0, "request", ALICE, channel="C0ONE", text='restart "web-01" and 100% of _it_!')  # 1
        entry(1, "execution.pending", ALICE, restart, runbook="restart-service")  # 2
        entry(2, "decision.allow", ALICE, restart)  # 3
        entry(3, "request", BOB, channel="C0TWO", text="kill")  # 4
        entry(4, "decision.refuse", BOB, kill)  # 5
        entry(5, "killswitch.engaged", ALICE, scope="host", subject="web-01")  # 6
        entry(6, "killswitch.engaged", ALICE, scope="runbook", subject="kill-process")  # 7
        entry(7, "decision.refuse", BOB, runbook="restart-service", hosts=["db-01", "web-01"])  # 8
        entry(8, "decisions", BOB)  # 9, of no kind that is called decision

    await database.write(live)
    return database


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"execution_id": 1}, [3, 2]),
        ({"incident": "C0ONE"}, [3, 2, 1]),
        ({"incident": "C0TWO"}, [5, 4]),
        ({"actor": "UBOB"}, [9, 8, 5, 4]),
        ({"runbook": "restart-service"}, [8, 3, 2]),
        ({"runbook": "kill-process"}, [7, 5]),
        ({"host": "web-01"}, [8, 6, 3, 2]),
        ({"host": "DB-01"}, [8, 5]),
        ({"host": "web-0_"}, []),
        ({"kind": "decision"}, [8, 5, 3]),
        ({"kind": "decision.refuse"}, [8, 5]),
        ({"kind": "decision.%"}, []),
        ({"since": START + timedelta(minutes=7)}, [9, 8]),
        ({"until": START + timedelta(minutes=1)}, [1]),
        ({"since": START + timedelta(minutes=1), "until": START + timedelta(minutes=3)}, [3, 2]),
        ({"actor": "UBOB", "kind": "decision", "host": "web-01"}, [8]),
        ({"words": ("100%",)}, [1]),
        ({"words": ("_IT_!",)}, [1]),
        ({"words": ("web", "scope")}, [6]),
        ({"words": ("a-zzzz",)}, []),
    ],
)
async def test_search_finds_by_each_thing_newest_first(
    history: Database, wanted: audit.Wanted, found: list[int]
) -> None:
    assert [entry.seq for entry in await history.read(audit.search, **wanted)] == found


async def test_an_entry_is_found_by_its_id_or_the_beginning_of_it(history: Database) -> None:
    for entry in await history.read(audit.search):
        assert entry.id == f"a-{entry.hash[:16]}"
        for typed in (entry.id, entry.id.upper(), entry.id[:10]):
            assert [one.seq for one in await history.read(audit.search, words=(typed,))] == [entry.seq]


async def test_pages_of_a_filtered_search_follow_each_other(history: Database) -> None:
    pages, before = [], None
    while page := await history.read(audit.search, kind="decision", limit=2, before=before):
        pages.append([entry.seq for entry in page])
        before = page[-1].seq
    assert pages == [[8, 5], [3]]


async def test_a_window_of_time_is_true_whatever_its_length_and_whoevers_clock_was_wrong(database: Database) -> None:
    times = [START + timedelta(seconds=n - 3600 * (n % 7 == 0)) for n in range(audit.SMALL_WINDOW + 200)]

    def live(connection: Connection) -> None:
        for number, at in enumerate(times):
            said = {"runbook": "disk-cleanup"} if number % 3 else {}
            audit.append(connection, at=at, kind="view", actor=ALICE, origin=Origin.COMMAND, **said)

    await database.write(live)
    for since, until in ((50, 90), (50, len(times)), (-3600, 7000), (9000, 9001), (-9000, -8000)):
        window = {"since": START + timedelta(seconds=since), "until": START + timedelta(seconds=until)}
        inside = [n + 1 for n, at in enumerate(times) if n % 3 and window["since"] <= at < window["until"]]
        found = await database.read(audit.search, limit=len(times), runbook="disk-cleanup", **window)
        assert [entry.seq for entry in found] == inside[::-1]
        assert [one.seq for one in await database.read(audit.search, before=95, words=("cleanup",), **window)] == [
            number for number in inside[::-1] if number < 95
        ][:20]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"execution_id": 7}, "ix_audit_execution"),
        ({"actor": "UBOB"}, "ix_audit_actor"),
        ({"words": ("a-0123456789abcdef",)}, "autoindex"),
    ],
)
async def test_what_can_be_found_by_an_index_is(sqlite: Database, wanted: audit.Wanted, index: str) -> None:
    def plan(connection: Connection) -> str:
        query = t.audit.select().where(*audit.conditions(connection, wanted)).order_by(t.audit.c.seq.desc()).limit(20)
        said = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        return " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}"))

    assert index in await sqlite.read(plan)
