"""restart-service, start-service and stop-service on a demo host, and against a host that answers from a table."""

from typing import Any

import pytest

from runbooks.catalog import bind
from runbooks.definition import Facts
from runbooks.library.units import CHECKS
from runbooks.planning import Planner
from runbooks.plans import StoredPlan
from runbooks.progress import StepFinished
from safety.command_guard import CommandGuard, Severity
from storage.errors import PlanningFailed
from storage.records import Danger, State
from tests.builders import hosts
from tests.fakes import FakeRemote, Reply
from tests.runbooks.demo_hosts import CATALOG, Demo

UNIT = {
    "Type": "notify",
    "RemainAfterExit": "no",
    "MainPID": "40",
    "NRestarts": "0",
    "Result": "success",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "CanReload": "yes",
    "Job": "",
    "TriggeredBy": "",
}


def a_unit(**properties: str) -> Reply:
    """What `systemctl show` says of one."""
    return Reply(out="\n".join(f"{name}={value}" for name, value in {**UNIT, **properties}.items()))


async def planned(runbook: str, *values: str, replies: dict[str, Any], login: str = "ops", **named: str) -> StoredPlan:
    """The plan for a host that answers like this."""
    remote, entry = FakeRemote(replies=replies), CATALOG.get(runbook)
    host = hosts(login=login).hosts[0]
    plan = await Planner(remote=remote, guard=CommandGuard()).make_plan(entry, bind(entry, values, named), [host])
    assert not [line for _, line in remote.ran if "sudo -n systemctl" in line]
    return plan


def lines(plan: StoredPlan) -> list[str]:
    """Its commands, sudo in front where it is."""
    steps: Any = plan.hosts[0].steps
    return [" ".join([*(["sudo"] if step.sudo else []), *step.argv]) for step in steps]


# --- the test of the configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*sorted(set(CHECKS.values())), ("php-fpm8.2", "-t")], ids=" ".join)
def test_the_guard_lets_every_test_of_a_configuration_through(words: tuple[str, ...]) -> None:
    for sudo in ("", "sudo -n ", "sudo -n -l "):
        judged = CommandGuard().judge_read_only(f"{sudo}{' '.join(words)}")
        assert judged.verdict is Severity.ALLOW, judged.reason


async def test_a_configuration_is_tested_before_and_right_before_the_restart() -> None:
    replies = {"systemctl show": a_unit(), "sudo -n -l nginx -t": Reply(), "sudo -n nginx -t": Reply(err="ok")}
    plan = await planned("restart", "nginx", replies=replies)
    assert lines(plan)[:2] == ["sudo nginx -t", "sudo systemctl restart nginx"]
    assert plan.notes == ()


@pytest.mark.parametrize(("runbook", "done"), [("restart", "restarted"), ("start", "started")])
async def test_a_bad_configuration_is_not_loaded_and_the_words_of_its_test_are_said(runbook: str, done: str) -> None:
    replies = {
        "systemctl show": a_unit(ActiveState="failed", SubState="failed", MainPID="0"),
        "sudo -n -l nginx -t": Reply(),
        "sudo -n nginx -t": Reply(err="nginx: [emerg] unexpected end of file", status=1),
    }
    with pytest.raises(PlanningFailed) as refused:
        await planned(runbook, "nginx", replies=replies)
    assert refused.value.message == (
        f"nginx was not {done} on web-01, because its configuration does not pass `nginx -t`: "
        "nginx: [emerg] unexpected end of file. It is failed (failed), as before."
    )


async def test_a_test_that_only_root_can_make_says_nothing_without_root() -> None:
    replies = {
        "systemctl show": a_unit(),
        "sudo -n -l nginx -t": Reply(err="sudo: a password is required", status=1),
        "nginx -t": Reply(err="open() /run/nginx.pid failed (13: Permission denied)", status=1),
    }
    plan = await planned("restart", "nginx", replies=replies)
    assert lines(plan)[0] == "sudo systemctl restart nginx"
    assert plan.notes == ("`nginx -t` is not allowed to ops by sudo: the configuration was not checked.",)


async def test_a_test_that_works_without_root_is_made_without() -> None:
    replies = {"systemctl show": a_unit(), "sudo -n -l named": Reply(status=1), "named-checkconf": Reply()}
    assert lines(await planned("restart", "named", replies=replies))[0] == "named-checkconf"


