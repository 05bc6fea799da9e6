"""Walking a plan: what each kind of step does, how it ends, and what is kept of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer, unused_port
from sqlalchemy import Connection

from runbooks import Call, Danger, Expect, Facts, Parallel, Parameters, Plan, Probe, Require, Run, Runbook, Wait
from runbooks.catalog import Entry
from runbooks.definition import Step
from runbooks.ending import undo_steps
from runbooks.execution import HOSTS_AT_ONCE, Walk
from runbooks.planning import Planner
from runbooks.plans import HostPlan, StoredPlan
from runbooks.progress import ExecutionEnded, ExecutionInterrupted, StepFinished, StepRetried, StepStarted
from runbooks.remote import Ended, Finished
from runbooks.steps import MOST_LINES, Stop, Tools
from safety.clock import Clock
from safety.command_guard import CommandGuard
from safety.redaction import MASK, Redactor
from safety.sealing import Secret
from safety.vault import NoVault, Opens
from storage import controls, executions
from storage.database import Database
from storage.errors import ConnectionLost, HostKeyRefused, HostUnreachable, LeaseLost, LoginRefused
from storage.records import (
    Death,
    Execution,
    HostState,
    KillSwitch,
    Scope,
    State,
    StepRun,
    StepState,
)
from tests.builders import BOB, CAROL, admit, catalog_with, hosts
from tests.fakes import START, FakeClock, FakeRemote, FakeReporter, HastyClock, Reply


class Ours(Runbook):
    """Whatever a test plans."""

    name, danger = "ours", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Tests bring their own."""
        return Plan()


class OursLooking(Ours):
    """The same, and it only looks."""

    name, danger = "ours-looking", Danger.READ


BROKEN = {"broken": KeyError("oops"), "exits": SystemExit(3)}


class OursTelling(Ours):
    """The same, and it says what came out."""

    name = "ours-telling"

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """One reading."""
        return Facts(up=str(await host.read("uptime")))

    def outcome(self, params: Parameters, before: Facts, after: Facts | None) -> str | None:
        """Breaks where it has nothing to compare."""
        if before.up in BROKEN:
            raise BROKEN[before.up]
        return f"{before.up} -> {after.up if after is not None else 'unseen'}"


CATALOG = catalog_with(Ours, OursLooking, OursTelling)
NAMES = [f"web-{number:02}" for number in range(1, 14)]


@dataclass(frozen=True)
class Stored:
    """A vault that holds these, and tells the redaction what it gives out."""

    values: Mapping[str, str]
    redactor: Redactor

    async def open(self, name: str) -> Secret:
        """One of them."""
        self.redactor.hold(self.values[name])
        return Secret(self.values[name])


@dataclass
class Bench:
    """Everything a walk needs, without an owner: each test walks one plan."""

    database: Database
    remote: FakeRemote = field(default_factory=FakeRemote)
    reporter: FakeReporter = field(default_factory=FakeReporter)
    clock: Clock = field(default_factory=HastyClock)
    calls: frozenset[str] = frozenset()
    vault: Opens = field(default_factory=NoVault)
    redactor: Redactor = field(default_factory=Redactor)
    kind: type[Runbook] = Ours

    def replies(self, **replies: Any) -> "Bench":
        """Answers of the hosts, by the beginning of the command."""
        self.remote.replies.update(replies)
        return self

    async def walk(
        self,
        *steps: Step,
        on: Iterable[str] = ("web-01",),
        timeout: float = 300,
        facts: Mapping[str, Any] | None = None,
        resume: Mapping[str, str] | None = None,
    ) -> Walk:
        """An admitted execution of these steps on each host, about to run."""
        entry: Entry = CATALOG.get(self.kind.name)
        plan = StoredPlan(hosts=tuple(HostPlan(host=name, steps=steps, facts=facts or {}) for name in on))

        execution = await self.database.write(
            admit, entry, plan, now=self.clock.now(), timeout=timedelta(seconds=timeout), resume=resume
        )
        tools = Tools(
            database=self.database,
            remote=self.remote,
            inventory=hosts(*NAMES),
            planner=Planner(remote=self.remote, guard=CommandGuard()),
            reporter=self.reporter,
            clock=self.clock,
            call_hosts=self.calls,
            vault=self.vault,
            redactor=self.redactor,
        )
        return Walk(tools, execution, plan, entry, entry.runbook.Params())

    async def run(self, *steps: Step, **how: Any) -> Execution:
        """Walk these steps to their end; the execution as it then stands."""
        walk = await self.walk(*steps, **how)
        await walk.run()
        return await self.found(walk)

    async def found(self, walk: Walk) -> Execution:
        """As it stands."""
        return await self.database.read(executions.get, walk.execution.id)

    async def steps(self) -> list[StepRun]:
        """All step runs of the newest execution."""
        newest = (await self.database.read(executions.newest, 1))[0]
        return await self.database.read(executions.steps_of, newest.id)

    async def states(self) -> list[tuple[str, str]]:
        """Place and state of each step run."""
        return [(step.step, step.state.value) for step in await self.steps()]

    async def until_started(self, count: int = 1) -> None:
        """So many steps are under way."""
        async with asyncio.timeout(5):
            while len(self.reporter.of(StepStarted)) < count:
                await asyncio.sleep(0.001)

    @property
    def slept(self) -> list[float]:
        """The pauses that were made."""
        assert isinstance(self.clock, HastyClock)
        return self.clock.slept


@pytest.fixture
async def bench(sqlite: Database) -> Bench:
    """On SQLite; the path on both databases is asked in test_engine.py."""
    return Bench(database=sqlite)


def one_after_the_other(*replies: Reply | str) -> Callable[[str], Reply]:
    """Another answer each time; the last one stays."""
    left = [Reply(out=reply) if isinstance(reply, str) else reply for reply in replies]
    return lambda line: left.pop(0) if len(left) > 1 else left[0]


TOUCH = Run("Touch", "touch", "/tmp/a")
LOST = Reply(lost=True)


# --- expect -----------------------------------------------------------------------------------------------------------


async def test_an_expectation_is_asked_until_it_is_met(bench: Bench) -> None:
    bench.replies(state=one_after_the_other("starting", "starting", "active"))
    ended = await bench.run(Expect("Up", "state", output="active", within=10, every=2))
    assert ended.state is State.SUCCEEDED
    assert bench.slept == [2, 2]
    assert bench.remote.count("state") == 3


