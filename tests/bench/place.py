"""Where everything is measured: hosts that are sshd's on the loopback, one installation, and somebody who asks.

The bot is `handrail serve` as a process of its own, its Slack the local workspace in this one. Limits and cooldowns are
set out of the way in its `handrail.yml`, as an operator would.
"""

import argparse
import asyncio
import itertools
import logging
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncssh
from aiohttp import web
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


class Crowd(Bench):
    """Many commands at once on each host."""

    name = "crowd"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Parallel("Sleep", *(Run(f"Sleep {n}", "sleep", "601", timeout=3600) for n in range(20))))


class Hold(Bench):
    """One command that lasts."""

    name = "hold"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Run("Sleep", "sleep", "602", timeout=3600))


class Now(Bench):
    """What time it is on the host when the command begins there."""

    name = "now"

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(Run("Look at the clock", "date", "+%s.%N"))


class Lines(Numbered):
    """How much is printed."""

    lines: int = positional("how many lines", 1000)
    seconds: int = positional("within how many seconds", 10)


class Flood(Bench):
    """Ten commands side by side that print so many lines each, evenly over so many seconds."""

    name, timeout = "flood", minutes(20)
    Params = Lines

    def plan(self, params: Lines, facts: Facts) -> Plan:
        words = ("FOLDER/flood", str(params.lines), str(params.seconds))
        return Plan(Parallel("Print", *(Run(f"Print {n}", *words, timeout=1200) for n in range(10))))


class Ten(Bench):
    """Ten steps that do nothing."""

    name, danger = "ten", Danger.READ

    def plan(self, params: Numbered, facts: Facts) -> Plan:
        return Plan(*(Wait(f"Step {number}", 0) for number in range(1, 11)))
