"""Many hosts: sizes, budgets and pauses as pure values; then whole rollouts, on both databases."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest

from runbooks import Category, Danger, Expect, Facts, Parameters, Plan, Results, Run, Runbook, Sample
from runbooks.catalog import rollout_of
from runbooks.checking import check
from runbooks.definition import Step
from runbooks.plans import HostPlan, StoredPlan, fingerprint, from_json, to_json
from runbooks.progress import ExecutionEnded, WaveEnded
from runbooks.remote import Ended, Finished, NotKnown
from runbooks.waves import budget_of, divided, in_waves, over, pause_of, waves_of
from safety.command_guard import CommandGuard
from storage import controls, executions
from storage.database import Database
from storage.errors import DefinitionError, Invalid, TooLate
from storage.records import Execution, HostState, Origin, Rollout, State, StepState
from tests.builders import BOB, CAROL, House, a_house, catalog_with, hosts
from tests.fakes import Reply

NAMES = [f"web-{number:02}" for number in range(1, 11)]
ALL = ",".join(NAMES[:6])


def on(facts: Facts) -> str:
    """A file that tells which host a command was for."""
    return f"/tmp/{facts.host}"


class Roll(Runbook):
    """Put a file on every host, which can be taken away again, and reload."""

    name, category, danger, cooldown = "roll", Category.MAINTENANCE, Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """A change with an undo, and one without."""
        return Plan(
            Run("Put it there", "touch", on(facts), undo=Run("Take it away", "rm", on(facts))),
            Run("Reload", "mkdir", on(facts)),
        )


class Healthy(Roll):
    """The same, and every host that is done is looked at after each wave."""

    name, waves = "healthy", "2"

    def health(self, params: Parameters, facts: Facts) -> Collection[Expect]:
        """One look."""
        return [Expect("It answers", "cat", on(facts), within=0)]


class Returning(Roll):
    """The same; what it did is taken back by itself."""

    name, rollback = "returning", "auto"


class ReturningAsked(Returning):
    """And somebody else has to approve."""

    name, danger = "returning-asked", Danger.DANGEROUS


class Staged(Roll):
    """The same in two stages: the file first, on every host."""

    name, waves = "staged", "1,rest"

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """The file."""
        return Plan(Run("Put it there", "touch", on(facts)), then="reload")

    def reload(self, params: Parameters, facts: Facts, results: Results) -> Plan:
        """The second stage."""
        return Plan(Run("Reload", "mkdir", on(facts)))


class Seeing(Runbook):
    """Look only."""

    name, danger = "seeing", Danger.READ

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One look."""
        return Plan(Expect("It is there", "cat", on(facts)))


KINDS = (Roll, Staged, Seeing, Healthy, Returning, ReturningAsked)
WORDS = {"put": "touch", "reload": "mkdir", "take": "rm", "look": "cat"}
FINE: dict[str, Any] = {word: Reply() for word in WORDS.values()}


def fleet(database: Database, **replies: Any) -> Any:
    """A house with ten hosts that do as they are told, except for these."""
    spoken = {sent(line): reply for line, reply in replies.items()}
    return a_house(database, replies={**FINE, **spoken}, catalog=catalog_with(*KINDS), inventory=hosts(*NAMES))


def sent(name: str) -> str:
    """The beginning of a command: of `put` on every host, of `put_web_04` on that one."""
    word, _, host = name.partition("_")
    return f"{WORDS[word]} /tmp/{host.replace('_', '-')}" if host else WORDS[word]


async def states(house: House, execution: Execution) -> str:
    """The first letter of each host's state, in order: s(ucceeded), f(ailed), k for skipped, and so on."""
    rows = await house.database.read(executions.hosts_of, execution.id)
    letters = {HostState.SKIPPED: "k", HostState.TIMED_OUT: "t"}
    return "".join(letters.get(row.state, row.state.value[0]) for row in rows)


def touched(house: House, word: str) -> list[str]:
    """The numbers of the hosts that were sent a command with this word, in order."""
    return [host[-2:] for host, line in house.remote.ran if line.split()[0] == WORDS[word]]


