"""The digest: its numbers, what they open, and that each is posted once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from bot import chart
from bot.blocks import LONGEST_VALUE, MOST_BLOCKS, Message, moment
from bot.digest import ByHand, DigestPoster, digest_message, period, sparkline
from bot.playground.block_kit import Surface, check_blocks
from bot.request import Query, parse_runbook
from bot.settings import DigestPart
from runbooks.cron import newest_firing
from safety.review import Policy
from safety.roles import Can
from storage import approvals, digest, executions
from storage import tables as t
from storage.database import Database
from storage.digest import REFUSALS, Digest, Outcomes
from storage.errors import Invalid, NotPermitted
from storage.records import ApprovalState, Consent, Danger, HostState, Origin, Priority, State
from tests.bot.test_questions import asks, clicks
from tests.builders import BOB, DAVE, a_house
from tests.fakes import FakeClock, HastyClock

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
UNTIL = MONDAY


def ran(
    connection: Connection,
    at: datetime,
    state: State = State.SUCCEEDED,
    *,
    runbook: str = "restart-service",
    hosts: Mapping[str, HostState] | None = None,
    took: timedelta | None = MINUTE,
    dry_run: bool = False,
) -> int:
    """One execution as it stands afterwards; by default on web-01, which came out as the execution did."""
    out = HostState.SUCCEEDED if state is State.SUCCEEDED else HostState.FAILED
    reached = hosts if hosts is not None else {"web-01": HostState.WAITING if state in REFUSALS else out}
    made = executions.create(
        connection,
        runbook=runbook,
        params={},
        hosts=list(reached),
        services=[],
        danger=Danger.LOW,
        actor=BOB,
        origin=Origin.COMMAND,
        channel="C0INC",
        text=runbook,
        normalised=None,
        reason=None,
        dry_run=dry_run,
        priority=Priority.NORMAL,
        state=State.PENDING,
        timeout=MINUTE,
        now=at,
    )
    began = state not in REFUSALS and took is not None
    connection.execute(
        update(t.executions)
        .where(t.executions.c.id == made.id)
        .values(
            state=state.value,
            started_at=at if began else None,
            ended_at=at + (took or MINUTE) if state.is_final else None,
        )
    )
    for host, how in reached.items():
        executions.set_host(connection, made.id, host, state=how.value)
    return made.id


def a_week(connection: Connection) -> None:
    """Ten executions in the week before UNTIL, and four in the one before that."""
    for number in range(6):
        ran(connection, UNTIL - DAY * (number + 1))
    ran(connection, UNTIL - 2 * DAY, State.FAILED, hosts={"web-01": HostState.SUCCEEDED, "web-02": HostState.FAILED})
    ran(connection, UNTIL - HOUR, State.TIMED_OUT, runbook="disk-cleanup", took=HOUR)
    ran(connection, UNTIL - HOUR, State.REFUSED, runbook="kill-process")
    ran(connection, UNTIL - MINUTE, State.AWAITING_APPROVAL, took=None, hosts={"web-01": HostState.WAITING})
    ran(connection, UNTIL - HOUR, dry_run=True)
    for number in range(3):
        ran(connection, UNTIL - DAY * (number + 8))
    ran(connection, UNTIL - 9 * DAY, State.FAILED)
    ran(connection, UNTIL)  # not in it any more
    ran(connection, UNTIL - 14 * DAY - MINUTE)  # before all of it


async def gathered(database: Database, **more: Any) -> Digest:
    """Of that week."""
    return await database.read(digest.gather, UNTIL - 7 * DAY, UNTIL, **more)


async def test_the_numbers_are_those_of_the_period_and_of_the_one_before(database: Database) -> None:
    await database.write(a_week)
    found = await gathered(database)
    assert (found.outcomes.total, found.outcomes.succeeded, found.outcomes.failed) == (10, 6, 2)
    assert (found.outcomes.refused, found.dry_runs, found.outcomes.rate) == (1, 1, 0.75)
    assert (found.before.total, found.before.rate) == (4, 0.75)
    assert {name: one.total for name, one in found.runbooks.items()} == {
        "restart-service": 8,
        "disk-cleanup": 1,
        "kill-process": 1,
    }
    assert [(one.host, one.succeeded, one.failed) for one in found.hosts] == [("web-01", 7, 1), ("web-02", 0, 1)]
    assert found.done == {"restart-service": 7}
    assert (found.slowest[0].runbook, found.slowest[0].took) == ("disk-cleanup", HOUR)
    assert sum(part.outcomes.total for part in found.series) == 10
    assert len(found.series) == 7
    assert found.series[0].outcomes.total == 0
    assert found.series[-1].outcomes.total == 4


async def test_it_is_of_one_s_own_runbooks_alone(database: Database) -> None:
    await database.write(a_week)
    found = await gathered(database, among=["kill-process"])
    assert (found.outcomes.total, found.hosts, found.before.total) == (1, [], 0)


async def test_how_long_approvals_were_waited_for(database: Database) -> None:
    def ask(connection: Connection, minutes: int | None, kind: Consent = Consent.APPROVE) -> None:
        number = ran(connection, UNTIL - HOUR)
        made = approvals.ask(
            connection, number, fingerprint="f" * 64, kind=kind, now=UNTIL - HOUR, expire=timedelta(minutes=45)
        )
        if minutes is not None:
            connection.execute(
                update(t.approvals)
                .where(t.approvals.c.id == made.id)
                .values(state="given", decided_at=UNTIL - HOUR + minutes * MINUTE)
            )

    for minutes in (2, 30, 4, None):
        await database.write(ask, minutes)
    await database.write(ask, 59, Consent.CONFIRM)  # one's own confirmation is nobody's waiting
    waits = (await gathered(database)).waits
    assert waits.of == {ApprovalState.GIVEN: 3, ApprovalState.WAITING: 1}
    assert (waits.median, waits.longest, waits.longest_id) == (4 * MINUTE, 30 * MINUTE, 2)


async def test_it_takes_the_index_on_when_it_was_asked_for(sqlite: Database) -> None:
    def plans(connection: Connection) -> list[str]:
        statement = select(t.executions.c.runbook).where(digest._asked(UNTIL - DAY, UNTIL, None))
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]

    assert "ix_executions_created" in " ".join(await sqlite.read(plans))


# --- the message ------------------------------------------------------------------------------------------------------


def test_bars_are_as_high_as_the_numbers() -> None:
    assert sparkline([0, 1, 8, 4], 8) == "·▁█▄"
    assert sparkline([], 0) == ""
    assert sparkline([0, 0], 0) == "··"
    assert sparkline([1, 1000], 1000) == "▁█"
    assert sparkline([1, 0], 8) == "▁·"


def questions(shown: Message) -> list[tuple[str, str]]:
    """Every button: its label and what it asks."""
    found = [block["accessory"] for block in shown.blocks if "accessory" in block]
    found += [element for block in shown.blocks if block["type"] == "actions" for element in block["elements"]]
    return [(button["text"]["text"], button["value"]) for button in found]


async def test_every_number_opens_what_is_behind_it(database: Database) -> None:
    await database.write(a_week)
    async with a_house(database, clock=FakeClock(UNTIL)) as house:
        shown = digest_message(await gathered(database), ByHand(), title="Digest")
        asked = dict(reversed(questions(shown)))
        assert {"Failed (2)", "Never run (1)", "Not ended (1)"} <= asked.keys()
        for label, value in questions(shown):
            assert isinstance(parse_runbook(value), Query), (label, value)
        failed = (await asks(house, asked["Failed (2)"])).text
        assert failed.count("*#") == 2
        assert "timed out" in failed
        of_host = next(value for _, value in questions(shown) if "host=web-02" in value)
        assert (await asks(house, of_host)).text.count("*#") == 1
        assert (await asks(house, questions(shown)[0][1])).text.count("*#") == 10


async def test_the_words_say_rate_trend_and_what_was_saved(database: Database) -> None:
    await database.write(a_week)
    await database.write(ran, UNTIL - HOUR)
    shown = digest_message(
        await gathered(database), ByHand(usual=10 * MINUTE, of={"restart-service": 30 * MINUTE}), title="Digest"
    )
    said = str(shown.blocks)
    assert "*78 % succeeded*, up 3 points from 75 %" in said
    assert "(+7 against the period before)" in said
    assert "About *4 h* of work by hand saved" in said  # eight hosts of half an hour
    assert "10 min by hand for each host where it succeeded, 30 min for restart-service" in said
    assert shown.text == (
        "Digest: 78 % succeeded, up 3 points from 75 %, 11 executions, 2 failed, 1 never run, about 4 h saved"
    )


async def test_a_period_without_executions_says_so(database: Database) -> None:
    shown = digest_message(await gathered(database), ByHand(), title="Digest")
    assert shown.text == "Digest: nothing was run."
    assert "Audit head: #" in str(shown.blocks)


def test_nearly_all_is_not_all_and_the_trend_is_between_what_is_shown() -> None:
    nearly, all_ = Outcomes(of={State.SUCCEEDED: 999, State.FAILED: 1}), Outcomes(of={State.SUCCEEDED: 999})
    for now, before, said in (
        (nearly, all_, "99 % succeeded*, down 1 point from 100 %"),
        (all_, nearly, "100 % succeeded*, up 1 point from 99 %"),
        (nearly, nearly, "99 % succeeded*, as in the period before"),
    ):
        shown = digest_message(empty(outcomes=now, before=before), ByHand(), title="x")
        assert said in str(shown.blocks)


def empty(**more: Any) -> Digest:
    """A digest of nothing but this."""
    nothing = Outcomes(of={})
    made = Digest(
        since=UNTIL - 7 * DAY, until=UNTIL, outcomes=nothing, before=nothing, dry_runs=0, runbooks={}, hosts=(),
        done={}, series=(digest.Bucket(since=UNTIL - 7 * DAY, outcomes=nothing),), slowest=(),
        waits=digest.Waits(of={}, median=None, longest=None, longest_id=None), switches=(), dead_letters=0,
        firings={}, missed=(), head=(1, "0" * 64),
    )  # fmt: skip
    return replace(made, **more)


@pytest.mark.parametrize("hostile", ["<!channel>" * 40, "`" * 300, "\u202e" * 300, "x" * 255, "😀" * 200, "<@UALICE>"])
def test_names_that_are_hostile_stay_harmless_and_within_slacks_limits(hostile: str) -> None:
    many = Outcomes(of=dict.fromkeys(State, 12_345_678))
    shown = digest_message(
        empty(
            outcomes=many,
            before=many,
            runbooks={f"{hostile}{number}": many for number in range(40)},
            hosts=[digest.HostOutcomes(host=f"{hostile}{n}", succeeded=n, failed=n) for n in range(300)],
            slowest=[digest.Slow(id=1, runbook=hostile, hosts=(hostile,) * 300, took=DAY)] * 3,
            series=[digest.Bucket(since=UNTIL - DAY * n, outcomes=many) for n in range(31)],
            missed=[hostile] * 5,
        ),
        ByHand(of={hostile: DAY}),
        title="Digest",
        zone="Europe/Berlin",
    )
    assert check_blocks(shown.payload()["blocks"], surface=Surface.MESSAGE) == []
    assert len(shown.blocks) <= MOST_BLOCKS
    assert "<!channel>" not in str(shown.blocks)
    assert "<@UALICE>" not in str(shown.blocks)
    assert all(len(value) <= LONGEST_VALUE for _, value in questions(shown))


# --- the chart --------------------------------------------------------------------------------------------------------


def test_the_chart_is_a_picture_whatever_the_names_are() -> None:
    many = Outcomes(of={State.SUCCEEDED: 7, State.FAILED: 2, State.REFUSED: 1, State.CANCELLED: 1})
    for names, parts in ((["restart-service"], 1), (["$x_{2}$", "😀" * 90, "\u202e<!channel>", *"abcdefghi"], 31)):
        drawn = empty(
            outcomes=many,
            runbooks=dict.fromkeys(names, many),
            series=[digest.Bucket(since=UNTIL - DAY * (parts - n), outcomes=many) for n in range(parts)],
        )
        assert chart.png(drawn, "Europe/Berlin").startswith(b"\x89PNG\r\n")
        assert len(chart.alternative(drawn, "Europe/Berlin")) <= 1_000


def test_the_chart_is_said_to_who_cannot_see_it() -> None:
    some = Outcomes(of={State.SUCCEEDED: 3, State.FAILED: 1})
    drawn = empty(
        outcomes=some, runbooks={"restart-service": some}, series=[digest.Bucket(since=UNTIL - DAY, outcomes=some)]
    )
    assert chart.alternative(drawn, "UTC") == (
        "75 % succeeded of 4 executions. Executions: Sun 22 Nov: 4 (1 failed). By runbook: restart-service 4."
    )


async def test_without_what_draws_charts_the_digest_is_posted_without(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "can_draw", lambda: False)  # the extra is installed here, or it is not
    await database.write(a_week)
    clock = HastyClock(MONDAY - DAY)
    await poster(database, clock).post_what_is_due()
    await clock.sleep(DAY.total_seconds())
    assert await poster(database, clock).post_what_is_due() == ["weekly digest", "daily digest"]
    assert len(await database.read(posted)) == 2
    async with a_house(database, clock=FakeClock(UNTIL)) as house:
        shown = await asks(house, "digest")
        assert "Chart" not in dict(questions(shown))
        assert "█" in str(shown.blocks)


# --- as people ask for it ---------------------------------------------------------------------------------------------


async def test_it_is_answered_at_once_and_its_rows_to_whoever_clicks(database: Database) -> None:
    await database.write(a_week)
    async with a_house(database, clock=FakeClock(UNTIL)) as house:
        shown = await asks(house, "digest 7d")
        assert "11 executions" in shown.text
        told = await clicks(house, shown, "Failed (2)")
        assert told is not None
        assert not told.replaces, "the digest stays"
        with pytest.raises(NotPermitted):
            await clicks(house, shown, "Failed (2)", by=DAVE)
        assert "2 executions" in (await asks(house, "digest 1h")).text
        for wrong in ("digest soon", "digest 1m", "digest 5000d"):
            with pytest.raises(Invalid, match="digest 7d"):
                await asks(house, wrong)


def test_a_period_has_its_end() -> None:
    assert period(7 * DAY, UNTIL) == (UNTIL - 7 * DAY + timedelta(seconds=1), UNTIL + timedelta(seconds=1))


async def test_it_is_limited_to_what_one_may_see(database: Database) -> None:
    await database.write(a_week)
    mine = (Can(rule="roles:UBOB can", runbooks=("kill-process",)),)

    def limited(policy: Policy) -> Policy:
        return replace(policy, people=replace(policy.people, can={"UBOB": mine}))

    async with a_house(database, clock=FakeClock(UNTIL), change=limited) as house:
        shown = await asks(house, "digest")
        assert "1 execution" in shown.text
        assert "disk-cleanup" not in str(shown.blocks)


# --- posted by itself -------------------------------------------------------------------------------------------------


def posted(connection: Connection) -> list[str]:
    """The texts that wait to be said, each with the head of its message, oldest first."""
    rows = connection.execute(select(t.outbox).where(t.outbox.c.method == "post").order_by(t.outbox.c.position))
    return [f"{row.payload['text']} {row.payload['blocks'][0]['text']['text']}" for row in rows]


def poster(database: Database, clock: HastyClock, channel: str | None = "C0INC", **more: Any) -> DigestPoster:
    """One process's."""
    part = DigestPart(**{"cron": "0 9 * * 1-5", "timezone": "Europe/Berlin", **more})
    return DigestPoster(database=database, clock=clock, channel=channel, digest=part, by_hand=ByHand())


