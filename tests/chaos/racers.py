"""A hundred requests at once for what only some may have, through the engine's front door, from one process or several.

    python -m tests.chaos.racers FIRST STEP PRIZE URL [PRIZE URL ...]

is one racer: it says `ready`, waits for a line, and then, for one prize after the other, asks for its share of the
hundred executions at once and carries out what an owner in this process claims. Whatever is admitted is held in its
first step until every request has been judged, so that nobody wins because somebody else had ended. Time stands still.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from runbooks import Category, Danger, Facts, Parameters, Plan, Run, Runbook, minutes, positional
from safety.approval import Demand, Demands
from safety.circuit_breaker import FAILURES, RESET
from safety.clock import SystemClock
from safety.review import Policy
from safety.roles import People, Role
from safety.token_bucket import Limits, Rate
from storage import approvals, audit, controls, executions
from storage import tables as t
from storage.database import Database
from storage.errors import OperatorError
from storage.records import Actor, ApprovalState, Breaker, BreakerState, Consent, State
from tests.builders import House, a_house, catalog_with, hosts
from tests.fakes import START, Reply

ALL = 100
TOKENS = 10
PATIENCE = 300.0
"""Seconds a race may take, also on a machine that has much else to do."""
AT_ONCE = 15
"""What one owner carries: so few that all of them have a part, and enough for all winners in one."""
PEOPLE = tuple(Actor(id=f"URACER{number}", name=f"racer{number}") for number in range(10))
PLENTY = (Rate(limit=10_000, period=60.0),)
VOTERS = tuple(Actor(id=f"UVOTER{number}", name=f"voter{number}") for number in range(6))
QUORUM = 3
HOSTS = tuple(f"r{number:03}" for number in range(ALL))


class Touch(Runbook):
    """One change, told apart by a number."""

    name, category, danger, cooldown = "touch", Category.MAINTENANCE, Danger.LOW, minutes(0)

    class Params(Parameters):
        """Which."""

        number: int = positional("which")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Touch", "touch", f"/tmp/{params.number}"))


class Rarely(Touch):
    """The same, with a cooldown."""

    name, cooldown = "rarely", minutes(10)


class Gravely(Touch):
    """The same, with several people's consent."""

    name, danger = "gravely", Danger.DANGEROUS


@dataclass(frozen=True, kw_only=True)
class Prize:
    """What is raced for: by which runbook, on one host or each on its own, and how many may have it."""

    runbook: str
    winners: int
    one_host: bool
    gate: str  # which refuses the others


PRIZES: Mapping[str, Prize] = {
    "bucket": Prize(runbook="touch", winners=TOKENS, one_host=False, gate="by the rate limits gate"),
    "cooldown": Prize(runbook="rarely", winners=1, one_host=True, gate="by the cooldown gate"),
    "half-open": Prize(runbook="touch", winners=1, one_host=True, gate="by the circuit breaker gate"),
}


class StillClock:
    """Nothing refills and no lease runs out; sleeping takes as long as it takes."""

    def now(self) -> datetime:
        """Always the same."""
        return START

    def monotonic(self) -> float:
        """The machine's."""
        return SystemClock().monotonic()

    async def sleep(self, seconds: float) -> None:
        """The event loop's."""
        await asyncio.sleep(seconds)


def policy(before: Policy) -> Policy:
    """Ten tokens a minute for a runbook, plenty of all else; three of six must agree to what is dangerous."""
    limits = Limits(everything=PLENTY, service=PLENTY, runbook=(Rate(limit=TOKENS, period=60.0),), person=PLENTY)
    roles = {one.id: Role.NOC for one in PEOPLE} | {one.id: Role.MANAGER for one in VOTERS}
    demands = Demands(dangers={Danger.DANGEROUS: Demand(consent=Consent.APPROVE, quorum=QUORUM)})
    return replace(before, people=People(roles=roles), limits=limits, demands=demands)


def house(database: Database, held: Reply) -> Any:
    """An engine and an owner whose clock stands still and whose steps wait."""
    return a_house(
        database,
        replies={"touch": held},
        catalog=catalog_with(Touch, Rarely, Gravely),
        inventory=hosts(*HOSTS),
        clock=StillClock(),
        change=policy,
    )


async def prepare(database: Database, prize: str) -> None:
    """A breaker that is due for its one trial, or an execution that waits for its consent."""
    if prize == "half-open":
        await database.write(_open_breaker)
    if prize == "quorum":
        async with house(database, Reply()) as here:
            answer = await here.ask(f"gravely 1 on {HOSTS[0]}", by=PEOPLE[0])
            await here.reaches(answer.execution.id, State.AWAITING_APPROVAL, seconds=PATIENCE)


def _open_breaker(connection: Connection) -> None:
    due = Breaker(
        runbook="touch",
        host=HOSTS[0],
        state=BreakerState.OPEN,
        failures=FAILURES,
        opened_at=START - RESET - timedelta(seconds=1),
    )
    controls.set_breakers(connection, [due])


