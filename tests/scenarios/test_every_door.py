"""Every way in, walked from what is registered: each asks the same decision, and a new one that doesn't fails here."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select
from typer.main import get_command

from bot import blocks, digest, forms, incident_cards, manifest, modals, shell, slack
from bot import schedules as schedule_words
from bot.__main__ import app as command_line
from bot.actions import Actions
from bot.app import Desk
from bot.blocks import LABELS, Message
from bot.commands import Commands
from bot.forms import HOSTS, SUGGESTED, Draft, form, picker
from bot.home import home_view, read_home
from bot.inbox import Inbox
from bot.manifest import SHORTCUTS, as_dict
from bot.modals import Shown
from bot.playground.block_kit import elements_in
from bot.request import Verb
from bot.settings import SLACK, Slack
from bot.timing import Timing
from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks.incidents import Opening, open_incident
from safety.clock import SystemClock
from safety.decision import Outcome
from safety.gates import GATES
from safety.redaction import Redactor
from safety.review import Policy
from safety.roles import Directory, People, Permission, Place, Right
from storage import audit, executions, inbox, schedules, templates
from storage import tables as t
from storage.database import Database
from storage.errors import OperatorError, StorageUnavailable
from storage.records import Actor, Execution, Origin, Received, Schedule, Scope, State, StepState, Template
from tests.builders import ALICE, BOB, CAROL, ROLES, House, a_house, catalog_with, forms_of
from tests.fakes import START, FakeViews, Reply

MALLORY = Actor(id="UMALLORY", name="mallory")
AT_A_SHELL = Actor(id="cli:mallory", name="mallory")


class Change(Runbook):
    """Two changes, the first of which can be taken back."""

    name, danger, cooldown = "change", Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Touch, then hang."""
        return Plan(
            Run("First", "touch", "/tmp/first", undo=Run("Undo", "rm", "/tmp/first")),
            Run("Second", "mkdir", "/tmp/second"),
        )


class Risky(Change):
    """The same, and somebody else must approve it."""

    name, danger = "risky", Danger.DANGEROUS


CATALOG = catalog_with(Change, Risky)
SHOWING = (blocks, digest, forms, manifest, modals)
"""Where the ids of what can be pressed, chosen or submitted are written."""


@dataclass(frozen=True, kw_only=True)
class Asked(People):
    """Keeps who asked for what, and decides as ever."""

    asked: list[tuple[str, Permission]] = field(default_factory=list, compare=False)

    def decide(
        self,
        person: str,
        permission: Permission,
        directory: Directory,
        *,
        runbook: str | None = None,
        hosts: Any = (),
    ) -> Right:
        """As `People` does."""
        places: tuple[Place, ...] = tuple(hosts)
        self.asked.append((person, permission))
        return super().decide(person, permission, directory, runbook=runbook, hosts=places)


