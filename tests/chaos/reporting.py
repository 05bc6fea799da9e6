"""A thousand executions that report into five channels of a workspace with Slack's own limits.

    python -m tests.chaos.reporting --executions 1000 --over 720 --seed 7
    python -m tests.chaos.reporting --executions 1000 --over 720 --seed 7 --database postgresql --replicas 2
    python -m tests.chaos.reporting --write                                  (the totals go into docs/chaos.md)

`handrail serve` runs as a process of its own, on a real sshd under twelve names. Simulated people ask for one thing
after the other, faster than Slack lets it be told; others approve what is dangerous. The workspace counts calls as
Slack does, and by chance it carries out a call and loses the answer, cuts a connection, or asks to wait. When all has
ended and been said, `said.py` is asked whether everything stands where it must.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from bot.playground.workspace import Workspace
from storage import executions
from storage import tables as t
from storage.database import Database
from storage.records import ApprovalState, OutboxState
from tests.chaos import said
from tests.chaos.hosts import Hosts, hosts
from tests.chaos.kills import OWN_FAULTS, Broken, configuration_for
from tests.chaos.people import APPROVERS, ASKERS
from tests.chaos.people import CHANNELS as ALL_CHANNELS
from tests.postgres import Postgres
from tests.system.serving import ROOT, Bot

CHANNELS = dict(list(ALL_CHANNELS.items())[:5])
PAGE = ROOT / "docs" / "chaos.md"
ENOUGH = 3_600.0
"""Seconds within which everything has ended and been said."""
TELL_EVERY = 30.0
PATIENCE = 40
"""How often anybody types the same."""
SEEN = 10.0
"""Seconds in which a click is seen to have done something, before anybody presses again."""
# How often each runbook is asked for, and with what.
RUNBOOKS = {
    "quick {tag} 0.2 on {host}": 40,
    "steady {tag} 0.5 on {host}": 8,
    "talk {tag} 0.2 {few} on {host}": 15,
    "talk {tag} 0.2 {many} on {host}": 5,
    "failing {tag} 0.2 on {host}": 8,
    "grave {tag} 0.3 on {host}": 10,
    "wide {tag} 0.3 on {some}": 8,
    "broad {tag} 0.2 on {most}": 3,
    "glance {tag} on {some}": 3,
}
# What goes wrong with a call, and how often of all that goes wrong.
TROUBLE = {"lost": 6, "lost and not to be found": 2, "edit lost": 4, "never answered": 1, "cut": 3, "asked to wait": 2}


@dataclass
class Crowd:
    """Processes, people who ask, and what came of it. `between` are the seconds from one trouble to the next, about."""

    workspace: Workspace
    hosts: Hosts
    database: Database
    bots: list[Bot]
    chance: random.Random
    between: float = 8.0
    asked: int = 0
    late: int = 0  # commands and clicks that were not acknowledged in time, or not as stored
    acks: list[float] = field(default_factory=list)
    troubled: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    figures: dict[str, str] = field(default_factory=dict)
    _approving: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def ask_for(self, number: int, *, over: float) -> None:
        """So many requests, evenly over so many seconds; returns when all are acknowledged."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as asking:
            for index in range(number):
                await asyncio.sleep(max(0.0, began + index * over / number - time.monotonic()))
                asking.create_task(self._ask(index))

    async def _ask(self, index: int) -> None:
        tag, text = f"r{index + 1}", self.chance.choices(list(RUNBOOKS), list(RUNBOOKS.values()))[0]
        some, most = (
            ",".join(sorted(self.chance.sample(self.hosts.names, n))) for n in (self.chance.randint(2, 4), 10)
        )
        words = text.format(
            tag=tag,
            host=self.chance.choice(self.hosts.names),
            some=some,
            most=most,
            few=self.chance.randint(1, 15),
            many=self.chance.randint(100, 2_000),
        )
        await self.say(self.chance.choice(ASKERS), list(CHANNELS.values())[index % len(CHANNELS)], f"/runbook {words}")

    async def say(self, who: str, channel: str, text: str) -> None:
        """Type it, to any of the processes, and once more as long as it was not acknowledged as stored."""
        self.asked += 1
        trigger: str | None = None
        for _ in range(PATIENCE):
            self.workspace.events_url = self.chance.choice(self.bots).events_url
            ack = await self.workspace.command(who, channel, text, trigger_id=trigger)
            trigger = ack.trigger_id
            self.acks.append(ack.elapsed)
            if ack.ok and "not yet stored" not in str(ack.body):
                return
            self.late += 1
            await asyncio.sleep(2)
        raise Broken(f"{text!r} was answered with {ack.error or ack.body!r}")

    # --- those who approve --------------------------------------------------------------------------------------------

    async def approve(self) -> None:
        """Somebody decides whatever is asked, a moment after it is seen; until cancelled."""
        try:
            while True:
                for approval, channel, ts in await self.database.read(_questions):
                    if approval not in self._approving:
                        self._approving[approval] = asyncio.create_task(self._decide(channel, ts))
                    elif self._approving[approval].done():  # it was clicked, and yet still waits
                        self._approving.pop(approval).result()
                await asyncio.sleep(0.5)
        finally:
            for task in self._approving.values():
                task.cancel()
            await asyncio.gather(*self._approving.values(), return_exceptions=True)

    async def _decide(self, channel: str, ts: str) -> None:
        await asyncio.sleep(self.chance.uniform(0.5, 5))
        message = self.workspace.state.message(channel, ts)
        if message is None:
            raise Broken(f"The question {ts} does not stand in {channel}.")
        label = "Deny" if self.chance.random() < 0.1 else "Approve"
        who = self.chance.choice(APPROVERS)
        ack = await self.workspace.click(who, message, label)
        self.late += not ack.ok
        await asyncio.sleep(2)
        if self.workspace.views(who):  # in which to say why
            await self.workspace.submit_view(who)
        await asyncio.sleep(SEEN)

    # --- trouble ------------------------------------------------------------------------------------------------------

    async def trouble(self) -> None:
        """Something goes wrong with a call now and then; until cancelled."""
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / self.between))
            self.go_wrong(self.chance.choices(list(TROUBLE), list(TROUBLE.values()))[0])

    def go_wrong(self, what: str) -> None:
        """Once, with the next call that it can meet."""
        faults = self.workspace.faults
        waits = [fault.retry_after for fault in faults.all()]
        if len(waits) > 2 or (what == "asked to wait" and any(waits)):  # what was to go wrong has met no call yet
            return
        self.troubled[what] += 1
        match what:
            case "edit lost":
                faults.drop_after_effect("chat.update", times=1)
            case "never answered":
                faults.hang_after_effect("chat.postMessage", times=1)
            case "cut":
                faults.cut("chat.postMessage", times=1)
            case "asked to wait":
                faults.rate_limited(3, "chat.postMessage", times=1)
            case _:
                faults.drop_after_effect("chat.postMessage", times=1)
        if what == "lost and not to be found":
            for method in ("conversations.replies", "conversations.history"):
                faults.refused("missing_scope", method, times=1)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def told(self, number: int, *, within: float = ENOUGH) -> None:
        """Wait until so many executions have ended and nothing waits to be said."""
        deadline, next_word = time.monotonic() + within, 0.0
        while True:
            open_, waiting, there = await self.database.read(_left)
            if there >= number and not open_ and not waiting:
                return
            if time.monotonic() > deadline:
                raise Broken(f"After {within:g} s {open_} have not ended, and {waiting} messages wait.")
            if time.monotonic() > next_word:
                next_word = time.monotonic() + TELL_EVERY
                seconds, calls = time.monotonic() - self.began, self.workspace.recorded
                print(f"{seconds:6.0f} s  {there} asked, {open_} open, {waiting} to be said, {calls} calls", flush=True)
            await asyncio.sleep(0.5)

    async def prove(self) -> said.Evidence:
        """Look at all of it, and raise with everything that does not hold."""
        messages = [message for channel in CHANNELS for message in self.workspace.state.all_messages(channel)]
        found = await self.database.read(said.look, messages, self.workspace.calls)
        seen = [*said.problems(found, asked=self.asked), *self._faults()]
        self._count(found)
        if seen:
            raise Broken("\n".join(seen[:60]) + f"\n{len(seen)} things do not hold.")
        return found

    def _faults(self) -> Iterator[str]:
        for bot in self.bots:
            text = (bot.folder / "bot.log").read_text(errors="replace")
            yield from (f"log: {line[:600]}" for line in text.splitlines() if OWN_FAULTS.search(line))

    def _count(self, found: said.Evidence) -> None:
        states = Counter(row["state"] for row in found.executions.values())
        given = Counter(row["state"] for row in found.approvals)
        calls = [call for call in found.calls if call.ok]
        posts, edits = (sum(call.method == name for call in calls) for name in ("chat.postMessage", "chat.update"))
        files = sum(call.method == "files.completeUploadExternal" for call in calls)
        waited = Counter(call.method for call in found.calls if call.status == 429)
        lost = said.lost(found.calls)
        self.figures |= {
            "executions": f"{len(found.executions)}: " + _listed(states),
            "requests for approval": f"{len(found.approvals)}: " + _listed(given),
            "posts, edits, files": f"{posts}, {edits}, {files}",
            "posts and edits carried out whose answer was lost": f"{lost['chat.postMessage']}, {lost['chat.update']}",
            "of these posts, found again; repeated and marked": (
                f"{lost['chat.postMessage'] - said.repeated(found)}; {said.repeated(found)}"
            ),
            "copies that nobody edits any more, as nobody knows where they stand": str(len(said.left_behind(found))),
            "asked to wait (429): by the trouble made, by the limits": (
                f"{self.troubled['asked to wait']}, {waited.total() - self.troubled['asked to wait']}"
            ),
            "audit entries verified": str(found.verified.entries),
            "commands and clicks not acknowledged within 3 s": str(self.late),
            "commands acknowledged after": f"p50 {statistics.median(self.acks) * 1000:.0f} ms, "
            f"p99 {said.percentile(self.acks, 0.99) * 1000:.0f} ms",
        }
        took = (found.calls[-1].at - min(row["created_at"].timestamp() for row in found.executions.values())) / 60
        for what, minutes in said.bounds(found).items():
            self.figures[f"at Slack's limits at least: {what}"] = f"{minutes:.1f} min"
        self.figures["it took, from the first request to the last word"] = f"{took:.1f} min"
        for what, seconds in sorted(said.waits(found).items()):
            parts = (f"{name} {_seconds(said.percentile(seconds, share))}" for name, share in SHARES.items())
            self.figures[f"from {what}" if what.startswith("a") else what] = ", ".join(parts) + f" of {len(seconds)}"

    def table(self, title: str) -> str:
        """For the documentation."""
        rows = [f"| {title} | |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in self.figures.items())]
        return "\n".join(rows)


SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "at most": 1.0}