async def race(database: Database, prize: str, numbers: Sequence[int]) -> int:
    """Ask for all of them at once; returns once everybody's are judged and ended, with how many steps ran here."""
    held = Reply(hangs=True)
    async with house(database, held) as here:
        here.owner.at_once = AT_ONCE
        if prize == "quorum":
            held.release.set()
            await asyncio.gather(*(_vote(here, VOTERS[number % len(VOTERS)]) for number in numbers))
            await here.reaches(1, State.SUCCEEDED, seconds=PATIENCE)
        else:
            await asyncio.gather(*(_ask(here, PRIZES[prize], number) for number in numbers))
            await _until(database, {State.RUNNING, State.REFUSED})
            held.release.set()
            await _until(database, {State.SUCCEEDED, State.REFUSED})
        return len(here.remote.ran)


async def _vote(house: House, voter: Actor) -> None:
    with contextlib.suppress(OperatorError):  # said before, or enough had said it
        await house.engine.approve(1, voter)


async def _ask(house: House, prize: Prize, number: int) -> None:
    host = HOSTS[0] if prize.one_host else HOSTS[number]
    await house.ask(f"{prize.runbook} {number} on {host}", by=PEOPLE[number % len(PEOPLE)])


async def _until(database: Database, states: set[State]) -> None:
    """Every one of the hundred has passed into one of these, or beyond."""
    allowed = states | {State.SUCCEEDED}
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await database.read(_states)
            if found.total() == ALL and set(found) <= allowed:
                return
            await asyncio.sleep(0.05)


def _states(connection: Connection) -> Counter[State]:
    rows = connection.execute(select(t.executions.c.state, func.count()).group_by(t.executions.c.state))
    return Counter({State(state): number for state, number in rows})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the database says after a race."""

    states: Mapping[State, int]
    admitted: int
    gates: Mapping[str, int]  # which gate refused how many
    cooldowns: int
    token_time: float | None  # GCRA's number of `touch`, in seconds after the start
    verified: bool


def outcome(connection: Connection) -> Outcome:
    """Read after a race."""
    gates: Counter[str] = Counter()
    for execution in executions.in_states(connection, (State.REFUSED,), limit=ALL):
        gates[(execution.ending or "").partition(":")[0]] += 1
    keys = [key for key in connection.scalars(select(t.token_buckets.c.key)) if key.startswith("runbook:touch")]
    tats = controls.buckets(connection, keys)
    return Outcome(
        states=_states(connection),
        admitted=connection.scalar(select(func.count()).select_from(t.admissions)) or 0,
        gates=gates,
        cooldowns=connection.scalar(select(func.count()).select_from(t.cooldowns)) or 0,
        token_time=max(tats.values()) - START.timestamp() if tats else None,
        verified=audit.verify(connection).ok,
    )


@dataclass(frozen=True, kw_only=True)
class Votes:
    """What the database says after a race for consent."""

    given: int  # approvals that are given
    voters: tuple[str, ...]
    witnessed: int  # entries of an approval that was given
    half_way: int  # entries of a yes that was not enough yet
    decided_by: str | None
    state: State


def votes(connection: Connection) -> Votes:
    """Read after a race."""
    found = approvals.latest(connection, 1)
    assert found is not None
    kinds = Counter(entry.kind for entry in audit.search(connection, execution_id=1, limit=500))
    rows = connection.scalars(select(t.approval_votes.c.person).where(t.approval_votes.c.approval_id == found.id))
    return Votes(
        given=connection.scalar(
            select(func.count()).select_from(t.approvals).where(t.approvals.c.state == ApprovalState.GIVEN.value)
        )
        or 0,
        voters=tuple(rows),
        witnessed=kinds["approval.given"],
        half_way=kinds["approval.vote"],
        decided_by=found.decided_by,
        state=executions.get(connection, 1).state,
    )


async def racers(urls: Mapping[str, str], processes: int) -> dict[str, list[int]]:
    """Let so many processes race for each prize, on its own database; how many steps ran in each of them."""
    words = [word for prize, url in urls.items() for word in (prize, url)]
    started = [await _racer(number, processes, *words) for number in range(processes)]
    for one in started:
        assert await _line(one) == "ready"
    for one in started:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
    done = [await one.communicate() for one in started]
    assert all(one.returncode == 0 for one in started), b"\n".join(errors for _, errors in done).decode()
    ran = [json.loads(out.splitlines()[-1]) for out, _ in done]
    return {prize: [one[prize] for one in ran] for prize in urls}


async def _racer(first: int, step: int, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.chaos.racers", str(first), str(step), *words]
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def main(first: str, step: str, *words: str) -> None:
    """One racer."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    ran: dict[str, int] = {}
    for prize, url in zip(words[::2], words[1::2], strict=True):
        database = Database(url)
        await database.start()
        ran[prize] = await race(database, prize, range(int(first), ALL, int(step)))
        await database.close()
    print(json.dumps(ran), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
