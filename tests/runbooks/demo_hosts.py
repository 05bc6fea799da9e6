"""One demo host with everything between a request and its walk, for tests of the built-in runbooks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.playground.hosts import DemoHost
from runbooks import catalog
from runbooks.catalog import bind
from runbooks.execution import Walk
from runbooks.parameters import Parameters
from runbooks.plans import StoredPlan
from runbooks.steps import Tools
from safety.command_guard import Severity
from storage import executions
from storage.database import Database
from storage.records import Execution, StepRun
from tests.builders import admit
from tests.fakes import FakeReporter, HastyClock

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CATALOG = catalog.build()
SIGKILL = 9


class EventfulClock(HastyClock):
    """Time that jumps, and in which something happens meanwhile."""

    meanwhile: Callable[[], object] | None = None

    async def sleep(self, seconds: float) -> None:
        """Be later, and have it happened once."""
        happened, self.meanwhile = self.meanwhile, None
        if happened is not None:
            happened()
        await super().sleep(seconds)


@dataclass
class Demo:
    """One demo host and everything between a request and its walk."""

    host: DemoHost
    tools: Tools
    database: Database
    clock: EventfulClock
    reporter: FakeReporter
    params: Parameters = field(default_factory=Parameters)

    @property
    def system(self) -> Any:
        """What is simulated."""
        return self.host.system

    async def plan(self, runbook: str, *values: str, **named: str) -> StoredPlan:
        """Look and plan, as typed; every command must be one the guard accepts."""
        entry = CATALOG.get(runbook)
        self.params = bind(entry, values, named)
        target = self.tools.inventory.host("web-01")
        plan = await self.tools.planner.make_plan(entry, self.params, [target])
        judgements = self.tools.planner.judgements(plan, [target])
        assert judgements
        assert [j for j in judgements if j.verdict is Severity.REFUSE] == []
        return plan

    async def admitted(self, runbook: str, plan: StoredPlan) -> Walk:
        """About to run."""
        entry = CATALOG.get(runbook)
        values = self.params.model_dump(mode="json")
        execution = await self.database.write(admit, entry, plan, params=values, now=self.clock.now())
        return Walk(self.tools, execution, plan, entry, self.params)

    async def apply(self, runbook: str, plan: StoredPlan) -> Execution:
        """Carry it out; the execution as it then stands."""
        walk = await self.admitted(runbook, plan)
        await walk.run()
        return await self.database.read(executions.get, walk.execution.id)

    async def steps(self) -> list[StepRun]:
        """All step runs."""
        return await self.database.read(executions.steps_of, 1)

    async def states(self) -> list[str]:
        """Their states, in order."""
        return [step.state.value for step in await self.steps()]

    def pids(self, name: str) -> list[int]:
        """The processes of this name that live."""
        return sorted(pid for pid, process in self.system.processes.items() if process.name == name)

    def replace_process(self, pid: int) -> None:
        """It ends, and somebody else of the same name gets its number."""
        former = self.system.processes[pid]
        self.system.processes.signal(former, SIGKILL)
        self.system.processes.spawn(*former.arguments, user=former.user, pid=pid)