def _listed(numbers: Counter[str]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.most_common())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _questions(connection: Connection) -> list[tuple[int, str, str]]:
    """What waits for a decision and stands in its thread: its number, where, and the message."""
    a, o = t.approvals.c, t.outbox.c
    waiting = connection.execute(
        select(a.id, a.execution_id, t.threads.c.channel)
        .join(t.threads, t.threads.c.execution_id == a.execution_id)
        .where(a.state == ApprovalState.WAITING.value)
    ).all()
    found = []
    for row in waiting:
        key = f"approval:{row.execution_id}:{row.id}"
        ts = connection.scalar(
            select(o.ts).where(
                o.execution_id == row.execution_id, o.coalesce_key == key, o.state == OutboxState.SENT.value
            )
        )
        if ts is not None:
            found.append((row.id, row.channel, ts))
    return found


def _left(connection: Connection) -> tuple[int, int, int]:
    """How many executions have not ended, how many messages wait, how many executions there are."""
    e, o = t.executions.c, t.outbox.c
    unfinished = [state.value for state in executions.UNFINISHED]
    waits = (OutboxState.WAITING.value, OutboxState.SENDING.value)
    counted = (
        select(func.count()).select_from(t.executions).where(e.state.in_(unfinished)),
        select(func.count()).select_from(t.outbox).where(o.state.in_(waits)),
        select(func.count()).select_from(t.executions),
    )
    open_, waiting, there = (int(connection.scalar(query) or 0) for query in counted)
    return open_, waiting, there