@dataclass
class Doors:
    """A house with something of every kind in it, and all that can be pressed or typed."""

    house: House
    commands: Commands
    actions: Actions
    people: Asked
    waiting: Execution
    failed: Execution
    interrupted: Execution

    def all(self) -> dict[str, Received]:
        """One thing to send through each door and at each execution, made from what is registered."""
        found: dict[str, Received] = {}
        for one in (self.waiting, self.failed, self.interrupted):
            value = f"{one.id}:{(one.fingerprint or '')[:16]}"
            for verb in [*self.actions.verbs, *self.actions.once]:
                found[f"click {verb} {one.state}"] = sent("click", f"handrail:{verb}", value=value)
            for verb in self.actions.submissions:
                found[f"view {verb} {one.state}"] = sent("view", "because", verb=f"handrail:{verb}", value=value)
            for verb in Verb:
                words = TYPED.get(verb, f"{verb} {one.id}")
                found[f"/runbook {verb} {one.state}"] = sent("command", words, command="/runbook")
        for verb in self.actions.questions:
            found[f"click {verb}"] = sent("click", f"handrail:{verb}", value="history")
        for value in ("schedule list", "schedule show nightly", "schedule new"):
            found[f"click ask {value}"] = sent("click", "handrail:ask", value=value, trigger_id="1.2.3")
        for verb in self.actions.choices:
            for value in ("change", f"last:{self.failed.id}", "template:weekly"):
                for kept in ("", '{"timing": {}}'):
                    found[f"click {verb} {value} {kept}"] = sent(
                        "click", f"handrail:{verb}", value=value, view_id="V1", metadata=kept
                    )
        for verb in self.actions.form_submissions:
            for text in ("change on web-01", "schedule @daily change on web-01"):
                found[f"view {verb} {text}"] = sent("view", text, verb=f"handrail:{verb}", view="external")
        for verb in self.actions.shortcuts:
            found[f"shortcut {verb}"] = sent("shortcut", f"handrail:{verb}", trigger_id="1.2.3")
        found["run"] = sent("run", "change on web-01", command="/runbook")
        found["run what makes a schedule"] = sent("run", "schedule @daily change on web-01", command="/runbook")
        found["run what somebody else saw"] = sent("run", "change on web-01", command="/runbook", planned="kept")
        for verb in self.actions.switches:
            found[f"click {verb}"] = sent("click", f"handrail:{verb}", value="tag web")
        for verb in self.actions.switch_submissions:
            found[f"view {verb}"] = sent("view", "because", verb=f"handrail:{verb}", value="tag web")
        for verb in self.actions.incidents:
            for about in ("", ":identified", ":restart-service"):
                found[f"click {verb}{about}"] = sent("click", f"handrail:{verb}", value=f"1{about}")
        for verb in self.actions.schedules:
            for about in ("", ":00ff00ff"):
                found[f"click {verb}{about}"] = sent("click", f"handrail:{verb}", value=f"1{about}")
        for verb in self.actions.incident_submissions:
            found[f"view {verb}"] = sent("view", "it was the cache", verb=f"handrail:{verb}", value="1")
        for command, texts in TEXTS.items():
            for text in texts:
                found[f"{command} {text}"] = sent("command", text, command=command)
                found[f"say {command} {text}"] = sent("say", text, command=command)
        return found

    async def send(self, received: Received) -> str:
        """What is said back."""
        try:
            if received.kind in {"click", "view", "shortcut"}:
                answer = await self.actions.answer(received)
            else:
                origin = Origin.CLI if received.kind == "say" else Origin.COMMAND
                answer = await self.commands.answer(received, origin=origin, handled=lambda connection: None)
        except OperatorError as error:
            return error.message
        return answer.text if answer is not None else ""


TYPED = {
    Verb.HELP: "help",
    Verb.LIST: "list",
    Verb.SHOW: "show change",
    Verb.HISTORY: "history",
    Verb.DIGEST: "digest",
    Verb.CAN: "can",
    Verb.BREAKER: "breaker reset change",
    Verb.DEAD_LETTERS: "dead-letters list",
}
TEXTS = {
    "/runbook": [
        "",
        "change",
        "change on web-01",
        "risky on web-01",
        "plan change on web-01",
        "change on web-01 --dry-run",
        'change on web-01 --emergency --reason "down"',
        "status",
        "breaker list",
        "dead-letters requeue all",
        "can @UALICE",
        "can change on web-01",
        "template list",
        "template show weekly",
        "template save other change on web-01",
        "template run weekly",
        "template delete weekly",
        "schedule",
        "schedule @daily",
        "schedule @daily change",
        "schedule list",
        "schedule show nightly",
        "schedule @daily change on web-01 as other",
        "schedule @daily change on web-02 as nightly",
        *(f"schedule {action} nightly" for action in ("pause", "resume", "delete", "run", "revoke")),
        "schedule approve nightly limit=5",
    ],
    "/killswitch": ["global on", "global on --now", "tag web off because", "status"],
    "/audit": ["", "kind=execution"],
    "/incident": [
        "",
        'open "the queue is full" sev1 service=nginx',
        'bind "the queue is full"',
        "bind 2",
        "show 1",
        "list",
        "severity sev1",
        "status monitoring",
        "role commander <@UALICE>",
        "note it is the cache",
        "timeline",
        "runbooks",
        "resolve it was the cache",
        "postmortem",
        "nonsense",
    ],
}
HARMLESS = {"help", "can", "/runbook "}
"""What anybody may ask: what there is for them, and what they may do."""
SHELL = {
    "say": "what is said goes through the inbox as a command does: walked here",
    "killswitch": "for whoever can open the database (a decision of its own), witnessed as cli:LOGIN",
}
"""Commands of the command line that make something happen on hosts; all others only look, or keep the database."""
KEEPS = {
    "serve", "worker", "demo", "doctor", "redact", "manifest", "audit", "dead-letters", "db", "hosts", "guard",
    "secrets", "runbooks",
}  # fmt: skip


