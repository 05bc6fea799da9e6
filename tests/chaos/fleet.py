"""Two `handrail serve` and three `handrail worker` on one PostgreSQL: what is asked of one is everybody's.

    python -m tests.chaos.fleet --seed 7
    python -m tests.chaos.fleet --seed 7 --serves 2 --workers 3 --load 15

What is proved, in this order: an execution asked on one replica is seen, cancelled, killed and approved on the other,
whoever carries it; caps and budgets hold over all processes; every process in turn is stopped and started again while
people go on asking, and everything that was asked for completes; every process in turn is killed, and nothing is lost
or run twice; the database dies and comes back, and every execution goes on to its true end. Which replica hears what,
and who goes when, is drawn from the seed.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bot.playground.workspace import Workspace
from runbooks.steps import LET_GO
from storage import executions
from storage import tables as t
from storage.database import Database, moment
from storage.errors import StorageUnavailable
from storage.records import Execution, HostState, State, StepState
from tests.chaos import proof
from tests.chaos.hosts import Hosts, hosts
from tests.chaos.kills import configuration_for
from tests.chaos.people import CHANNELS
from tests.postgres import Postgres
from tests.system.serving import Bot, until

CHANNEL = next(iter(CHANNELS.values()))
PATIENCE = 60.0


class Broken(AssertionError):
    """Something did not hold."""


@dataclass
class Fleet:
    """All processes, one workspace before them, and the hosts."""

    workspace: Workspace
    hosts: Hosts
    server: Postgres
    database: Database
    serves: list[Bot]
    workers: list[Bot]
    chance: random.Random
    asked: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    draining: Bot | None = None  # gets no requests any more, as a balancer does before it takes one away
    is_over: bool = False  # nothing new is asked for
    unheard: int = 0  # requests without an acknowledgement

    @property
    def everybody(self) -> list[Bot]:
        """Every process."""
        return [*self.serves, *self.workers]

    def turn_to(self, bot: Bot) -> None:
        """Slack sends what follows there."""
        self.workspace.events_url = bot.events_url

    def turn(self) -> Bot:
        """To any that lives."""
        bot = self.chance.choice([bot for bot in self.serves if bot.process is not None])
        self.turn_to(bot)
        return bot

    async def ask(self, text: str, *, on: Bot | None = None, by: str = "bob") -> int:
        """Say it there; the execution that it became. `{tag}` stands for a name of its own.

        Who gets no acknowledgement, because that process was killed at this moment, or Slack waited for 3 s in vain
        for a busy machine, says it once more.
        """
        for _ in range(5):
            self.asked += 1
            tag = f"f{self.asked}"
            self.turn_to(on) if on is not None and on.process is not None else self.turn()
            ack = await self.workspace.command(by, CHANNEL, text.format(tag=tag))
            if ack.ok:
                break
            self.unheard += 1
            await asyncio.sleep(0.1)
        else:
            raise Broken(f"{text!r} was not acknowledged five times: {ack}\n{self.logs()}")
        return int(await until(lambda: self.database.read(_of_tag, tag), f"{text!r} being an execution", self.logs))

    async def get(self, number: int) -> Execution:
        """As it stands."""
        return await self.database.read(executions.get, number)

    async def reaches(self, number: int, *states: State, within: float = PATIENCE) -> Execution:
        """Once it is in one of these states (any final one, if none is named); raises with its log if it is not."""

        async def there() -> Execution | None:
            found = await self.get(number)
            return found if (found.state in states if states else found.state.is_final) else None

        found: Execution = await until(there, f"#{number} being {states or 'over'}", self.logs, timeout=within)
        return found

    async def is_carried(self, number: int) -> int:
        """Once one of its steps is being run; the pid of the process that carries it."""

        async def begun() -> str | None:
            steps = await self.database.read(executions.steps_of, number)
            is_begun = any(step.state is StepState.STARTED and step.pgid for step in steps)
            return (await self.get(number)).owner if is_begun else None

        owner = await until(begun, f"#{number} being carried", self.logs)
        return int(str(owner).partition("-")[0])

    def logs(self) -> str:
        """The ends of all."""
        return "\n".join(f"--- {bot.folder.name}\n{bot.log()[-1500:]}" for bot in self.everybody)

    # --- one replica hears what the other was asked -------------------------------------------------------------------

    async def is_seen_elsewhere(self) -> None:
        """Asked on the first, shown by the second."""
        first, second = self.serves[:2]
        number = await self.ask("/runbook quick {tag} 2 on h01", on=first)
        await self.is_carried(number)
        self.turn_to(second)
        await self.workspace.command("alice", CHANNEL, f"/runbook status {number}")
        await self._told("alice", f"#{number}")
        await self.reaches(number, State.SUCCEEDED)

    async def is_cancelled_elsewhere(self) -> None:
        """Asked on the first, cancelled on the second, ended by whoever carries it."""
        first, second = self.serves[:2]
        number = await self.ask("/runbook quick {tag} 50 on h02", on=first)
        await self.is_carried(number)
        self.turn_to(second)
        began = time.monotonic()
        await self.workspace.command("alice", CHANNEL, f"/runbook cancel {number}")
        ended = await self.reaches(number, State.CANCELLED)
        self.figures["seconds from a cancel elsewhere to the ending"] = round(time.monotonic() - began, 2)
        await self._is_dead(ended)

    async def is_killed_elsewhere(self) -> None:
        """Every execution ends at a `--now` said to the second, and nothing starts while it is engaged."""
        first, second = self.serves[:2]
        numbers = [await self.ask(f"/runbook quick {{tag}} 50 on h{n:02}", on=first) for n in range(3, 9)]
        carriers = Counter([await self.is_carried(number) for number in numbers])
        self.turn_to(second)
        began = time.monotonic()
        await self.workspace.command("alice", CHANNEL, "/killswitch global on --now")
        for number in numbers:
            await self._is_dead(await self.reaches(number, State.CANCELLED))
        self.figures["seconds from a --now elsewhere to all endings"] = round(time.monotonic() - began, 2)
        self.figures["processes that carried what it ended"] = len(carriers)
        said = await until(self._stopped_messages, "the message with what was found", self.logs)
        if len(said) != 1 or f"{len(numbers)} commands ended" not in said[0]:
            raise Broken(f"Not one message with all {len(numbers)} commands, but: {said}")
        held = await self.ask("/runbook quick {tag} 0.1 on h09", on=first)
        await self.reaches(held, State.REFUSED)
        self.turn_to(first)
        await self.workspace.command("alice", CHANNEL, "/killswitch global off all clear")
        await until(self._nothing_is_engaged, "the switch being off", self.logs)

    async def is_approved_elsewhere(self) -> None:
        """Asked on the first, approved on the second, carried by anybody."""
        first, second = self.serves[:2]
        number = await self.ask("/runbook grave {tag} 0.1 on h10", on=first)
        await self.reaches(number, State.AWAITING_APPROVAL)
        self.turn_to(second)
        await self.workspace.command("carol", CHANNEL, f"/runbook approve {number}")
        await self.reaches(number, State.SUCCEEDED)

    async def _stopped_messages(self) -> list[str]:
        alerts = [self.workspace.read(message) for message in self.workspace.messages("C0OPS")]
        return [said for said in alerts if "ended in" in said]

    async def _nothing_is_engaged(self) -> bool:
        return not await self.database.read(lambda connection: connection.execute(select(t.kill_switches)).all())

    async def _told(self, person: str, said: str) -> None:
        def heard() -> bool:
            read = self.workspace.read
            return any(said in read(m) or said in m.text for m in self.workspace.ephemeral(person, CHANNEL))

        await until(heard, f"{person} being told {said!r}", self.logs)

    async def _is_dead(self, ended: Execution) -> None:
        steps = await self.database.read(executions.steps_of, ended.id)
        deaths = [step.death.value if step.death else None for step in steps if step.state is StepState.STOPPED]
        if deaths != ["stopped"]:
            raise Broken(f"#{ended.id} was {ended.state.words}, and its command is {deaths or 'unknown'}")

    # --- caps and budgets ---------------------------------------------------------------------------------------------

    async def caps_hold(self, *, asked: int, cap: int) -> None:
        """`glance` may be carried so often at once, over all processes; all of it is carried in the end."""
        numbers = [
            await self.ask(f"/runbook glance {{tag}} 0.3 on h{1 + n % 12:02}", on=self.serves[n % len(self.serves)])
            for n in range(asked)
        ]
        most = 0
        open_ = set(numbers)
        deadline = time.monotonic() + PATIENCE
        while open_ and time.monotonic() < deadline:
            carried, ended = await self.database.read(_carried_among, numbers, "glance")
            most = max(most, carried)
            open_ -= ended
            await asyncio.sleep(0.01)
        if open_:
            raise Broken(f"Still open: {sorted(open_)}\n{self.logs()}")
        if most > cap:
            raise Broken(f"{most} were carried at once, and {cap} may be")
        self.figures[f"most carried at once of a runbook capped at {cap}"] = most

    async def budgets_hold(self, *, asked: int, budget: int) -> None:
        """So many asked at once of all replicas, of what may start so often a day: exactly so many start."""
        numbers = [await self.ask(f"/runbook rare {{tag}} 0 on h{1 + n % 12:02}") for n in range(asked)]
        ends = [await self.reaches(number) for number in numbers]
        states = Counter(one.state.value for one in ends)
        if states["succeeded"] != budget or states["succeeded"] + states["refused"] != asked:
            raise Broken(f"{budget} of {asked} may start, and this is what became of them: {dict(states)}")
        self.figures[f"started of {asked} asked where {budget} may"] = states["succeeded"]

    # --- going on while they come and go ------------------------------------------------------------------------------

    async def rolling_restart(self, load: int) -> None:
        """Every process is stopped and started again, one after the other, while people go on asking."""
        await self._one_after_the_other(load, self._restart, "rolling restart")

    async def kill_each(self, load: int) -> None:
        """Every process is killed and started again, one after the other, while people go on asking."""
        before = self.unheard
        await self._one_after_the_other(load, self._kill, "kills")
        self.figures["requests not acknowledged during the kills, and asked again"] = self.unheard - before

    async def outlives_an_outage(self, seconds: float) -> None:
        """The database dies in the middle of steps and comes back: all are carried on, each by one, to their true end.

        Commands that may be repeated are ended when their owners could not renew, and run again; the others are left.
        """
        names = ("quick", "sure") * 3
        numbers = [await self.ask(f"/runbook {name} {{tag}} 8 on h{n:02}") for n, name in enumerate(names, 1)]
        for number in numbers:
            await self.is_carried(number)
        await asyncio.to_thread(self.server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.server.start)
        began = time.monotonic()
        await until(self._all_are_owned, "every running execution having a living owner", self.logs)
        self.figures["seconds from the database's return until all had living owners"] = round(
            time.monotonic() - began, 1
        )
        for number in numbers:
            await self.reaches(number, State.SUCCEEDED, within=120)
        ended = 0
        for number in numbers:
            steps = await self.database.read(executions.steps_of, number)
            ended += sum(step.state is StepState.INTERRUPTED and step.reason == LET_GO for step in steps)
        if not ended:
            raise Broken("No command that may be repeated was ended by an owner that could not renew.")
        self.figures["commands that owners ended in the outage and ran again"] = ended
        await self.prove()

    async def _all_are_owned(self) -> bool:
        try:
            return not await self.database.read(_ownerless)
        except StorageUnavailable:
            return False

    async def _restart(self, bot: Bot) -> None:
        began = time.monotonic()
        status = await bot.stop()
        if status != 0:
            raise Broken(f"{bot.folder.name} ended with {status}\n{bot.log()}")
        took = round(time.monotonic() - began, 1)
        self.figures["most seconds to stop"] = max(took, self.figures.get("most seconds to stop", 0.0))
        await bot.start()

    async def _kill(self, bot: Bot) -> None:
        bot.kill()
        await asyncio.sleep(self.chance.uniform(0, 2))
        await bot.start()

    async def _one_after_the_other(self, load: int, how: Callable[[Bot], Any], what: str) -> None:
        numbers: list[int] = []
        asking = asyncio.create_task(self._go_on_asking(load, numbers))
        order = self.everybody
        self.chance.shuffle(order)
        try:
            for bot in order:
                await asyncio.sleep(self.chance.uniform(0.3, 1.0))
                # Slack's load balancer notices that one is going before it goes.
                others = [one for one in self.serves if one is not bot]
                self.draining = bot
                if bot.serves and others:
                    self.turn_to(others[0])
                await how(bot)
                self.draining = None
        finally:
            self.draining = None
            self.is_over = True
            await asyncio.gather(asking)
        ends = Counter()
        for number in numbers:
            ended = await self.reaches(number, *(s for s in State if s.is_final or s is State.INTERRUPTED))
            ends[ended.state.value] += 1
            if ended.state is not State.SUCCEEDED:
                raise Broken(f"{what}: #{number} ({ended.runbook}) is {ended.state.words}: {ended.ending}")
        self.figures[f"{what}: executions asked, all succeeded"] = sum(ends.values())
        await self.prove()

    async def _go_on_asking(self, load: int, numbers: list[int]) -> None:
        """About so many are open at any time."""
        self.is_over = False
        names = {"quick": 4, "steady": 3, "sure": 3, "mixed": 2, "glance": 2}
        while not self.is_over:
            open_ = await self.database.read(_open_among, numbers)
            if open_ >= load:
                await asyncio.sleep(0.05)
                continue
            host, name = self.chance.randint(1, 12), self.chance.choices(list(names), list(names.values()))[0]
            ready = [bot for bot in self.serves if bot.process is not None and bot is not self.draining]
            pace = self.chance.choice((0.1, 0.3, 0.6))
            text = f"/runbook {name} {{tag}} {pace} on h{host:02}"
            numbers.append(await self.ask(text, on=self.chance.choice(ready)))

    async def prove(self) -> None:
        """What must hold of the records and the hosts, whatever went on."""
        memory = proof.Memory()
        ledger = self.hosts.ledger()
        found = await self.database.read(proof.look, memory)
        seen = [
            *proof.the_audit(found, memory),
            *proof.what_ran(found, ledger, Counter()),
            *proof.the_locks(found),
            *proof.the_budgets(found),
            *proof.overlaps(found, ledger, set()),
        ]
        states = [row for row in found.hosts if row["state"] == HostState.INTERRUPTED.value]
        seen += [f"{row['host']} of #{row['execution_id']} was interrupted" for row in states]
        if seen:
            raise Broken("\n".join(seen))
        self.figures["commands that changed a host"] = len(ledger.begun)
        self.figures["executions"] = len(found.executions)


def _ownerless(connection: Connection) -> list[Execution]:
    return executions.ownerless(connection, now=moment(connection, datetime.now(UTC)))


def _of_tag(connection: Connection, tag: str) -> int | None:
    rows = connection.execute(select(t.executions.c.id, t.executions.c.params).order_by(t.executions.c.id.desc()))
    return next((row.id for row in rows.fetchmany(200) if row.params.get("tag") == tag), None)


def _open_among(connection: Connection, numbers: list[int]) -> int:
    unfinished = [state.value for state in executions.UNFINISHED]
    c = t.executions.c
    return len(connection.execute(select(c.id).where(c.id.in_(numbers), c.state.in_(unfinished))).all())


def _carried_among(connection: Connection, numbers: list[int], runbook: str) -> tuple[int, set[int]]:
    """How many of a runbook any process carries, and which of these have ended, at one moment."""
    c = t.executions.c
    rows = connection.execute(select(c.id, c.state, c.owner, c.runbook).where(c.id.in_(numbers))).all()
    carried = [row for row in rows if row.owner is not None and row.runbook == runbook]
    return len(carried), {row.id for row in rows if State(row.state).is_final}


@asynccontextmanager
async def fleet(
    folder: Path, server: Postgres, *, seed: int, serves: int, workers: int, **changes: Any
) -> AsyncIterator[Fleet]:
    """All up and ready; all gone afterwards. The first replica executes as well, the others leave that to workers."""
    async with AsyncExitStack() as stack:
        url = server.new_database(f"fleet_{os.getpid()}")
        known = stack.enter_context(hosts(folder / "host"))
        workspace = Workspace(rate_limits=False)
        for id_, name in CHANNELS.items():
            workspace.add_channel(id=id_, name=name)
        await stack.enter_async_context(workspace)
        commands = [("serve",), *[("serve", "--no-execute")] * (serves - 1), *[("worker",)] * workers]
        bots: list[Bot] = []
        for number, words in enumerate(commands, 1):
            place = folder / f"{words[0]}-{number}"
            config = configuration_for(known, place) | changes
            config["limits"]["look"] = "10000/min"  # one person asks for everything
            bots.append(
                Bot(
                    folder=place,
                    slack=workspace,
                    database_url=url,
                    config=config,
                    words=words,
                    patience=2 * PATIENCE,
                )
            )
        stack.callback(lambda: [bot.kill() for bot in bots])
        for bot in bots:
            await bot.start()
        database = Database(url)
        await database.start()
        stack.push_async_callback(database.close)
        yield Fleet(
            workspace=workspace,
            hosts=known,
            server=server,
            database=database,
            serves=bots[:serves],
            workers=bots[serves:],
            chance=random.Random(seed),  # noqa: S311
        )


CAP, BUDGET = 4, 5


async def run(seed: int, serves: int, workers: int, load: int, only: str = "") -> dict[str, Any]:
    """All of it, or what has `only` in its name; the figures. Raises Broken at the first thing that does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="handrail-fleet-"))
    own = {"glance": {"at_once": CAP}, "rare": {"limit": f"{BUDGET}/day", "cooldown": "0s"}}
    with Postgres() as server:
        async with fleet(folder, server, seed=seed, serves=serves, workers=workers, runbooks=own) as here:
            for what in (
                here.is_seen_elsewhere,
                here.is_cancelled_elsewhere,
                here.is_killed_elsewhere,
                here.is_approved_elsewhere,
                partial(here.caps_hold, asked=40, cap=CAP),
                partial(here.budgets_hold, asked=15, budget=BUDGET),
                partial(here.rolling_restart, load),
                partial(here.kill_each, load),
                partial(here.outlives_an_outage, 15),
            ):
                name = getattr(what, "func", what).__name__.replace("_", " ")
                if only in name:
                    print(f"… {name}", flush=True)
                    await what()
            return here.figures


def main() -> int:
    """Run, print the figures; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fleet", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--serves", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--load", type=int, default=15, help="executions that are open at any time")
    parser.add_argument("--only", default="", metavar="WORDS", help="what has these words in its name")
    given = parser.parse_args()
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ.pop(name, None)  # the Slack client would send loopback traffic through a proxy
    try:
        figures = asyncio.run(run(given.seed, given.serves, given.workers, given.load, given.only))
    except AssertionError as broken:
        print(broken, file=sys.stderr)
        return 1
    for what, figure in figures.items():
        print(f"{what:<60} {figure}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