# --- sizes, budgets, pauses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "count", "waves"),
    [
        ("1", 3, [1, 1, 1]),
        ("1,rest", 6, [1, 5]),
        ("1,25%,rest", 10, [1, 3, 6]),
        ("10%", 10, [1] * 10),
        ("2,3", 9, [2, 3, 3, 1]),
        ("50%", 3, [2, 1]),
        ("rest", 4, [4]),
        ("1,rest", 1, [1]),
        ("9", 4, [4]),
    ],
)
def test_hosts_are_divided_in_their_order_and_the_last_size_is_repeated(
    sizes: str, count: int, waves: list[int]
) -> None:
    found = divided(NAMES[:count], sizes)
    assert [len(wave) for wave in found] == waves
    assert [name for wave in found for name in wave] == NAMES[:count]


@pytest.mark.parametrize(
    ("typed", "read"), [("1,25%,rest", "1,25%,rest"), ("1, 25 %, REST", "1,25%,rest"), ("01,all", "1,rest")]
)
def test_sizes_are_read_however_they_are_typed(typed: str, read: str) -> None:
    assert waves_of(typed) == read


@pytest.mark.parametrize("typed", ["", "0", "0%", "101%", "rest,1", "rest,rest", "1,,rest", "half", "-1", "1;2", "1.5"])
def test_a_size_that_makes_no_sense_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        waves_of(typed)


def test_more_waves_than_anybody_reads_are_refused() -> None:
    with pytest.raises(Invalid, match="at most 20"):
        waves_of(",".join(["1"] * 21))


def test_pauses_and_budgets_are_read() -> None:
    assert [pause_of(text) for text in ("30s", "2m", "1m30s", "1h", "45", "0")] == [30, 120, 90, 3600, 45, 0]
    assert [budget_of(text) for text in ("1", "10%", "0", "100%")] == ["1", "10%", "0", "100%"]
    for text in ("", "soon", "2h", "30x", "1e3", "²"):
        with pytest.raises(Invalid):
            pause_of(text)
    for text in ("", "some", "-1", "110%"):
        with pytest.raises(Invalid):
            budget_of(text)


def plan_for(count: int, *steps: Step) -> StoredPlan:
    """The same steps on so many hosts."""
    return StoredPlan(hosts=tuple(HostPlan(host=n, steps=steps or (Run("A", "a"),), facts={}) for n in NAMES[:count]))


def test_few_hosts_go_one_by_one_and_of_many_one_is_the_canary() -> None:
    unsaid = Rollout()
    assert [len(w) for w in in_waves(plan_for(3), unsaid, unsaid).waves] == [1, 1, 1]
    assert [len(w) for w in in_waves(plan_for(4), unsaid, unsaid).waves] == [1, 3]
    assert in_waves(plan_for(1), Rollout(waves="1,rest"), unsaid) == plan_for(1)


def test_the_request_counts_before_the_settings_and_those_before_the_class() -> None:
    class Said(Roll):
        """Says all of it."""

        name, waves, pause, max_failures = "said", "2,rest", timedelta(minutes=1), "50%"

    said = over(Rollout(max_failures="1"), over(Rollout(pause=5), rollout_of(Said)))
    assert said == Rollout(waves="2,rest", pause=5, max_failures="1")
    planned = in_waves(plan_for(5), Rollout(), rollout_of(Said))
    assert (planned.pause, planned.max_failures) == (60, 2)


def test_a_class_that_says_nonsense_is_refused_by_name() -> None:
    class Odd(Roll):
        """Half of them."""

        name, waves = "odd", "half"

    with pytest.raises(DefinitionError, match=r"odd: 'half' is no size of a wave"):
        rollout_of(Odd)


def test_the_fingerprint_knows_waves_pause_budget_health_and_rollback() -> None:
    plan = plan_for(4)
    ill = (Expect("Up", "uptime"),)
    others = [
        in_waves(plan, Rollout(), Rollout()),
        in_waves(plan, Rollout(waves="2"), Rollout()),
        in_waves(plan, Rollout(waves="2", pause=5), Rollout()),
        in_waves(plan, Rollout(waves="2", max_failures="1"), Rollout()),
        StoredPlan(hosts=plan.hosts, rollback=True),
        StoredPlan(hosts=tuple(HostPlan(host=p.host, steps=p.steps, facts={}, health=ill) for p in plan.hosts)),
    ]
    marks = {fingerprint(runbook="r", params={}, plan=one) for one in [plan, *others]}
    assert len(marks) == 7
    assert all(from_json(to_json(one)) == one for one in others)