'''
NAMES = tuple(f"h{number:02}" for number in range(1, 11))
UNFINISHED = {"pending", "running", "awaiting_approval"}


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


NEWEST: list["Report"] = []
"""The report that was begun last: what it has is worth having also when its group breaks."""


@dataclass(kw_only=True)
class Report:
    """What one group found; `notes` say how it was measured and why a goal was missed."""

    group: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        NEWEST[:] = [self]

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
    bots: list[Bot]
    workspace: Workspace
    database: Database
    session: aiohttp.ClientSession
    hosts: Mapping[str, OpenSsh]
    ear: "Ear"
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    last: str = ""  # the mark of the newest request; its answer is heard under it
    not_stored: int = 0  # how many were acknowledged as received, but not yet stored

    @property
    def pids(self) -> list[int]:
        """Of everything that is ours: what hears Slack, and what executes for it."""
        return [bot.process.pid for bot in self.bots if bot.process is not None]

    @property
    def bot(self) -> Bot:
        """What hears Slack."""
        return self.bots[0]

    def cpu(self) -> float:
        """Seconds used so far."""
        return sum(cpu_of(pid) for pid in self.pids)

    def memory(self) -> float:
        """Megabytes of all of them."""
        return sum(memory_of(pid) for pid in self.pids)

    async def type(self, line: str, *, url: str | None = None) -> float:
        """A slash command as Slack sends it, to the bot or another `url`; the seconds until its acknowledgement."""
        command, _, text = line.partition(" ")
        mark = f"{next(self.numbers)}.{time.time_ns()}"
        self.last = mark
        form = {
            "token": "x",
            "team_id": "T0LOCAL",
            "api_app_id": "A0HANDRAIL",
            "user_id": "UALICE",
            "user_name": "alice",
            "channel_id": "C0INC",
            "channel_name": "incidents",
            "command": command,
            "text": text,
            "response_url": f"{self.ear.url}/{mark}",
            "trigger_id": mark,
        }
        body = urlencode(form).encode()
        now = int(time.time())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(now),
            "X-Slack-Signature": sign(self.bot.slack.signing_secret, now, body),
        }
        began = time.perf_counter()
        async with self.session.post(url or self.bot.events_url, data=body, headers=headers) as answer:
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
        asked = select(func.count()).where(x.id > above, x.state.in_(sorted(UNFINISHED)))
        return int(await self.database.read(lambda c: c.scalar(asked)) or 0)

    async def reason(self, above: int) -> str:
        """Why the first of the executions with higher numbers ended as it did."""
        x = t.executions.c
        asked = select(x.ending).where(x.id > above, x.ending.is_not(None)).order_by(x.id).limit(1)
        return str(await self.database.read(lambda c: c.scalar(asked)))

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
            states = await self.states(above)
            if sum(states.values()) >= number and not UNFINISHED & states.keys():
                return states
        raise SystemExit(f"Not ended within {seconds:.0f} s: {await self.states(above)}\n{self.bot.log()}")


@asynccontextmanager
async def installed(kind: str, hosts: Mapping[str, OpenSsh], url: str, **config: Any) -> AsyncIterator[Place]:
    """An installation of this kind on an empty database. What is in `config` is set in its `handrail.yml`."""
    async with AsyncExitStack() as stack:
        # In /tmp the command guard would refuse what is run from there.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".handrail-bench-", dir=Path.home())))
        workspace = Workspace(rate_limits=False)
        workspace.add_channel(id="C0INC", name="incidents")
        await stack.enter_async_context(workspace)
        settings = configuration(hosts, folder) | config
        (folder / "library" / "for_tests.py").write_text(LIBRARY.replace("FOLDER", str(folder)))
        (folder / "flood").write_text(FLOOD)
        (folder / "flood").chmod(0o755)
        for host, server in hosts.items():
            settings["hosts"][host]["key_file"] = str(server.key_file)
        known = {"name": "flood", "command": f"{folder}/flood * *", "pattern": True}
        settings["guard"] = {"exceptions": [known]}
        settings["limits"] = dict.fromkeys(("global", "service", "runbook", "person", "look"), "10000000/min")
        url = url.replace("FOLDER", str(folder))
        bots = [
            Bot(folder=folder, slack=workspace, database_url=url, config=settings, words=words)
            for words in KINDS[kind][1]
        ]
        workspace.events_url = bots[0].events_url
        for bot in bots:
            await bot.start()
            stack.callback(bot.kill)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200))
        await stack.enter_async_context(session)
        database = await stack.enter_async_context(bots[0].database())
        ear = await stack.enter_async_context(listening())
        yield Place(name=kind, bots=bots, workspace=workspace, database=database, session=session, hosts=hosts, ear=ear)


KINDS: Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "SQLite": ("sqlite", (("serve",),)),
    "PostgreSQL": ("postgresql", (("serve",),)),
    "PostgreSQL and a worker": ("postgresql", (("serve", "--no-execute"), ("worker",))),
}
FLOOD = """\
#!/usr/bin/env python3
import sys, time
lines, seconds = int(sys.argv[1]), float(sys.argv[2])
began, done = time.monotonic(), 0
while done < lines:
    due = lines if not seconds else min(lines, int((time.monotonic() - began) / seconds * lines) + 1)
    text = "2026-01-01T00:00:00Z web-01 app[4711]: GET /orders/{} 200 in 12 ms from 192.0.2.7\\n"
    sys.stdout.write("".join(text.format(number) for number in range(done, due)))
    sys.stdout.flush()
    done = due
    time.sleep(0.1 if seconds else 0)
"""


@dataclass(kw_only=True)
class Ear:
    """Hears what is said to a response URL."""

    url: str = ""
    heard: dict[str, float] = field(default_factory=dict)


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    """An ear on a port of its own."""
    ear = Ear()

    async def hear(request: web.Request) -> web.Response:
        ear.heard.setdefault(request.match_info["mark"], time.perf_counter())
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/{mark}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ear.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield ear
    finally:
        await runner.cleanup()


def databases(stack: ExitStack, only: str | None = None) -> Iterator[tuple[str, str]]:
    """The kinds of installation to be measured, each with the URL of an empty database. PostgreSQL syncs to disk."""
    server = None
    for number, (kind, (engine, _)) in enumerate(KINDS.items()):
        if only is not None and only != kind:
            continue
        if engine == "sqlite":
            yield kind, "sqlite+aiosqlite:///FOLDER/bench.db"
        elif missing() is None:
            server = server or stack.enter_context(Postgres(durable=True))
            yield kind, server.new_database(f"bench{number}")


def run(measure: Callable[[argparse.Namespace], Coroutine[Any, Any, Report]], **options: int) -> int:
    """One group by itself: its options, each a number, and `--kind`, one of the installations alone."""
    parser = argparse.ArgumentParser()
    for name, usual in options.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--kind", choices=list(KINDS))
    args = parser.parse_args()
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    report = asyncio.run(measure(args))
    for note in report.notes:
        say(f"  {note}")
    return 0