async def test_an_expectation_not_met_in_time_says_what_was_seen_last(bench: Bench) -> None:
    bench.replies(state=one_after_the_other("starting", "starting", "failed"))
    ended = await bench.run(Expect("Up", "state", output="active", within=5, every=2), TOUCH)
    assert (ended.state, ended.ending) == (State.FAILED, "Up: expected 'active', got 'failed'")
    assert sum(bench.slept) == 6
    assert await bench.states() == [("1", "failed")]


async def test_an_expectation_with_no_time_is_asked_once(bench: Bench) -> None:
    bench.replies(state=Reply(out="failed"))
    assert (await bench.run(Expect("Up", "state", output="active", within=0))).state is State.FAILED
    assert bench.remote.count("state") == 1


async def test_what_must_settle_is_watched_for_that_long(bench: Bench) -> None:
    bench.replies(state=one_after_the_other("starting", "active"))
    ended = await bench.run(Expect("Up", "state", output="active", every=2, settle=5))
    assert ended.state is State.SUCCEEDED
    assert bench.slept == [2, 2, 2, 1]


async def test_what_was_so_and_did_not_stay_so_has_failed_at_once(bench: Bench) -> None:
    bench.replies(state=one_after_the_other("active", "active", "failed", "active"))
    ended = await bench.run(Expect("Up", "state", output="active", within=60, every=1, settle=30))
    assert ended.state is State.FAILED
    assert ended.ending == "Up: was so, but did not stay so: expected 'active', got 'failed'"
    assert bench.remote.count("state") == 3


async def test_an_expectation_outlives_neither_its_host_nor_its_time(bench: Bench) -> None:
    bench.replies(state=Reply(out="starting"))
    ended = await bench.run(Expect("Up", "state", output="active", within=600, every=7), timeout=20)
    assert ended.state is State.TIMED_OUT
    assert ended.ending == "Up: the execution's 20 s were over (expected 'active', got 'starting')"
    assert sum(bench.slept) == 20


async def test_settling_longer_than_the_execution_may_take_times_out(bench: Bench) -> None:
    bench.replies(state=Reply(out="active"))
    ended = await bench.run(Expect("Up", "state", output="active", settle=60), timeout=10)
    assert (ended.state, ended.ending) == (State.TIMED_OUT, "Up: the execution's 10 s were over")


async def test_a_check_whose_command_takes_too_long_times_out_and_changes_nothing(bench: Bench) -> None:
    bench.replies(state=Reply(times_out=True, ignores_term=True))
    ended = await bench.run(Expect("Up", "state", within=9))
    assert ended.state is State.TIMED_OUT
    assert ended.ending == "Up: it took too long; the command is still running (pid 1000)"


@pytest.mark.parametrize(
    "check",
    [
        Expect("Gone", "state", pattern=r"\A(?!here)", within=0),
        Require("Gone", "state", pattern=r"\A(?!here)"),
        Expect("Masked", "state", output="token=***", within=0),
    ],
)
async def test_a_masked_answer_meets_no_check(bench: Bench, check: Expect | Require) -> None:
    bench.replies(state=Reply(out="token=***", altered=True))
    ended = await bench.run(check, TOUCH)
    assert ended.state is State.FAILED
    assert "masked or cut, so it proves nothing" in str(ended.ending)
    assert bench.remote.count("touch") == 0


async def test_a_masked_answer_does_no_harm_where_only_the_exit_status_counts(bench: Bench) -> None:
    bench.replies(state=Reply(out="token=***", altered=True))
    assert (await bench.run(Expect("Runs", "state"))).state is State.SUCCEEDED


# --- require, unless --------------------------------------------------------------------------------------------------


async def test_an_unmet_precondition_ends_the_host_before_the_change(bench: Bench) -> None:
    bench.replies(cat=Reply(out="other"), touch=Reply())
    ended = await bench.run(Require("Same", "cat", "/etc/hostname", output="web"), TOUCH)
    assert ended.state is State.FAILED
    assert ended.ending == ("Same: no longer as planned (expected 'web', got 'other'): nothing was changed after this")
    assert bench.remote.count("cat") == 1
    assert bench.remote.count("touch") == 0


@pytest.mark.parametrize("kind", [Expect, Require])
async def test_a_step_is_skipped_when_it_is_not_needed(bench: Bench, kind: Any) -> None:
    bench.replies(test=Reply(), touch=Reply())
    ended = await bench.run(Run("Make", "touch", "/tmp/a", unless=kind("It is there", "test", "-e", "/tmp/a")))
    assert ended.state is State.SUCCEEDED
    step = (await bench.steps())[0]
    assert (step.state, step.reason, step.sent) == (StepState.SKIPPED, "not needed: It is there", False)
    assert bench.remote.count("touch") == 0


async def test_a_step_runs_when_its_check_is_unmet_to_the_end(bench: Bench) -> None:
    bench.replies(test=Reply(status=1), touch=Reply())
    unless = Expect("It is there", "test", "-e", "/tmp/a", within=3, every=1)
    assert (await bench.run(Run("Make", "touch", "/tmp/a", unless=unless))).state is State.SUCCEEDED
    assert (bench.remote.count("test"), bench.remote.count("touch")) == (4, 1)


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(out="x", altered=True), State.FAILED),
        (Reply(raises=HostUnreachable("web-01", "No answer.")), State.FAILED),
        (Reply(times_out=True), State.TIMED_OUT),
        (Reply(lost=True), State.FAILED),
    ],
)
async def test_a_step_whose_need_is_unknown_does_not_run(bench: Bench, reply: Reply, state: State) -> None:
    bench.replies(cat=reply, touch=Reply())
    unless = Require("Gone", "cat", "/a", pattern="gone")
    assert (await bench.run(Run("Make", "touch", "/tmp/a", unless=unless))).state is state
    assert bench.remote.count("touch") == 0


# --- parallel ---------------------------------------------------------------------------------------------------------


