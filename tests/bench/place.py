"""Where everything is measured: hosts that are sshd's on the loopback, one installation, and somebody who asks.

The bot is `handrail serve` as a process of its own, its Slack the local workspace in this one. Limits and cooldowns are
set out of the way in its `handrail.yml`, as an operator would.
"""

import asyncio
import contextlib
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncssh
from sqlalchemy import func, select

from bot.playground.delivery import sign
from bot.playground.workspace import Workspace
from runbooks.ssh import CIPHERS
from storage import tables as t
from storage.database import Database
from tests.postgres import Postgres, missing
from tests.system.openssh import OpenSsh, openssh
from tests.system.serving import Bot, configuration

LIBRARY = '''\
"""Runbooks to be measured."""

from runbooks import (
    Category, Danger, Expect, Facts, Parallel, Parameters, Plan, Run, Runbook, Wait, minutes, positional
)


class Numbered(Parameters):
    """Which one it is, so that no two requests are the same."""

    number: int = positional("any number", 0)


class Bench(Runbook):
    """What they have in common."""

    category, danger, cooldown, timeout = Category.MAINTENANCE, Danger.LOW, minutes(0), minutes(60)
    max_hosts = 300
    Params = Numbered


class Four(Bench):
    """Four changing commands, each of which prints a line."""

    name = "four"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(*(Run(f"Step {number}", "uname", "-srm") for number in range(1, 5)))


class FourLooks(Bench):
    """Four reading commands, each of which prints a line."""

    name, danger = "four-looks", Danger.READ

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(*(Expect(f"Step {number}", "uname", "-srm") for number in range(1, 5)))


class Touch(Bench):
    """One command."""

    name = "touch-one"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Run("Touch", "touch", f"FOLDER/touched.{params.number}"))


class Crowd(Bench):
    """Many commands at once on each host."""

    name = "crowd"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Parallel("Sleep", *(Run(f"Sleep {n}", "sleep", "600", timeout=3600) for n in range(params.number))))


class Flood(Bench):
    """Print as many lines as were asked for, evenly, for a minute."""

    name, danger = "flood", Danger.READ
    timeout = minutes(10)

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Expect("Print", "FOLDER/flood", str(params.number), timeout=600))


class Ten(Bench):
    """Ten steps that do nothing."""

    name, danger = "ten", Danger.READ

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(*(Wait(f"Step {number}", 0) for number in range(1, 11)))
'''
NAMES = tuple(f"h{number:02}" for number in range(1, 11))
PEOPLE = ("UALICE",)


def say(*words: Any) -> None:
    """Progress, for whoever watches."""
    print(*words, flush=True)


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `met` is None where there is no goal for it."""

    group: str
    what: str
    where: str
    value: str
    goal: str = ""
    met: bool | None = None


@dataclass(kw_only=True)
class Report:
    """What one group found; `notes` say how it was measured and why a goal was missed."""

    group: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, where: str, value: str, goal: str = "", met: bool | None = None) -> None:
        """One more."""
        self.figures.append(Figure(group=self.group, what=what, where=where, value=value, goal=goal, met=met))
        verdict = "" if met is None else "  met" if met else "  MISSED"
        say(f"  {self.group} | {where:28} | {what}: {value}" + (f" (goal: {goal})" if goal else "") + verdict)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used so far, without its children."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(words[11]) + int(words[12])) / TICK


def memory_of(pid: int) -> float:
    """Resident megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


# --- hosts ------------------------------------------------------------------------------------------------------------


@contextmanager
def ten_hosts(folder: Path) -> Iterator[dict[str, OpenSsh]]:
    """Ten sshd's with a stock configuration."""
    with ExitStack() as stack:
        hosts = {}
        for name in NAMES:
            (folder / name).mkdir()
            hosts[name] = stack.enter_context(openssh(folder / name))
        yield hosts


@asynccontextmanager
async def bare_connections(
    hosts: Mapping[str, OpenSsh], each: int
) -> AsyncIterator[list[asyncssh.SSHClientConnection]]:
    """As many bare connections to each host as the product would have, with the same ciphers."""
    connections = []
    for host in hosts.values():
        for _ in range(each):
            connections.append(
                await asyncssh.connect(
                    "127.0.0.1",
                    host.port,
                    username=host.host.user,
                    client_keys=[str(host.key_file)],
                    known_hosts=asyncssh.import_known_hosts(host.known_hosts.decode()),
                    config=None,
                    agent_path=None,
                    encryption_algs=CIPHERS,
                    compression_algs=["none"],
                )
            )
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.wait_closed() for connection in connections))