# --- rollouts ---------------------------------------------------------------------------------------------------------


async def test_a_canary_goes_first_and_its_failure_touches_nobody_else(database: Database) -> None:
    async with fleet(database, reload_web_01=Reply(status=1)) as house:
        ended = await house.ends(await house.ask(f"roll on {ALL}"))
        assert (ended.state, await states(house, ended)) == (State.FAILED, "fkkkkk")
        assert touched(house, "put") == ["01"]
        rows = await house.database.read(executions.hosts_of, ended.id)
        assert rows[5].reason == "not started, because web-01 did not succeed"
        assert [row.wave for row in rows] == [1, 2, 2, 2, 2, 2]


async def test_what_runs_in_a_wave_finishes_and_no_further_wave_begins(database: Database) -> None:
    slow = Reply(hangs=True)
    async with fleet(database, reload_web_04=Reply(status=1), reload_web_03=slow) as house:
        asked = await house.ask(f"roll on {','.join(NAMES[:8])}", rollout=Rollout(waves="2"))
        await house.remote.until(sent("reload_web_04"))
        slow.release.set()
        ended = await house.ends(asked)
        assert await states(house, ended) == "sssfkkkk"
        assert ended.ending == "3 of 8 hosts succeeded. web-04: Reload: ended with exit status 1"
        assert [(w.number, w.succeeded) for w in house.reporter.of(WaveEnded)] == [(1, 2)]  # type: ignore[attr-defined]


async def test_an_error_budget_lets_it_go_on_until_it_is_used_up(sqlite: Database) -> None:
    broken = {"reload_web_02": Reply(status=1), "put_web_05": Reply(status=1), "put_web_06": Reply(status=1)}
    async with fleet(sqlite, **broken) as house:
        ask = f"roll on {','.join(NAMES)}"
        ended = await house.ends(await house.ask(ask, rollout=Rollout(waves="2", max_failures="20%")))
        assert (ended.state, await states(house, ended)) == (State.FAILED, "sfssffkkkk")
        rows = await house.database.read(executions.hosts_of, ended.id)
        assert rows[9].reason == ("not started, because web-02, web-05, web-06 did not succeed (at most 2 may fail)")


async def test_within_its_budget_it_reaches_every_host_and_has_still_failed(sqlite: Database) -> None:
    async with fleet(sqlite, put_web_01=Reply(status=1)) as house:
        ended = await house.ends(await house.ask(f"roll on {ALL}", rollout=Rollout(max_failures="1")))
        assert (ended.state, await states(house, ended)) == (State.FAILED, "fsssss")


async def test_a_host_that_falls_ill_later_counts_as_failed(sqlite: Database) -> None:
    ill = iter([Reply(), Reply(out="down", status=1)])
    async with fleet(sqlite, look_web_01=lambda line: next(ill)) as house:
        ended = await house.ends(await house.ask(f"healthy on {ALL}"))
        assert await states(house, ended) == "fssskk"
        assert "web-01: after wave 2: It answers: exit status 1: 'down'" in str(ended.ending)
        places = [s.step for s in await house.database.read(executions.steps_of, ended.id) if s.host == "web-01"]
        assert places == ["1", "2", "w1.1", "w2.1"]


async def test_health_is_asked_on_every_host_that_is_done_after_each_wave(sqlite: Database) -> None:
    async with fleet(sqlite) as house:
        ended = await house.ends(await house.ask(f"healthy on {','.join(NAMES[:4])}"))
        assert (ended.state, ended.steps_done, ended.steps_total) == (State.SUCCEEDED, 14, 14)
        assert sorted(touched(house, "look")) == ["01", "01", "02", "02", "03", "04"]


