"""Statements in the driver's own words say the same as through SQLAlchemy."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from storage import tables as t
from storage.database import Database
from storage.prepared import Prepared

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ROW = {
    "runbook": "restart",
    "host": "web-01",
    "state": "open",
    "failures": 5,
    "successes": 0,
    "opened_at": NOW,
    "probing": None,
}
ADD = Prepared(insert(t.breakers))
THESE = Prepared(select(t.breakers).where(t.breakers.c.host.in_(bindparam("of_hosts", expanding=True))))


async def test_what_was_written_is_read_as_it_was(database: Database) -> None:
    def write_and_read(connection: Connection) -> tuple[object, ...]:
        ADD.run(connection, ROW)
        row = THESE.first(connection, {"of_hosts": ["web-01"]})
        assert row._asdict() == connection.execute(select(t.breakers)).one()._asdict()
        return row.opened_at, row.failures, row.probing

    assert await database.write(write_and_read) == (NOW, 5, None)


async def test_json_and_truth_keep_their_types(database: Database) -> None:
    values = {"id": "C0INC", "postable": False, "error": "é'\x7f", "checked_at": NOW}
    group = {"id": "S0ONCALL", "members": ["UBOB", "ü"], "seen_at": NOW}

    def write_and_read(connection: Connection) -> tuple[object, object]:
        Prepared(insert(t.channels)).run(connection, values)
        Prepared(insert(t.user_groups)).run(connection, group)
        channel = Prepared(select(t.channels)).first(connection)
        return channel._asdict(), Prepared(select(t.user_groups.c.members)).scalar(connection)

    assert await database.write(write_and_read) == (values, ["UBOB", "ü"])


async def test_lists_of_any_length_and_constants_stand_beside_each_other(database: Database) -> None:
    wanted = Prepared(THESE.statement.where(t.breakers.c.state.in_(["open", "half_open"]), t.breakers.c.failures == 5))

    def count(connection: Connection) -> list[int]:
        ADD.run_each(connection, [ROW | {"host": f"web-{number}"} for number in range(5)])
        asked: list[list[str]] = [[], ["web-1"], ["web-1", "web-2", "db-1"], [f"web-{n}" for n in range(5)]]
        return [len(wanted.all(connection, {"of_hosts": hosts})) for hosts in asked]

    assert await database.write(count) == [0, 1, 2, 5]


async def test_an_update_sets_the_columns_that_are_given_and_says_how_many_it_changed(database: Database) -> None:
    change = Prepared(update(t.breakers).where(t.breakers.c.host == bindparam("of_host")))

    def work(connection: Connection) -> list[object]:
        ADD.run(connection, ROW)
        hits = [
            change.run(connection, {"of_host": "web-01", "failures": 7}),
            change.run(connection, {"of_host": "x", "failures": 8}),
        ]
        more = change.run(connection, {"of_host": "web-01", "failures": 9, "successes": 2})
        row = THESE.first(connection, {"of_hosts": ["web-01"]})
        return [*hits, more, row.failures, row.successes]

    assert await database.write(work) == [1, 0, 1, 9, 2]


async def test_an_unnamed_column_is_found_by_its_place(database: Database) -> None:
    counted = Prepared(select(func.count()).select_from(t.breakers))
    assert await database.read(counted.scalar) == 0


async def test_errors_are_those_of_sqlalchemy_and_name_no_values(database: Database) -> None:
    def twice(connection: Connection) -> None:
        ADD.run_each(connection, [ROW, ROW])

    with pytest.raises(IntegrityError) as caught:
        await database.write(twice)
    assert "restart" not in str(caught.value.params)
    with pytest.raises(ProgrammingError if not database.is_sqlite else Exception):
        await database.write(ADD.run, ROW | {"failures": "many", "opened_at": NOW} | {"state": {"no": "text"}})