# --- the installation -------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Place:
    """A running installation with an owner that executes, and the one who asks it for things."""

    name: str  # of the kind of installation, for the table
    bot: Bot
    workspace: Workspace
    database: Database
    session: aiohttp.ClientSession
    hosts: Mapping[str, OpenSsh]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    not_stored: int = 0  # how many were acknowledged as received, but not yet stored

    @property
    def pids(self) -> list[int]:
        """Of everything that is ours: the bot, and what executes for it."""
        return [self.bot.process.pid] if self.bot.process is not None else []

    def cpu(self) -> float:
        """Seconds used so far."""
        return sum(cpu_of(pid) for pid in self.pids)

    def memory(self) -> float:
        """Megabytes of the largest."""
        return max(memory_of(pid) for pid in self.pids)

    async def type(self, line: str, person: str = "UALICE", channel: str = "C0INC") -> float:
        """A slash command as Slack sends it; the seconds until its acknowledgement."""
        command, _, text = line.partition(" ")
        form = {
            "token": "x",
            "team_id": "T0LOCAL",
            "api_app_id": "A0HANDRAIL",
            "user_id": person,
            "user_name": person.lower(),
            "channel_id": channel,
            "channel_name": "incidents",
            "command": command,
            "text": text,
            "response_url": f"{self.workspace.url}/nobody-listens",
            "trigger_id": f"{next(self.numbers)}.{time.time_ns()}",
        }
        body = urlencode(form).encode()
        now = int(time.time())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(now),
            "X-Slack-Signature": sign(self.bot.slack.signing_secret, now, body),
        }
        began = time.perf_counter()
        async with self.session.post(self.bot.events_url, data=body, headers=headers) as answer:
            said = await answer.text()
            if answer.status != 200:
                raise SystemExit(f"The bot answered {answer.status}: {said[:300]}")
            self.not_stored += "not yet stored" in said
        return time.perf_counter() - began

    async def newest(self) -> int:
        """The highest number of an execution, 0 where there is none."""
        return int(await self.database.read(lambda c: c.scalar(select(func.max(t.executions.c.id)))) or 0)

    async def unfinished(self, above: int) -> int:
        """How many executions with higher numbers have not ended."""
        x = t.executions.c
        asked = select(func.count()).where(x.id > above, x.state.in_(["pending", "running", "awaiting_approval"]))
        return int(await self.database.read(lambda c: c.scalar(asked)) or 0)

    async def states(self, above: int) -> dict[str, int]:
        """How many executions with higher numbers are in each state."""
        x = t.executions.c
        asked = select(x.state, func.count()).where(x.id > above).group_by(x.state)
        return {row[0]: row[1] for row in await self.database.read(lambda c: c.execute(asked).all())}

    async def ended(self, above: int, number: int, seconds: float = 600) -> dict[str, int]:
        """Wait until so many executions with higher numbers are there and none is under way; their states."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.1)
            if not await self.unfinished(above):
                states = await self.states(above)
                if sum(states.values()) >= number:
                    return states
        raise SystemExit(f"Not ended within {seconds:.0f} s: {await self.states(above)}\n{self.bot.log()}")


@asynccontextmanager
async def one_process(hosts: Mapping[str, OpenSsh], url: str, name: str, **config: Any) -> AsyncIterator[Place]:
    """`handrail serve` on this database."""
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as path:
        folder = Path(path)
        workspace = Workspace(rate_limits=False)
        workspace.add_channel(id="C0INC", name="incidents")
        async with workspace:
            settings = configuration(hosts, folder)
            (folder / "library" / "for_tests.py").write_text(LIBRARY.replace("FOLDER", path))
            (folder / "flood").write_text(FLOOD)
            (folder / "flood").chmod(0o755)
            for host, server in hosts.items():
                settings["hosts"][host]["key_file"] = str(server.key_file)
            plenty = "10000000/min"
            settings["limits"] = {
                "global": plenty,
                "service": plenty,
                "runbook": plenty,
                "person": plenty,
                "look": plenty,
            }
            settings |= config
            bot = Bot(folder=folder, slack=workspace, database_url=url.replace("FOLDER", path), config=settings)
            workspace.events_url = bot.events_url
            await bot.start()
            try:
                connector = aiohttp.TCPConnector(limit=200)
                async with aiohttp.ClientSession(connector=connector) as session, bot.database() as database:
                    yield Place(
                        name=name, bot=bot, workspace=workspace, database=database, session=session, hosts=hosts
                    )
            finally:
                bot.kill()


FLOOD = """\
#!/usr/bin/env -S python3 -SE
import sys, time
lines, seconds = int(sys.argv[1]), float(sys.argv[2])
began, done = time.monotonic(), 0
while done < lines:
    due = min(lines, int((time.monotonic() - began) / seconds * lines) + 1)
    sys.stdout.write("".join(f"{n} 2026-01-01T00:00:00Z web-01 app[4711]: GET /orders/{n} 200 in 12 ms\\n" for n in range(done, due)))
    sys.stdout.flush()
    done = due
    time.sleep(0.1)
"""


def engines(stack: ExitStack) -> dict[str, Callable[[], str]]:
    """A fresh database on each engine, by the name that stands in the table. PostgreSQL with fsync, as in production."""
    found: dict[str, Callable[[], str]] = {"SQLite": lambda: "sqlite+aiosqlite:///FOLDER/bench.db"}
    if missing() is None:
        server = stack.enter_context(Postgres())
        numbers = itertools.count(1)
        found["PostgreSQL"] = lambda: server.new_database(f"bench{next(numbers)}")
    return found


@contextmanager
def plainly() -> Iterator[None]:
    """What asyncssh says of every session is not wanted here."""
    import logging

    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def as_json(report: Report) -> str:
    """To hand from one process to another."""
    return json.dumps(
        {
            "group": report.group,
            "title": report.title,
            "notes": report.notes,
            "figures": [vars(f) for f in report.figures],
        }
    )
