"""The built-in runbooks on demo hosts, through the real SSH adapter and the real guard."""

import asyncio
from typing import Any

import pytest

from runbooks.catalog import bind
from runbooks.library.kill_process import MOST, _unit
from runbooks.planning import Planner
from runbooks.progress import ExecutionEnded, StepFinished
from runbooks.steps import Stop
from safety.command_guard import CommandGuard
from storage import executions
from storage.errors import Invalid, PlanningFailed
from storage.records import State
from tests.builders import CAROL, a_healthy_nginx, hosts, shown
from tests.fakes import FakeRemote, Reply
from tests.runbooks.demo_hosts import CATALOG, SIGKILL, Demo

# --- kill-process -----------------------------------------------------------------------------------------------------


async def test_a_process_that_goes_when_asked_is_not_killed(demo: Demo) -> None:
    polite, stuck = demo.pids("report-worker")
    ended = await demo.apply("kill", await demo.plan("kill", str(polite)))
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"ended report-worker ({polite})")
    assert await demo.states() == ["succeeded", "succeeded", "skipped", "succeeded"]
    assert demo.pids("report-worker") == [stuck]


async def test_a_process_that_ignores_the_request_is_killed_after_the_grace(demo: Demo) -> None:
    polite, stuck = demo.pids("report-worker")
    ended = await demo.apply("kill", await demo.plan("kill", str(stuck), grace="20s"))
    assert ended.state is State.SUCCEEDED
    assert await demo.states() == ["succeeded"] * 4
    assert sum(demo.clock.slept) >= 20
    assert demo.pids("report-worker") == [polite]


async def test_all_processes_of_a_name_are_ended_each_checked_by_itself(demo: Demo) -> None:
    polite, stuck = demo.pids("report-worker")
    plan = await demo.plan("kill", "report-worker", grace="2s")
    assert plan.services == ("cron",)
    assert [step.title.split(",")[0] for step in plan.hosts[0].steps[::4]] == [
        f"{polite} is still report-worker",
        f"{stuck} is still report-worker",
    ]
    ended = await demo.apply("kill", plan)
    assert ended.ending == f"ended report-worker ({polite}), report-worker ({stuck})"
    assert await demo.states() == ["succeeded", "succeeded", "skipped", "succeeded", *["succeeded"] * 4]
    assert demo.pids("report-worker") == []


async def test_facts_say_who_would_die(demo: Demo) -> None:
    polite = demo.pids("report-worker")[0]
    plan = await demo.plan("kill", str(polite))
    found = plan.hosts[0].facts["processes"][0]
    assert found["command"] == "/usr/local/bin/report-worker --month=2026-10"
    assert (found["user"], found["unit"], found["parent"]) == ("ops", "cron", demo.system.service("cron").main_pid)
    assert found["since"] == "Sat Nov 21 09:49:00 2026"
    assert found["start"] == str(demo.system.processes[polite].ticks)


async def test_a_process_of_somebody_else_is_ended_through_sudo(demo: Demo) -> None:
    pid = demo.system.service("celery@1").main_pid
    plan = await demo.plan("kill", "celery")
    sudo = [getattr(step, "sudo", False) for step in plan.hosts[0].steps]
    assert (sudo, plan.services) == ([False, True, True, False], ("celery@1",))
    assert (await demo.apply("kill", plan)).state is State.SUCCEEDED
    assert pid not in demo.system.processes


async def test_a_pid_that_was_given_to_another_process_since_the_plan_is_left_alone(demo: Demo) -> None:
    polite = demo.pids("report-worker")[0]
    plan = await demo.plan("kill", str(polite))
    demo.replace_process(polite)
    ended = await demo.apply("kill", plan)
    assert ended.state is State.FAILED
    assert "no longer as planned" in str(ended.ending)
    assert await demo.states() == ["failed"]
    assert polite in demo.system.processes


async def test_a_process_that_ended_since_the_plan_is_no_longer_as_planned(demo: Demo) -> None:
    polite = demo.pids("report-worker")[0]
    plan = await demo.plan("kill", str(polite))
    demo.system.processes.signal(demo.system.processes[polite], SIGKILL)
    ended = await demo.apply("kill", plan)
    assert ended.state is State.FAILED
    assert await demo.states() == ["failed"]