@pytest.mark.parametrize("runbook", ["restart", "start", "stop"])
async def test_what_sudo_does_not_allow_is_not_planned_and_the_line_it_lacks_is_said(runbook: str) -> None:
    unit = a_unit() if runbook == "stop" else a_unit(ActiveState="failed")
    replies = {"systemctl show": unit, "sudo -n -l": Reply(status=1), "find": Reply(out="/usr/bin/systemctl")}
    with pytest.raises(PlanningFailed) as refused:
        await planned(runbook, "app", replies=replies)
    assert refused.value.message == (
        f"ops may not {runbook} app on web-01: its sudoers lacks the line "
        f"`ops ALL=(root) NOPASSWD: /usr/bin/systemctl {runbook} app`. Nothing was touched."
    )


async def test_a_sudo_that_tells_nobody_what_it_allows_is_tried() -> None:
    replies = {"systemctl show": a_unit(), "sudo -n -l": Reply(err="sudo: a password is required", status=1)}
    assert lines(await planned("restart", "app", replies=replies))[0] == "sudo systemctl restart app"


async def test_root_needs_no_sudo() -> None:
    replies = {"systemctl show": a_unit(), "nginx -t": Reply()}
    plan = await planned("restart", "nginx", replies=replies, login="root")
    assert not [line for line in lines(plan) if "sudo" in line]


async def test_a_configuration_that_broke_after_the_plan_is_not_loaded(demo: Demo) -> None:
    before = demo.system.service("nginx").main_pid
    plan = await demo.plan("restart", "nginx")
    demo.system.break_service("nginx", "start fails")
    ended = await demo.apply("restart", plan)
    assert ended.state is State.FAILED
    assert str(ended.ending).startswith("Its configuration is good: no longer as planned (exit status 1")
    assert demo.system.service("nginx").main_pid == before


# --- what systemd says of the unit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runbook", "found", "said"),
    [
        ("restart", {"LoadState": "masked"}, "nginx is masked on web-01: somebody decided that it must not start"),
        ("start", {"LoadState": "masked", "ActiveState": "inactive"}, "It is inactive now, and was left alone"),
        ("restart", {"LoadState": "bad-setting", "LoadError": "org.x 'Unit is bad'"}, "cannot read the unit nginx"),
        ("stop", {"LoadState": "not-found", "ActiveState": "inactive"}, "web-01 has no unit nginx"),
    ],
)
async def test_a_unit_that_cannot_be_started_is_left_alone(runbook: str, found: dict[str, str], said: str) -> None:
    with pytest.raises(PlanningFailed) as refused:
        await planned(runbook, "nginx", replies={"systemctl show": a_unit(**found)})
    assert said in refused.value.message


async def test_a_unit_whose_file_is_gone_can_still_be_stopped() -> None:
    plan = await planned("stop", "nginx", replies={"systemctl show": a_unit(LoadState="not-found")})
    assert lines(plan)[0] == "sudo systemctl stop nginx"


async def test_a_job_that_systemd_works_on_is_told_before_it_is_replaced() -> None:
    hanging = a_unit(
        ActiveState="activating", SubState="start-pre", Job="1234", StateChangeTimestamp="Wed 21:00:00 UTC"
    )
    plan = await planned("restart", "app", replies={"systemctl show": hanging})
    assert plan.notes == (
        "systemd is at work on app on web-01 now: activating (start-pre) since Wed 21:00:00 UTC. "
        "What is asked for here takes the place of that.",
    )


async def test_failed_starts_are_forgotten_where_systemd_has_given_up() -> None:
    given_up = a_unit(ActiveState="failed", Result="start-limit-hit")
    plan = await planned("start", "app", replies={"systemctl show": given_up})
    assert lines(plan)[:2] == ["sudo systemctl reset-failed app", "sudo systemctl start app"]


async def test_a_unit_that_ends_by_itself_must_have_ended_well() -> None:
    plan = await planned(
        "restart", "report", replies={"systemctl show": a_unit(Type="oneshot", ActiveState="inactive")}
    )
    check: Any = plan.hosts[0].steps[-1]
    assert check.unmet("Result=success\nActiveState=inactive", 0) is None
    assert check.unmet("Result=exit-code\nActiveState=failed", 0) is not None
    assert check.unmet("Result=success\nActiveState=activating", 0) is not None