async def test_waves_of_what_only_reads_and_nonsense_are_refused(sqlite: Database) -> None:
    async with fleet(sqlite) as house:
        with pytest.raises(Invalid, match="no size of a wave"):
            await house.ask(f"roll on {ALL}", rollout=Rollout(waves="most"))
        with pytest.raises(Invalid, match="seeing only reads"):
            await house.ask(f"seeing on {ALL}", rollout=Rollout(waves="1"))


# --- retry and rollback -----------------------------------------------------------------------------------------------


async def test_retry_failed_takes_the_hosts_without_success_and_no_other(database: Database) -> None:
    async with fleet(database, reload_web_04=Reply(status=1)) as house:
        first = await house.ends(await house.ask(f"roll on {ALL}", rollout=Rollout(waves="3")))
        assert await states(house, first) == "sssfss"
        second = await house.ends(await house.ask(f"roll on {ALL}", rollout=Rollout(waves="1", max_failures="1")))
        assert await states(house, second) == "sssfss"
        house.remote.replies[sent("reload_web_04")] = Reply()
        house.remote.ran.clear()
        again = await house.ends(await house.engine.retry(first.id, BOB, only_failed=True))
        assert (again.state, again.hosts, again.retry_of) == (State.SUCCEEDED, ("web-04",), first.id)
        assert touched(house, "put") == ["04"]
        with pytest.raises(TooLate, match="succeeded on every host"):
            await house.engine.retry(again.id, BOB, only_failed=True)


async def test_a_rollback_goes_backwards_through_the_waves_whatever_one_host_says(database: Database) -> None:
    async with fleet(database, reload_web_04=Reply(status=1), take_web_03=Reply(status=1)) as house:
        first = await house.ends(await house.ask(f"roll on {ALL}", rollout=Rollout(waves="2")))
        assert await states(house, first) == "sssfkk"
        back = await house.ends(await house.engine.roll_back(first.id, BOB))
        assert back.hosts == ("web-03", "web-04", "web-01", "web-02")
        assert (back.state, await states(house, back)) == (State.FAILED, "fsss")
        house.remote.replies[sent("take_web_03")] = Reply()
        again = await house.ends(await house.engine.roll_back(first.id, BOB))
        assert (again.state, again.hosts) == (State.SUCCEEDED, ("web-03",))
        assert (await house.get(first.id)).state is State.ROLLED_BACK
        with pytest.raises(TooLate, match="rolled back on every host"):
            await house.engine.retry(first.id, BOB, only_failed=True)


async def test_a_failed_rollout_is_taken_back_by_itself_where_the_runbook_says_so(database: Database) -> None:
    async with fleet(database, reload_web_04=Reply(status=1)) as house:
        asked = await house.ask(f"returning on {ALL}", rollout=Rollout(waves="2"))
        assert asked.execution is not None
        first = await house.reaches(asked.execution.id, State.ROLLED_BACK)
        [ended] = [e for e in house.reporter.of(ExecutionEnded) if e.rollback is not None]  # type: ignore[attr-defined]
        back = await house.get(ended.rollback.id)
        assert (back.state, back.rolls_back, back.actor, back.origin) == (State.SUCCEEDED, first.id, BOB, Origin.ENGINE)
        assert ended.undoable, "whoever may, can still ask for it, should that one be refused"
        assert sorted(touched(house, "take")) == ["01", "02", "03", "04"]
        assert back.ending == f"what #{first.id} changed is taken back", "said once, not for each host"
        assert back.fingerprint not in {None, first.fingerprint}
        assert await house.database.read(controls.locks, NAMES) == []


async def test_a_rollback_that_begins_by_itself_is_approved_like_any_other(database: Database) -> None:
    async with fleet(database, put_web_02=Reply(status=1)) as house:
        asked = await house.ask("returning-asked on web-01,web-02")
        assert asked.execution is not None
        await house.reaches(asked.execution.id, State.AWAITING_APPROVAL)
        await house.engine.approve(asked.execution.id, CAROL)
        first = await house.ends(asked)
        [back] = [e for e in await house.database.read(executions.newest, 1) if e.rolls_back == first.id]
        await house.reaches(back.id, State.AWAITING_APPROVAL)
        assert touched(house, "take") == []
        assert await house.database.read(controls.locks, NAMES) == []
        await house.engine.approve(back.id, CAROL)
        assert (await house.reaches(back.id)).state is State.SUCCEEDED
        assert touched(house, "take") == ["01"]


