"""Processes that die while they fire: `python -m tests.bot.dying` reads lines of `URL claimed|accepted|committed`.

For each it forks one that dies at that moment, and prints the signal it died of.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bot import schedules as desk
from runbooks.answer import Answer
from runbooks.engine import Engine, Ready
from runbooks.planning import Planner
from runbooks.schedules import Timer
from runbooks.steps import Tools
from safety.command_guard import CommandGuard
from safety.review import Policy
from safety.roles import People
from storage.database import Database
from storage.records import RunRequest
from tests.bot.nights import OURS, SetClock, at
from tests.builders import ROLES, hosts
from tests.fakes import FakeRemote, FakeReporter


def die() -> None:
    """As by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(Engine):
    """Dies within the transaction that fires: once the moment is claimed, or once its request is accepted, too."""

    moment = ""

    def ready(self, request: RunRequest) -> Ready:
        """One whose acceptance is the end."""
        ready = super().ready(request)

        def accept(connection: Connection, also: Callable[[Connection], object] | None) -> Answer:
            if self.moment == "claimed":
                die()
            answer = ready.accept(connection, also)
            if self.moment == "accepted":
                die()
            return answer

        return replace(ready, accept=accept)


async def main(url: str, moment: str) -> None:
    """Fire, and die."""
    database, remote = Database(url), FakeRemote()
    await database.start()
    tools: Any = Tools(
        database=database,
        remote=remote,
        inventory=hosts(),
        planner=Planner(remote=remote, guard=CommandGuard()),
        reporter=FakeReporter(),
        clock=SetClock(at("2026-11-22 02:00")),
    )
    engine = Dying(tools=tools, catalog=OURS, policy=Policy(people=People(roles=ROLES)))
    engine.moment = moment
    await Timer(engine, read=desk.request_at).look()
    die()


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(main(*line.split()))
            sys.exit("It lives.")
        print(f"died of {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) * -1}", flush=True)