async def test_a_service_that_systemd_had_to_bring_back_did_not_stay_up(demo: Demo) -> None:
    plan = await demo.plan("restart", "app", settle="0")
    service = demo.system.service("app")
    walk = await demo.admitted("restart", plan)
    service.respawned = 3  # as if it had ended three times since it was looked at
    await walk.run()
    told: Any = demo.reporter.of(StepFinished)[-1]
    assert (told.step.title, told.step.state.value) == ("It did not end meanwhile", "failed")


# --- reload -----------------------------------------------------------------------------------------------------------


async def test_a_reload_keeps_the_process(demo: Demo) -> None:
    before = demo.system.service("nginx").main_pid
    ended = await demo.apply("restart", await demo.plan("restart", "nginx", reload="yes"))
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"nginx has reloaded, pid {before}")
    assert demo.system.service("nginx").main_pid == before


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"CanReload": "no"}, "nginx cannot reload on web-01: its unit says nothing of how"),
        ({"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, "nginx is inactive (dead) on web-01"),
    ],
)
async def test_what_cannot_reload_is_not_restarted_instead(found: dict[str, str], said: str) -> None:
    with pytest.raises(PlanningFailed) as refused:
        await planned("restart", "nginx", reload="yes", replies={"systemctl show": a_unit(**found)})
    assert said in refused.value.message


def test_between_waves_a_host_that_is_done_must_be_active_still() -> None:
    for name in ("restart", "start"):
        entry = CATALOG.get(name)
        params = bind(entry, ["app"], {})
        (check,) = entry.runbook.health(params, Facts(passing=False))
        assert (check.argv, check.output) == (("systemctl", "is-active", "app"), "active")
        assert list(entry.runbook.health(params, Facts(passing=True))) == []


# --- start and stop ---------------------------------------------------------------------------------------------------


async def test_a_service_is_stopped_and_started_again(demo: Demo) -> None:
    ended = await demo.apply("stop", await demo.plan("stop", "app"))
    assert ended.state is State.SUCCEEDED
    assert str(ended.ending).startswith("app stopped: inactive (dead); it was active (running), pid ")
    assert demo.system.service("app").active == "inactive"
    started = await demo.apply("start", await demo.plan("start", "app"))
    assert str(started.ending).startswith("app started: active (running), pid ")
    assert demo.system.service("app").active == "active"


async def test_what_runs_is_not_started_and_what_is_down_is_not_stopped(demo: Demo) -> None:
    pid = demo.system.service("nginx").main_pid
    ended = await demo.apply("start", await demo.plan("start", "nginx"))
    assert (ended.state, ended.ending) == (State.SUCCEEDED, f"nginx was active already: active (running), pid {pid}")
    ended = await demo.apply("stop", await demo.plan("stop", "backup"))
    assert (ended.state, ended.ending) == (State.SUCCEEDED, "backup was down already: inactive (dead)")
    assert demo.system.service("nginx").main_pid == pid


async def test_stopping_takes_somebody_else_and_says_what_would_start_it_again() -> None:
    assert CATALOG.get("stop").danger is Danger.DANGEROUS
    plan = await planned("stop", "app", replies={"systemctl show": a_unit(TriggeredBy="app.socket app.timer")})
    assert plan.notes == ("app.socket, app.timer on web-01 will start app again when its time comes.",)


@pytest.mark.parametrize(("runbook", "undo"), [("restart", "start"), ("start", "stop"), ("stop", "start")])
async def test_each_says_how_it_is_taken_back(runbook: str, undo: str) -> None:
    plan = await planned(runbook, "app", replies={"systemctl show": a_unit()})
    undos: list[Any] = [step.undo for step in plan.hosts[0].steps if getattr(step, "undo", None) is not None]
    assert [step.argv for step in undos] == [("systemctl", undo, "app")]


async def test_our_own_way_in_is_never_stopped(demo: Demo) -> None:
    entry = CATALOG.get("stop")
    target = demo.tools.inventory.host("web-01")
    plan = await demo.tools.planner.make_plan(entry, bind(entry, ["sshd"], {}), [target])
    verdicts = [judged.verdict for judged in demo.tools.planner.judgements(plan, [target])]
    assert Severity.REFUSE in verdicts