async def test_a_cancelled_rollout_is_left_to_people(sqlite: Database) -> None:
    held = Reply(hangs=True)
    async with fleet(sqlite, reload_web_02=held) as house:
        asked = await house.ask(f"returning on {ALL}")
        await house.remote.until(sent("reload_web_02"))
        assert asked.execution is not None
        await house.engine.cancel(asked.execution.id, BOB)
        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert (await house.database.read(executions.newest, 1))[0].id == ended.id


# --- stops and crashes ------------------------------------------------------------------------------------------------


async def test_a_cancel_stops_all_hosts_of_a_wave_at_once_and_begins_no_other(database: Database) -> None:
    held = Reply(hangs=True)
    async with fleet(database, reload=held) as house:
        asked = await house.ask(f"roll on {ALL}", rollout=Rollout(waves="4,rest"))
        await house.remote.until(sent("reload"), 4)
        assert asked.execution is not None
        await house.engine.cancel(asked.execution.id, BOB)
        ended = await house.ends(asked)
        assert (ended.state, await states(house, ended)) == (State.CANCELLED, "cccckk")


async def test_a_cancel_during_the_pause_is_a_cancel(sqlite: Database) -> None:
    async with fleet(sqlite) as house:
        asked = await house.ask(f"roll on {ALL}", rollout=Rollout(pause=600))
        assert asked.execution is not None
        await until_wave(house)
        await house.engine.cancel(asked.execution.id, BOB)
        ended = await house.ends(asked)
        assert (ended.state, await states(house, ended)) == (State.CANCELLED, "skkkkk")
        assert "cancelled by" in str(ended.ending)


async def until_wave(house: House) -> None:
    """Return once a wave has ended."""
    async with asyncio.timeout(10):
        while not house.reporter.of(WaveEnded):
            await asyncio.sleep(0.01)


async def test_a_death_during_the_pause_loses_no_host_and_repeats_none(database: Database) -> None:
    async with fleet(database) as house:
        asked = await house.ask(f"roll on {ALL}", rollout=Rollout(pause=2))
        await until_wave(house)
        await house.die()
        assert asked.execution is not None
        async with fleet(database) as other:
            if not database.is_sqlite:
                await died_long_ago(other, asked.execution.id)
            ended = await other.ends(asked, seconds=20)
            assert (ended.state, await states(other, ended)) == (State.SUCCEEDED, "ssssss")
            assert touched(other, "put") == ["02", "03", "04", "05", "06"]


async def died_long_ago(house: House, execution_id: int) -> None:
    """The lease of a dead owner, run out; on SQLite the next owner knows that it is dead."""
    found = await house.get(execution_id)
    await house.database.write(executions.set_values, execution_id, lease_until=found.created_at - timedelta(minutes=1))
    await house.owner._take()


async def test_hosts_that_were_interrupted_together_are_resumed_one_by_one(database: Database) -> None:
    lost = Reply(lost=True)
    async with fleet(database, reload_web_02=lost, reload_web_03=lost) as house:
        asked = await house.ask(f"roll on {ALL}", rollout=Rollout(waves="1,3,rest"))
        ended = await house.ends(asked, seconds=30)
        assert (ended.state, await states(house, ended)) == (State.INTERRUPTED, "siiskk")
        house.remote.replies |= {sent("reload_web_02"): Reply(), sent("reload_web_03"): Reply()}
        house.remote.ran.clear()
        for name in ("web-02", "web-03"):
            _, said, stopped = await house.engine.look_before_resuming(ended.id, BOB)
            assert ("asked about afterwards: web-03." in said) is (name == "web-02")
            assert (stopped.host, stopped.place) == (name, "2")
            await house.engine.resume(ended.id, BOB, again=True, mark=stopped.mark)
            ended = await house.ends(asked)
            if name == "web-02":
                assert (ended.state, await states(house, ended)) == (State.INTERRUPTED, "ssiskk")
                assert touched(house, "reload") == ["02"]
        assert (ended.state, await states(house, ended)) == (State.SUCCEEDED, "ssssss")
        assert sorted(touched(house, "reload")) == ["02", "03", "05", "06"]