# --- the installation -------------------------------------------------------------------------------------------------


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/handrail.db"
        return
    with Postgres() as server:
        yield server.new_database(f"reporting_{os.getpid()}")


@asynccontextmanager
async def crowd(folder: Path, *, database: str, replicas: int, seed: int) -> AsyncIterator[Crowd]:
    """All is up; all of it is gone afterwards."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(_database(database, folder))
        known = stack.enter_context(hosts(folder / "host"))
        workspace = Workspace()
        workspace.wire = deque()  # all of it is evidence
        for name in ("erin", *ASKERS[1:]):
            workspace.add_person(id=f"U{name.upper()}", name=name)
        for id_, name in CHANNELS.items():
            workspace.add_channel(id=id_, name=name)
        await stack.enter_async_context(workspace)
        bots: list[Bot] = []
        stack.callback(lambda: [bot.kill() for bot in bots])
        for number in range(replicas):
            place = folder / f"process-{number + 1}"
            config = configuration_for(known, place)
            config["approvals"]["expire"] = "30m"
            config["limits"]["look"] = "10000/min"
            bots.append(Bot(folder=place, slack=workspace, database_url=url, config=config, patience=120))
            await bots[-1].start()
        read = Database(url)
        await read.start()
        stack.push_async_callback(read.close)
        yield Crowd(
            workspace=workspace,
            hosts=known,
            database=read,
            bots=bots,
            chance=random.Random(seed),  # noqa: S311
        )


async def run(folder: Path, *, database: str, replicas: int, number: int, over: float, seed: int) -> Crowd:
    """All of it. Raises Broken with what does not hold."""
    async with crowd(folder, database=database, replicas=replicas, seed=seed) as here:
        async with asyncio.TaskGroup() as group:
            busy = [group.create_task(here.approve()), group.create_task(here.trouble())]
            asking = group.create_task(here.ask_for(number, over=over))
            await here.told(number)
            await asking
            for task in busy:
                task.cancel()
        try:
            await here.prove()
        finally:
            print("\n".join(f"{what:<60} {figure}" for what, figure in here.figures.items()))
        return here


def write(here: Crowd, title: str) -> None:
    """Into the page, in the place of what stood there of the same kind of installation."""
    text, begin, end = PAGE.read_text(), f"<!-- reporting: {title.split(',')[0]} -->", "<!-- reported -->"
    head, _, rest = text.partition(begin)
    if not rest:
        raise SystemExit(f"{PAGE} has no place for it: {begin}")
    PAGE.write_text(f"{head}{begin}\n\n{here.table(title)}\n\n{end}{rest.partition(end)[2]}")


def _sentences(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _sentences(error)
        else:
            yield str(error)


def main() -> int:
    """Run, print the figures; 1 when something did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.reporting", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--replicas", type=int, default=1, help="processes on one PostgreSQL database")
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--over", type=float, default=720.0, help="seconds in which they are asked for")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="put the totals into docs/chaos.md")
    given = parser.parse_args()
    if given.database == "sqlite" and given.replicas > 1:
        parser.error("on SQLite one process owns the file; --replicas needs --database postgresql")
    folder = Path(tempfile.mkdtemp(prefix="handrail-reporting-"))
    print(f"the installation is in {folder}", flush=True)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ.pop(name, None)  # the Slack client would send loopback traffic through a proxy
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had them ignored
        signal.signal(number, signal.default_int_handler)
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[given.database]
    title = (
        f"{name}, {given.replicas} process{'es' * (given.replicas > 1)}, {datetime.now(UTC).date()}, seed {given.seed}"
    )
    broken: list[str] = []
    try:
        here = asyncio.run(
            run(
                folder,
                database=given.database,
                replicas=given.replicas,
                number=given.executions,
                over=given.over,
                seed=given.seed,
            )
        )
        if given.write:
            write(here, title)
    except* Broken as group:
        broken += _sentences(group)
    print("\n".join(broken) or "All of it holds.", file=sys.stderr if broken else sys.stdout)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