async def test_each_is_posted_once_by_several_processes_on_its_days(database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))
    await other.start()
    clock = HastyClock(datetime(2026, 11, 26, 9, 0, tzinfo=UTC))  # a Thursday
    processes = [poster(database, clock), poster(other, clock), poster(other, clock)]
    try:
        days = []
        for _ in range(6):
            told = await asyncio.gather(*(process.post_what_is_due() for process in processes))
            days.append(sorted(name for names in told for name in names))
            await clock.sleep(DAY.total_seconds())
    finally:
        await other.close()
    daily, weekly = "daily digest", "weekly digest"
    assert days == [[], [daily], [], [], [daily, weekly], [daily]]
    said = await database.read(posted)
    assert [one.partition(":")[2].split(":")[0].strip() for one in said] == [
        "since yesterday",
        "the week",
        "since the last digest",
        "since yesterday",
    ]


async def test_nothing_is_due_at_the_first_start_nor_without_a_channel(database: Database) -> None:
    clock = HastyClock(MONDAY)
    assert await poster(database, clock).post_what_is_due() == []
    await poster(database, clock, channel=None).run()
    assert await database.read(posted) == []


@pytest.mark.parametrize(("days", "covers"), [(3, 3), (30, 30), (60, 31)])
async def test_what_fell_into_an_absence_is_posted_once_afterwards(database: Database, days: int, covers: int) -> None:
    clock = HastyClock(MONDAY)
    await poster(database, clock).post_what_is_due()
    await clock.sleep((days * DAY).total_seconds())
    due = [*(["weekly digest"] if days > 7 else []), "daily digest"]
    assert await poster(database, clock).post_what_is_due() == due
    assert await poster(database, clock).post_what_is_due() == []
    *_, daily = await database.read(posted)
    until = MONDAY - HOUR + days * DAY  # 09:00 in Berlin
    assert f"{moment(until - covers * DAY)} to {moment(until)}" in daily
    assert "since the last digest" in daily