async def test_a_pid_that_changes_hands_during_the_grace_is_not_killed(demo: Demo) -> None:
    stuck = demo.pids("report-worker")[1]
    plan = await demo.plan("kill", str(stuck))
    demo.clock.meanwhile = lambda: demo.replace_process(stuck)
    ended = await demo.apply("kill", plan)
    assert ended.state is State.SUCCEEDED
    assert await demo.states() == ["succeeded", "succeeded", "skipped", "succeeded"]
    assert stuck in demo.system.processes


async def test_a_name_is_taken_as_it_is_written(demo: Demo) -> None:
    wanted = demo.system.processes.spawn("/usr/bin/python3.11", "app.py", user="ops")
    demo.system.processes.spawn("/usr/bin/python3x11", user="ops")
    plan = await demo.plan("kill", "python3.11")
    assert [process["pid"] for process in plan.hosts[0].facts["processes"]] == [wanted.pid]
    compiler = demo.system.processes.spawn("/usr/bin/g++", user="ops")
    plan = await demo.plan("kill", "g++")
    ended = await demo.apply("kill", plan)
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"ended g++ ({compiler.pid})")
    assert demo.pids("python3x11")


async def test_a_name_with_a_space_and_a_bracket_is_the_same_process_all_the_way(demo: Demo) -> None:
    odd = demo.system.processes.spawn("/opt/odd", name="a) S 1 (b", user="ops")
    ended = await demo.apply("kill", await demo.plan("kill", str(odd.pid)))
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"ended a) S 1 (b ({odd.pid})")
    assert odd.pid not in demo.system.processes


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ("systemd", "pid 1 is never ended"),
        ("2", "2 (kthreadd) on web-01 is a kernel thread"),
        ("5", "5 (kworker/0:1) on web-01 is a kernel thread"),
        ("kswapd0", "6 (kswapd0) on web-01 is a kernel thread"),
        ("4000000", "There is no process 4000000 on web-01. It is over already."),
        ("report", "No process on web-01 is called exactly 'report'"),
        ("report.worker", "No process on web-01 is called exactly 'report.worker'"),
        ("SSHD", "the listening sshd of web-01"),
    ],
)
async def test_what_must_not_or_cannot_be_ended_is_refused_before_any_plan(demo: Demo, process: str, said: str) -> None:
    if process == "SSHD":
        process = str(demo.system.service("sshd").main_pid)
    before = set(demo.system.processes)
    with pytest.raises(PlanningFailed) as refused:
        await demo.plan("kill", process)
    assert said in refused.value.message
    assert before <= set(demo.system.processes)


@pytest.mark.parametrize("process", ["0", "1", "007", "0001", "4194305", "9" * 40])
def test_a_number_that_is_no_pid_is_refused_at_the_door(process: str) -> None:
    with pytest.raises(Invalid, match="is no pid: they go from 2 to 4194304, and 1 is the system itself"):
        bind(CATALOG.get("kill"), [process], {})


async def test_ten_processes_are_a_problem_and_eleven_are_many(demo: Demo) -> None:
    for _ in range(MOST):
        demo.system.processes.spawn("/usr/bin/busy", user="ops")
    assert len((await demo.plan("kill", "busy")).hosts[0].steps) == 4 * MOST
    demo.system.processes.spawn("/usr/bin/busy", user="ops")
    with pytest.raises(PlanningFailed, match=f"11 processes on web-01 are called 'busy', more than {MOST}"):
        await demo.plan("kill", "busy")


@pytest.mark.parametrize(
    "typed", ["-9", "-1", "--help", "a b", "a;b", "a*", "$(x)", "", "a/b", "x" * 65, "a\nb", "a\x00"]
)
def test_what_can_be_no_name_is_refused_at_the_door(typed: str) -> None:
    with pytest.raises(Invalid, match="'process':"):
        bind(CATALOG.get("kill"), [typed], {})


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx"),
        ("0::/system.slice/system-celery.slice/celery@1.service", "celery@1"),
        ("0::/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("0::/", ""),
        ("", ""),
        ("12:cpu:/x.service\n1:name=systemd:/system.slice/cron.service\n", "cron"),
        ("12:cpu,cpuacct:/system.slice/other.service\n", ""),
    ],
)
def test_the_unit_of_a_process_is_systemds_own_group(cgroup: str, unit: str) -> None:
    assert _unit(cgroup) == unit


# --- restart-service --------------------------------------------------------------------------------------------------


