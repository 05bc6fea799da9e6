"""Commands that we lost sight of: asked about, followed to their true end, or left to a person."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from runbooks import Danger, Expect, Facts, Parameters, Plan, Run, Runbook
from runbooks.following import LAST, TO_BEGIN, follow
from runbooks.progress import ExecutionContinued, StepFinished
from runbooks.remote import Ended, Finished, NotKnown, StillRunning, StopCord
from storage import audit, executions
from storage.database import Database
from storage.errors import ConnectionLost, HostError, HostKeyRefused, HostUnreachable
from storage.records import Death, Execution, Scope, State, StepRun, StepState
from tests.builders import ALICE, BOB, House, a_house, catalog_with, hosts
from tests.fakes import FakeClock, FakeRemote, HastyClock, Left, Reply

HOST = hosts().hosts[0]
TOKEN = "a" * 32
FIRST, SECOND, CHECK = "touch /tmp/first", "touch /tmp/second", "test -e /tmp/first"
RUNNING = StillRunning(group=4711)
NOTHING = NotKnown(reason="no record of it is left on 'web-01'", early=True)
RESTARTED = NotKnown(reason="'web-01' was restarted since it began")
AWAY, CUT = HostUnreachable("web-01", "No answer."), ConnectionLost("web-01", "It broke.")


def ended(status: int = 0, signal: str | None = None) -> Finished:
    return Finished(ended=Ended.EXITED, exit_status=status, signal=signal, group=4711)


class Single(Runbook):
    """One step, and one behind it."""

    name, danger = "single", Danger.LOW
    step = Run("First", *FIRST.split())

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """The step of the kind."""
        return Plan(self.step, Run("Second", *SECOND.split()))


class Repeatable(Single):
    """It may be repeated."""

    name, step = "repeatable", Run("First", *FIRST.split(), idempotent=True)


class Tolerant(Single):
    """More than one status is well."""

    name, step = "tolerant", Run("First", *FIRST.split(), allow_exit=(0, 3, 143))


class Brief(Single):
    """It may not take long."""

    name, step = "brief", Run("First", *FIRST.split(), timeout=3)


class Retried(Single):
    """It may be repeated, three times."""

    name, step = "retried", Run("First", *FIRST.split(), idempotent=True, retries=3)


CATALOG = catalog_with(Single, Repeatable, Tolerant, Brief, Retried)
HANGS = {FIRST: Reply(hangs=True), SECOND: Reply(), CHECK: Reply(hangs=True)}
ANSWERS = {FIRST: Reply(), SECOND: Reply(), CHECK: Reply()}


# --- following --------------------------------------------------------------------------------------------------------


async def followed(
    *left: Left, cord: StopCord | None = None, give_up: float = 60, group: int | None = None
) -> tuple[Finished | NotKnown, FakeRemote, HastyClock]:
    remote, clock = FakeRemote(left={TOKEN: list(left)}), HastyClock()
    found = await follow(
        remote,
        clock,
        HOST,
        TOKEN,
        cord=cord or StopCord(),
        give_up=give_up,
        on_group=lambda group: None,
        group=group,
    )
    return found, remote, clock


async def test_what_runs_is_asked_about_ever_less_often_until_it_ends() -> None:
    found, remote, clock = await followed(*[RUNNING] * 12, ended(3))
    assert found == ended(3)
    assert clock.slept == sorted(clock.slept)
    assert (clock.slept[0], clock.slept[-1]) == (0.1, LAST)
    assert len(remote.attended) == 13


@pytest.mark.parametrize("error", [AWAY, CUT])
async def test_a_host_that_cannot_be_asked_is_tried_three_more_times_in_a_row(error: HostError) -> None:
    found, remote, clock = await followed(error, error, error, RUNNING, error, error, error, ended())
    assert found == ended()
    assert [round(pause) for pause in clock.slept if pause > 0.5] == [1, 2, 4, 1, 2, 4]
    found, remote, clock = await followed(RUNNING, error)
    assert found == NotKnown(reason=str(error), group=4711)
    assert len(remote.attended) == 5


async def test_a_host_that_refuses_us_is_not_asked_again() -> None:
    found, remote, _ = await followed(HostKeyRefused("web-01", "Another key."))
    assert (found, len(remote.attended)) == (NotKnown(reason="Another key."), 1)


async def test_a_record_that_is_not_there_yet_is_waited_for_a_moment() -> None:
    found, _, clock = await followed(NOTHING, NOTHING, RUNNING, ended())
    assert found == ended()
    found, _, clock = await followed(NOTHING)
    assert found == NOTHING
    assert clock.monotonic() == pytest.approx(TO_BEGIN, abs=0.2)
    found, remote, _ = await followed(RESTARTED)
    assert (found, len(remote.attended)) == (RESTARTED, 1)


async def test_what_takes_too_long_is_ended_and_looked_at() -> None:
    found, remote, clock = await followed(RUNNING, give_up=5)
    assert found == Finished(ended=Ended.TIMED_OUT, group=4711, death=Death.STOPPED)
    assert (remote.ended, clock.monotonic()) == ([4711], pytest.approx(5))


async def test_what_ended_while_nobody_looked_counts_although_its_time_is_over() -> None:
    found, remote, _ = await followed(ended(), give_up=-100)
    assert (found, remote.ended) == (ended(), [])


async def test_a_pulled_cord_ends_what_its_host_says_is_the_command_and_nothing_else() -> None:
    cord = StopCord()
    cord.pull("enough")
    found, remote, _ = await followed(RUNNING, cord=cord)
    assert found == Finished(ended=Ended.STOPPED, group=4711, death=Death.STOPPED)
    found, remote, _ = await followed(AWAY, cord=cord, group=4711)
    assert (found, remote.ended) == (NotKnown(reason="No answer.", group=4711), [])
    found, remote, _ = await followed(AWAY, RUNNING, cord=cord)
    assert remote.ended == [4711]
    found, remote, _ = await followed(NOTHING, cord=cord)
    assert (found, remote.ended) == (NOTHING, [])


# --- the connection broke ---------------------------------------------------------------------------------------------


async def told(house: House, text: str, *left: Left) -> tuple[Execution, list[StepRun]]:
    """The ending of a request whose first step was lost, and its steps."""
    house.remote.replies[FIRST] = Reply(lost=True, left=left)
    answer = await house.ask(text)
    found = await house.ends(answer)
    return found, await house.database.read(executions.steps_of, found.id)


@pytest.mark.parametrize(
    ("runbook", "left", "state", "said"),
    [
        ("single", [ended()], State.SUCCEEDED, "what it printed after that is lost"),
        ("single", [RUNNING, ended()], State.SUCCEEDED, "what it printed after that is lost"),
        ("single", [ended(3)], State.FAILED, "ended with exit status 3"),
        ("single", [ended(143, "TERM")], State.FAILED, "ended with exit status 143 (signal TERM)"),
        ("tolerant", [RUNNING, ended(3)], State.SUCCEEDED, "lost"),
        ("tolerant", [ended(143, "TERM")], State.SUCCEEDED, "lost"),
        ("single", [NotKnown(reason="it was killed", group=4711)], State.INTERRUPTED, "(it was killed)"),
        ("single", [RESTARTED], State.INTERRUPTED, "was restarted since it began"),
        ("single", [HostKeyRefused("web-01", "Another key.")], State.INTERRUPTED, "Another key."),
    ],
)
async def test_after_a_cut_a_step_has_its_true_ending(
    database: Database, runbook: str, left: Sequence[Left], state: State, said: str
) -> None:
    async with a_house(database, replies=ANSWERS, catalog=CATALOG) as house:
        found, steps = await told(house, f"{runbook} on web-01", *left)
    assert found.state is state
    assert said in str(steps[0].reason)
    assert "the connection broke after the command was sent" in str(steps[0].reason)
    assert house.remote.count(FIRST) == 1
    assert house.remote.count(SECOND) == (state is State.SUCCEEDED)


async def test_the_token_is_kept_before_the_command_is_sent(sqlite: Database) -> None:
    kept: list[str | None] = []

    class Reading(FakeRemote):
        """Looks into the database when it is asked to run."""

        async def run(self, *args: Any, **kwargs: Any) -> Finished:
            steps = await sqlite.read(executions.steps_of, 1)
            kept.append(next(s.token for s in steps if s.state is StepState.STARTED))
            return await super().run(*args, **kwargs)

    async with a_house(sqlite, remote=Reading(replies=dict(ANSWERS)), catalog=CATALOG) as house:
        assert (await house.ends(await house.ask("single on web-01"))).state is State.SUCCEEDED
        assert kept == [command.token for command in house.remote.commands]
        assert len({token for token in kept if token is not None}) == 2
        assert house.remote.forgotten == kept


async def test_a_record_is_kept_as_long_as_an_ending_is_unknown(sqlite: Database) -> None:
    async with a_house(sqlite, replies=ANSWERS, catalog=CATALOG) as house:
        await told(house, "single on web-01", RESTARTED)
        assert house.remote.forgotten == []


async def test_what_can_be_told_later_is_not_run_again(sqlite: Database) -> None:
    """It may be repeated, but need not be: by the time of the next try its host knows how it ended."""
    async with a_house(sqlite, replies=ANSWERS, catalog=CATALOG) as house:
        found, steps = await told(house, "retried on web-01", RESTARTED, RUNNING, ended())
    assert found.state is State.SUCCEEDED
    assert house.remote.count(FIRST) == 1
    assert [(s.step, s.attempt, s.state) for s in steps] == [
        ("1", 1, StepState.SUCCEEDED),
        ("2", 1, StepState.SUCCEEDED),
    ]
    assert found.steps_done == 2


async def test_a_cancel_ends_what_is_being_followed(database: Database) -> None:
    async with a_house(database, replies=ANSWERS, catalog=CATALOG) as house:
        house.remote.replies[FIRST] = Reply(lost=True, left=[RUNNING])
        answer = await house.ask("single on web-01")
        await until(lambda: house.remote.attended)
        await house.engine.cancel(answer.execution.id, BOB)
        found = await house.ends(answer)
        assert found.state is State.CANCELLED
        assert house.remote.ended == [4711]
        assert house.remote.count(SECOND) == 0


# --- the owner died ---------------------------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def left_behind(database: Database, text: str) -> tuple[int, str]:
    """An execution in the middle of its first step when its owner dies, and that step's token."""
    async with a_house(database, replies=HANGS, catalog=CATALOG) as house:
        answer = await house.ask(text)
        await house.remote.until(FIRST)
        await asyncio.sleep(0.05)
        await house.die()
    [step] = await database.read(executions.steps_of, answer.execution.id)
    assert step.state is StepState.STARTED
    return answer.execution.id, step.token


