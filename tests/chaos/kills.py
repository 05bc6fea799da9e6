"""kill -9 of `handrail serve`, again and again, while people keep twenty executions in flight.

    python -m tests.chaos.kills --database sqlite --kills 100 --seed 7
    python -m tests.chaos.kills --database postgresql --replicas 2 --workers 3 --kills 100 --seed 7
    python -m tests.chaos.kills --resume FILE

One round: the people go on (`people.py`), at a moment chosen by chance a process is killed, what must hold of the
records is proved (`proof.py`), the process is started again, and what must be true once it is back is proved. Every
tenth kill the people begin nothing new until all is at its end and said. The totals are written to a file after every
kill; with `--resume` the rest of the kills goes on from there, on a new installation.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from bot.playground.workspace import Workspace
from storage import tables as t
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.records import ApprovalState, OutboxState, Phase, State, StepState
from tests.chaos import proof
from tests.chaos.hosts import Hosts, hosts
from tests.chaos.people import ASKERS, CHANNELS, People, messages
from tests.postgres import Postgres
from tests.system.serving import Bot, configuration

NOTICED = {"sqlite": 10.0, "postgresql": 16.0}
"""Seconds after which nothing should be running without an owner: on SQLite from the start of the only one, on
PostgreSQL (a lease and ten seconds) from when another process lives. Later is counted, for a machine may be busy."""
NEVER_NOTICED = 60.0
FULL = 20.0
"""Seconds the people get, at most, to have enough in flight."""
QUIET_EVERY = 10
QUIET = 240.0
"""Seconds in which everything comes to its end once nothing new is begun."""
FAULTS = {"sqlite": ("kill", "freeze", "outage"), "postgresql": ("kill", "freeze", "database", "outage")}
FROZEN, AWAY = (3.0, 20.0), (10.0, 40.0)
"""Seconds that a process stands still, and that the database does not answer: from, to."""
OWN_FAULTS = re.compile(
    r"walk_broke|carrying_failed|round_failed|request_failed|event_not_reported|outbox_(turn|round)_failed"
)
MOMENTS = (
    "any",
    "any",
    "any",
    "starting",
    "early",
    "planning",
    "marked",
    "sent",
    "click",
    "approval",
    "given",
    "saying",
)


@dataclass
class Totals:
    """Where the run is, and what was counted so far: everything that a resumed run needs."""

    database: str
    replicas: int
    seed: int
    kills: int
    killed: int = 0
    seconds: float = 0.0
    began: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    workers: int = 0
    faults: list[str] = field(default_factory=lambda: ["kill"])
    moments: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def at_most(self, what: str, number: float) -> None:
        """Remember the largest."""
        self.most[what] = round(max(self.most.get(what, 0.0), number), 1)

    def write(self, path: Path) -> None:
        """All or nothing: a script that is killed as well leaves the totals of before."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Totals":
        """As they were written."""
        return cls(**json.loads(path.read_text()))

    def table(self) -> str:
        """For people, and for the documentation."""
        name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self.database]
        where = name + (f", {self.replicas} processes" if self.replicas > 1 else "")
        where += f", {self.workers} workers" if self.workers else ""
        rows = [("database", where), ("date, seed", f"{self.began}, {self.seed}"), ("faults", self.killed)]
        rows += [(f"… {moment}", number) for moment, number in sorted(self.moments.items())]
        rows += sorted(self.counted.items())
        rows += [(f"most: {what}", number) for what, number in sorted(self.most.items())]
        rows += [("minutes", round(self.seconds / 60, 1)), ("problems", len(self.problems))]
        return "\n".join(f"{what:<52} {number}" for what, number in rows)


class Broken(AssertionError):
    """Something did not hold."""