async def test_the_first_failure_of_a_group_lets_the_others_finish(bench: Bench) -> None:
    slow = Reply(hangs=True)
    bench.replies(bad=Reply(status=4), slow=slow, touch=Reply())
    walk = await bench.walk(Parallel("Both", Run("Bad", "bad"), Run("Slow", "slow")), TOUCH)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(5):
        while not bench.reporter.of(StepFinished):
            await asyncio.sleep(0.001)
    assert not running.done()
    slow.release.set()
    await running
    ended = await bench.found(walk)
    assert (ended.state, ended.ending) == (State.FAILED, "Both: ended with exit status 4")
    assert sorted(await bench.states()) == [("1.1", "failed"), ("1.2", "succeeded")]


async def test_a_group_runs_side_by_side(bench: Bench) -> None:
    one, two = Reply(hangs=True), Reply(hangs=True)
    bench.replies(one=one, two=two)
    walk = await bench.walk(Parallel("Both", Run("One", "one"), Run("Two", "two")))
    running = asyncio.create_task(walk.run())
    await bench.until_started(2)
    await bench.remote.until("one")
    await bench.remote.until("two")
    one.release.set()
    two.release.set()
    await running
    assert (await bench.found(walk)).state is State.SUCCEEDED


async def test_a_continued_group_repeats_only_what_was_not_done(bench: Bench) -> None:
    bench.replies(one=Reply(), two=Reply(status=1))
    group = Parallel("Both", Run("One", "one"), Run("Two", "two"))
    walk = await bench.walk(group)
    await walk.run()
    bench.replies(two=Reply())
    again = Walk(walk.tools, await bench.database.write(_running_again, walk.execution.id), walk.plan, walk.entry,
                 walk.params)  # fmt: skip
    await again.run()
    assert (bench.remote.count("one"), bench.remote.count("two")) == (1, 2)
    assert [(s.step, s.attempt, s.state.value) for s in await bench.steps() if s.step == "1.2"] == [
        ("1.2", 1, "failed"),
        ("1.2", 2, "succeeded"),
    ]


def _running_again(connection: Connection, execution_id: int) -> Execution:
    values: dict[str, Any] = {"state": State.RUNNING.value, "resume": {"web-01": "1"}}
    executions.order_again(connection, execution_id, host="web-01", place="1", now=START)
    executions.set_host(connection, execution_id, "web-01", state=HostState.RUNNING)
    return executions.set_values(connection, execution_id, **values)


# --- wait -------------------------------------------------------------------------------------------------------------


async def test_a_wait_takes_its_time(bench: Bench) -> None:
    bench.replies(touch=Reply())
    assert (await bench.run(Wait("A moment", 90), TOUCH)).state is State.SUCCEEDED
    assert bench.slept == [90]


async def test_a_wait_ends_at_once_when_it_is_stopped(bench: Bench) -> None:
    bench.clock = FakeClock()
    walk = await bench.walk(Wait("A moment", 90), TOUCH)
    running = asyncio.create_task(walk.run())
    await bench.until_started()
    walk.stop(Stop(words="cancelled by <@UCAROL>", by=CAROL))
    await asyncio.wait_for(running, 5)
    ended = await bench.found(walk)
    assert (ended.state, ended.ending) == (State.CANCELLED, "cancelled by <@UCAROL> (during: A moment)")
    assert bench.clock.monotonic() == 0
    assert bench.remote.ran == []


async def test_a_wait_longer_than_what_is_left_times_out_when_that_is_over(bench: Bench) -> None:
    ended = await bench.run(Wait("A moment", 90), timeout=60)
    assert (ended.state, ended.ending) == (State.TIMED_OUT, "A moment: the execution's 1 min were over")
    assert bench.slept == [60]


# --- call -------------------------------------------------------------------------------------------------------------


@dataclass
class Endpoint:
    """A web server on loopback, and what it was asked."""

    server: BaseTestServer
    asked: list[tuple[str, str, str]]
    held: asyncio.Event

    def url(self, path: str) -> str:
        """Of one of its pages."""
        return str(self.server.make_url(path))


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """/ok, /broken, /moved (to /ok), /slow (until told)."""
    asked: list[tuple[str, str, str]] = []
    held = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path_qs, await request.text()))
        match request.path:
            case "/broken":
                return web.Response(status=503)
            case "/moved":
                return web.Response(status=302, headers={"Location": "/ok"})
            case "/slow":
                await held.wait()
            case "/flaky" if len(asked) < 3 and request.transport is not None:
                request.transport.close()
            case "/who":
                return web.Response(text=f"token={request.headers.get('Authorization')}\nnode: web-01\nend")
            case "/long":
                return web.Response(text="x" * 60 + "\n" + "y" * 80_000)
        return web.Response(text="fine")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield Endpoint(server=server, asked=asked, held=held)
        held.set()


@pytest.fixture
def calling(bench: Bench) -> Bench:
    """One that may call this machine."""
    bench.calls = frozenset({"127.0.0.1"})
    return bench


async def test_a_call_is_made_as_written(calling: Bench, endpoint: Endpoint) -> None:
    call = Call("Tell", endpoint.url("/ok?a=1"), method="post", body='{"x": "ü"}', allow_status={200, 202})
    assert (await calling.run(call)).state is State.SUCCEEDED
    assert endpoint.asked == [("POST", "/ok?a=1", '{"x": "ü"}')]


async def test_another_status_than_the_allowed_ones_fails(calling: Bench, endpoint: Endpoint) -> None:
    ended = await calling.run(Call("Ask", endpoint.url("/broken")))
    assert (ended.state, ended.ending) == (State.FAILED, "Ask: 127.0.0.1 answered 503")
    assert (await calling.run(Call("Ask", endpoint.url("/broken"), allow_status={503}))).state is State.SUCCEEDED


async def test_only_the_hosts_of_the_settings_are_called(bench: Bench, endpoint: Endpoint) -> None:
    bench.calls = frozenset({"status.example.org"})
    ended = await bench.run(Call("Ask", endpoint.url("/ok")))
    assert (ended.state, endpoint.asked) == (State.FAILED, [])
    assert ended.ending == "Ask: 127.0.0.1 is not under calls: in handrail.yml, so it is not called"
    assert not (await bench.steps())[0].sent