def remote_with(token: str, *left: Left) -> FakeRemote:
    return FakeRemote(replies=dict(ANSWERS), left={token: list(left)})


@pytest.mark.parametrize(
    ("runbook", "left", "state", "first", "second"),
    [
        ("single", [ended()], State.SUCCEEDED, 0, 1),
        ("single", [RUNNING, RUNNING, ended()], State.SUCCEEDED, 0, 1),
        ("single", [AWAY, RUNNING, ended()], State.SUCCEEDED, 0, 1),
        ("single", [ended(3)], State.FAILED, 0, 0),
        ("tolerant", [ended(3)], State.SUCCEEDED, 0, 1),
        ("single", [RESTARTED], State.INTERRUPTED, 0, 0),
        ("brief", [RUNNING], State.TIMED_OUT, 0, 0),
        ("repeatable", [ended()], State.SUCCEEDED, 0, 1),
        ("repeatable", [ended(3)], State.FAILED, 0, 0),
        ("repeatable", [RESTARTED], State.SUCCEEDED, 1, 1),
    ],
)
async def test_the_next_owner_finds_out_what_became_of_a_started_step(
    sqlite: Database, runbook: str, left: Sequence[Left], state: State, first: int, second: int
) -> None:
    execution_id, token = await left_behind(sqlite, f"{runbook} on web-01")
    epoch = (await sqlite.read(executions.get, execution_id)).epoch
    async with a_house(sqlite, remote=remote_with(token, *left), catalog=CATALOG) as house:
        finals = [s for s in State if s.is_final or s is State.INTERRUPTED]
        found = await house.reaches(execution_id, *finals, seconds=25)
        assert found.state is state
        assert found.epoch == epoch + 1
        assert (house.remote.count(FIRST), house.remote.count(SECOND)) == (first, second)
        [event] = house.reporter.of(ExecutionContinued)
        assert "asks web-01 what became of step 1 (First)" in event.words
        assert (await sqlite.read(audit.verify)).ok
        assert house.reporter.of(StepFinished)