@dataclass
class Siege:
    """Processes that are killed, people who go on, and what must hold."""

    totals: Totals
    bots: list[Bot]
    workspace: Workspace
    hosts: Hosts
    database: Database
    people: People
    chance: random.Random
    life: float
    server: Postgres | None = None
    memory: proof.Memory = field(default_factory=proof.Memory)
    ready: dict[int, float] = field(default_factory=dict)  # index of a bot -> since when it has been ready
    read_so_far: dict[int, int] = field(default_factory=dict)  # bytes of its log
    counted: Counter[str] = field(default_factory=Counter)

    def living(self) -> list[str]:
        """Where requests may go."""
        return [self.bots[index].events_url for index in self.ready if self.bots[index].serves]

    def pids(self) -> set[int]:
        """Of the processes that live."""
        return {bot.process.pid for bot in self.bots if bot.process is not None}

    async def start(self, index: int) -> None:
        """Up, and taking requests."""
        await self.bots[index].start()
        self.ready[index] = time.monotonic()

    def kill(self, index: int) -> None:
        """No goodbye."""
        self.ready.pop(index, None)
        self.bots[index].kill()

    # --- one round ----------------------------------------------------------------------------------------------------

    async def round(self) -> tuple[str, proof.Found]:
        """One fault, what must hold right after it, the start, what must hold then; the moment and the last look."""
        index = self.chance.randrange(len(self.bots))
        moment = self.chance.choice(MOMENTS)
        fault = self.chance.choice(self.totals.faults)
        if fault != "kill":
            await self._comes("any" if moment in {"starting", "early"} else moment)
            await {"freeze": self._freeze, "database": self._kill_database, "outage": self._outage}[fault](index)
            found = await self.prove(f"after: {fault}")
            self._count_in_flight(found)
            return fault, await self._nothing_is_ownerless(found)
        if moment == "starting":
            self.kill(index)
            await self._killed_while_starting(index)
        else:
            if moment == "early":
                self.kill(index)
                await self.start(index)
                await asyncio.sleep(self.chance.uniform(0, 2))
            elif not await self._comes(moment):
                moment = "any"
            self.kill(index)
        found = await self.prove("right after the kill")
        self._count_in_flight(found)
        await self.start(index)
        return moment, await self._nothing_is_ownerless(found, self.ready[index])

    async def _freeze(self, index: int) -> None:
        """It stands still for a while, and then goes on as if nothing had been."""
        bot = self.bots[index]
        if bot.process is None:
            return
        bot.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self.chance.uniform(*FROZEN))
        finally:
            bot.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1)

    async def _kill_database(self, index: int) -> None:
        """The server dies, and is started again at once or some seconds later."""
        if self.server is None:
            return
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(self.chance.uniform(0, 5))
        await asyncio.to_thread(self.server.start)
        await self._answers()

    async def _outage(self, index: int) -> None:
        """Nobody gets an answer from the database for a while."""
        seconds = self.chance.uniform(*AWAY)
        if self.server is not None:
            await asyncio.to_thread(self.server.stop)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.server.start)
        else:
            await asyncio.to_thread(_lock, str(self.database.path), seconds)
        await self._answers()

    async def _answers(self) -> None:
        """It does again."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(StorageUnavailable):
                await self.database.read(_unfinished)
                return
            await asyncio.sleep(0.2)

    async def _killed_while_starting(self, index: int) -> None:
        starting = asyncio.create_task(self.bots[index].start())
        await asyncio.sleep(self.chance.uniform(0.05, 3.5))
        self.bots[index].kill()
        with contextlib.suppress(AssertionError):  # it was killed before it was ready
            await starting

    async def _comes(self, moment: str) -> bool:
        """Wait until enough is in flight, then for the moment; whether it came."""
        deadline = time.monotonic() + FULL
        while len(self.people.open) < self.people.in_flight * 0.8 and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        await asyncio.sleep(self.chance.uniform(0.3, self.life))
        before = self.hosts.size(), await self.database.read(_newest_step)
        waits: dict[str, Callable[[], Awaitable[bool]]] = {
            "any": _at_once,
            "planning": lambda: self.database.read(_is_planning),
            "marked": lambda: self.database.read(_has_marked, before[1]),
            "sent": lambda: _later(self.hosts.size() > before[0]),
            "click": lambda: _later(self.people.under_way > 0),
            "approval": lambda: _later(self.people.approving > 0),
            "given": lambda: self.database.read(_is_given),
            "saying": lambda: self.database.read(_is_being_said),
        }
        deadline = time.monotonic() + 5
        while not await waits[moment]():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.002)
        if moment in {"click", "approval", "sent"}:
            await asyncio.sleep(self.chance.uniform(0, 0.03))
        return True

    def _count_in_flight(self, found: proof.Found) -> None:
        unfinished = found.in_state(State.PENDING, State.AWAITING_APPROVAL, State.RUNNING, State.INTERRUPTED)
        self.tally("executions in flight at the kills", len(unfinished))
        self.tally("executions running at the kills", len(found.in_state(State.RUNNING)))
        self.tally("approvals waiting at the kills", len(found.in_state(State.AWAITING_APPROVAL)))
        started = [step for step in found.steps if step["state"] == StepState.STARTED.value]
        self.tally("steps in the middle at the kills", len(started))

    async def _nothing_is_ownerless(self, found: proof.Found, since: float | None = None) -> proof.Found:
        """`since`: when a process was ready again, from which it counts where there is no other."""
        left = set(proof.ownerless(found, self.pids()))
        limit = NOTICED[self.totals.database]
        began = since if since is not None and len(self.bots) == 1 else time.monotonic()
        while left:
            now = await self.database.read(proof.look, self.memory)
            left &= set(proof.ownerless(now, self.pids()))
            if left and time.monotonic() - began > NEVER_NOTICED:
                raise Broken(f"After {NEVER_NOTICED:g} s still running without an owner: {sorted(left)}")
            if left:
                await asyncio.sleep(0.1)
        self.tally(f"kills whose leavings were noticed later than {limit:g} s", time.monotonic() - began > limit)
        self.totals.at_most("seconds until what was left behind was noticed", time.monotonic() - began)
        return await self.prove("after the start")

    # --- proofs -------------------------------------------------------------------------------------------------------

    async def prove(self, when: str) -> proof.Found:
        """Look, and raise with everything that does not hold."""
        ledger, done = self.hosts.ledger(), list(self.people.done)
        found = await self.database.read(proof.look, self.memory)
        wished = self.people.wished(found.tag_of, found.back)
        seen = proof.problems(found, ledger, done, self.memory, wished)
        seen += proof.overlaps(found, ledger, self.people.let_go())
        seen += self._faults()
        self.tally("proofs")
        self.totals.at_most("entries of the audit verified", found.verified.entries)
        if seen:
            raise Broken(f"Kill {self.totals.killed + 1}, {when}:\n" + "\n".join(seen))
        return found

    def _faults(self) -> list[str]:
        """What a process logged about a fault of its own."""
        seen: list[str] = []
        for index, bot in enumerate(self.bots):
            path = bot.folder / "bot.log"
            if not path.exists():
                continue
            with path.open("rb") as log:
                log.seek(self.read_so_far.get(index, 0))
                fresh = log.read()
            self.read_so_far[index] = self.read_so_far.get(index, 0) + len(fresh)
            text = fresh.decode(errors="replace")
            self.tally("clicks acknowledged that could not be stored", text.count("click_not_stored"))
            seen += [f"log: {line[:600]}" for line in text.splitlines() if OWN_FAULTS.search(line)]
        return seen

    async def quiet(self) -> proof.Found:
        """Nothing new is begun: everything comes to its end, and is said."""
        self.people.is_closing = True
        deadline = time.monotonic() + QUIET
        try:
            while True:
                found = await self.database.read(proof.look, self.memory)
                open_ = proof.unsettled(found)
                if not open_:
                    break
                if time.monotonic() > deadline:
                    raise Broken(f"Not at its end after {QUIET:g} s:\n" + "\n".join(open_))
                await asyncio.sleep(0.5)
            found = await self.prove("in the quiet")
            said = proof.what_was_said(found, self.people.done, messages(self.workspace))
            if said:
                raise Broken(f"After kill {self.totals.killed}, in the quiet:\n" + "\n".join(said))
        finally:
            self.people.is_closing = False
        return found

    async def watch(self) -> None:
        """Tell the people how much is in flight; until cancelled."""
        while True:
            with contextlib.suppress(StorageUnavailable):
                states = await self.database.read(_unfinished)
                self.people.open = frozenset(states)
            await asyncio.sleep(0.3)

    def tally(self, what: str, number: int = 1) -> None:
        """So many more."""
        self.counted[what] += number

    def sum_up(self, found: proof.Found) -> Counter[str]:
        """What was counted on the way, and what this installation has seen in all."""
        summed = Counter(self.counted)

        def count(what: str, number: int) -> None:
            summed[what] += number

        count("executions", len(found.executions))
        for state, number in Counter(row["state"] for row in found.executions.values()).items():
            count(f"executions {state.replace('_', ' ')}", number)
        for state, number in Counter(row["state"] for row in found.approvals.values()).items():
            count(f"approvals {state}", number)
        count("consents that came too late", found.too_late)
        ledger = self.hosts.ledger()
        count("commands that changed a host", len(ledger.begun))
        count("steps begun", len(found.steps))
        count("steps interrupted", sum(row["state"] == StepState.INTERRUPTED.value for row in found.steps))
        count("hosts held by two at once, after a person let go", len([o for o in ledger.overlaps if o[0] != o[1]]))
        count("commands and clicks", len(self.people.done))
        count("commands and clicks acknowledged as stored", sum(one.is_stored for one in self.people.done))
        count("runs again that a person asked for", self.people.wished(found.tag_of, found.back).total())
        count("posts marked (repeated)", proof.repeated(messages(self.workspace)))
        count("dead letters", sum(row["state"] == OutboxState.DEAD.value for row in found.outbox))
        return summed


def _lock(path: str, seconds: float) -> None:
    """Keep every writer of a SQLite file out for so long."""
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def _at_once() -> bool:
    return True


async def _later(condition: bool) -> bool:
    return condition


def _unfinished(connection: Connection) -> dict[int, str]:
    rows = connection.execute(
        select(t.executions.c.id, t.executions.c.state).where(t.executions.c.state.in_(sorted(proof.UNFINISHED)))
    )
    return {row.id: row.state for row in rows}


def _newest_step(connection: Connection) -> datetime | None:
    return connection.scalar(select(func.max(t.step_runs.c.started_at)))


def _has_marked(connection: Connection, before: datetime | None) -> bool:
    now = _newest_step(connection)
    return now is not None and (before is None or now > before)


def _is_planning(connection: Connection) -> bool:
    c = t.executions.c
    where = (c.state == State.PENDING.value, c.phase == Phase.PLAN.value, c.owner.is_not(None))
    return connection.execute(select(c.id).where(*where).limit(1)).first() is not None


def _is_given(connection: Connection) -> bool:
    both = t.executions.join(t.approvals, t.approvals.c.execution_id == t.executions.c.id)
    where = (t.executions.c.state == State.PENDING.value, t.approvals.c.state == ApprovalState.GIVEN.value)
    return connection.execute(select(t.executions.c.id).select_from(both).where(*where).limit(1)).first() is not None


def _is_being_said(connection: Connection) -> bool:
    where = t.outbox.c.state == OutboxState.SENDING.value
    return connection.execute(select(t.outbox.c.id).where(where).limit(1)).first() is not None


# --- the installation -------------------------------------------------------------------------------------------------


def configuration_for(known: Hosts, folder: Path) -> dict[str, Any]:
    """A `handrail.yml` for these hosts and people; its folder and library are made."""
    folder.mkdir(exist_ok=True)
    config = configuration(dict.fromkeys(known.names, known.ssh), folder)
    (folder / "library" / "for_tests.py").write_text((Path(__file__).parent / "library.py").read_text())
    roles = {f"U{name.upper()}": "NOC" for name in ASKERS}
    config["roles"] = {"UALICE": "ADMIN", "UCAROL": "MANAGER", "UERIN": "MANAGER", **roles}
    config["approvals"] = {"high": "confirm", "dangerous": "approve", "expire": "2m"}
    config["limits"] = {"global": "10000/min", "service": "10000/min", "runbook": "10000/min", "person": "10000/min"}
    return config


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[tuple[str, Postgres | None]]:
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/handrail.db", None
        return
    with Postgres() as server:
        yield server.new_database(f"kills_{os.getpid()}"), server


@asynccontextmanager
async def siege(
    totals: Totals, folder: Path, *, pace: float = 3.1, life: float = 3.0, in_flight: int = 20
) -> AsyncIterator[Siege]:
    """Everything is up and the people have begun; all of it is gone afterwards."""
    chance = random.Random(f"{totals.seed}:{totals.killed}")  # noqa: S311
    async with AsyncExitStack() as stack:
        url, server = stack.enter_context(_database(totals.database, folder))
        known = stack.enter_context(hosts(folder / "host"))
        workspace = Workspace(rate_limits=False)
        for name in ("erin", *ASKERS[1:]):
            workspace.add_person(id=f"U{name.upper()}", name=name)
        for id_, name in CHANNELS.items():
            workspace.add_channel(id=id_, name=name)
        await stack.enter_async_context(workspace)
        bots: list[Bot] = []
        for number, words in enumerate([("serve",)] * totals.replicas + [("worker",)] * totals.workers):
            place = folder / f"process-{number + 1}"
            config = configuration_for(known, place)
            bot = Bot(folder=place, slack=workspace, database_url=url, config=config, words=words, patience=120)
            bots.append(bot)
        database = Database(url)
        people = People(
            workspace=workspace, chance=chance, hosts=known.names, living=list, pace=pace, in_flight=in_flight
        )
        here = Siege(
            totals=totals,
            bots=bots,
            workspace=workspace,
            hosts=known,
            database=database,
            people=people,
            chance=chance,
            life=life,
            server=server,
        )
        people.living = here.living
        try:
            for index in range(len(bots)):
                await here.start(index)
            await database.start()
            stack.push_async_callback(database.close)
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(here.people.live()), group.create_task(here.watch())]
                try:
                    yield here
                finally:
                    for task in busy:
                        task.cancel()
        finally:
            for bot in bots:
                bot.kill()


async def run(totals: Totals, folder: Path, state: Path | None = None, **how: Any) -> Totals:
    """The kills that are left, each proved. Raises Broken at the first thing that does not hold."""
    began, before, counted = time.monotonic(), totals.seconds, Counter(totals.counted)
    async with siege(totals, folder, **how) as here:
        try:
            while totals.killed < totals.kills:
                moment, found = await here.round()
                totals.killed += 1
                totals.moments[moment] = totals.moments.get(moment, 0) + 1
                totals.seconds = before + time.monotonic() - began
                if totals.killed % QUIET_EVERY == 0 or totals.killed == totals.kills:
                    found = await here.quiet()
                totals.counted = counted | {what: counted[what] + n for what, n in here.sum_up(found).items()}
                if state is not None:
                    totals.write(state)
                    print(f"{totals.killed:4} {totals.seconds:7.1f} s  {len(here.people.done)} done", flush=True)
        except Broken as broken:
            totals.problems.append(str(broken))
            raise
        finally:
            if state is not None:
                totals.write(state)
    return totals


def main() -> int:
    """Run, print the totals; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kills", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--replicas", type=int, default=1, help="processes on one PostgreSQL database")
    parser.add_argument("--workers", type=int, default=0, help="processes beside them that only execute")
    parser.add_argument("--faults", choices=("kill", "all"), default="kill", help="what happens to them")
    parser.add_argument("--kills", type=int, default=100, help="how many faults")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on with the totals of an earlier run")
    given = parser.parse_args()
    if given.database == "sqlite" and given.replicas + given.workers > 1:
        parser.error("on SQLite one process owns the file; --replicas and --workers need --database postgresql")
    if given.resume is not None:
        totals, state = Totals.read(given.resume), given.resume
    else:
        totals = Totals(
            database=given.database,
            replicas=given.replicas,
            workers=given.workers,
            seed=given.seed,
            kills=given.kills,
            faults=list(FAULTS[given.database]) if given.faults == "all" else ["kill"],
        )
        many = f"{given.replicas}-{given.workers}"
        state = Path(tempfile.gettempdir()) / f"{given.faults}-{given.database}-{many}-{given.seed}.json"
    folder = Path(tempfile.mkdtemp(prefix="handrail-kills-"))
    print(f"totals in {state}, the installation in {folder}", flush=True)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ.pop(name, None)  # the Slack client would send loopback traffic through a proxy
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had them ignored
        signal.signal(number, signal.default_int_handler)
    try:
        asyncio.run(run(totals, folder, state))
    except* Broken as broken:
        print("\n".join(map(str, broken.exceptions)), file=sys.stderr)
    except* KeyboardInterrupt:
        print(f"Interrupted; go on with --resume {state}")
    print(totals.table())
    return 1 if totals.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
