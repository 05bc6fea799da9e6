"""What people ask of the record: history with its filters, pages turned by buttons, help, near misses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot import help_on
from bot.actions import Actions
from bot.blocks import Message
from bot.modals import Shown
from bot.request import (
    Query,
    Unclear,
    Verb,
    normalised,
    parse_audit,
    parse_incident,
    parse_killswitch,
    parse_runbook,
    said_in,
    vocabulary,
)
from safety.review import Policy
from safety.roles import Can
from storage import executions
from storage import tables as t
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted
from storage.executions import Sought
from storage.records import Actor, Danger, Origin, OutputLine, Priority, Received, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, commands_of
from tests.fakes import START, FakeViews


def ran(
    connection: Connection,
    number: int,
    *,
    runbook: str = "restart-service",
    host: str = "web-01",
    hosts: Sequence[str] = (),
    by: Actor = BOB,
    state: State = State.SUCCEEDED,
    minutes: int = 0,
) -> None:
    """So many executions, asked for so long after the start."""
    for _ in range(number):
        made = executions.create(
            connection,
            runbook=runbook,
            params={},
            hosts=list(hosts) or [host],
            services=[],
            danger=Danger.LOW,
            actor=by,
            origin=Origin.COMMAND,
            channel="C0INC",
            text=runbook,
            normalised=None,
            reason=None,
            dry_run=False,
            priority=Priority.NORMAL,
            state=State.PENDING,
            timeout=timedelta(minutes=5),
            now=START + timedelta(minutes=minutes),
        )
        connection.execute(update(t.executions).where(t.executions.c.id == made.id).values(state=state.value))


def numbers(page: executions.HistoryPage) -> list[int]:
    """Which executions it shows."""
    return [one.id for one in page.found]


def sent(text: str, *, by: Actor = BOB, kind: str = "command", **payload: Any) -> Received:
    """Something typed or clicked."""
    return Received(
        id=f"r-{abs(hash((text, by.id, str(payload))))}",
        key=text,
        kind=kind,
        actor=by,
        channel="C0INC",
        text=text,
        payload={"command": "/runbook", **payload},
        received_at=START,
    )


async def asks(house: House, text: str, *, by: Actor = BOB) -> Message:
    """The answer to what was typed."""
    answer = await commands_of(house.engine).answer(
        sent(text, by=by), origin=Origin.COMMAND, handled=lambda connection: None
    )
    assert answer is not None
    return answer


def buttons(shown: Message) -> Mapping[str, tuple[str, str]]:
    """Label to what it sends: action id and value."""
    rows = [block for block in shown.blocks if block["type"] == "actions"]
    return {b["text"]["text"]: (b["action_id"], b["value"]) for row in rows for b in row["elements"]}


def actions_of(house: House) -> Actions:
    """What is clicked; no form opens."""
    commands = commands_of(house.engine)
    return Actions(house.engine, commands, FakeViews(shows=Shown.NO), commands.forms)


async def clicks(house: House, shown: Message, label: str, *, by: Actor = BOB) -> Message | None:
    """The answer to a click."""
    action_id, value = buttons(shown)[label]
    return await actions_of(house).answer(sent(action_id, by=by, kind="click", value=value))


# --- the grammar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("history", {}),
        ("history Restart-Service", {"runbook": "restart-service"}),
        ("history restart FAILED 7d on web-01",
         {"runbook": "restart", "state": "failed", "since": "7d", "host": "web-01"}),
        ("history <@U1BOB|bob> since=2026-11-20", {"who": "U1BOB", "since": "2026-11-20"}),
        ("history by=@bob", {"who": "bob"}),
        ("history me", {"who": "me"}),
        ("history mine open", {"who": "me", "state": "pending,awaiting_approval,running,interrupted"}),
        ("history “timed out”", {"state": "timed_out"}),
        ("history state=Timed-Out,failed", {"state": "failed,timed_out"}),
        ("history status=canceled person=@ana", {"state": "cancelled", "who": "ana"}),
        ("history DRY=Yes", {"dry": "yes"}),
        ("history on=web-01 before=#42", {"host": "web-01", "before": "42"}),
    ],
)  # fmt: skip
def test_history_is_asked_in_many_ways(typed: str, named: dict[str, str]) -> None:
    assert parse_runbook(typed) == Query(verb=Verb.HISTORY, named=named)
    assert parse_runbook(normalised(typed)) == parse_runbook(typed)


@pytest.mark.parametrize(
    ("typed", "said", "near"),
    [
        ("history stat=failed", "Did you mean `state=`?", "history state=failed"),
        ("history state=borken", "is not a state; there are pending", None),
        ("history 42", "that is its status", None),
        ("history failed failed", "`state` is given twice", None),
        ("history on web-01,web-02", "one host at a time", None),
        ("history before=4 after=2", "two pages", None),
        ("history --force", "There is no flag", None),
        ("history --dry-run", "takes no `--dry-run`", None),
        ("history since=yesterday", "is not a time", None),
        ("dead-letters lsit", "Did you mean `list`?", "dead-letters list"),
        ("logs 42 hots=web-01", "Did you mean `host=`?", "logs 42 host=web-01"),
        ("logs 42 step=all", "makes no sense as `step=`", None),
        ("show restart x=1", "takes no “x”", None),
    ],
)
def test_what_is_unsure_is_asked_about(typed: str, said: str, near: str | None) -> None:
    answer = parse_runbook(typed)
    assert isinstance(answer, Unclear)
    assert said in answer.message
    assert answer.near == near


def test_every_example_in_the_help_is_read_by_the_grammar() -> None:
    parsers = {
        "/runbook": parse_runbook,
        "/killswitch": parse_killswitch,
        "/audit": parse_audit,
        "/incident": parse_incident,
    }
    for name, topic in help_on.TOPICS.items():
        assert topic.examples, name
        for example in topic.examples:
            parsed = parsers[example.split()[0]](example)
            assert not isinstance(parsed, Unclear), example


def test_whatever_the_grammar_takes_has_its_help_and_examples_say_nothing_else() -> None:
    there = set(vocabulary())
    subcommands = {one.split()[1] for one in there if one.startswith("/runbook ")} - {"NAME", "help"}
    commands = {one.split()[0].removeprefix("/") for one in there} - {"runbook"}
    assert set(help_on.TOPICS) == {"run"} | subcommands | commands
    for topic in help_on.TOPICS.values():
        for example in topic.examples:
            command, _, text = example.partition(" ")
            assert said_in(command, text) <= there, example
            assert said_in(command, text), example


# --- the pages of the history -----------------------------------------------------------------------------------------


async def test_pages_of_the_history_follow_each_other_both_ways(database: Database) -> None:
    await database.write(ran, 25)
    first = await database.read(executions.history, Sought(), limit=10)
    assert (numbers(first), first.newer) == (list(range(25, 15, -1)), None)
    second = await database.read(executions.history, Sought(before=first.older), limit=10)
    assert numbers(second) == list(range(15, 5, -1))
    last = await database.read(executions.history, Sought(before=second.older), limit=10)
    assert (numbers(last), last.older) == ([5, 4, 3, 2, 1], None)
    back = await database.read(executions.history, Sought(after=last.newer), limit=10)
    assert numbers(back) == numbers(second)
    again = await database.read(executions.history, Sought(after=back.newer), limit=10)
    assert (numbers(again), again.newer) == (numbers(first), None)


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(runbook="kill-process"), [3]),
        (Sought(host="web-02"), [4, 2]),
        (Sought(person="UCAROL"), [5]),
        (Sought(states=(State.FAILED, State.TIMED_OUT)), [4, 3]),
        (Sought(since=START + timedelta(minutes=20)), [5, 4, 3]),
        (Sought(until=START + timedelta(minutes=20)), [2, 1]),
        (Sought(since=START + timedelta(minutes=90)), []),
        (Sought(until=START - timedelta(minutes=1)), []),
        (Sought(among=("kill-process",)), [3]),
        (Sought(host="web-02", states=(State.FAILED,)), [4]),
    ],
)
async def test_each_filter_finds_what_it_names(database: Database, sought: Sought, found: list[int]) -> None:
    await database.write(ran, 1)
    await database.write(ran, 1, host="web-02", minutes=10)
    await database.write(ran, 1, runbook="kill-process", state=State.TIMED_OUT, minutes=20)
    await database.write(ran, 1, host="web-02", state=State.FAILED, minutes=30)
    await database.write(ran, 1, by=CAROL, minutes=40)
    assert numbers(await database.read(executions.history, sought)) == found


async def test_a_page_looks_through_so_many_and_the_next_one_further(database: Database) -> None:
    await database.write(ran, 1, host="rare-01")
    await database.write(ran, 30)
    page = await database.read(executions.history, Sought(host="rare-01"), look=10)
    assert (numbers(page), page.older) == ([], 22)
    pages = 0
    while page.older is not None and not page.found:
        page = await database.read(executions.history, Sought(host="rare-01", before=page.older), look=10)
        pages += 1
    assert (numbers(page), pages) == ([1], 3)


# --- as people see it -------------------------------------------------------------------------------------------------


async def test_the_buttons_of_a_page_carry_the_whole_question(database: Database) -> None:
    await database.write(ran, 40, state=State.FAILED)
    await database.write(ran, 5)
    async with a_house(database) as house:
        shown = await asks(house, "history failed on web-01")
        assert buttons(shown) == {"Older": ("handrail:older", "history before=26 host=web-01 state=failed")}
        assert "*#40* `restart-service`" in shown.text
        older = await clicks(house, shown, "Older")
        assert older is not None
        assert older.replaces
        assert "*#25*" in older.text
        assert set(buttons(older)) == {"Newer", "Older"}
        newer = await clicks(house, older, "Newer")
        assert newer is not None
        assert newer.text == shown.text


async def test_a_page_is_refused_to_who_may_not_see_it_whoever_it_was_shown_to(database: Database) -> None:
    await database.write(ran, 40)
    async with a_house(database) as house:
        shown = await asks(house, "history")
        with pytest.raises(NotPermitted):
            await clicks(house, shown, "Older", by=DAVE)


async def test_me_is_whoever_asks(database: Database) -> None:
    await database.write(ran, 1)
    await database.write(ran, 1, by=CAROL)
    async with a_house(database) as house:
        assert "*#1*" not in (await asks(house, "history me", by=CAROL)).text
        assert "Nothing in the history is like that (who=me)" in (await asks(house, "history me", by=ALICE)).text
        with pytest.raises(Invalid, match="Mention them"):
            await asks(house, "history by=@bob")


async def test_what_runs_is_shown_page_by_page_and_by_host(database: Database) -> None:
    await database.write(ran, 35, state=State.INTERRUPTED)
    await database.write(ran, 1, host="web-02", state=State.INTERRUPTED)
    async with a_house(database) as house:
        first = await asks(house, "status")
        assert buttons(first) == {"Next": ("handrail:older", "status after=15")}
        second = await clicks(house, first, "Next")
        assert second is not None
        third = await clicks(house, second, "Next")
        assert third is not None
        assert "*#36*" in third.text
        back = await clicks(house, third, "Previous")
        assert back is not None
        assert back.text == second.text
        start = await clicks(house, second, "Previous")
        assert start is not None
        assert start.text == first.text
        assert (await asks(house, "status on web-02")).text.count("*#") == 1


async def test_the_hosts_of_an_execution_of_many_are_shown_page_by_page(database: Database) -> None:
    def many(connection: Connection) -> None:
        ran(connection, 1, hosts=[f"web-{number:02}" for number in range(1, 61)], state=State.FAILED)
        executions.set_host(connection, 1, "web-60", state="failed", reason="no space left")

    await database.write(many)
    async with a_house(database) as house:
        shown = await asks(house, "status 1")
        first = await clicks(house, shown, "All 60 hosts")
        assert first is not None
        assert "1 to 25 of 60 hosts" in str(first.blocks)
        assert "web-60 failed: no space left" in str(first.blocks), "what is urgent comes first"
        second = await clicks(house, first, "Next")
        assert second is not None
        third = await clicks(house, second, "Next")
        assert third is not None
        assert "51 to 60 of 60 hosts" in str(third.blocks)
        assert set(buttons(third)) == {"Previous"}
        assert "All" not in str(buttons(await asks(house, "history")))


async def test_lines_of_output_are_counted_and_paged(database: Database) -> None:
    await database.write(ran, 1)
    lines = [
        OutputLine(host="web-01", step="1", attempt=1, seq=n, stream="stdout", text=f"line {n}.", at=START)
        for n in range(1, 101)
    ]
    await database.write(executions.keep_output, 1, lines)
    async with a_house(database) as house:
        shown = await asks(house, "logs 1")
        assert "lines 61 to 100 of 100" in shown.text
        older = await clicks(house, shown, "Older")
        assert older is not None
        assert "lines 21 to 60 of 100" in older.text
        assert "line 21." in str(older.blocks)
        assert "line 61." not in str(older.blocks)
        assert buttons(older)["Newer"] == ("handrail:newer", "logs 1 from=61")
        assert "lines 1 to 40" in (await asks(house, "logs 1 web-01 from=1")).text
        assert "printed nothing on 'web-02'" in (await asks(house, "logs 1 web-02")).text


async def test_the_list_is_narrowed_down_by_words(database: Database) -> None:
    async with a_house(database) as house:
        assert "restart-service" in (await asks(house, "list Restart")).text
        assert "disk-cleanup" not in (await asks(house, "list Restart")).text


async def test_a_page_of_the_list_says_of_how_many_runbooks_it_is(database: Database) -> None:
    async with a_house(database) as house:
        kept = house.engine.catalog.entries
        entries = {**kept, **{f"ours-{number}": replace(next(iter(kept.values()))) for number in range(40)}}
        house.engine.catalog = replace(house.engine.catalog, entries=entries)
        assert (await asks(house, "list")).text.startswith(f"1 to 25 of {len(entries)} runbooks: ")


async def test_the_list_has_a_heading_for_each_category_and_a_line_for_each_runbook(database: Database) -> None:
    async with a_house(database) as house:
        shown = str((await asks(house, "list restart")).blocks)
        assert "*Maintenance*\\n• `restart-service`: Restart a systemd service" in shown


async def test_help_on_a_topic_shows_examples_and_near_topics_are_buttons(database: Database) -> None:
    async with a_house(database) as house:
        assert "`/runbook history restart failed 7d on web-01`" in (await asks(house, "help history")).text
        assert "*restart-service*" in (await asks(house, "help restart-service")).text
        shown = await asks(house, "help histroy")
        told = await clicks(house, shown, "Help on history")
        assert told is not None
        assert "/runbook history [RUNBOOK]" in told.text


# --- near misses ------------------------------------------------------------------------------------------------------


async def test_a_near_miss_is_shown_as_a_dry_run_and_never_run(database: Database) -> None:
    async with a_house(database) as house:
        shown = await asks(house, "restart-servise nginx settle=0 on web-01 --emergency")
        assert "Did you mean" in shown.text
        label = next(label for label in buttons(shown) if "restart-service " in label)
        assert await clicks(house, shown, label, by=ALICE) is None
        [made] = await database.read(executions.newest, 5)
        ended = await house.reaches(made.id)
        assert (ended.dry_run, ended.state, ended.emergency_at) == (True, State.SUCCEEDED, None)
        assert "sudo -n systemctl restart nginx" not in [line for _, line in house.remote.ran]


async def test_a_near_miss_of_a_host_is_offered_where_one_may_run_it(database: Database) -> None:
    only = (Can(rule="roles:UBOB can", runbooks=("restart-service",), hosts=("web-01",)),)

    def limited(policy: Policy) -> Policy:
        return replace(policy, people=replace(policy.people, can={"UBOB": only}))

    async with a_house(database, change=limited) as house:
        shown = await asks(house, "restart nginx settle=0 on wep-01")
        assert list(buttons(shown)) == ["Show restart nginx settle=0 on web-01"]
        assert "web-02" not in shown.text
        assert await clicks(house, shown, "Show restart nginx settle=0 on web-01") is None
        [made] = await database.read(executions.newest, 5)
        assert (made.dry_run, made.hosts) == (True, ("web-01",))
        with pytest.raises(NotFound, match="No host matches"):
            await asks(house, "restart nginx on elsewhere.example")


async def test_a_near_miss_of_a_command_that_acts_shows_only_its_help(database: Database) -> None:
    await database.write(ran, 1, state=State.INTERRUPTED)
    async with a_house(database) as house:
        shown = await asks(house, "cancle 1")
        told = await clicks(house, shown, "Show cancel 1")
        assert told is not None
        assert "Stops an execution" in told.text
        assert (await house.get(1)).state is State.INTERRUPTED


async def test_a_near_miss_of_a_question_is_its_answer(database: Database) -> None:
    await database.write(ran, 1)
    async with a_house(database) as house:
        shown = await asks(house, "histroy failed")
        told = await clicks(house, shown, "Show history failed")
        assert told is not None
        assert "Nothing in the history is like that (state=failed)" in told.text


@pytest.mark.parametrize("value", ["restart nginx on web-01", "cancel 1", "dead-letters discard all", "on", "x" * 99])
async def test_a_forged_question_does_nothing(sqlite: Database, value: str) -> None:
    await sqlite.write(ran, 1, state=State.INTERRUPTED)
    async with a_house(sqlite) as house:
        actions = actions_of(house)
        for verb in ("ask", "older", "newer"):
            with pytest.raises(Invalid):
                await actions.answer(sent(f"handrail:{verb}", by=ALICE, kind="click", value=value))
        assert [(one.id, one.state) for one in await sqlite.read(executions.newest, 5)] == [(1, State.INTERRUPTED)]
