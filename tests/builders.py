"""Builders that show only what matters to a test."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot.commands import Commands
from bot.filling import Forms
from bot.modals import Shown
from runbooks import catalog as catalogs
from runbooks.answer import Answer
from runbooks.catalog import Catalog, Entry
from runbooks.definition import Runbook
from runbooks.engine import Engine
from runbooks.inventory import Inventory
from runbooks.owner import Owner
from runbooks.planning import Planner
from runbooks.plans import StoredPlan, fingerprint, to_json
from runbooks.remote import Host
from runbooks.steps import Tools
from safety.clock import Clock, SystemClock
from safety.command_guard import CommandGuard
from safety.redaction import Redactor
from safety.review import Policy
from safety.roles import People, Role
from storage import executions
from storage.database import Database
from storage.records import USUAL_CAPS, Actor, Caps, Execution, Origin, Priority, RunRequest, State
from tests.fakes import FakeRemote, FakeReporter, FakeViews, Reply

ALICE, BOB, CAROL, DAVE = (Actor(id=f"U{name.upper()}", name=name) for name in ("alice", "bob", "carol", "dave"))
ROLES = {"UALICE": Role.ADMIN, "UBOB": Role.NOC, "UCAROL": Role.MANAGER}


def hosts(*names: str, login: str = "ops") -> Inventory:
    """An inventory of Linux hosts."""
    return Inventory(
        hosts=tuple(
            Host(
                name=n, address="127.0.0.1", port=22, user=login, tags=frozenset({"web"}), services=frozenset({"nginx"})
            )
            for n in names or ("web-01", "web-02")
        )
    )


def catalog_with(*kinds: type[Runbook], **changes: Any) -> Catalog:
    """The built-in runbooks and these."""
    built = catalogs.build()
    entries = dict(built.entries)
    for kind in kinds:
        entries[kind.name] = Entry(
            runbook=kind(),
            danger=kind.danger,
            cooldown=changes.get("cooldown", kind.cooldown),
            timeout=kind.timeout,
            max_hosts=kind.max_hosts,
            module_hash="test",
            rollout=catalogs.rollout_of(kind),
            rollback=kind.rollback == "auto",
        )
    complaints: list[str] = []
    joined = catalogs.joined(entries, complaints)
    assert not complaints, complaints
    return Catalog(entries=joined, aliases=built.aliases)


def shown(pid: int, state: str = "active") -> str:
    """What `systemctl show` prints."""
    return f"LoadState=loaded\nActiveState={state}\nSubState=running\nMainPID={pid}\nActiveEnterTimestamp=today\n"


def a_healthy_nginx() -> dict[str, Any]:
    """Replies of a host on which nginx restarts well, with a new pid each time."""
    pids = iter(range(100, 10_000))
    current = [next(pids)]

    def restart(line: str) -> Reply:
        current[0] = next(pids)
        return Reply()

    return {
        "systemctl show nginx": lambda line: Reply(out=shown(current[0])),
        "sudo -n systemctl restart nginx": restart,
        "systemctl is-active nginx": Reply(out="active"),
    }


def admit(
    connection: Connection,
    entry: Entry,
    plan: StoredPlan,
    *,
    params: Mapping[str, Any] | None = None,
    now: datetime,
    timeout: timedelta | None = None,
    resume: Mapping[str, str] | None = None,
) -> Execution:
    """A running execution of this plan, as the engine admits it, for tests that walk it without an owner."""
    values = dict(params or {})
    made = executions.create(
        connection,
        runbook=entry.name,
        params=values,
        hosts=[part.host for part in plan.hosts],
        services=["nginx"],
        danger=entry.danger,
        actor=BOB,
        origin=Origin.COMMAND,
        channel="C0INC",
        text=entry.name,
        normalised=None,
        reason=None,
        dry_run=False,
        priority=Priority.NORMAL,
        state=State.RUNNING,
        timeout=timeout or entry.timeout,
        now=now,
    )
    return executions.set_values(
        connection,
        made.id,
        plan=to_json(plan),
        fingerprint=fingerprint(runbook=entry.name, params=values, plan=plan),
        steps_total=plan.steps_total,
        owner="us",
        resume=resume,
    )


@dataclass
class House:
    """An engine with everything around it, and an owner that carries out what is submitted."""

    database: Database
    engine: Engine
    remote: FakeRemote
    reporter: FakeReporter
    owner: Owner
    running: list[asyncio.Task[None]] = field(default_factory=list)

    async def ask(self, text: str, *, by: Actor = BOB, **more: Any) -> Answer:
        """`restart nginx on web-01`, as parsed."""
        name, *words = text.split()
        targets: tuple[str, ...] = ()
        if "on" in words:
            targets = tuple(words[words.index("on") + 1].split(","))
            words = words[: words.index("on")]
        named = dict(word.split("=", 1) for word in words if "=" in word)
        values = tuple(word for word in words if "=" not in word)
        request = RunRequest(
            actor=by,
            origin=more.pop("origin", Origin.COMMAND),
            runbook=name,
            values=values,
            named=named,
            targets=targets,
            channel="C0INC",
            text=text,
            **more,
        )
        return await self.engine.submit(request)

    async def get(self, execution_id: int) -> Execution:
        """As it stands."""
        return await self.database.read(executions.get, execution_id)

    async def reaches(self, execution_id: int, *states: State, seconds: float = 10) -> Execution:
        """Return once it is in one of these states (any final one, if none is named)."""
        async with asyncio.timeout(seconds):
            while True:
                execution = await self.get(execution_id)
                if execution.state in states or (not states and execution.state.is_final):
                    return execution
                await asyncio.sleep(0.01)

    async def ends(self, answer: Answer, seconds: float = 10) -> Execution:
        """Its ending (interrupted counts)."""
        assert answer.execution is not None, answer.message
        finals = [s for s in State if s.is_final or s is State.INTERRUPTED]
        return await self.reaches(answer.execution.id, *finals, seconds=seconds)

    async def die(self) -> None:
        """As by kill -9: nothing that runs here says another word."""
        for task in self.running:
            task.cancel()
        tasks = [task for _, task in self.owner._carried.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*self.running, *tasks, return_exceptions=True)
        self.running.clear()


@asynccontextmanager
async def a_house(
    database: Database,
    *,
    replies: Mapping[str, Any] | None = None,
    catalog: Catalog | None = None,
    inventory: Inventory | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    remote: FakeRemote | None = None,
    change: Callable[[Policy], Policy] = lambda policy: policy,
    caps: Caps = USUAL_CAPS,
) -> Any:
    """An engine and a running owner."""
    remote, reporter = remote or FakeRemote(replies=dict(replies or a_healthy_nginx())), FakeReporter()
    people = People(roles=ROLES, emergency=frozenset({"UALICE"}))
    tools = Tools(
        database=database,
        remote=remote,
        inventory=inventory or hosts(),
        planner=Planner(remote=remote, guard=CommandGuard()),
        reporter=reporter,
        clock=clock or SystemClock(),
    )
    policy = change(policy or Policy(people=people, expire=timedelta(minutes=15)))
    engine = Engine(tools=tools, catalog=catalog or catalog_with(), policy=policy, caps=caps)
    owner = Owner(engine)
    house = House(database=database, engine=engine, remote=remote, reporter=reporter, owner=owner)
    house.running.append(asyncio.create_task(owner.run()))
    try:
        yield house
    finally:
        await house.die()


def forms_of(engine: Engine, views: FakeViews | None = None) -> Forms:
    """Its forms, shown to nobody."""
    return Forms(engine, Redactor(()), views or FakeViews(shows=Shown.NO))


def commands_of(engine: Engine) -> Commands:
    """What takes text; no form opens."""
    return Commands(engine, forms_of(engine))
