"""What is asked costs what it finds, and not what has ever happened."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from storage import audit, executions
from storage.database import parse_url, writer_engine
from tests.bench import history

FEW, MANY = 6_000, 24_000
Look = Callable[[Connection], object]
OFTEN: dict[str, Look] = {  # with every request, every second, or while a switch is engaged
    "what may be claimed": lambda c: executions.claim(
        c, owner="me", now=history.END, lease=timedelta(seconds=6), limit=10
    ),
    "what nobody carries": lambda c: executions.ownerless(c, now=history.END, owners=["me"]),
    "what waits": executions.waiting,
    "how many wait": executions.count_waiting,
    "whether it was asked for already": lambda c: executions.duplicate_of(c, "0" * 64),
    "whether it is being retried": lambda c: executions.retried_by(c, 1),
    "the newest of a kind that there is none of": lambda c: audit.newest_of(c, "settings.changed"),
}


def work(path: Path, looks: dict[str, Look]) -> dict[str, int]:
    """How many instructions SQLite's machine takes for each, in twenties: the same on any computer."""
    engine = writer_engine(parse_url(f"sqlite+aiosqlite:///{path}"))
    found = {}
    with engine.begin() as connection:
        for what, look in looks.items():
            steps = 0

            def step() -> int:
                nonlocal steps
                steps += 1
                return 0

            connection.connection.driver_connection.set_progress_handler(step, 20)  # type: ignore[union-attr]
            look(connection)
            found[what] = steps
    engine.dispose()
    return found


def test_no_question_costs_more_the_longer_the_history_is(tmp_path: Path, migrated_file: Path) -> None:
    costs = []
    for number in (FEW, MANY):
        path = tmp_path / f"{number}.db"
        shutil.copy(migrated_file, path)
        engine = history.filling_engine(parse_url(f"sqlite+aiosqlite:///{path}"))
        history.fill(engine, number)
        engine.dispose()
        costs.append(work(path, OFTEN | history.questions(number)))
    few, many = costs
    assert {what: (few[what], many[what]) for what in few if many[what] > 1.2 * few[what] + 10} == {}