async def test_a_cancel_asked_for_while_nobody_lived_ends_what_still_runs(sqlite: Database) -> None:
    execution_id, token = await left_behind(sqlite, "single on web-01")
    now = (await sqlite.read(executions.get, execution_id)).created_at
    await sqlite.write(executions.ask_to_cancel, execution_id, by=BOB, at=now, reason=None)
    async with a_house(sqlite, remote=remote_with(token, RUNNING), catalog=CATALOG) as house:
        assert (await house.reaches(execution_id, seconds=25)).state is State.CANCELLED
        assert house.remote.ended == [4711]


async def test_a_kill_switch_is_asked_before_the_step_behind_what_was_found_again(sqlite: Database) -> None:
    execution_id, token = await left_behind(sqlite, "single on web-01")
    async with a_house(sqlite, remote=remote_with(token, RUNNING), catalog=CATALOG) as house:
        await until(lambda: house.remote.attended)
        await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=ALICE, now=False)
        house.remote.left[token] = [ended()]
        found = await house.reaches(execution_id, seconds=25)
        assert found.state is State.CANCELLED
        assert "kill switch" in str(found.ending)
        steps = await sqlite.read(executions.steps_of, execution_id)
        assert [step.state for step in steps] == [StepState.SUCCEEDED]
        assert house.remote.count(SECOND) == 0


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_one_owner_takes_it_over_and_the_other_one_does_not(database: Database) -> None:
    execution_id, token = await left_behind(database, "single on web-01")
    remotes = [remote_with(token, RUNNING, RUNNING, ended()) for _ in range(2)]
    async with (
        a_house(database, remote=remotes[0], catalog=CATALOG) as one,
        a_house(database, remote=remotes[1], catalog=CATALOG),
    ):
        assert (await one.reaches(execution_id, seconds=25)).state is State.SUCCEEDED
    assert sorted(bool(remote.attended) for remote in remotes) == [False, True]
    assert sum(remote.count(SECOND) for remote in remotes) == 1