async def test_a_redirect_is_not_followed(calling: Bench, endpoint: Endpoint) -> None:
    ended = await calling.run(Call("Ask", endpoint.url("/moved")))
    assert (ended.state, ended.ending) == (State.FAILED, "Ask: 127.0.0.1 answered 302")
    assert [path for _, path, _ in endpoint.asked] == ["/moved"]


async def test_what_a_call_answers_is_its_output_redacted_and_marked(calling: Bench, endpoint: Endpoint) -> None:
    calling.vault = Stored({"api/token": "correct-horse-battery"}, calling.redactor)
    call = Call(
        "Ask who", endpoint.url("/who"), headers={"Authorization": "Bearer {secret}", "X-For": "us"}, secret="api/token"
    )
    ended = await calling.run(call)

    assert ended.state is State.SUCCEEDED, ended.ending
    kept = [line.text for line in await calling.database.read(executions.output_of, ended.id)]
    assert kept[1:] == ["node: web-01", "end"]
    assert kept[0].startswith(("token=Bearer", f"token={MASK}"))
    assert "None" not in kept[0]
    assert "correct-horse-battery" not in kept[0]
    (step,) = await calling.steps()
    assert (step.altered, step.lines) == (True, 3)


async def test_an_answer_is_kept_within_a_bound(calling: Bench, endpoint: Endpoint) -> None:
    ended = await calling.run(Call("Ask", endpoint.url("/long")))

    kept = [line.text for line in await calling.database.read(executions.output_of, ended.id)]
    assert kept == ["x" * 60]
    assert (await calling.steps())[0].altered


async def test_a_call_without_its_secret_is_not_made(calling: Bench, endpoint: Endpoint) -> None:
    call = Call("Ask", endpoint.url("/who"), headers={"Authorization": "Bearer {secret}"}, secret="api/token")
    ended = await calling.run(call)

    assert ended.state is State.FAILED
    assert "There is no secret 'api/token'" in str(ended.ending)
    assert endpoint.asked == []


async def test_a_call_that_may_be_repeated_is_tried_again_when_no_answer_came(
    calling: Bench, endpoint: Endpoint
) -> None:
    ended = await calling.run(Call("Ask", endpoint.url("/flaky"), method="PUT", idempotent=True, retries=3))

    assert ended.state is State.SUCCEEDED, ended.ending
    assert await calling.states() == [("1", "failed"), ("1", "failed"), ("1", "succeeded")]
    assert len(endpoint.asked) == 3


async def test_a_call_that_was_answered_is_never_tried_again(calling: Bench, endpoint: Endpoint) -> None:
    await calling.run(Call("Ask", endpoint.url("/broken"), retries=3))
    assert len(endpoint.asked) == 1


async def test_what_a_call_and_a_group_did_is_taken_back_last_one_first(calling: Bench, endpoint: Endpoint) -> None:
    drain = Call(
        "Drain", endpoint.url("/drain"), method="POST", undo=Call("Fill", endpoint.url("/fill"), method="POST")
    )
    stop = Run("Stop", "touch", "/tmp/a", undo=Run("Start", "rm", "/tmp/a"))
    mark = Run("Mark", "touch", "/tmp/b", undo=Call("Tell", endpoint.url("/tell"), method="POST"))
    calling.replies(touch=Reply())
    walk = await calling.walk(drain, Parallel("Both", stop, mark))
    await walk.run()

    undo = undo_steps(walk.plan, await calling.steps())
    assert [step.title for step in undo["web-01"]] == ["Tell", "Start", "Fill"]


async def test_a_group_has_a_time_of_its_own(bench: Bench) -> None:
    group = Parallel("Both", Wait("Long", 60), Wait("Short", 1), timeout=5)
    ended = await bench.run(group, TOUCH)

    assert ended.state is State.TIMED_OUT
    assert ended.ending == "Both: the 5 s of 'Both' were over"
    assert bench.remote.ran == []


async def test_a_refused_connection_is_known_not_to_have_been_a_call(calling: Bench) -> None:
    url = f"http://127.0.0.1:{unused_port()}/x"
    ended = await calling.run(Call("Tell", url, method="POST"))
    assert ended.state is State.FAILED
    assert "127.0.0.1 cannot be reached" in str(ended.ending)
    assert not (await calling.steps())[0].sent


@pytest.mark.parametrize(("method", "state"), [("GET", State.FAILED), ("POST", State.INTERRUPTED)])
async def test_a_call_without_an_answer_is_unknown_where_it_may_have_changed_something(
    calling: Bench, endpoint: Endpoint, method: str, state: State
) -> None:
    ended = await calling.run(Call("Tell", endpoint.url("/slow"), method=method, timeout=0.05))
    assert ended.state is state
    assert "no answer from 127.0.0.1" in str(ended.ending)


@pytest.mark.parametrize(("method", "state"), [("GET", State.CANCELLED), ("POST", State.INTERRUPTED)])
async def test_a_call_ends_at_once_when_it_is_stopped(
    calling: Bench, endpoint: Endpoint, method: str, state: State
) -> None:
    walk = await calling.walk(Call("Tell", endpoint.url("/slow"), method=method, timeout=60), TOUCH)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(5):
        while not endpoint.asked:
            await asyncio.sleep(0.001)
    walk.stop(Stop(words="enough", by=CAROL))
    await asyncio.wait_for(running, 5)
    ended = await calling.found(walk)
    assert ended.state is state
    said = "enough (during: Tell)" if state is State.CANCELLED else "Tell: enough"
    assert str(ended.ending).startswith(said)
    assert calling.remote.ran == []


# --- times ------------------------------------------------------------------------------------------------------------


async def test_a_command_may_take_its_own_time_but_no_more_than_is_left(bench: Bench) -> None:
    bench.replies(touch=Reply())
    short = Run("Short", "touch", "/tmp/a", timeout=30)
    assert (await bench.run(short, Wait("A moment", 80), short, timeout=100)).state is State.SUCCEEDED
    assert [command.timeout for command in bench.remote.commands] == [30, 20]


async def test_a_step_that_took_too_long_times_the_execution_out(bench: Bench) -> None:
    bench.replies(touch=Reply(times_out=True))
    ended = await bench.run(TOUCH)
    assert (ended.state, ended.ending) == (State.TIMED_OUT, "Touch: it took too long; the command is stopped")
    assert (await bench.steps())[0].death is Death.STOPPED