async def test_after_a_death_in_a_wave_each_host_goes_its_own_way(database: Database) -> None:
    held = Reply(hangs=True)
    async with fleet(database, reload_web_02=held, reload_web_03=held) as house:
        asked = await house.ask(f"roll on {','.join(NAMES[:4])}", rollout=Rollout(waves="1,rest"))
        await house.remote.until(sent("reload"), 3)
        await house.remote.until(sent("reload_web_04"))
        assert asked.execution is not None
        async with asyncio.timeout(10):
            while (await states(house, asked.execution))[3] != "s":
                await asyncio.sleep(0.01)
        await house.die()
        over = {step.host: step.token for step in await house.database.read(executions.steps_of, asked.execution.id)
                if step.state is StepState.STARTED}  # fmt: skip
        assert set(over) == {"web-02", "web-03"}
        async with fleet(database) as other:
            # One host has a record of how its command ended; of the other nothing is left.
            other.remote.left[str(over["web-02"])] = [Finished(ended=Ended.EXITED, exit_status=0, group=7)]
            other.remote.left[str(over["web-03"])] = [NotKnown(reason="no record of it is left on 'web-03'")]
            if not database.is_sqlite:
                await died_long_ago(other, asked.execution.id)
            ended = await other.ends(asked, seconds=30)
            assert (ended.state, await states(other, ended)) == (State.INTERRUPTED, "ssis")
            assert touched(other, "reload") == []


async def test_the_blast_radius_counts_all_hosts_whatever_the_waves(sqlite: Database) -> None:
    names = [f"web-{number:02}" for number in range(1, 13)]
    async with a_house(sqlite, replies=FINE, catalog=catalog_with(*KINDS), inventory=hosts(*names)) as house:
        answer = await house.ask(f"roll on {','.join(names)}", rollout=Rollout(waves="1"))
        assert answer.decision is not None
        assert answer.decision.refusal is not None
        assert answer.decision.refusal.gate == "blast radius"


async def test_an_interrupted_host_with_nothing_left_to_run_asks_nobody(database: Database) -> None:
    async with fleet(database, reload_web_02=Reply(lost=True)) as house:
        asked = await house.ask(f"roll on {ALL}")
        ended = await house.ends(asked, seconds=30)
        assert await states(house, ended) == "sissss"
        for host in ("web-01", "web-04"):
            await house.database.write(executions.set_host, ended.id, host, state=HostState.INTERRUPTED)
        await house.engine.resume(ended.id, BOB, again=False)
        ended = await house.ends(asked)
        assert (ended.state, await states(house, ended)) == (State.SUCCEEDED, "ssssss")
        assert len(touched(house, "put")) == 6


async def test_a_canary_that_fails_in_a_later_stage_stops_that_stage(database: Database) -> None:
    async with fleet(database, reload_web_01=Reply(status=1)) as house:
        ended = await house.ends(await house.ask(f"staged on {ALL}"))
        assert (ended.state, await states(house, ended)) == (State.FAILED, "fkkkkk")
        assert (len(touched(house, "put")), touched(house, "reload")) == (6, ["01"])
        rows = await house.database.read(executions.hosts_of, ended.id)
        assert rows[5].reason == "its stage 2 was not begun, because web-01 did not succeed"


class Meddling(Roll):
    """Its health changes something."""

    name = "meddling"
    samples = (Sample("", Facts(host="web-01")),)

    def health(self, params: Parameters, facts: Facts) -> Collection[Expect]:
        """This is no look."""
        return [Expect("Clean", "rm", "-rf", "/var/log")]


def test_a_health_that_changes_something_is_found_before_anybody_runs_it() -> None:
    found = check(catalog_with(Meddling), CommandGuard())
    assert any("guard refuses" in one.message for one in found if one.runbook == "meddling")