def sent(kind: str, text: str, **payload: Any) -> Received:
    """Something that came in, by somebody without a role."""
    number = f"{kind}-{text}-{sorted(payload.items())}"
    actor = AT_A_SHELL if kind == "say" else MALLORY
    return Received(
        id=number, key=number, kind=kind, actor=actor, channel="C0INC", text=text, payload=payload, received_at=START
    )


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[Doors]:
    """One execution waits for approval, one has failed, one is interrupted, and a switch is engaged elsewhere."""
    people = Asked(roles=ROLES, emergency=frozenset({"UALICE"}))
    broken = Reply(status=1)
    replies = {"touch": Reply(), "rm": Reply(), "mkdir": broken}

    def asked(policy: Policy) -> Policy:
        return replace(policy, people=people)

    async with a_house(database, replies=replies, catalog=CATALOG, change=asked) as house:
        failed = await house.ends(await house.ask("change on web-01"))
        house.remote.replies["mkdir"] = Reply(hangs=True, ignores_term=True)
        cut = await house.ask("change on web-02")
        await house.remote.until("mkdir", 2)
        await house.engine.cancel(cut.execution.id, BOB)
        interrupted = await house.ends(cut)
        asking = await house.ask("risky on web-01")
        waiting = await house.reaches(asking.execution.id, State.AWAITING_APPROVAL)
        await house.engine.engage(scope=Scope.TAG, subject="other", actor=ALICE)
        weekly = Template(name="weekly", text="change on web-01", saved_by=ALICE, saved_at=START)
        await database.write(templates.put, weekly)
        for title, here in (("checkout is slow", True), ("mail is late", False)):
            opening = Opening(
                title=title, actor=BOB, origin=Origin.COMMAND, service="nginx", asked_in="C0INC", here=here
            )
            await database.write(open_incident, opening, START)
        nightly = Schedule(
            id=0,
            name="nightly",
            text="risky on web-01",
            cron="0 2 * * *",
            timezone="UTC",
            channel="C0INC",
            made_by=ALICE,
            made_at=START,
        )
        await database.write(schedules.add, nightly)
        views = FakeViews(shows=Shown.NO)  # so that a click decides by itself
        forms = forms_of(house.engine, views)
        commands = Commands(house.engine, forms)
        yield Doors(
            house=house,
            commands=commands,
            actions=Actions(house.engine, commands, views, forms),
            people=people,
            waiting=waiting,
            failed=failed,
            interrupted=interrupted,
        )