async def test_a_command_that_outlives_its_time_is_never_called_over(bench: Bench) -> None:
    bench.replies(touch=Reply(times_out=True, ignores_term=True))
    ended = await bench.run(TOUCH)
    assert ended.state is State.INTERRUPTED
    assert str(ended.ending) == "Touch: it took too long; the command is still running (pid 1000)"
    assert bench.reporter.of(ExecutionInterrupted)


async def test_each_host_has_the_whole_time_from_its_own_first_step(bench: Bench) -> None:
    ended = await bench.run(Wait("A moment", 50), on=["web-01", "web-02", "web-03"], timeout=60)
    assert ended.state is State.SUCCEEDED
    assert bench.slept == [50, 50, 50]


async def test_no_step_starts_once_the_time_is_over(bench: Bench) -> None:
    bench.replies(touch=Reply())
    ended = await bench.run(Wait("A moment", 60), TOUCH, timeout=60)
    assert (ended.state, ended.ending) == (State.TIMED_OUT, "Touch: the execution's 1 min were over")
    assert bench.remote.ran == []
    assert not (await bench.steps())[-1].sent


# --- output -----------------------------------------------------------------------------------------------------------


async def kept(bench: Bench, execution: Execution) -> list[str]:
    """The lines in storage."""
    return [line.text for line in await bench.database.read(executions.output_of, execution.id, last=20_000)]


async def test_output_is_kept_to_a_bound_and_the_rest_is_counted(bench: Bench) -> None:
    bench.replies(talk=Reply(out="".join(f"line {number}\n" for number in range(MOST_LINES + 7))))
    ended = await bench.run(Run("Talk", "talk"))
    lines = await kept(bench, ended)
    assert (len(lines), lines[0], lines[-1]) == (MOST_LINES, "line 0", f"line {MOST_LINES - 1}")
    step = (await bench.steps())[0]
    assert (step.lines, step.dropped) == (MOST_LINES, 7)