async def test_the_weekly_one_can_be_set_and_left_out(database: Database) -> None:
    assert DigestPart(cron="*/15 7-9 * * *").every_week == "0 7 * * 1"
    assert DigestPart(cron="0 17,9 * * *").every_week == "0 9 * * 1"
    assert DigestPart(weekly="0 17 * * 5").every_week == "0 17 * * 5"
    assert DigestPart(weekly="Never").every_week is None
    assert DigestPart(timezone="europe/berlin").timezone == "Europe/Berlin"
    clock = HastyClock(MONDAY - 2 * DAY)
    process = poster(database, clock, weekly="never")
    await process.post_what_is_due()
    await clock.sleep((9 * DAY).total_seconds())
    assert await process.post_what_is_due() == ["daily digest"]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 3, 29, 12, 0, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),  # the hour is skipped
        (datetime(2026, 10, 25, 12, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # and comes twice
        (datetime(2026, 11, 25, 1, 29, tzinfo=UTC), datetime(2026, 11, 24, 1, 30, tzinfo=UTC)),
    ],
)
def test_it_fires_as_cron_does_where_clocks_are_changed(now: datetime, due: datetime) -> None:
    assert newest_firing("30 2 * * *", "Europe/Berlin", now) == due


def test_a_line_that_seldom_fires_is_found_too() -> None:
    assert newest_firing("0 0 1 1 *", "UTC", MONDAY) == datetime(2026, 1, 1, tzinfo=UTC)
