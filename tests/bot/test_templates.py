"""Saved templates, from what is typed to what runs: on both databases, by the door that every command takes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.request import RunCommand, TemplateCommand, Unclear, normalised, parse_runbook, spelling
from safety.review import Policy
from safety.roles import Can
from storage import audit, executions
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted
from storage.records import Actor, Execution, Origin, Received, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, commands_of
from tests.fakes import START

RESTART = RunCommand(runbook="restart", values=("nginx",), named={"settle": "0"}, targets=("web-01",))


async def says(house: House, text: str, *, by: Actor = BOB, altered: bool = False) -> str:
    """What is answered to this person; empty where the channel shows it."""
    received = Received(
        id=f"r-{abs(hash((text, by.id, len(house.reporter.events))))}",
        key=text,
        kind="command",
        actor=by,
        channel="C0INC",
        text=text,
        payload={"command": "/runbook", "altered": altered},
        received_at=START,
    )
    answer = await commands_of(house.engine).answer(received, origin=Origin.COMMAND, handled=lambda connection: None)
    return answer.text if answer is not None else ""


async def newest(house: House) -> Execution:
    """As it ends."""
    found = (await house.database.read(executions.newest, 1))[0]
    return await house.reaches(found.id)


async def test_a_saved_request_runs_by_its_name_as_whoever_asks(database: Database) -> None:
    async with a_house(database) as house:
        told = await says(house, "template save Weekly restart nginx settle=0 on web-01", by=ALICE)
        assert told == "Template 'weekly' is saved. Run it with `/runbook template run weekly`."

        assert await says(house, "template run weekly") == ""
        ended = await newest(house)

        assert (ended.state, ended.actor.id, ended.hosts) == (State.SUCCEEDED, "UBOB", ("web-01",))
        assert (ended.runbook, ended.params["service"], ended.params["settle"]) == ("restart-service", "nginx", 0)
        assert ended.text == "template run weekly"


async def test_what_is_said_otherwise_counts(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "template save weekly restart nginx settle=300 on web-01")
        await says(house, "template run weekly celery settle=0 on web-02 --dry-run")
        ended = await newest(house)

        assert (ended.dry_run, ended.hosts) == (True, ("web-02",))
        assert (ended.params["service"], ended.params["settle"]) == ("celery", 0)


async def test_who_may_run_nothing_cannot_by_a_template(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "template save weekly restart nginx on web-01", by=ALICE)
        for text in ("template run weekly", "template save other restart nginx on web-01", "template list"):
            with pytest.raises(NotPermitted):
                await says(house, text, by=DAVE)
        assert house.remote.ran == []
        kinds = [entry.kind for entry in await database.read(audit.search, limit=100)]
        assert kinds.count("denied") == 3


def limited(*runbooks: str) -> Callable[[Policy], Policy]:
    """Bob may run only these."""

    def change(policy: Policy) -> Policy:
        can = {"UBOB": (Can(rule="roles:UBOB can", runbooks=runbooks),)}
        return replace(policy, people=replace(policy.people, can=can))

    return change


async def test_a_template_of_a_runbook_that_one_may_not_see_is_not_there(database: Database) -> None:
    async with a_house(database, change=limited("kill-process")) as house:
        await says(house, "template save weekly restart nginx on web-01", by=ALICE)

        assert "weekly" in await says(house, "template list", by=ALICE)
        assert "There are no templates yet" in await says(house, "template list")
        for action in ("show", "run", "delete"):
            with pytest.raises(NotFound, match="no template 'weekly'"):
                await says(house, f"template {action} weekly")


async def test_only_who_saved_it_or_manages_them_replaces_or_deletes_it(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "template save weekly restart nginx on web-01", by=ALICE)
        for text in ("template save weekly restart celery on web-01", "template delete weekly"):
            with pytest.raises(NotPermitted, match="is <@UALICE>'s"):
                await says(house, text)
        assert "is replaced" in await says(house, "template save weekly restart celery on web-02", by=CAROL)
        assert await says(house, "template delete weekly", by=ALICE) == "Template 'weekly' is deleted."
        with pytest.raises(NotFound):
            await says(house, "template run weekly")

        entries = [e for e in await database.read(audit.search, limit=100) if e.kind.startswith("template.")]
        told = [(e.kind, e.actor, e.data["template"]) for e in entries]
        assert told == [
            ("template.deleted", "UALICE", "weekly"),
            ("template.saved", "UCAROL", "weekly"),
            ("template.saved", "UALICE", "weekly"),
        ]
        assert entries[1].data["before"] == {"text": "restart nginx on web-01", "saved_by": "UALICE"}
        assert (await database.read(audit.verify)).ok


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ("nothing on web-01", NotFound),
        ("restart nginx on web-09", NotFound),
        ("restart nginx colour=red on web-01", Invalid),
        ("restart on web-01", Invalid),
    ],
)
async def test_what_makes_no_sense_is_not_saved(sqlite: Database, request_: str, error: type[Exception]) -> None:
    async with a_house(sqlite) as house:
        with pytest.raises(error):
            await says(house, f"template save weekly {request_}")
        assert "There are no templates yet" in await says(house, "template list")


async def test_a_request_with_a_secret_in_it_is_not_saved(sqlite: Database) -> None:
    async with a_house(sqlite) as house:
        with pytest.raises(Invalid, match="secret"):
            await says(house, "template save weekly restart nginx on web-01", altered=True)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("template", TemplateCommand()),
        ("templates list", TemplateCommand()),
        ("template show weekly", TemplateCommand(action="show", name="weekly")),
        ("template delete Weekly", TemplateCommand(action="delete", name="weekly")),
        (
            "template save weekly restart nginx settle=0 on web-01",
            TemplateCommand(action="save", name="weekly", request=RESTART),
        ),
        ("template run weekly", TemplateCommand(action="run", name="weekly", request=RunCommand(runbook="weekly"))),
        (
            "template run weekly on tag:web --dry-run",
            TemplateCommand(
                action="run", name="weekly", request=RunCommand(runbook="weekly", targets=("tag:web",), dry_run=True)
            ),
        ),
    ],
)
def test_the_words_of_a_template(text: str, command: TemplateCommand) -> None:
    assert parse_runbook(text) == command
    assert parse_runbook(normalised(text)) == command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("template sav weekly restart nginx on web-01", "Did you mean `save`?"),
        ("template save", "Which template?"),
        ("template save weekly", "What should be saved?"),
        ("template save weekly --dry-run", "What should be saved?"),
        ("template save weekly cancel 42", "`cancel` is a subcommand"),
        ("template save weekly restart nginx on web-01 --emergency", "An emergency is not saved"),
        ("template show", "Which template?"),
        ("template show weekly please", "takes a name, and nothing more"),
        ("template delete on", "Which template?"),
        ("template list all", "takes nothing more"),
        ("template run weekly --now", "There is no flag"),
        ("plan template run weekly", "can't be planned"),
    ],
)
def test_what_is_unclear_about_a_template_is_asked(text: str, said: str) -> None:
    answer: Any = parse_runbook(text)
    assert isinstance(answer, Unclear)
    assert said in answer.message


@pytest.mark.parametrize(
    "command",
    [
        RESTART,
        RunCommand(
            runbook="note", values=('say "hi" & <go>', "on"), named={"why": "it's &amp; odd"}, targets=("tag:a",)
        ),
        RunCommand(runbook="note", reason="disk is full", dry_run=True),
    ],
)
def test_what_is_kept_reads_back_as_the_same(command: RunCommand) -> None:
    assert parse_runbook(spelling(command)) == command
