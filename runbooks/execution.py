"""Walking a plan: host after host, and the ending. What one step does is in `steps.py`.

`Walk.run` carries one admitted execution to its end and tells it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from runbooks.answer import unmentioned
from runbooks.catalog import Entry
from runbooks.definition import (
    Facts,
    Runbook,
    Step,
)
from runbooks.ending import end_execution
from runbooks.following import until_pulled
from runbooks.parameters import Parameters
from runbooks.plans import HostPlan, StoredPlan
from runbooks.progress import (
    Event,
    ExecutionContinued,
    HostFinished,
    WaveEnded,
)
from runbooks.remote import (
    Host,
)
from runbooks.rollback import begin_rollback, rollback_plan
from runbooks.steps import Owed, Result, Steps, Stop, Tools, side_by_side
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
    Origin,
    OutputLine,
    Phase,
    State,
    StepState,
)

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

HOSTS_AT_ONCE = 10
"""Hosts that one execution works on side by side."""
_NOT_BEGUN = {HostState.WAITING, HostState.SKIPPED}
_OVER = {HostState.SUCCEEDED, HostState.FAILED, HostState.TIMED_OUT, HostState.CANCELLED, HostState.INTERRUPTED}
"""Nothing more happens there by itself. A person who resumes an interrupted host makes it a running one again."""


@dataclass(frozen=True, kw_only=True)
class HostResult:
    """How one host came out; `after` and `outcome` only when it succeeded. `kept`: its row says so already. `goes_on`:
    with a further stage.
    """

    host: str
    state: HostState
    reason: str | None = None
    tail: tuple[OutputLine, ...] = ()
    after: Facts | None = None
    outcome: str | None = None
    kept: bool = False
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
    def over(self) -> Stop | None:
        """Why nothing more of it starts; None while it goes on."""
        return self.steps.over

    @property
    def is_under_way(self) -> bool:
        """Whether there is a step whose command was not looked at yet."""
        return self.steps.is_under_way

    def stop(self, stop: Stop) -> bool:
        """End what is running; nothing further starts. False when it is being ended as quickly already."""
        return self.steps.stop(stop)

    def let_go(self) -> None:
        """End the running commands that may be repeated; they are run again here, if it stays ours."""
        self.steps.let_go()

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
            results = await self._after_breaking(error)
        if not any(result.goes_on for result in results):
            await self._finish(results)
        elif self.over is None and all(result.state is HostState.SUCCEEDED for result in results):
            await self._hand_over([result.host for result in results if result.goes_on])
        else:
            await self._finish([self._left_off(result) for result in results])

    def _left_off(self, result: HostResult) -> HostResult:
        """A host whose next stage is not begun, because it was stopped or another host did not succeed."""
        if not result.goes_on:
            return result
        if self.over is not None:
            return replace(result, state=HostState.CANCELLED, reason=self.over.words)
        return replace(result, state=HostState.SKIPPED, reason="its next stage was not begun")

    async def _hand_over(self, hosts: Sequence[str]) -> None:
        """Every host is through with this stage: the next one is planned by whoever claims it. It keeps its locks.

        `hosts` wait for their turn in the waves of the next one.
        """
        now = self.tools.clock.now()

        def hand_over(connection: Connection) -> None:
            for host in hosts:
                executions.set_host(connection, self.execution.id, host, state=HostState.WAITING)
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

    async def _after_breaking(self, error: Exception) -> list[HostResult]:
        """What was done or not begun stays so; of what ran, nothing is known."""
        reason = f"Handrail itself failed here ({type(error).__name__}); what ran before that may go on."
        await self.steps.settle(*self.execution.hosts)
        rows = await self._read(executions.hosts_of, self.execution.id)
        running = [row for row in rows if row.state is HostState.RUNNING]
        lost = running or [row for row in rows if row.state in _NOT_BEGUN] or rows
        return [
            HostResult(host=row.host, state=HostState.INTERRUPTED, reason=reason) if row in lost else _kept(row)
            for row in rows
        ]

    # --- hosts --------------------------------------------------------------------------------------------------------

    async def _hosts(self) -> list[HostResult]:
        """Reading runbooks look at all hosts side by side; changing ones go wave by wave until too many have failed.

        Everything that decides stands in rows, so that whoever takes this up again goes on in the same wave.
        """
        rows = {row.host: row for row in await self._read(executions.hosts_of, self.execution.id)}
        results: dict[str, HostResult] = {}
        if not self.execution.danger.changes_hosts:
            await self._beside(list(rows), rows, results)
            return [results[part.host] for part in self.plan.hosts]
        waves = self.plan.in_waves
        for number, wave in enumerate(waves, 1):
            await self._beside(wave, rows, results)
            if number < len(waves):
                await self._wave_ended(number, wave, rows, results)
                await self._pause(wave, results)
            await self._health(number, results)
        return [results[part.host] for part in self.plan.hosts]

    async def _beside(self, hosts: Sequence[str], rows: Mapping[str, HostRun], results: dict[str, HostResult]) -> None:
        """These hosts beside each other, some at once; those that run finish, whatever becomes of the others."""
        slots = asyncio.Semaphore(HOSTS_AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                why = self._over(results)
                if why is not None and rows[name].state in _NOT_BEGUN:
                    begun = (
                        f"its stage {self.execution.stage} was not begun" if rows[name].started_at else "not started"
                    )
                    results[name] = HostResult(host=name, state=HostState.SKIPPED, reason=f"{begun}, because {why}")
                else:
                    results[name] = await self._host(self.plan.of(name), rows[name])

        await side_by_side([one(name) for name in hosts])

    def _over(self, results: Mapping[str, HostResult]) -> str | None:
        """Why no further host is begun, in words; None while it goes on. What only reads goes on anyway."""
        if self.over is not None:
            return self.over.words
        bad = [r for r in results.values() if r.state not in {HostState.SUCCEEDED, HostState.SKIPPED}]
        lost = any(result.state in {HostState.INTERRUPTED, HostState.CANCELLED} for result in bad)
        if not self.execution.danger.changes_hosts or not (lost or len(bad) > self.plan.max_failures):
            return None
        names = [result.host for result in bad]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        budget = f" (at most {self.plan.max_failures} may fail)" if self.plan.max_failures and not lost else ""
        return f"{shown} did not succeed{budget}"

    async def _wave_ended(
        self, number: int, wave: Sequence[str], rows: Mapping[str, HostRun], results: Mapping[str, HostResult]
    ) -> None:
        """Told once, by whoever carried something of it; where one host follows the other, each says enough."""
        if self.plan.is_plain or self._over(results) is not None or all(rows[name].state in _OVER for name in wave):
            return
        event = WaveEnded(
            execution=self.execution,
            number=number,
            of=len(self.plan.in_waves),
            hosts=tuple(wave),
            succeeded=[results[name].state for name in wave].count(HostState.SUCCEEDED),
            pause=self.plan.pause,
        )
        await self._report(event)

    async def _pause(self, wave: Sequence[str], results: Mapping[str, HostResult]) -> None:
        """What is left of the pause, counted from when the last host of the wave was done."""
        if not self.plan.pause or self._over(results) is not None:
            return
        rows = await self._read(executions.hosts_of, self.execution.id)
        ended = max((row.ended_at for row in rows if row.host in wave and row.ended_at), default=None)
        now = self.tools.clock.now()
        left = self.plan.pause - ((now - ended).total_seconds() if ended is not None else 0)
        if left > 0:
            with self.steps.stoppable() as cord:
                await until_pulled(self.tools.clock.sleep(left), cord)

    async def _health(self, number: int, results: dict[str, HostResult]) -> None:
        """Whether every host that is done is well after this wave; one that is not counts as failed."""
        if self._over(results) is not None:
            return
        done = [part for part in self.plan.hosts if part.host in results and not results[part.host].goes_on]
        asked = [p for p in done if p.health and results[p.host].state is HostState.SUCCEEDED]
        before = len(self.plan.in_waves) * (self.execution.stage - 1)  # the waves of earlier stages count on
        slots = asyncio.Semaphore(HOSTS_AT_ONCE)

        async def one(part: HostPlan) -> None:
            async with slots:
                ill = await self._ill(before + number, part)
                if ill is not None:
                    results[part.host] = ill
                    await self._tell_host(ill)

        await side_by_side([one(part) for part in asked])

    async def _ill(self, number: int, part: HostPlan) -> HostResult | None:
        """The first health check of a host that does not hold; None when all do, or when it was stopped before."""
        host = self.tools.inventory.host(part.host)
        deadline = self.tools.clock.monotonic() + self.execution.timeout
        for place, check in enumerate(part.health, 1):
            result = await self.steps.step(host, f"w{number}.{place}", check, deadline)
            if result.state is StepState.STOPPED:
                return None
            if not result.ok:  # it only reads, so that nothing can be unknown
                failed = replace(result, state=StepState.FAILED)
                return self._failed(part.host, f"after wave {number}: {check.title}", failed)
        return None

    async def _host(self, part: HostPlan, row: HostRun) -> HostResult:
        if row.state in _OVER:
            return _kept(row)
        began = row.started_at or self.tools.clock.now()

        def begin(connection: Connection) -> None:
            executions.set_host(
                connection,
                self.execution.id,
                part.host,
                state=HostState.RUNNING,
                started_at=began,
                ended_at=None,
                reason=None,
                before=dict(part.facts),
            )

        self.steps.owe(part.host, Owed(write=begin))
        if not self.steps.is_new(part.host):
            await self.steps.settle(part.host)
        result = await self._steps(part)
        if len(self.plan.hosts) > 1 and not result.goes_on:
            await self._tell_host(result)
        return result

    async def _tell_host(self, result: HostResult) -> None:
        now, done = self.tools.clock.now(), self.steps.done
        owed = self.steps.owing(result.host)

        def tell(connection: Connection) -> None:
            self.steps.pay(connection, owed, done)
            self._keep(connection, result, now)
            rows = executions.hosts_of(connection, self.execution.id)
            told = next(row for row in rows if row.host == result.host)
            self.tools.reporter.report(connection, HostFinished(execution=self.execution, host=told), now)

        await self._write(tell)
        owed.kept()

    def _keep(self, connection: Connection, result: HostResult, now: datetime) -> None:
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

    async def _steps(self, part: HostPlan) -> HostResult:
        deadline = self.tools.clock.monotonic() + self.execution.timeout
        host = self.tools.inventory.host(part.host)
        for place, step in self._remaining(part):
            result = await self.steps.step(host, place, step, deadline, goes_on=True)
            if not result.ok:
                await self.steps.settle(part.host)
                return self._failed(part.host, step.title, result)
        if part.then is not None:
            await self.steps.settle(part.host)
            return HostResult(host=part.host, state=HostState.SUCCEEDED, goes_on=True)
        after = await self._look_again(host)
        outcome = await self._outcome(part, after)
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
        if result.state is StepState.STOPPED and result.reason:  # who stopped it comes first, and is mentioned
            reason = "; ".join(filter(None, (f"{result.reason} (during: {title})", result.look)))
        else:
            said = unmentioned("; ".join(filter(None, (result.reason, result.look))))
            reason = f"{title}: {said}" if said else title
        return HostResult(host=host, state=state, reason=reason, tail=result.tail)

    async def _look_again(self, host: Host) -> Facts | None:
        if type(self.entry.runbook).outcome is Runbook.outcome or self._takes_back:
            return None
        await self.steps.settle(host.name)
        try:
            return await self.tools.planner.probe(self.entry, self.params, host)
        except OperatorError:
            return None  # what it would have shown is gone, or cannot be seen: the change itself has succeeded

    @property
    def _takes_back(self) -> bool:
        """Whether it is the undo of another execution: nothing was looked at before, so nothing can be compared."""
        return self.execution.rolls_back is not None

    async def _outcome(self, part: HostPlan, after: Facts | None) -> str | None:
        if self._takes_back:
            return f"what #{self.execution.rolls_back} changed is taken back"
        try:
            outcome = await self.tools.planner.outcome(self.entry, self.params, Facts(**part.facts), after)
            return None if outcome is None else unmentioned(outcome)
        except Exception:  # a runbook's own words must not turn a success into something else
            log.exception("outcome_broke", execution=self.execution.id, runbook=self.entry.name)
            return None

    # --- the ending ---------------------------------------------------------------------------------------------------

    async def _finish(self, results: Sequence[HostResult]) -> None:
        now = self.tools.clock.now()
        to, reason = self._ending(results)
        takes_back = self.plan.rollback and to in {State.FAILED, State.TIMED_OUT}
        tail = next((r.tail for r in results if r.state is not HostState.SUCCEEDED and r.tail), ())
        told = {r.host for r in results if r.state in {HostState.SUCCEEDED, HostState.FAILED}}
        reached = {host: host not in self.steps.away for host in told}
        owed, done = self.steps.owing(*self.execution.hosts), self.steps.done

        def finish(connection: Connection) -> None:
            found = executions.get(connection, self.execution.id)
            if found.epoch == self.execution.epoch and found.state is to:
                return  # the answer to this very commit was lost
            self.steps.pay(connection, owed, done)
            for result in results:
                if not result.kept:
                    self._keep(connection, result, now)
            end_execution(
                connection,
                self.tools.reporter,
                self.execution,
                plan=self.plan,
                rollback=self._take_back(connection, now) if takes_back else None,
                to=to,
                reason=reason,
                now=now,
                leaving=(State.RUNNING,),
                by=self.over.by if self.over else None,
                epoch=self.execution.epoch,
                tail=tail,
                reached=reached,
            )

        try:
            await self._write(finish)
            owed.kept()
        except TooLate:
            log.warning("ended_elsewhere", execution=self.execution.id)
            await self._write(self.steps.pay, owed, done)
            owed.kept()
        log.info("execution_ended", execution=self.execution.id, state=to.value, reason=reason)

    def _take_back(self, connection: Connection, now: datetime) -> Execution | None:
        """The rollback that begins by itself, in the requester's name and with all that a review asks for."""
        executions.hold(connection, self.execution.id, self.execution.epoch)
        plan = rollback_plan(connection, self.execution, self.plan)
        if plan is None:
            return None
        return begin_rollback(
            connection,
            self.tools.reporter,
            self.execution,
            plan,
            timeout=self.entry.timeout,
            actor=self.execution.actor,
            origin=Origin.ENGINE,
            now=now,
            keeps_hosts=True,
        )

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
            if len(results) == 1:
                return State.SUCCEEDED, results[0].outcome
            outcomes = [r.outcome and r.outcome.splitlines()[0] for r in results]
            if len(set(outcomes)) == 1:
                return State.SUCCEEDED, outcomes[0] or None
            said = [f"{r.host}: {words}" for r, words in zip(results, outcomes, strict=True) if words]
            return State.SUCCEEDED, "; ".join(said) or None
        if len(results) > 1:
            reason = f"{succeeded} of {len(results)} hosts succeeded" + (f". {reason}" if reason else "")
        if HostState.INTERRUPTED in states:
            return State.INTERRUPTED, reason
        if HostState.CANCELLED in states:
            return State.CANCELLED, reason
        if self.over is not None and HostState.SKIPPED in states:
            return State.CANCELLED, f"{reason}; {self.over.words}"
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


def _kept(row: HostRun) -> HostResult:
    return HostResult(host=row.host, state=row.state, reason=row.reason, outcome=row.outcome, kept=True)