async def test_a_restart_shows_the_old_and_the_new_process(demo: Demo) -> None:
    before = demo.system.service("nginx").main_pid
    plan = await demo.plan("restart", "nginx.service")
    assert plan.hosts[0].facts["main_pid"] == before
    ended = await demo.apply("restart", plan)
    after = demo.system.service("nginx").main_pid
    assert before != after
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"nginx pid {before} -> {after}")
    assert sum(demo.clock.slept) >= 5


async def test_one_instance_of_a_template_is_restarted(demo: Demo) -> None:
    before = demo.system.service("nginx").main_pid
    ended = await demo.apply("restart", await demo.plan("restart", "celery@1", settle="0"))
    assert ended.state is State.SUCCEEDED
    assert demo.system.service("celery@1").restarts == 1
    assert demo.system.service("nginx").main_pid == before


async def test_a_stopped_service_is_started_by_a_restart(demo: Demo) -> None:
    plan = await demo.plan("restart", "backup")
    assert (plan.hosts[0].facts["state"], plan.hosts[0].facts["main_pid"]) == ("inactive", 0)
    ended = await demo.apply("restart", plan)
    assert str(ended.ending).startswith("backup pid none -> ")


async def test_a_unit_that_is_not_there_is_named(demo: Demo) -> None:
    with pytest.raises(PlanningFailed, match=r"^web-01 has no unit ngnix\. Did you mean nginx\?"):
        await demo.plan("restart", "ngnix")
    with pytest.raises(PlanningFailed, match=r"^web-01 has no unit zebra\. `systemctl list-units` there shows"):
        await demo.plan("restart", "zebra")


async def test_a_masked_unit_stays_untouched() -> None:
    masked = shown(0, state="inactive").replace("LoadState=loaded", "LoadState=masked")
    remote = FakeRemote(replies={**a_healthy_nginx(), "systemctl show nginx": Reply(out=masked)})
    entry = CATALOG.get("restart")
    planner = Planner(remote=remote, guard=CommandGuard())
    with pytest.raises(PlanningFailed, match="nginx is masked on web-01: somebody decided"):
        await planner.make_plan(entry, bind(entry, ["nginx"], {}), hosts().hosts[:1])
    assert remote.count("sudo") == 0


async def test_a_service_that_does_not_start_fails_with_what_systemd_says(demo: Demo) -> None:
    plan = await demo.plan("restart", "app")
    demo.system.break_service("app", "start fails")
    ended = await demo.apply("restart", plan)
    said = "Restart the service: ended with exit status 1; `systemctl is-active app` says: failed"
    assert (ended.state, ended.ending) == (State.FAILED, said)
    told: Any = demo.reporter.of(ExecutionEnded)[0]
    assert any("app.service failed" in line.text for line in told.tail), [line.text for line in told.tail]
    assert await demo.states() == ["failed"]


async def test_a_service_that_dies_while_it_is_watched_has_not_stayed_up(demo: Demo) -> None:
    plan = await demo.plan("restart", "nginx", settle="5m")
    demo.system.break_service("nginx", "crashes")
    ended = await demo.apply("restart", plan)
    assert ended.state is State.FAILED
    assert "It is active, and stays so: " in str(ended.ending)
    assert "expected 'active', got 'failed'" in str(ended.ending)


async def test_a_stopped_restart_says_that_systemd_goes_on(demo: Demo) -> None:
    plan = await demo.plan("restart", "nginx")
    demo.system.break_service("nginx", "hangs")
    walk = await demo.admitted("restart", plan)
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(10):
        while demo.system.service("nginx").active != "activating":
            await asyncio.sleep(0.005)
    walk.stop(Stop(words="enough", by=CAROL, grace=0.2))
    await asyncio.wait_for(running, 10)
    ended = await demo.database.read(executions.get, walk.execution.id)
    said = "enough; the command is stopped (during: Restart the service); `systemctl is-active nginx` says: activating"
    assert (ended.state, ended.ending) == (State.CANCELLED, said)
    told: Any = demo.reporter.of(StepFinished)[-1]
    assert told.look == "`systemctl is-active nginx` says: activating"


@pytest.mark.parametrize("typed", ["301", "-1", "6m", "1.5"])
def test_a_restart_is_watched_for_at_most_five_minutes(typed: str) -> None:
    with pytest.raises(Invalid, match="'settle':"):
        bind(CATALOG.get("restart"), ["nginx"], {"settle": typed})
