"""The read-only look at hosts, and what may become of what it finds."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runbooks import Call, Danger, Expect, Facts, Parallel, Parameters, Plan, Probe, Require, Run, Runbook, Sample, Wait
from runbooks.catalog import Entry
from runbooks.planning import PROBES_PER_HOST, HostProbe, Planner, sudoers_line
from runbooks.plans import StoredPlan
from safety.command_guard import CommandGuard, Severity
from storage.errors import DefinitionError, HostUnreachable, PlanningFailed
from tests.builders import catalog_with, hosts
from tests.fakes import FakeRemote, Reply

HOSTS = hosts().hosts
HOST = HOSTS[0]
NOTHING = Parameters()


def probe_of(**replies: Reply) -> tuple[HostProbe, FakeRemote]:
    """A look at a host that answers so (underscores are spaces)."""
    remote = FakeRemote(replies={line.replace("_", " "): reply for line, reply in replies.items()})
    return HostProbe(HOST, remote, CommandGuard()), remote


def entry_of(probe: Callable[..., Any] | None = None, plan: Callable[..., Any] | None = None) -> Entry:
    """A runbook that looks and plans so."""
    one_step = Plan(Run("Do", "touch", "/tmp/a"))

    class Ours(Runbook):
        """Ours."""

        name, danger = "ours", Danger.LOW

        async def probe(self, host: Probe, params: Parameters) -> Facts:
            """As told."""
            found: Facts = await probe(host) if probe is not None else Facts()
            return found

        def plan(self, params: Parameters, facts: Facts) -> Plan:
            """As told."""
            made: Plan = plan(facts) if plan is not None else one_step
            return made

    return catalog_with(Ours).get("ours")


def planner(**replies: Reply) -> Planner:
    """On hosts that answer so."""
    remote = FakeRemote(replies={line.replace("_", " "): reply for line, reply in replies.items()})
    return Planner(remote=remote, guard=CommandGuard())


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_a_reading_is_what_was_printed_without_the_space_around_it_and_without_errors() -> None:
    probe, remote = probe_of(uptime=Reply(out="\n up 3 days \n load 1\n\n", err="warning"))
    reading = await probe.read("uptime")
    assert (reading, reading.exit_status) == ("up 3 days \n load 1", 0)
    assert (probe.name, probe.login, remote.ran) == ("web-01", "ops", [("web-01", "uptime")])


async def test_words_of_a_probe_are_quoted() -> None:
    probe, remote = probe_of(cat=Reply(out="x"))
    await probe.read("cat", "/tmp/a b; reboot")
    assert remote.ran == [("web-01", "cat '/tmp/a b; reboot'")]


async def test_another_exit_status_must_be_allowed_and_is_told() -> None:
    probe, _ = probe_of(systemctl=Reply(out="inactive", err="hey <@U1>", status=3))
    reading = await probe.read("systemctl", "is-active", "nginx", allow_exit={0, 3})
    assert (reading, reading.exit_status) == ("inactive", 3)
    with pytest.raises(PlanningFailed, match=r"`systemctl is-active nginx` on web-01 ended with status 3: .*< @U1>"):
        await probe.read("systemctl", "is-active", "nginx")


@pytest.mark.parametrize("argv", [("systemctl", "restart", "nginx"), ("rm", "-rf", "/"), ("reboot",)])
async def test_a_probe_that_would_change_something_never_reaches_the_host(argv: tuple[str, ...]) -> None:
    probe, remote = probe_of(systemctl=Reply(), rm=Reply(), reboot=Reply())
    with pytest.raises(PlanningFailed, match="The probe of web-01 would run"):
        await probe.read(*argv)
    assert remote.ran == []


async def test_masked_output_is_no_fact_but_a_masked_complaint_beside_it_does_no_harm() -> None:
    probe, _ = probe_of(uptime=Reply(out="token=[masked]", altered=True))
    with pytest.raises(PlanningFailed, match="masked or cut, so it is no fact"):
        await probe.read("uptime")
    quiet, _ = probe_of(uptime=Reply(out="", err="x", altered=True))
    assert await quiet.read("uptime") == ""


async def test_more_output_than_is_read_is_no_fact() -> None:
    probe, _ = probe_of(ps=Reply(out="x\n" * 5_001))
    with pytest.raises(PlanningFailed, match="masked or cut"):
        await probe.read("ps", "-e")
    fits, _ = probe_of(ps=Reply(out="x\n" * 5_000))
    assert len((await fits.read("ps", "-e")).splitlines()) == 5_000


@pytest.mark.parametrize(
    ("reply", "said"), [(Reply(out="half", times_out=True), "timed out"), (Reply(out="half", lost=True), "lost")]
)
async def test_half_an_answer_is_no_answer(reply: Reply, said: str) -> None:
    probe, _ = probe_of(uptime=reply)
    with pytest.raises(PlanningFailed, match=rf"did not end \({said}\), so nothing is known"):
        await probe.read("uptime")


# --- probing and planning hosts ---------------------------------------------------------------------------------------


async def test_each_host_is_planned_from_its_own_facts_in_the_order_asked() -> None:
    async def look(host: Probe) -> Facts:
        return Facts(up=str(await host.read("uptime")))

    def steps(facts: Facts) -> Plan:
        return Plan(Run("Do", "touch", f"/tmp/{facts.host}"), services=[f"s-{facts.host}"], note=f"{facts.up} days")

    plan = await planner(uptime=Reply(out="3")).make_plan(entry_of(look, steps), NOTHING, HOSTS[::-1])
    assert [part.host for part in plan.hosts] == ["web-02", "web-01"]
    assert [dict(part.facts) for part in plan.hosts] == [{"up": "3", "host": "web-02"}, {"up": "3", "host": "web-01"}]
    first = plan.of("web-02").steps[0]
    assert isinstance(first, Run)
    assert first.argv == ("touch", "/tmp/web-02")
    assert (plan.services, plan.notes) == (("s-web-01", "s-web-02"), ("3 days",))


async def test_one_host_that_cannot_be_planned_stops_all() -> None:
    async def look(host: Probe) -> Facts:
        if host.name == "web-02":
            raise ValueError("web-02 has no nginx.")
        return Facts()

    with pytest.raises(PlanningFailed, match=r"^web-02 has no nginx\.$"):
        await planner().make_plan(entry_of(look), NOTHING, HOSTS)


async def test_a_host_that_does_not_answer_says_so_in_its_own_words() -> None:
    async def look(host: Probe) -> Facts:
        return Facts(up=await host.read("uptime"))

    away = planner(uptime=Reply(raises=HostUnreachable("web-01", "web-01 does not answer.")))
    with pytest.raises(HostUnreachable, match="does not answer"):
        await away.make_plan(entry_of(look), NOTHING, HOSTS[:1])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (None, r"returned a NoneType, not Facts"),
        ({"a": 1}, r"returned a dict, not Facts"),
        (Facts(ok=1, when={1, 2}), r"fact 'when' of ours on web-01 is no JSON"),
        (Facts(load=float("nan")), r"fact 'load' of ours on web-01 is no JSON"),
        (Facts(line="a\x00b"), r"fact 'line' of ours on web-01 has a NUL"),
    ],
)
async def test_what_cannot_be_kept_is_no_fact(facts: Any, said: str) -> None:
    async def look(host: Probe) -> Any:
        return facts

    with pytest.raises(PlanningFailed, match=said):
        await planner().make_plan(entry_of(look), NOTHING, HOSTS[:1])


async def test_a_mistake_in_a_runbook_is_named_with_the_host() -> None:
    async def look(host: Probe) -> Facts:
        raise KeyError("missing")

    with pytest.raises(PlanningFailed, match="The probe of ours failed on web-01: KeyError: 'missing'"):
        await planner().make_plan(entry_of(look), NOTHING, HOSTS[:1])


def _refuse(facts: Facts) -> Plan:
    raise ValueError("It runs already.")


def _break(facts: Facts) -> Plan:
    return Plan(Run("Do", "touch", facts.nothing))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (_refuse, "^It runs already.$"),
        (_break, "The plan of ours failed: AttributeError: The probe found no fact 'nothing'; it found host"),
        (lambda facts: [Run("Do", "touch")], "is a list, not a Plan"),
        (lambda facts: None, "is a NoneType, not a Plan"),
        (lambda facts: Plan(), "There is nothing to do on web-01"),
    ],
)
async def test_a_plan_that_is_none_says_why(steps: Callable[[Facts], Any], said: str) -> None:
    with pytest.raises(PlanningFailed, match=said):
        await planner().make_plan(entry_of(plan=steps), NOTHING, HOSTS[:1])


async def test_what_pydantic_says_is_no_sentence_of_the_author() -> None:
    class Params(Parameters):
        """One."""

        word: str = "x"

    params = Params()

    def mutate(facts: Facts | None) -> Plan:
        params.word = "y"  # type: ignore[misc]
        return Plan()

    async def look(host: Probe) -> Facts:
        Params(word=1)  # type: ignore[arg-type]
        return Facts()

    with pytest.raises(PlanningFailed, match=r"^The plan of ours failed: it sets 'word', but parameters are fixed$"):
        await planner().make_plan(entry_of(plan=mutate), NOTHING, HOSTS[:1])
    with pytest.raises(PlanningFailed, match=r"^The probe of ours failed on web-01: word: [^\n]+$"):
        await planner().make_plan(entry_of(look), NOTHING, HOSTS[:1])


def _exit(*_: object) -> Any:
    raise SystemExit(4)


async def _exit_looking(host: Probe) -> Facts:
    raise SystemExit(4)


async def test_a_runbook_that_exits_ends_its_plan_and_not_the_process() -> None:
    with pytest.raises(PlanningFailed, match="The probe of ours failed on web-01: SystemExit: 4"):
        await planner().make_plan(entry_of(_exit_looking), NOTHING, HOSTS)
    with pytest.raises(PlanningFailed, match="The plan of ours failed: SystemExit: 4"):
        await planner().make_plan(entry_of(plan=_exit), NOTHING, HOSTS)
    entry = entry_of()
    type(entry.runbook).health = type(entry.runbook).outcome = _exit  # type: ignore[method-assign]
    with pytest.raises(PlanningFailed, match="The health of ours failed: SystemExit: 4"):
        await planner().make_plan(entry, NOTHING, HOSTS)
    with pytest.raises(PlanningFailed, match="The outcome of ours failed: SystemExit: 4"):
        await planner().outcome(entry, NOTHING, Facts(), None)


def _for_ever(*_: object) -> Any:
    while True:
        pass


async def test_a_plan_without_an_end_is_given_up_and_named_while_everything_else_goes_on() -> None:
    impatient, going_on = replace(planner(), limit=0.2), asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, going_on.set)
    entry = entry_of(plan=_for_ever)
    type(entry.runbook).outcome = _for_ever  # type: ignore[method-assign]
    said = "The {} of ours took longer than 0.2 s, and was given up: it must not block."
    with pytest.raises(PlanningFailed, match=said.format("plan")):
        await impatient.make_plan(entry, NOTHING, HOSTS)
    assert going_on.is_set()
    with pytest.raises(PlanningFailed, match=said.format("outcome")):
        await impatient.outcome(entry, NOTHING, Facts(), None)
    with pytest.raises(PlanningFailed, match=said.format("plan")):
        impatient.sample(entry, Sample())
    assert await impatient.make_plan(entry_of(), NOTHING, HOSTS)


async def test_a_built_in_runbook_is_planned_where_everything_else_runs_and_a_teams_own_is_not() -> None:
    entry, threads = entry_of(plan=lambda facts: Plan(Run("Do", threading.current_thread().name))), set[str]()
    assert entry.is_built_in is False
    assert catalog_with().get("kill-process").is_built_in is True
    for module in (__name__, "runbooks.library.ours"):
        type(entry.runbook).__module__ = module
        (part,) = (await planner().make_plan(entry, NOTHING, HOSTS[:1])).hosts
        threads.update(step.argv[0] for step in part.steps if isinstance(step, Run))
    assert threads == {"handrail-aside", "MainThread"}


async def test_a_step_that_cannot_be_is_the_authors_to_mend() -> None:
    with pytest.raises(DefinitionError, match="not a program"):
        await planner().make_plan(entry_of(plan=lambda facts: Plan(Run("Do", "-x"))), NOTHING, HOSTS[:1])


async def test_a_host_is_looked_at_by_so_many_at_once_and_no_more() -> None:
    inside: list[str] = []
    most: dict[str, int] = {}
    free = asyncio.Event()

    async def look(host: Probe) -> Facts:
        inside.append(host.name)
        most[host.name] = max(most.get(host.name, 0), inside.count(host.name))
        await free.wait()
        inside.remove(host.name)
        return Facts()

    ours, entry = planner(), entry_of(look)
    plans = [asyncio.create_task(ours.make_plan(entry, NOTHING, HOSTS)) for _ in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert most == {"web-01": PROBES_PER_HOST, "web-02": PROBES_PER_HOST}
    free.set()
    assert len(await asyncio.gather(*plans)) == 5
    assert most == {"web-01": PROBES_PER_HOST, "web-02": PROBES_PER_HOST}


# --- judging ----------------------------------------------------------------------------------------------------------


async def judged(*steps: Any) -> dict[str, Severity]:
    """What the guard says to each command of a plan."""
    ours = planner()
    plan: StoredPlan = await ours.make_plan(entry_of(plan=lambda facts: Plan(*steps)), NOTHING, HOSTS[:1])
    return {judgement.command: judgement.verdict for judgement in ours.judgements(plan, HOSTS)}


async def test_every_command_of_a_plan_is_judged_wherever_it_stands() -> None:
    found = await judged(
        Require("Same", "cat", "/etc/hostname"),
        Run(
            "Do",
            "systemctl",
            "restart",
            "nginx",
            sudo=True,
            undo=Run("Back", "systemctl", "stop", "nginx", look=("systemctl", "status", "nginx")),
            look=("systemctl", "is-active", "nginx"),
            unless=Expect("Done", "test", "-e", "/tmp/done"),
        ),
        Parallel("Both", Run("One", "touch", "/tmp/one"), Expect("Two", "uptime"), Wait("A moment", 1)),
        Call("Ask", "http://h/"),
    )
    assert set(found) == {
        "cat /etc/hostname",
        "sudo -n systemctl restart nginx",
        "systemctl stop nginx",
        "systemctl status nginx",
        "systemctl is-active nginx",
        "test -e /tmp/done",
        "touch /tmp/one",
        "uptime",
    }


@pytest.mark.parametrize(
    "step",
    [
        Expect("Looks", "rm", "-rf", "/srv"),
        Require("Looks", "systemctl", "stop", "nginx"),
        Run("Do", "true", look=("rm", "-rf", "/srv")),
        Run("Do", "true", unless=Expect("Looks", "rm", "-rf", "/srv")),
        Parallel("Both", Expect("Looks", "rm", "-rf", "/srv")),
        Run("Do", "true", undo=Run("Back", "rm", "-rf", "/")),
    ],
    ids=lambda step: type(step).__name__,
)
async def test_what_only_pretends_to_look_is_not_allowed(step: Any) -> None:
    verdicts = await judged(step)
    strictest = max(verdicts.values(), key=lambda verdict: ("allow", "approve", "refuse").index(verdict.value))
    assert strictest is not Severity.ALLOW


async def test_the_guard_is_told_the_tags_of_the_host() -> None:
    told: list[frozenset[str]] = []

    class Noting(CommandGuard):
        """The real guard, and what it was told."""

        def judge(self, command: str, *, tags: frozenset[str] = frozenset()) -> Any:
            told.append(tags)
            return super().judge(command, tags=tags)

    ours = Planner(remote=FakeRemote(), guard=Noting())
    prod = replace(HOST, tags=frozenset({"prod"}))
    plan = await ours.make_plan(entry_of(), NOTHING, [prod])
    ours.judgements(plan, [prod])
    assert told == [frozenset({"prod"})]


# --- root -------------------------------------------------------------------------------------------------------------


async def test_what_sudoers_allows_is_not_lacking() -> None:
    probe, remote = probe_of(**{"sudo -n -l -- systemctl reload nginx": Reply(out="/usr/bin/systemctl reload nginx")})
    assert await probe.lacks("systemctl", "reload", "nginx") is None
    assert remote.ran == [("web-01", "sudo -n -l -- systemctl reload nginx")]


async def test_what_sudoers_lacks_is_the_exact_line_to_add() -> None:
    probe, _ = probe_of(
        sudo=Reply(status=1, err="a password is required"), find=Reply(out="/usr/sbin/nginx\n/sbin/nginx")
    )
    assert await probe.lacks("nginx", "-t") == "ops ALL=(root) NOPASSWD: /usr/sbin/nginx -t"
    assert await probe.lacks("/opt/tool") == 'ops ALL=(root) NOPASSWD: /opt/tool ""'


async def test_a_program_that_is_nowhere_has_its_usual_path_in_the_line() -> None:
    probe, _ = probe_of(sudo=Reply(status=127), find=Reply(status=1))
    assert await probe.lacks("rm", "--", "/tmp/a") == "ops ALL=(root) NOPASSWD: /usr/bin/rm -- /tmp/a"


async def test_root_lacks_nothing_and_needs_no_sudo() -> None:
    remote = FakeRemote()
    probe = HostProbe(replace(HOST, user="root"), remote, CommandGuard())
    assert await probe.lacks("rm", "--", "/tmp/a") is None
    assert remote.ran == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a  b", r"a\ \ b"),
        ("a,b:c=d#e!", r"a\,b\:c\=d\#e\!"),
        ("*[x]?", r"\*\[x\]\?"),
        ("a\\b", r"a\\\\b"),
        ("'\"", "'\""),
    ],
)
def test_a_line_for_sudoers_means_the_words_as_they_are(name: str, written: str) -> None:
    # Each form was tried on a real sudo: it allows this name and no other.
    assert sudoers_line("ops", "/usr/bin/rm", name) == f"ops ALL=(root) NOPASSWD: /usr/bin/rm {written}"


# --- what can't be taken back -----------------------------------------------------------------------------------------


async def test_a_plan_with_a_step_that_has_no_undo_says_why() -> None:
    entry = entry_of(plan=lambda facts: Plan(Run("Do", "touch", "/tmp/a"), note="Mind the gap."))
    entry.runbook.__class__.no_undo = "A touch leaves nothing to take back."
    plan = await planner().make_plan(entry, NOTHING, HOSTS)
    assert plan.notes == ("Mind the gap.", "A touch leaves nothing to take back.")


async def test_a_plan_that_can_be_taken_back_needs_no_such_words() -> None:
    entry = entry_of(plan=lambda facts: Plan(Run("Do", "touch", "/tmp/a", undo=Run("Back", "rm", "/tmp/a"))))
    entry.runbook.__class__.no_undo = "Never said."
    assert (await planner().make_plan(entry, NOTHING, HOSTS)).notes == ()
