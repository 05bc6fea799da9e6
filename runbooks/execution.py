"""Walking a plan: host after host, and the ending. What one step does is in `steps.py`.

`Walk.run` carries one admitted execution to its end and tells it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from runbooks.catalog import Entry
from runbooks.definition import (
    Facts,
    Runbook,
    Step,
)
from runbooks.ending import end_execution
from runbooks.parameters import Parameters
from runbooks.plans import HostPlan, StoredPlan
from runbooks.progress import (
    Event,
    ExecutionContinued,
    HostFinished,
)
from runbooks.remote import (
    Host,
)
from runbooks.steps import Result, Steps, Stop, Tools, side_by_side
from storage import executions
from storage.database import surely
from storage.errors import (
    LeaseLost,
    OperatorError,
    TooLate,
)
from storage.records import (
    Death,
    Execution,
    HostRun,
    HostState,
    OutputLine,
    Phase,
    State,
    StepState,
)

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

READERS_AT_ONCE = 10
"""Hosts that a READ runbook looks at side by side."""


@dataclass(frozen=True, kw_only=True)
class HostResult:
    """How one host came out; `after` and `outcome` only when it succeeded. `goes_on`: with a further stage."""

    host: str
    state: HostState
    reason: str | None = None
    tail: tuple[OutputLine, ...] = ()
    after: Facts | None = None
    outcome: str | None = None
    goes_on: bool = False


class Walk:
    """One admitted execution on its way."""

    def __init__(self, tools: Tools, execution: Execution, plan: StoredPlan, entry: Entry, params: Parameters) -> None:
        self.tools, self.execution, self.plan, self.entry, self.params = tools, execution, plan, entry, params
        self.steps = Steps(tools, execution, plan)

    @property
    def deaths(self) -> list[tuple[str, Death]]:
        """What became of the commands that were stopped, each with its host."""
        return self.steps.deaths

    @property
    def stopping(self) -> Stop | None:
        """Why it is being stopped; None while it goes on."""
        return self.steps.stopping

    def stop(self, stop: Stop) -> None:
        """End what is running; nothing further starts."""
        self.steps.stop(stop)

    async def run(self) -> None:
        """Carry it out and record its ending, or that its next stage is due. Raises LeaseLost when another owner took
        over.
        """
        try:
            await self.steps.remember()
            results = await self._hosts()
        except Exception as error:
            if isinstance(error, LeaseLost):
                raise
            # Whatever broke here is our own fault; the execution must still end, and truthfully.
            log.exception("walk_broke", execution=self.execution.id)
            results = [
                HostResult(
                    host=part.host,
                    state=HostState.INTERRUPTED,
                    reason=f"Handrail itself failed here ({type(error).__name__}); what ran before that may go on.",
                )
                for part in self.plan.hosts
            ]
        if not any(result.goes_on for result in results):
            await self._finish(results)
        elif self.stopping is None and all(result.state is HostState.SUCCEEDED for result in results):
            await self._hand_over()
        else:
            await self._finish([self._left_off(result) for result in results])

    def _left_off(self, result: HostResult) -> HostResult:
        """A host whose next stage is not begun, because it was stopped or another host did not succeed."""
        if not result.goes_on:
            return result
        if self.stopping is not None:
            return replace(result, state=HostState.CANCELLED, reason=self.stopping.words)
        return replace(result, state=HostState.SKIPPED, reason="its next stage was not begun")

    async def _hand_over(self) -> None:
        """Every host is through with this stage: the next one is planned by whoever claims it. It keeps its locks."""
        now = self.tools.clock.now()

        def hand_over(connection: Connection) -> None:
            moved = executions.move(
                connection,
                self.execution.id,
                leaving=(State.RUNNING,),
                to=State.PENDING,
                now=now,
                epoch=self.execution.epoch,
                reason=f"stage {self.execution.stage} is over",
                phase=Phase.PLAN.value,
                stage=self.execution.stage + 1,
                fingerprint=None,
                current=None,
            )
            said = f"stage {self.execution.stage} is over, stage {moved.stage} is planned now"
            self.tools.reporter.report(connection, ExecutionContinued(execution=moved, actor=None, words=said), now)

        await self._write(hand_over)

    # --- hosts --------------------------------------------------------------------------------------------------------

    async def _hosts(self) -> list[HostResult]:
        """Changing runbooks go host by host and stop at the first that fails; reading ones look side by side."""
        if not self.execution.danger.changes_hosts:
            slots = asyncio.Semaphore(READERS_AT_ONCE)

            async def one(part: HostPlan) -> HostResult:
                async with slots:
                    return await self._host(part)

            return await side_by_side([one(part) for part in self.plan.hosts])
        results: list[HostResult] = []
        for part in self.plan.hosts:
            if results and results[-1].state is not HostState.SUCCEEDED:
                why = f"not started, because {results[-1].host} did not succeed"
                results.append(HostResult(host=part.host, state=HostState.SKIPPED, reason=why))
                continue
            results.append(await self._host(part))
        return results

    async def _host(self, part: HostPlan) -> HostResult:
        earlier = next(h for h in await self._read(executions.hosts_of, self.execution.id) if h.host == part.host)
        if earlier.state is HostState.SUCCEEDED:
            return HostResult(host=part.host, state=HostState.SUCCEEDED, outcome=earlier.outcome)
        began = earlier.started_at or self.tools.clock.now()

        def begin(connection: Connection) -> None:
            executions.set_host(
                connection,
                self.execution.id,
                part.host,
                epoch=self.execution.epoch,
                state=HostState.RUNNING,
                started_at=began,
                before=dict(part.facts),
            )

        await self._write(begin)
        result = await self._steps(part)
        if len(self.plan.hosts) > 1 and not result.goes_on:
            await self._tell_host(earlier, result)
        return result

    async def _tell_host(self, row: HostRun, result: HostResult) -> None:
        now = self.tools.clock.now()

        def tell(connection: Connection) -> None:
            executions.set_host(
                connection,
                self.execution.id,
                result.host,
                epoch=self.execution.epoch,
                state=result.state,
                reason=result.reason,
                outcome=result.outcome,
                ended_at=now,
            )
            told = replace(row, state=result.state, reason=result.reason, outcome=result.outcome, ended_at=now)
            self.tools.reporter.report(connection, HostFinished(execution=self.execution, host=told), now)

        await self._write(tell)

    async def _steps(self, part: HostPlan) -> HostResult:
        deadline = self.tools.clock.monotonic() + self.execution.timeout
        host = self.tools.inventory.host(part.host)
        for place, step in self._remaining(part):
            result = await self.steps.step(host, place, step, deadline)
            if not result.ok:
                return self._failed(part.host, step.title, result)
        if part.then is not None:
            return HostResult(host=part.host, state=HostState.SUCCEEDED, goes_on=True)
        after = await self._look_again(host)
        outcome = self._outcome(part, after)
        return HostResult(host=part.host, state=HostState.SUCCEEDED, after=after, outcome=outcome)

    def _remaining(self, part: HostPlan) -> list[tuple[str, Step]]:
        """The steps from where a continued execution goes on; all of them otherwise."""
        steps = [(str(number), step) for number, step in enumerate(part.steps, 1)]
        first = (self.execution.resume or {}).get(part.host)
        if first is None:
            return steps
        return [(place, step) for place, step in steps if int(place) >= int(first)]

    def _failed(self, host: str, title: str, result: Result) -> HostResult:
        states = {
            StepState.TIMED_OUT: HostState.TIMED_OUT,
            StepState.STOPPED: HostState.CANCELLED,
            StepState.INTERRUPTED: HostState.INTERRUPTED,
        }
        state = states.get(result.state, HostState.FAILED)
        reason = f"{title}: {result.reason}" if result.reason else title
        return HostResult(host=host, state=state, reason=reason, tail=result.tail)

    async def _look_again(self, host: Host) -> Facts | None:
        if type(self.entry.runbook).outcome is Runbook.outcome:
            return None
        try:
            return await self.tools.planner.probe(self.entry, self.params, host)
        except OperatorError:
            return None  # what it would have shown is gone, or cannot be seen: the change itself has succeeded

    def _outcome(self, part: HostPlan, after: Facts | None) -> str | None:
        try:
            return self.entry.runbook.outcome(self.params, Facts(**part.facts), after)
        except Exception:  # a runbook's own words must not turn a success into something else
            log.exception("outcome_broke", execution=self.execution.id, runbook=self.entry.name)
            return None

    # --- the ending ---------------------------------------------------------------------------------------------------

    async def _finish(self, results: Sequence[HostResult]) -> None:
        now = self.tools.clock.now()
        to, reason = self._ending(results)
        tail = next((r.tail for r in results if r.state is not HostState.SUCCEEDED and r.tail), ())
        told = {r.host for r in results if r.state in {HostState.SUCCEEDED, HostState.FAILED}}
        reached = {host: host not in self.steps.away for host in told}

        def finish(connection: Connection) -> None:
            found = executions.get(connection, self.execution.id)
            if found.epoch == self.execution.epoch and found.state is to:
                return  # the answer to this very commit was lost
            for result in results:
                executions.set_host(
                    connection,
                    self.execution.id,
                    result.host,
                    state=result.state,
                    reason=result.reason,
                    outcome=result.outcome,
                    after=dict(result.after) if result.after is not None else None,
                    ended_at=now,
                )
            end_execution(
                connection,
                self.tools.reporter,
                self.execution,
                plan=self.plan,
                to=to,
                reason=reason,
                now=now,
                leaving=(State.RUNNING,),
                by=self.stopping.by if self.stopping else None,
                epoch=self.execution.epoch,
                tail=tail,
                reached=reached,
            )

        try:
            await self._write(finish)
        except TooLate:
            log.warning("ended_elsewhere", execution=self.execution.id)
        log.info("execution_ended", execution=self.execution.id, state=to.value, reason=reason)

    def _ending(self, results: Sequence[HostResult]) -> tuple[State, str | None]:
        states = [result.state for result in results]
        succeeded = states.count(HostState.SUCCEEDED)
        reasons = [
            f"{r.host}: {r.reason}" if len(results) > 1 else str(r.reason)
            for r in results
            if r.state not in {HostState.SUCCEEDED, HostState.SKIPPED} and r.reason
        ]
        reason = "; ".join(dict.fromkeys(reasons)) or None
        if succeeded == len(results):
            said = [r.outcome if len(results) == 1 else f"{r.host}: {r.outcome}" for r in results if r.outcome]
            return State.SUCCEEDED, "; ".join(said) or None
        if len(results) > 1:
            reason = f"{succeeded} of {len(results)} hosts succeeded" + (f". {reason}" if reason else "")
        if HostState.INTERRUPTED in states:
            return State.INTERRUPTED, reason
        if HostState.CANCELLED in states:
            return State.CANCELLED, reason
        if HostState.TIMED_OUT in states and HostState.FAILED not in states:
            return State.TIMED_OUT, reason
        return State.FAILED, reason

    # --- storage ------------------------------------------------------------------------------------------------------

    async def _write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Through an outage; every function used here is safe to repeat."""
        return await surely(lambda: self.tools.database.write(function, *args, **kwargs), sleep=self.tools.clock.sleep)

    async def _read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await surely(lambda: self.tools.database.read(function, *args, **kwargs), sleep=self.tools.clock.sleep)

    async def _report(self, event: Event) -> None:
        now = self.tools.clock.now()

        def report(connection: Connection) -> None:
            executions.hold(connection, self.execution.id, self.execution.epoch)
            self.tools.reporter.report(connection, event, now)

        await self._write(report)