KEPT = (
    t.executions, t.host_runs, t.step_runs, t.approvals, t.approval_votes, t.kill_switches, t.host_locks, t.breakers,
    t.cooldowns, t.admissions, t.token_buckets, t.credentials, t.templates,
    t.schedules, t.firings, t.standing_approvals, t.incidents, t.incident_entries,
)  # fmt: skip


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All that a door could change, but for leases, which the living owner renews."""
    found: dict[str, list[Any]] = {}
    for table in KEPT:
        columns = [c for c in table.c if c.name not in {"lease_until", "owner", "epoch"}]
        found[table.name] = sorted(map(repr, connection.execute(select(*columns)).all()))
    return found


async def walk(doors: Doors) -> None:
    """Through every door as somebody who may nothing; an AssertionError names the one that does not ask, or acts."""
    database, remote = doors.house.database, doors.house.remote
    before, ran = await database.read(everything), len(remote.ran)
    for name, received in doors.all().items():
        doors.people.asked.clear()
        said = await doors.send(received)
        asked = {permission for person, permission in doors.people.asked if person == received.actor.id}
        assert await database.read(everything) == before, f"{name} changed something"
        assert len(remote.ran) == ran, f"{name} reached a host"
        if HARMLESS & {*name.split(), name.removeprefix("say ")}:
            continue
        assert asked, f"{name} asked nobody whether {received.actor.id} may"
        assert said, f"{name} said nothing"
        allowed = {one for one in asked if doors.house.engine.policy.may(received.actor.id, one)}
        assert not allowed, f"{name} asked for {allowed}, which everybody has"


async def test_every_door_asks_the_same_decision_and_changes_nothing_without_it(doors: Doors) -> None:
    assert (doors.failed.state, doors.interrupted.state) == (State.FAILED, State.INTERRUPTED)
    await walk(doors)


async def test_a_door_that_asks_nobody_is_noticed(doors: Doors) -> None:
    async def rogue(execution_id: int, mark: str | None, actor: Actor) -> Message | None:
        return blocks.spoken("Done.")

    doors.actions.verbs = {**doors.actions.verbs, "rogue": rogue}
    with pytest.raises(AssertionError, match=r"click rogue .* asked nobody"):
        await walk(doors)


async def test_a_door_that_acts_before_it_asks_is_noticed(doors: Doors) -> None:
    async def hasty(execution_id: int, mark: str | None, actor: Actor) -> Message | None:
        await doors.house.database.write(
            executions.ask_to_cancel, execution_id, by=actor, at=START, reason="because I can"
        )
        await doors.house.engine.require(actor, Permission.CANCEL, "cancel", Origin.BUTTON)
        return None

    doors.actions.verbs = {**doors.actions.verbs, "hasty": hasty}
    with pytest.raises(AssertionError, match=r"click hasty .* changed something"):
        await walk(doors)


async def test_whatever_ran_was_judged_by_every_gate_with_its_own_plan(doors: Doors) -> None:
    house = doors.house
    house.remote.replies["mkdir"] = Reply()
    await house.engine.approve(doors.waiting.id, CAROL, mark=(doors.waiting.fingerprint or "")[:16])
    await house.ends(await house.engine.retry(doors.failed.id, BOB))
    await house.ends(await house.engine.roll_back(doors.failed.id, BOB))
    await house.engine.resume(doors.interrupted.id, BOB, again=False)
    await house.reaches(doors.interrupted.id, State.SUCCEEDED, State.REFUSED)
    await house.reaches(doors.waiting.id, State.SUCCEEDED)
    walked = 0
    for one in await house.database.read(executions.newest, 50):
        steps = await house.database.read(executions.steps_of, one.id)
        started = [step.started_at for step in steps if step.state is not StepState.SKIPPED]
        if not started:
            continue
        walked += 1
        decisions = await house.database.read(audit.search, execution_id=one.id, kind="decision.allow")
        judged = [d for d in decisions if d.data["fingerprint"] == one.fingerprint and d.at <= min(started)]
        assert judged, f"#{one.id} ran unjudged"
        gates = [verdict["gate"] for verdict in judged[-1].data["verdicts"]]
        assert gates == [name for name, _ in GATES]
        assert all(verdict["outcome"] == Outcome.ALLOW.name.lower() for verdict in judged[-1].data["verdicts"])
    assert walked >= 4


def test_slack_has_no_listener_but_those_that_only_commit_or_look(doors: Doors) -> None:
    async def never(received: Received) -> None:
        raise AssertionError

    async def nothing(received: Received) -> str | None:
        raise AssertionError

    tokens = Slack(bot_token=SecretStr("xoxb-1"), signing_secret=SecretStr("s" * 32), app_token=None, api_url=SLACK)
    inbox = Inbox(Database("sqlite:///unused.db"), SystemClock(), Redactor(), never, nothing, never)
    heard = slack.bolt_app(tokens, inbox, doors.actions.forms)._async_listeners
    kept = {"_Command.hear", "_Click.hear", "_Submission.hear", "_Shortcut.hear"}
    looking = {"_Search.hear", "_HomeOpened.hear"}
    assert {listener.ack_function.__qualname__ for listener in heard} == kept | looking
    for listener in heard:
        called = inspect.getsource(listener.ack_function)
        assert called.count("inbox.receive(") == (listener.ack_function.__qualname__ in kept)
        assert "engine" not in called


async def test_a_search_shows_nobody_what_they_may_not_run(doors: Doors) -> None:
    """The one door behind which nothing is kept: it only looks, and only where this person may act."""
    forms_, before = doors.actions.forms, await doors.house.database.read(everything)
    view = form(CATALOG.get("change"), Draft(runbook="change", channel="C0INC"))
    for action in SUGGESTED:
        assert await forms_.suggest(MALLORY, action, "parameter:x", "", view) == {"options": []}, action
    offered = await forms_.suggest(BOB, HOSTS, "hosts", "", view)
    assert "web-01" in str(offered)
    assert await doors.house.database.read(everything) == before


def test_whatever_can_be_pressed_chosen_or_submitted_has_a_handler_and_each_handler_is_reached(doors: Doors) -> None:
    """From what is shown to what hears it, and back."""
    actions, source = doors.actions, "".join(Path(module.__file__ or "").read_text() for module in SHOWING)
    # Ids of what is shown are written once, as `handrail:VERB`, or are made of the labels of buttons.
    shown = {*LABELS, *incident_cards.LABELS, *schedule_words.LABELS, *re.findall(r'"handrail:([a-z_]+)"', source)}
    shown |= set(re.findall(r'asking\(\s*f?"([a-z]+)', source))
    searched = {one.removeprefix("handrail:") for one in SUGGESTED}
    handled = {
        *(verb for of in actions.heard().values() for verb in of),
        *searched,
        "planned",  # the last page: its submission is a run, as typed
        "picker",  # it has no submit; what is chosen in it is heard
    }
    assert shown == handled
    assert {one.callback_id.removeprefix("handrail:") for one in SHORTCUTS} == set(actions.shortcuts)
    entry = CATALOG.get("restart-service")
    for view in (
        picker(channel=None),
        form(entry, Draft(runbook=entry.name)),
        form(entry, Draft(runbook=entry.name, timing=Timing())),
    ):
        searches = {e["action_id"] for b in view["blocks"] for e in elements_in(b) if "external" in e["type"]}
        assert searches <= set(SUGGESTED)


def test_every_slash_command_and_subcommand_is_walked() -> None:
    declared = {str(one["command"]) for one in as_dict()["features"]["slash_commands"]}
    assert declared == set(TEXTS) == set(shell.COMMANDS)


def test_every_command_of_the_shell_is_known_to_be_a_door_or_not() -> None:
    known = set(get_command(command_line).commands)  # type: ignore[attr-defined]
    assert known - set(SHELL) - KEEPS == set(), "say here whether it is a door"
    assert set(SHELL) <= known


async def test_app_home_shows_somebody_without_a_role_nothing_of_what_others_do(doors: Doors) -> None:
    """It keeps nothing either: it only looks, with the eyes of whoever opened it."""
    database, before = doors.house.database, await doors.house.database.read(everything)
    seen = str(home_view(await database.read(read_home, doors.house.engine, MALLORY), START))
    assert "no role in Handrail is yours yet" in seen
    assert not [name for name in ("web-01", "risky", "UBOB", "#") if name in seen]
    assert "Approve" in str(home_view(await database.read(read_home, doors.house.engine, CAROL), START))
    assert await database.read(everything) == before


@pytest.mark.parametrize("verb", ["retry", "rollback", "run", "meant", "sched_run"])
async def test_a_click_whose_answer_was_lost_begins_nothing_a_second_time(doors: Doors, verb: str) -> None:
    """Whoever worked on it died right after the new execution was kept; the next one finds the click unanswered."""
    house, database = doors.house, doors.house.database
    house.remote.replies["mkdir"] = Reply()
    old = doors.failed.id
    sender, directory = SimpleNamespace(wake=lambda: None), SimpleNamespace(settled=asyncio.Event().wait)
    desk = Desk(house.engine, doors.commands, doors.actions, sender, directory)

    async def heard(kind: str, text: str, **payload: Any) -> Received:
        received = replace(sent(kind, text, **payload), actor=BOB, id=f"a {kind}", key=f"a {kind}")
        await database.write(inbox.receive, received)
        return received

    match verb:
        case "run":
            form = await heard("view", "change on web-01", verb="handrail:form", view="external")
            await desk.work(form)
            click = await heard("run", "change on web-01", command="/runbook", planned=form.id)
            assert await doors.actions.forms.seen(click) is not None
        case "meant":
            click = await heard("click", "handrail:meant", value="change on web-01")
        case "sched_run":
            nightly = await database.read(schedules.get, 1)
            assert nightly is not None
            often = await database.write(schedules.add, replace(nightly, name="often", text="change on web-01"))
            click = await heard("click", "handrail:sched_run", value=f"{often.id}:{schedule_words._face(often)}")
        case _:
            assert verb in doors.actions.once
            click = await heard("click", f"handrail:{verb}", value=f"{old}:")
    former = max(await database.read(begun_by_then))

    def begun(connection: Connection) -> list[int]:
        return [number for number in begun_by_then(connection) if number > former]

    def dies(*_: object, **__: object) -> None:
        raise StorageUnavailable("It died here (test).")

    said, desk._say = desk._say, dies  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        await desk.work(click)
    desk._say = said  # type: ignore[method-assign]
    first = await database.read(begun)
    assert len(first) == 1
    await house.reaches(first[0])
    await desk.work(click)
    assert await database.read(begun) == first
    assert (await house.get(first[0])).dry_run == (verb == "meant")
    assert await database.read(inbox.unhandled) == []


async def test_a_schedules_form_whose_answer_was_lost_makes_nothing_twice_and_skips_no_decision(doors: Doors) -> None:
    """The last page was pressed, its schedule was kept, and whoever worked on it died before it was answered."""
    house, database = doors.house, doors.house.database
    sender, directory = SimpleNamespace(wake=lambda: None), SimpleNamespace(settled=asyncio.Event().wait)
    desk = Desk(house.engine, doors.commands, doors.actions, sender, directory)
    before = len(await database.read(schedules.every))
    pressed = replace(sent("run", "schedule @daily change on web-01", command="/runbook"), actor=CAROL, id="pressed")
    await database.write(inbox.receive, pressed)

    def dies(*_: object, **__: object) -> None:
        raise StorageUnavailable("It died here (test).")

    said, desk._say = desk._say, dies  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        await desk.work(pressed)
    desk._say = said  # type: ignore[method-assign]
    await desk.work(pressed)
    every = await database.read(schedules.every)
    assert len(every) == before + 1
    assert len(await database.read(audit.search, kind="schedule.made", limit=5)) == 1
    assert {permission for person, permission in doors.people.asked if person == "UCAROL"} >= {
        Permission.SCHEDULES,
        Permission.EXECUTE,
    }
    assert await database.read(inbox.unhandled) == []


def begun_by_then(connection: Connection) -> list[int]:
    """The numbers of all executions there are."""
    return list(connection.scalars(select(t.executions.c.id)))