async def test_an_owner_that_dies_while_it_asks_leaves_that_to_the_next(sqlite: Database) -> None:
    execution_id, token = await left_behind(sqlite, "single on web-01")
    async with a_house(sqlite, remote=remote_with(token, RUNNING), catalog=CATALOG) as house:
        await until(lambda: len(house.remote.attended) > 1)
        await house.die()
    assert (await sqlite.read(executions.get, execution_id)).state is State.RUNNING
    async with a_house(sqlite, remote=remote_with(token, ended()), catalog=CATALOG) as house:
        assert (await house.reaches(execution_id)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ([ended()], "it ended with exit status 0."),
        ([ended(143, "TERM")], "it ended with exit status 143 (TERM)."),
        ([RUNNING], "still running (pid 4711)"),
        ([RESTARTED], "is over; how it ended is unknown"),
    ],
)
async def test_resume_shows_what_the_record_says(sqlite: Database, left: Sequence[Left], said: str) -> None:
    async with a_house(sqlite, replies=ANSWERS, catalog=CATALOG) as house:
        found, steps = await told(house, "single on web-01", NotKnown(reason="no answer", group=4711))
        house.remote.left[steps[0].token] = list(left)
        _, words, _ = await house.engine.look_before_resuming(found.id, BOB)
        assert said in words


async def test_a_person_who_wants_it_again_gets_it_again(sqlite: Database) -> None:
    async with a_house(sqlite, replies=ANSWERS, catalog=CATALOG) as house:
        found, steps = await told(house, "single on web-01", RESTARTED)
        house.remote.left[steps[0].token] = [ended()]
        house.remote.replies[FIRST] = Reply()
        await house.engine.resume(found.id, BOB, again=True)
        assert (await house.reaches(found.id)).state is State.SUCCEEDED
        assert house.remote.count(FIRST) == 2


# Steps that leave no record are as they were.


class Reading(Single):
    """It only reads."""

    name, step = "reading", Expect("First", *CHECK.split())


async def test_a_check_leaves_no_record_and_is_simply_asked_again(sqlite: Database) -> None:
    catalog = catalog_with(Reading)
    async with a_house(sqlite, replies=HANGS, catalog=catalog) as house:
        answer = await house.ask("reading on web-01")
        await house.remote.until(CHECK)
        assert house.remote.commands[-1].token is None
        await house.die()
    async with a_house(sqlite, replies=ANSWERS, catalog=catalog) as house:
        assert (await house.ends(answer)).state is State.SUCCEEDED
        assert house.remote.attended == []


async def test_a_clock_that_stands_still_does_not_hold_up_an_answer(sqlite: Database) -> None:
    remote = FakeRemote(left={TOKEN: [ended()]})
    found = await follow(remote, FakeClock(), HOST, TOKEN, cord=StopCord(), give_up=0, on_group=lambda group: None)
    assert found == ended()