async def test_a_check_that_is_asked_again_and_again_shares_one_bound(bench: Bench) -> None:
    talk = "x\n" * (MOST_LINES // 2)
    bench.replies(talk=one_after_the_other(*[Reply(out=talk, status=1)] * 3, Reply(out="end")))
    ended = await bench.run(Expect("Quiet", "talk"))
    assert ended.state is State.SUCCEEDED
    assert len(await kept(bench, ended)) == MOST_LINES
    step = (await bench.steps())[0]
    assert (step.lines, step.dropped) == (MOST_LINES, MOST_LINES // 2 + 1)


async def test_the_ending_carries_the_last_lines_of_what_failed(bench: Bench) -> None:
    bench.replies(talk=Reply(out="\n".join(map(str, range(30))), err="oh no", status=1))
    await bench.run(Run("Talk", "talk"))
    told: Any = bench.reporter.of(ExecutionEnded)[0]
    assert [line.text for line in told.tail] == [*map(str, range(11, 30)), "oh no"]


# --- retries ----------------------------------------------------------------------------------------------------------

SYNC = Run("Sync", "sync-it", idempotent=True, retries=3)


async def test_a_lost_idempotent_step_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    bench.replies(**{"sync-it": one_after_the_other(LOST, LOST, LOST, Reply())})
    assert (await bench.run(SYNC)).state is State.SUCCEEDED
    assert [(s.attempt, s.state.value) for s in await bench.steps()] == [
        (1, "interrupted"), (2, "interrupted"), (3, "interrupted"), (4, "succeeded"),
    ]  # fmt: skip
    told: list[Any] = bench.reporter.of(StepRetried)
    assert [(event.attempt, event.most, event.step.attempt) for event in told] == [(2, 4, 1), (3, 4, 2), (4, 4, 3)]
    assert bench.slept == pytest.approx([event.seconds for event in told], abs=1e-5)
    for pause, about in zip(bench.slept, (1, 2, 4), strict=True):
        assert about * 0.9 <= pause <= about * 1.1


async def test_a_pause_before_another_try_is_really_waited(bench: Bench) -> None:
    bench.clock = clock = FakeClock()
    bench.replies(**{"sync-it": one_after_the_other(LOST, Reply())})
    walk = await bench.walk(SYNC)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(5):
        while not clock.sleepers:
            await asyncio.sleep(0.001)
    await clock.advance(0.89)
    await asyncio.sleep(0.02)
    assert bench.remote.count("sync-it") == 1
    await clock.advance(0.22)
    await asyncio.wait_for(running, 5)
    assert bench.remote.count("sync-it") == 2


async def test_a_stop_ends_the_pause_before_another_try(bench: Bench) -> None:
    bench.clock = clock = FakeClock()
    bench.replies(**{"sync-it": LOST})
    walk = await bench.walk(SYNC)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(5):
        while not clock.sleepers:
            await asyncio.sleep(0.001)
    walk.stop(Stop(words="enough", by=BOB))
    await asyncio.wait_for(running, 5)
    assert bench.remote.count("sync-it") == 1


async def test_after_the_last_try_it_is_interrupted_and_left_to_a_person(bench: Bench) -> None:
    bench.replies(**{"sync-it": LOST})
    ended = await bench.run(SYNC)
    assert ended.state is State.INTERRUPTED
    assert (bench.remote.count("sync-it"), len(bench.slept)) == (4, 3)
    assert "may have run, or be running still" in str(ended.ending)


@pytest.mark.parametrize("step", [Run("Add", "sync-it"), Run("Sync", "sync-it", idempotent=True)])
async def test_what_was_lost_is_not_repeated_unless_the_runbook_says_so(bench: Bench, step: Run) -> None:
    bench.replies(**{"sync-it": LOST})
    assert (await bench.run(step, TOUCH)).state is State.INTERRUPTED
    assert [line for _, line in bench.remote.ran] == ["sync-it"]


@pytest.mark.parametrize("reply", [Reply(status=1), Reply(times_out=True)])
async def test_what_has_ended_is_never_tried_again(bench: Bench, reply: Reply) -> None:
    bench.replies(**{"sync-it": reply})
    await bench.run(SYNC)
    assert bench.remote.count("sync-it") == 1


async def test_it_is_not_tried_again_while_the_lost_command_still_runs(bench: Bench) -> None:
    bench.remote.alive[1000] = (1000, 1002)
    bench.replies(**{"sync-it": one_after_the_other(LOST, Reply())})
    ended = await bench.run(SYNC)
    assert ended.state is State.INTERRUPTED
    assert ended.ending == "Sync: the earlier command is still running (pid 1000, 1002)"
    assert bench.remote.count("sync-it") == 1


@pytest.mark.parametrize(
    "then", [Reply(raises=HostUnreachable("web-01", "No answer.")), Reply(raises=HostUnreachable("web-01", "Gone."))]
)
async def test_a_lost_step_stays_lost_when_the_next_try_was_not_sent(bench: Bench, then: Reply) -> None:
    bench.replies(**{"sync-it": one_after_the_other(LOST, then)})
    ended = await bench.run(SYNC)
    assert ended.state is State.INTERRUPTED
    assert f"not tried again: {then.raises}" in str(ended.ending)


async def test_a_lost_step_stays_lost_when_it_is_stopped_before_the_next_try(bench: Bench) -> None:
    bench.clock = clock = FakeClock()
    bench.replies(**{"sync-it": one_after_the_other(LOST, Reply())})
    walk = await bench.walk(SYNC)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(5):
        while not bench.reporter.of(StepRetried):
            await asyncio.sleep(0.001)
    walk.stop(Stop(words="enough", by=CAROL))
    await clock.advance(5)
    await asyncio.wait_for(running, 5)
    ended = await bench.found(walk)
    assert ended.state is State.INTERRUPTED
    assert str(ended.ending).endswith("not tried again: enough")
    assert bench.remote.count("sync-it") == 1


async def test_a_command_whose_connection_broke_keeps_its_group_for_a_later_look(bench: Bench) -> None:
    class Breaking(FakeRemote):
        """Says the group, then breaks."""

        async def run(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["on_group"](4711)
            raise ConnectionLost("web-01", "The connection broke.")

    bench.remote = Breaking()
    assert (await bench.run(TOUCH)).state is State.INTERRUPTED
    assert [(step.pgid, step.sent) for step in await bench.steps()] == [(4711, True)]


GONE = Reply(raises=HostUnreachable("web-01", "No answer."))


async def test_what_was_surely_not_sent_is_tried_again_whatever_it_is(bench: Bench) -> None:
    bench.replies(touch=one_after_the_other(GONE, GONE, Reply()))
    assert (await bench.run(TOUCH)).state is State.SUCCEEDED
    assert [(s.attempt, s.state.value, s.sent) for s in await bench.steps()] == [
        (1, "failed", False), (2, "failed", False), (3, "succeeded", True),
    ]  # fmt: skip
    told: list[Any] = bench.reporter.of(StepRetried)
    assert [(event.attempt, event.most, event.reason) for event in told] == [(2, 4, "No answer."), (3, 4, "No answer.")]
    assert all(not command.patient for command in bench.remote.commands)


async def test_a_host_that_stays_away_is_given_up_after_three_more_tries(bench: Bench) -> None:
    bench.replies(touch=GONE)
    ended = await bench.run(TOUCH)
    assert (ended.state, ended.ending) == (State.FAILED, "Touch: No answer.")
    assert (bench.remote.count("touch"), len(bench.slept)) == (4, 3)


@pytest.mark.parametrize("error", [HostKeyRefused("web-01", "Another key."), LoginRefused("web-01", "Not let in.")])
async def test_a_refusal_of_the_host_is_never_tried_again(bench: Bench, error: Exception) -> None:
    bench.replies(touch=Reply(raises=error))
    assert (await bench.run(TOUCH)).state is State.FAILED
    assert bench.remote.count("touch") == 1


async def test_a_kill_switch_forbids_the_next_try(bench: Bench) -> None:
    switch = KillSwitch(scope=Scope.TAG, subject="web", engaged_by=CAROL, engaged_at=START, now=False, reason=None)

    async def engage(line: str) -> None:
        await bench.database.write(controls.engage, switch)

    engaging: list[asyncio.Task[None]] = []

    def gone(line: str) -> Reply:
        engaging.append(asyncio.create_task(engage(line)))
        return GONE

    bench.replies(touch=gone)
    ended = await bench.run(TOUCH)
    assert ended.state is State.CANCELLED
    assert "the kill switch (tag web) was engaged" in str(ended.ending)
    assert bench.remote.count("touch") == 1


# --- taken up again after a crash -------------------------------------------------------------------------------------


async def taken_up(walk: Walk, bench: Bench) -> Walk:
    """The same execution in the hands of a new process, which knows only what SQL knows."""
    values: dict[str, Any] = {"state": State.RUNNING.value, "ended_at": None}
    running = await bench.database.write(executions.set_values, walk.execution.id, **values)
    if len(running.hosts) == 1:  # its row is closed together with the execution
        await bench.database.write(executions.set_host, running.id, running.hosts[0], state=HostState.RUNNING)
    return Walk(walk.tools, running, walk.plan, walk.entry, walk.params)


async def test_tries_are_counted_on_after_a_restart_and_the_pause_is_kept(bench: Bench) -> None:
    bench.clock = clock = FakeClock()
    bench.replies(touch=GONE)
    walk = await bench.walk(TOUCH)
    running = asyncio.create_task(walk.run())
    for pause in (1.2, 2.3):
        async with asyncio.timeout(5):
            while not clock.sleepers:
                await asyncio.sleep(0.001)
        await clock.advance(pause)
    async with asyncio.timeout(5):
        while len(bench.reporter.of(StepRetried)) < 3 or not clock.sleepers:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    again = asyncio.create_task((await taken_up(walk, bench)).run())
    async with asyncio.timeout(5):
        while clock.sleepers < 1:
            await asyncio.sleep(0.001)
    await clock.advance(3.5)
    await asyncio.sleep(0.02)
    assert bench.remote.count("touch") == 3
    await clock.advance(1.0)
    await asyncio.wait_for(again, 5)
    assert bench.remote.count("touch") == 4
    assert (await bench.found(walk)).state is State.FAILED


@pytest.mark.parametrize("reply", [Reply(status=1), Reply(times_out=True)])
async def test_a_step_that_had_ended_is_not_run_again_after_a_crash(bench: Bench, reply: Reply) -> None:
    bench.replies(touch=reply)
    walk = await bench.walk(TOUCH)
    await walk.run()
    first = await bench.found(walk)
    bench.replies(touch=Reply())
    await (await taken_up(walk, bench)).run()
    again = await bench.found(walk)
    assert (again.state, again.ending) == (first.state, first.ending)
    assert bench.remote.count("touch") == 1


async def test_what_was_done_is_not_done_again_after_a_crash(bench: Bench) -> None:
    bench.replies(one=Reply(), two=Reply())
    walk = await bench.walk(Run("One", "one"), Parallel("Two", Run("Two", "two")))
    await walk.run()
    await (await taken_up(walk, bench)).run()
    assert [line for _, line in bench.remote.ran] == ["one", "two"]
    assert (await bench.found(walk)).state is State.SUCCEEDED


async def test_what_a_switch_had_stopped_does_not_go_on_after_a_crash(bench: Bench) -> None:
    walk = await bench.walk(TOUCH)
    walk.stop(Stop(words="the kill switch (global) was engaged", by=CAROL))
    bench.replies(**{"touch": Reply(hangs=True)})
    await walk.run()
    assert (await bench.found(walk)).state is State.CANCELLED
    assert bench.remote.count("touch") == 0


# --- stops ------------------------------------------------------------------------------------------------------------

HELD = Run("Restart", "restart-it", look=("systemctl", "is-active", "nginx"))


async def stopped(bench: Bench, *steps: Step) -> Execution:
    """The ending when it is stopped during its first step."""
    walk = await bench.walk(*steps)
    running = asyncio.create_task(walk.run())
    await bench.remote.until("restart-it")
    walk.stop(Stop(words="the kill switch (global) was engaged", by=CAROL))
    await asyncio.wait_for(running, 5)
    return await bench.found(walk)


async def test_after_a_stop_the_daemon_that_does_the_work_is_asked(bench: Bench) -> None:
    bench.replies(**{"restart-it": Reply(hangs=True), "systemctl": Reply(out="activating", status=3)})
    ended = await stopped(bench, HELD, TOUCH)
    assert ended.state is State.CANCELLED
    assert ended.ending == (
        "the kill switch (global) was engaged; the command is stopped (during: Restart); "
        "`systemctl is-active nginx` says: activating"
    )
    told: Any = bench.reporter.of(StepFinished)[0]
    assert told.look == "`systemctl is-active nginx` says: activating"
    assert await bench.states() == [("1", "stopped")]


async def test_after_a_timeout_or_a_failure_it_is_asked_as_well_and_after_a_success_it_is_not(bench: Bench) -> None:
    bench.replies(**{"restart-it": Reply(times_out=True), "systemctl": Reply(raises=HostUnreachable("web-01", "Off."))})
    await bench.run(HELD)
    bench.replies(**{"restart-it": Reply(status=1), "systemctl": Reply(out="failed", status=3)})
    await bench.run(HELD)
    bench.replies(**{"restart-it": Reply()})
    await bench.run(HELD)
    told: list[Any] = bench.reporter.of(StepFinished)
    looks = [event.look for event in told if event.step.title == told[0].step.title]
    assert looks == ["could not look: Off.", "`systemctl is-active nginx` says: failed", None]


async def test_a_stop_that_is_not_confirmed_leaves_it_interrupted(bench: Bench) -> None:
    bench.replies(**{"restart-it": Reply(hangs=True, ignores_term=True), "systemctl": Reply()})
    ended = await stopped(bench, HELD)
    assert ended.state is State.INTERRUPTED
    assert "the command is still running (pid 1000)" in str(ended.ending)


async def test_a_cancel_that_only_the_database_knows_lets_no_further_step_start(bench: Bench) -> None:
    bench.replies(touch=(held := Reply(hangs=True)))
    walk = await bench.walk(TOUCH, TOUCH)
    running = asyncio.create_task(walk.run())
    await bench.remote.until("touch")
    await bench.database.write(executions.ask_to_cancel, walk.execution.id, by=CAROL, at=START, reason="wrong host")
    held.release.set()
    await running
    ended = await bench.found(walk)
    assert (ended.state, ended.ending) == (State.CANCELLED, "cancelled by <@UCAROL>: wrong host (during: Touch)")
    assert await bench.states() == [("1", "succeeded")]


@pytest.mark.parametrize(
    ("scope", "subject", "holds"),
    [
        (Scope.GLOBAL, "", True),
        (Scope.HOST, "web-01", True),
        (Scope.RUNBOOK, "ours", True),
        (Scope.SERVICE, "nginx", True),
        (Scope.HOST, "web-02", False),
        (Scope.RUNBOOK, "restart-service", False),
        (Scope.SERVICE, "redis", False),
    ],
)
async def test_a_kill_switch_is_seen_before_the_next_step(
    bench: Bench, scope: Scope, subject: str, holds: bool
) -> None:
    switch = KillSwitch(scope=scope, subject=subject, engaged_by=CAROL, engaged_at=START, now=False, reason=None)
    bench.replies(touch=(held := Reply(hangs=True)))
    walk = await bench.walk(TOUCH, TOUCH)
    running = asyncio.create_task(walk.run())
    await bench.remote.until("touch")
    await bench.database.write(controls.engage, switch)
    held.release.set()
    await running
    assert (await bench.found(walk)).state is (State.CANCELLED if holds else State.SUCCEEDED)
    assert bench.remote.count("touch") == (1 if holds else 2)


# --- the owner's fence ------------------------------------------------------------------------------------------------


async def test_an_owner_that_was_replaced_writes_nothing_more(bench: Bench) -> None:
    sent, gate = asyncio.Event(), asyncio.Event()

    class Late(FakeRemote):
        """Its group and its words come when they are let."""

        async def run(self, *args: Any, **kwargs: Any) -> Finished:
            sent.set()
            await gate.wait()
            return await super().run(*args, **kwargs)

    bench.remote = Late(replies={"touch": Reply(out="late words")})
    walk = await bench.walk(TOUCH, TOUCH)
    running = asyncio.create_task(walk.run())
    await asyncio.wait_for(sent.wait(), 5)
    await bench.database.write(executions.seize, walk.execution)
    before = (await bench.found(walk), await bench.steps(), len(bench.reporter.events))
    gate.set()
    with pytest.raises(LeaseLost):
        await running
    assert (await bench.found(walk), await bench.steps(), len(bench.reporter.events)) == before
    assert await kept(bench, walk.execution) == []
    assert bench.remote.count("touch") == 1


async def test_an_owner_that_was_replaced_between_steps_starts_no_other(bench: Bench) -> None:
    bench.clock = clock = FakeClock()
    walk = await bench.walk(Wait("A moment", 5), TOUCH)
    running = asyncio.create_task(walk.run())
    await bench.until_started()
    await bench.database.write(executions.seize, walk.execution)
    await clock.advance(5)
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(running, 5)
    assert bench.remote.ran == []
    assert (await bench.found(walk)).state is State.RUNNING


async def test_an_owner_that_was_replaced_lets_a_whole_group_go(bench: Bench) -> None:
    one, two = Reply(hangs=True), Reply(hangs=True)
    bench.replies(one=one, two=two)
    walk = await bench.walk(Parallel("Both", Run("One", "one"), Run("Two", "two")))
    running = asyncio.create_task(walk.run())
    await bench.remote.until("one")
    await bench.remote.until("two")
    await bench.database.write(executions.seize, walk.execution)
    one.release.set()
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(running, 5)
    assert {state for _, state in await bench.states()} == {"started"}


# --- hosts and endings ------------------------------------------------------------------------------------------------


async def test_readers_look_side_by_side_but_not_at_everything_at_once(bench: Bench) -> None:
    bench.kind, held = OursLooking, Reply(hangs=True)
    bench.replies(uptime=held)
    walk = await bench.walk(Expect("Up", "uptime"), on=NAMES)
    running = asyncio.create_task(walk.run())
    await bench.remote.until("uptime", HOSTS_AT_ONCE)
    await asyncio.sleep(0.02)
    assert bench.remote.count("uptime") == HOSTS_AT_ONCE
    held.release.set()
    await running
    assert bench.remote.count("uptime") == len(NAMES)
    assert (await bench.found(walk)).state is State.SUCCEEDED


async def test_a_reader_that_fails_on_one_host_still_looks_at_the_others(bench: Bench) -> None:
    bench.kind = OursLooking
    bench.replies(uptime=one_after_the_other(Reply(status=1), Reply()))
    ended = await bench.run(Expect("Up", "uptime", within=0), on=NAMES[:3])
    assert ended.state is State.FAILED
    assert str(ended.ending).startswith("2 of 3 hosts succeeded. web-0")


async def test_changes_go_host_by_host_and_stop_at_the_first_that_does_not_succeed(bench: Bench) -> None:
    bench.replies(touch=one_after_the_other(Reply(), Reply(status=3), Reply()))
    ended = await bench.run(TOUCH, on=NAMES[:3])
    assert ended.ending == "1 of 3 hosts succeeded. web-02: Touch: ended with exit status 3"
    rows = await bench.database.read(executions.hosts_of, ended.id)
    assert [row.state for row in rows] == [HostState.SUCCEEDED, HostState.FAILED, HostState.SKIPPED]
    assert rows[2].reason == "not started, because web-02 did not succeed"


async def test_a_continued_execution_begins_where_it_was_left(bench: Bench) -> None:
    bench.replies(one=Reply(), two=Reply(), three=Reply())
    steps = [Run(word, word) for word in ("one", "two", "three")]
    assert (await bench.run(*steps, resume={"web-01": "3"})).state is State.SUCCEEDED
    assert [line for _, line in bench.remote.ran] == ["three"]


async def test_a_fault_of_our_own_ends_it_interrupted_and_says_so(bench: Bench) -> None:
    bench.replies(touch=Reply(raises=RuntimeError("a bug")))
    ended = await bench.run(TOUCH)
    assert ended.state is State.INTERRUPTED
    assert ended.ending == "Handrail itself failed here (RuntimeError); what ran before that may go on."


@pytest.mark.parametrize(
    ("before", "reply", "ending"),
    [
        ("3", Reply(out="4"), "3 -> 4"),
        ("3", Reply(status=1), "3 -> unseen"),
        ("3", Reply(raises=HostUnreachable("web-01", "Off.")), "3 -> unseen"),
        ("broken", Reply(out="4"), None),
        ("exits", Reply(out="4"), None),
    ],
)
async def test_a_success_stays_one_whatever_its_words_become(
    bench: Bench, before: str, reply: Reply, ending: str | None
) -> None:
    bench.kind = OursTelling
    bench.replies(touch=Reply(), uptime=reply)
    ended = await bench.run(TOUCH, facts={"up": before})
    assert (ended.state, ended.ending) == (State.SUCCEEDED, ending)


async def test_every_step_is_marked_before_it_starts(bench: Bench) -> None:
    seen: list[list[tuple[str, str]]] = []

    def note(line: str) -> Reply:
        marked = [event.step for event in bench.reporter.of(StepStarted) if isinstance(event, StepStarted)]
        seen.append([(step.step, step.state.value) for step in marked])
        return Reply()

    bench.replies(touch=note)
    await bench.run(TOUCH, TOUCH)
    assert seen == [[("1", "started")], [("1", "started"), ("2", "started")]]
    numbers = [(e.number, e.total) for e in bench.reporter.of(StepStarted) if isinstance(e, StepStarted)]
    assert numbers == [(1, 2), (2, 2)]


async def test_a_signal_is_told_by_its_name_and_is_no_exit_status(bench: Bench) -> None:
    class Signalled(FakeRemote):
        """Ends by KILL."""

        async def run(self, *args: Any, **kwargs: Any) -> Any:
            return Finished(ended=Ended.EXITED, signal="KILL", exit_status=None)

    bench.remote = Signalled()
    ended = await bench.run(TOUCH)
    assert (ended.state, ended.ending) == (State.FAILED, "Touch: ended with signal KILL")


async def test_words_of_a_host_mention_nobody(bench: Bench) -> None:
    bench.replies(cat=Reply(out="<!channel> <@U1>"))
    ended = await bench.run(Require("Same", "cat", "/a", output="b"))
    assert not re.search(r"<[!@]", str(ended.ending))
