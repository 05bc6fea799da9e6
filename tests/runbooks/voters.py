"""A process that clicks *Approve* many times, as two people in turn: `python -m tests.runbooks.voters URL ID`.

Prints `ready`, waits for a line, clicks, and prints how many clicks were taken.
"""

import asyncio
import sys
from contextlib import suppress

from runbooks.engine import Engine
from runbooks.planning import Planner
from runbooks.steps import Tools
from safety.clock import SystemClock
from safety.command_guard import CommandGuard
from safety.review import Policy
from safety.roles import People
from storage.database import Database
from storage.errors import OperatorError
from tests.builders import CAROL, ROLES
from tests.fakes import FakeRemote, FakeReporter
from tests.runbooks.test_consent import ERIN, INVENTORY, OURS, asks, wanting

CLICKS = 34


async def main(url: str, execution_id: int) -> None:
    """Click."""
    database, remote = Database(url), FakeRemote()
    await database.start()
    tools = Tools(
        database=database,
        remote=remote,
        inventory=INVENTORY,
        planner=Planner(remote=remote, guard=CommandGuard()),
        reporter=FakeReporter(),
        clock=SystemClock(),
    )
    policy = wanting(runbooks={"drain": asks(2)})(Policy(people=People(roles=ROLES)))
    engine = Engine(tools=tools, catalog=OURS, policy=policy)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    taken = 0

    async def click(number: int) -> None:
        nonlocal taken
        with suppress(OperatorError):
            await engine.approve(execution_id, CAROL if number % 2 else ERIN)
            taken += 1

    await asyncio.gather(*(click(number) for number in range(CLICKS)))
    print(taken, flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
