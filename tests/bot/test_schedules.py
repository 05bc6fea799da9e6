"""Schedules, from what is typed to what runs when: the clock is set, on both databases."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from bot import schedules as desk
from runbooks.catalog import Catalog
from runbooks.schedules import Timer
from safety.approval import Demands, parse_demand
from safety.review import Policy
from safety.roles import Can, People, Role
from safety.token_bucket import Limits, parse_rate
from storage import inbox, schedules
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted, TooLate
from storage.records import Caps, Danger, FiringOutcome, Origin, Received, RunRequest, Schedule, State
from tests.bot.nights import OURS, a_night, at
from tests.bot.test_incidents import AlreadyDoneError, a_request, once
from tests.builders import ALICE, BOB, CAROL, DAVE, ROLES, commands_of, hosts
from tests.fakes import Reply

NIGHTLY = 'schedule "0 2 * * *" tidy logs on web-01 as "nightly tidy"'
FIRED, MISSED, SKIPPED, REFUSED = (
    FiringOutcome.FIRED,
    FiringOutcome.MISSED,
    FiringOutcome.SKIPPED,
    FiringOutcome.REFUSED,
)


# --- firing -----------------------------------------------------------------------------------------------------------


async def test_a_schedule_runs_at_its_time_as_who_made_it(database: Database) -> None:
    async with a_night(database) as night:
        told = await night.says(NIGHTLY, by=CAROL)
        assert "*nightly tidy* (#1): At 02:00 every day (UTC)" in told

        await night.comes("2026-11-22 01:59:59")
        assert await night.executions() == []
        await night.comes("2026-11-22 02:00")
        ended = await night.last()
        await night.comes("2026-11-22 02:00:01")

        assert (ended.state, ended.actor.id, ended.origin) == (State.SUCCEEDED, "UCAROL", Origin.SCHEDULE)
        assert (ended.runbook, ended.hosts, ended.channel) == ("tidy", ("web-01",), "C0INC")
        assert ended.reason == "scheduled as 'nightly tidy' for 2026-11-22 02:00 UTC"
        assert len(await night.executions()) == 1
        assert (await night.schedule("nightly tidy")).next_at == at("2026-11-23 02:00")
        [firing] = await night.firings("nightly tidy")
        assert (firing.outcome, firing.execution_id) == (FIRED, ended.id)
        [entry] = await night.audited("schedule.fired")
        assert (entry.actor, entry.origin, entry.execution_id) == ("UCAROL", "schedule", ended.id)


@pytest.mark.parametrize(
    ("line", "from_", "moments"),
    [
        # Berlin, 29 March 2026: 02:00 to 03:00 does not exist, so that what was due then runs when it is 03:00.
        ("30 2 * * *", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        # Berlin, 25 October 2026: 02:00 to 03:00 comes twice, and what is due then runs the first time only.
        ("30 2 * * *", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        # What runs every hour follows the hours as they come.
        ("0 * * * *", "2026-10-24 23:30", ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"]),
    ],
)
async def test_a_clock_that_is_set_forward_or_back_loses_and_repeats_nothing(
    sqlite: Database, line: str, from_: str, moments: list[str]
) -> None:
    async with a_night(sqlite, from_) as night:
        await night.says(f'schedule "{line}" tidy logs on web-01 tz Europe/Berlin as "x"')
        while night.clock.now() < at(moments[-1]):
            await night.passes(minutes=15)
            if night.house.engine.walks or await night.executions():
                await night.last()
        fired = [firing.due_at for firing in await night.firings("x")]
        assert fired == [at(text) for text in moments]
        assert len(await night.executions()) == len(moments)


async def test_one_that_came_due_in_a_restart_runs_once(database: Database) -> None:
    async with a_night(database) as night:
        await night.says('schedule "*/10 * * * *" tidy logs on web-01 as "often"')
        await night.house.die()
    async with a_night(database, "2026-11-21 12:45") as night:
        await night.timer.look()
        await night.last()
        await night.timer.look()

        made = await night.executions()
        assert [one.reason for one in made] == ["scheduled as 'often' for 2026-11-21 12:40 UTC"]
        missed, fired = await night.firings("often")
        assert (missed.outcome, missed.due_at, missed.count) == (MISSED, at("2026-11-21 12:10"), 3)
        assert missed.last_due == at("2026-11-21 12:30")
        assert (fired.outcome, fired.due_at) == (FIRED, at("2026-11-21 12:40"))
        [lost] = night.lost
        assert lost.caught_up
        assert "missed 3 moments" in desk.lost(lost).text


async def test_what_is_too_late_to_catch_up_with_is_missed_and_told(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        await night.comes("2026-11-22 03:00:01")

        assert await night.executions() == []
        [firing] = await night.firings("nightly tidy")
        assert (firing.outcome, firing.reason) == (MISSED, "nothing could start it within 1 h")
        assert (await night.schedule("nightly tidy")).next_at == at("2026-11-23 02:00")
        [lost] = night.lost
        assert desk.lost(lost).text.startswith("Schedule nightly tidy missed <!date^")
        [entry] = await night.audited("schedule.missed")
        assert (entry.actor, entry.data["due"]) == ("handrail", "2026-11-22T02:00:00+00:00")

        await night.comes("2026-11-23 03:00")
        assert (await night.last()).state is State.SUCCEEDED  # just within the window


async def test_years_of_minutes_are_missed_quickly(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says('schedule "* * * * *" tidy logs on web-01 as "busy"')
        await night.comes("2029-11-21 12:00:30")
        await night.last()
        missed, fired = await night.firings("busy")
        assert missed.count >= 1_000
        assert missed.last_due == at("2029-11-21 11:59")
        assert fired.due_at == at("2029-11-21 12:00")


async def test_two_replicas_fire_once(migrated_url: str) -> None:
    first, second = Database(migrated_url), Database(migrated_url)
    await first.start()
    await second.start()
    try:
        async with a_night(first) as one, a_night(second) as other:
            for number in range(8):
                await one.says(f'schedule "0 2 * * *" tidy logs{number} on web-01 as "s{number}"')
            one.clock.set_to = other.clock.set_to = at("2026-11-22 02:00")
            await asyncio.gather(*(night.timer.look() for night in (one, other, one, other)))
            made = await one.executions()
            assert sorted(str(x.params["place"]) for x in made) == [f"logs{number}" for number in range(8)]
            assert len(await one.audited("schedule.fired")) == 8
    finally:
        await first.close()
        await second.close()


async def test_one_that_is_replaced_does_not_fire_for_the_same_moment_again(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        await night.comes("2026-11-22 02:00")
        await night.last()
        night.clock.set_to = at("2026-11-22 01:59:58")  # another machine's clock is behind
        await night.says(NIGHTLY.replace("logs", "mail"))
        await night.comes("2026-11-22 02:00:02")
        assert len(await night.executions()) == 1
        assert (await night.schedule("nightly tidy")).next_at == at("2026-11-23 02:00")


async def test_a_paused_one_does_not_run_and_misses_nothing(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        assert await night.says("schedule pause nightly tidy", by=CAROL) == "'nightly tidy' was paused."
        await night.comes("2026-11-22 02:00")
        await night.comes("2026-11-23 02:00")
        assert (await night.executions(), await night.firings("nightly tidy"), night.lost) == ([], [], [])
        assert "*paused* since" in await night.says("schedule list")

        night.clock.set_to = at("2026-11-23 12:00")
        assert await night.says('schedule resume "Nightly  Tidy"') == "'nightly tidy' was resumed."
        await night.comes("2026-11-24 02:00")
        assert (await night.last()).state is State.SUCCEEDED
        kinds = [kind for kind in ("schedule.made", "schedule.paused", "schedule.resumed") if await night.audited(kind)]
        assert len(kinds) == 3


async def test_a_deleted_one_is_gone(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        assert await night.says("schedule delete #1") == "'nightly tidy' was deleted."
        await night.comes("2026-11-22 02:00")
        assert await night.executions() == []
        with pytest.raises(NotFound, match="no schedule 'nightly tidy'"):
            await night.says("schedule show nightly tidy")
        [entry] = await night.audited("schedule.deleted")
        assert (entry.actor, entry.data["text"]) == ("UALICE", "tidy logs on web-01")


async def test_one_whose_moment_is_read_while_it_is_deleted_does_not_run(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        read = await night.schedule("nightly tidy")
        await night.says("schedule delete nightly tidy")
        await night.timer._attend(read, at("2026-11-22 02:00"))
        assert await night.executions() == []


async def test_a_host_that_is_gone_is_told(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
    async with a_night(database, inventory=hosts("web-02")) as night:
        await night.comes("2026-11-22 02:00")
        assert await night.executions() == []
        [firing] = await night.firings("nightly tidy")
        assert firing.outcome is REFUSED
        assert "web-01" in str(firing.reason)
        [lost] = night.lost
        assert "did not run at" in desk.lost(lost).text
        assert (await night.audited("schedule.refused"))[0].data["reason"] == firing.reason
        assert "It would not run now" in await night.says("schedule show nightly tidy")


def now_with(roles: dict[str, Role]) -> Callable[[Policy], Policy]:
    """Other roles than at first."""

    def change(policy: Policy) -> Policy:
        return replace(policy, people=People(roles=roles, emergency=frozenset({"UALICE"})))

    return change


@pytest.mark.parametrize(
    ("role", "why"), [(None, "who made it, may not have it run any more"), (Role.NOC, "schedules.manage")]
)
async def test_who_lost_the_right_has_nothing_run(database: Database, role: Role | None, why: str) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY, by=CAROL)
    roles = {name: one for name, one in ROLES.items() if name != "UCAROL"} | ({"UCAROL": role} if role else {})
    async with a_night(database, change=now_with(roles)) as night:
        await night.comes("2026-11-22 02:00")
        assert await night.executions() == []
        [firing] = await night.firings("nightly tidy")
        assert firing.outcome is REFUSED
        assert why in str(firing.reason)
        [entry] = await night.audited("schedule.refused")
        assert (entry.actor, entry.origin) == ("UCAROL", "schedule")
        assert "<@UCAROL>" in str(desk.lost(night.lost[0]).blocks)
        assert (await night.schedule("nightly tidy")).next_at == at("2026-11-23 02:00")


async def test_who_may_schedule_but_not_run_any_more_is_refused_by_the_gate(sqlite: Database) -> None:
    def change(policy: Policy) -> Policy:
        from safety.roles import PERMISSIONS, Permission

        less = PERMISSIONS[Role.MANAGER] - {Permission.EXECUTE}
        return replace(policy, people=replace(policy.people, permissions={**PERMISSIONS, Role.MANAGER: less}))

    async with a_night(sqlite) as night:
        await night.says(NIGHTLY, by=CAROL)
    async with a_night(sqlite, change=change) as night:
        await night.comes("2026-11-22 02:00")
        assert await night.executions() == []
        [firing] = await night.firings("nightly tidy")
        assert "by the permission gate" in str(firing.reason)
        assert [e.actor for e in await night.audited("decision.refuse")] == ["UCAROL"]


@dataclass
class Groups:
    """Who is in S0OPS, once it is known."""

    members: frozenset[str] | None = None

    def groups_of(self, person: str) -> frozenset[str]:
        """That one."""
        return frozenset({"S0OPS"} if person in (self.members or ()) else ())

    def members_of(self, group: str) -> frozenset[str] | None:
        """As far as known."""
        return self.members


async def test_while_slack_does_not_tell_who_is_in_a_group_nobody_has_lost_a_right(sqlite: Database) -> None:
    groups = Groups(frozenset({"UERIN"}))

    def change(policy: Policy) -> Policy:
        return replace(now_with({"UALICE": Role.ADMIN, "S0OPS": Role.MANAGER})(policy), directory=groups)

    async with a_night(sqlite, change=change) as night:
        await night.says(NIGHTLY, by=replace(CAROL, id="UERIN"))
        groups.members = None
        await night.comes("2026-11-22 02:00")
        assert (await night.executions(), await night.firings("nightly tidy")) == ([], [])
        groups.members = frozenset({"UERIN"})
        await night.comes("2026-11-22 02:20")
        assert (await night.last()).state is State.SUCCEEDED
        groups.members = frozenset()
        await night.comes("2026-11-23 02:00")
        assert (await night.firings("nightly tidy"))[-1].outcome is REFUSED


async def test_can_limits_what_somebody_may_schedule_and_change(sqlite: Database) -> None:
    def change(policy: Policy) -> Policy:
        can = {"UCAROL": (Can(rule="roles:UCAROL can", hosts=("web-02",)),)}
        return replace(policy, people=replace(policy.people, can=can))

    async with a_night(sqlite, change=change) as night:
        with pytest.raises(NotPermitted, match="roles:UCAROL can"):
            await night.says(NIGHTLY, by=CAROL)
        await night.says(NIGHTLY)
        for text in ("schedule delete nightly tidy", "schedule pause 1", NIGHTLY.replace("web-01", "web-02")):
            with pytest.raises(NotPermitted):
                await night.says(text, by=CAROL)
        await night.says('schedule "0 2 * * *" tidy logs on web-02 as "mine"', by=CAROL)
        await night.says("schedule delete mine", by=CAROL)


async def test_what_still_runs_is_not_begun_again(database: Database) -> None:
    reply = Reply(hangs=True)
    async with a_night(database, reply=reply) as night:
        await night.says('schedule "*/10 * * * *" tidy logs on web-01 as "often"')
        await night.comes("2026-11-21 12:10")
        first = await night.last(State.RUNNING)
        await night.comes("2026-11-21 12:20")

        assert len(await night.executions()) == 1
        fired, skipped = await night.firings("often")
        assert (fired.outcome, skipped.outcome) == (FIRED, SKIPPED)
        assert skipped.reason == f"#{first.id} of it has not ended"
        assert "did not run at" in desk.lost(night.lost[0]).text
        assert len(await night.audited("schedule.skipped")) == 1

        reply.release.set()
        await night.last()
        await night.comes("2026-11-21 12:30")
        assert len(await night.executions()) == 2


async def test_the_same_asked_for_by_hand_is_not_begun_again(sqlite: Database) -> None:
    async with a_night(sqlite, reply=Reply(hangs=True)) as night:
        await night.says(NIGHTLY)
        night.clock.set_to = at("2026-11-22 01:59")
        await night.says("tidy logs on web-01")
        await night.last(State.RUNNING)
        await night.comes("2026-11-22 02:00")
        [firing] = await night.firings("nightly tidy")
        assert (firing.outcome, len(await night.executions())) == (SKIPPED, 1)
        assert "asked for by hand" in str(firing.reason)


# --- tokens -----------------------------------------------------------------------------------------------------------


def limited(**rates: str) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        limits = Limits(**{name: (parse_rate(text),) for name, text in rates.items()})
        return replace(policy, limits=limits)

    return change


@pytest.mark.parametrize(("bucket", "runbook"), [("runbook", "tidy"), ("look", "peer")])
async def test_a_schedule_waits_for_a_token_where_a_person_is_refused(
    database: Database, bucket: str, runbook: str
) -> None:
    async with a_night(database, change=limited(**{bucket: "1/min"})) as night:
        await night.says(NIGHTLY.replace('" tidy', f'" {runbook}'))
        night.clock.set_to = at("2026-11-22 01:59:30")
        await night.says(f"{runbook} mail on web-02")
        assert (await night.last()).state is State.SUCCEEDED
        await night.says(f"{runbook} more on web-02")
        assert (await night.last()).state is State.REFUSED

        await night.comes("2026-11-22 02:00")
        waiting = (await night.executions())[-1]
        async with asyncio.timeout(10):
            while not (waiting := await night.house.get(waiting.id)).note:
                await asyncio.sleep(0.02)
        assert "waiting for a token of limits:" in str(waiting.note)
        assert "until 03:00 UTC at the latest" in str(waiting.note)
        await asyncio.sleep(0.3)
        assert (await night.house.get(waiting.id)).state is State.PENDING
        assert len(await night.audited("schedule.waits")) == 1  # however often it was asked about

        night.clock.set_to = at("2026-11-22 02:00:31")
        assert (await night.last()).state is State.SUCCEEDED


async def test_a_schedule_waits_for_no_token_that_comes_too_late(sqlite: Database) -> None:
    async with a_night(sqlite, change=limited(runbook="1/day")) as night:
        await night.says(NIGHTLY)
        night.clock.set_to = at("2026-11-22 01:59:30")
        await night.says("tidy mail on web-02")
        await night.last()
        await night.comes("2026-11-22 02:00")
        ended = await night.last()
        assert ended.state is State.REFUSED
        assert "by the rate limits gate" in str(ended.ending)


async def test_what_waits_for_a_token_can_be_cancelled(sqlite: Database) -> None:
    async with a_night(sqlite, change=limited(runbook="1/min")) as night:
        await night.says(NIGHTLY)
        night.clock.set_to = at("2026-11-22 01:59:30")
        await night.says("tidy mail on web-02")
        await night.last()
        await night.comes("2026-11-22 02:00")
        waiting = (await night.executions())[-1]
        async with asyncio.timeout(10):
            while not (await night.house.get(waiting.id)).note:
                await asyncio.sleep(0.02)
        await night.house.engine.cancel(waiting.id, ALICE)
        assert (await night.last()).state is State.CANCELLED


async def test_a_full_queue_makes_a_schedule_wait(sqlite: Database) -> None:
    async with a_night(sqlite, caps=Caps(waiting=1, overall=1), reply=Reply(hangs=True)) as night:
        await night.says(NIGHTLY)
        await night.says("tidy mail on web-02")
        await night.last(State.RUNNING)
        await asyncio.sleep(1.1)  # how many wait is counted once a second
        await night.says("tidy more on web-02")
        await night.comes("2026-11-22 02:00")
        assert await night.firings("nightly tidy") == []
        assert (await night.schedule("nightly tidy")).next_at == at("2026-11-22 02:00")
        await night.comes("2026-11-22 03:01")
        [firing] = await night.firings("nightly tidy")
        assert firing.outcome is MISSED


# --- consent ----------------------------------------------------------------------------------------------------------

SCRUB = 'schedule "0 2 * * *" scrub logs on web-01,web-02 as "scrub"'


async def test_a_dangerous_one_waits_for_somebody_each_time(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        told = await night.says(SCRUB)
        assert "waits for the consent of somebody else" in told
        assert "/runbook schedule approve 1 limit=20" in told
        for day in (22, 23):
            await night.comes(f"2026-11-{day} 02:00")
            waiting = await night.last(State.AWAITING_APPROVAL)
            await night.house.engine.approve(waiting.id, CAROL)
            assert (await night.last()).state is State.SUCCEEDED


async def test_with_a_standing_approval_it_runs_by_itself(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(SCRUB)
        told = await night.approves("scrub", 4, by=CAROL)
        assert told == "'scrub' has a standing approval, for 4 changing steps at most, on 2 hosts."
        assert "Standing approval by <@UCAROL>" in await night.says("schedule show scrub")

        await night.comes("2026-11-22 02:00")
        ended = await night.last()
        assert ended.state is State.SUCCEEDED
        allowed = [e for e in await night.audited("decision.allow") if e.execution_id == ended.id][-1]
        verdict = next(v for v in allowed.data["verdicts"] if v["gate"] == "approval")
        assert verdict["rule"] == "standing approval:1"
        assert "UCAROL" in verdict["reason"]
        [given] = await night.audited("schedule.approved")
        assert given.data["hosts"] == ["web-01", "web-02"]
        assert given.data["changes"] == 4

        # Somebody who asks for the same by hand is asked about.
        await night.says("schedule run scrub", by=ALICE)
        assert (await night.last(State.AWAITING_APPROVAL)).origin is Origin.COMMAND


async def test_a_plan_beyond_the_stated_limit_is_asked_about(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 3, by=CAROL)
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        assert "it holds for 3 changing steps at most, and this plan has 4" in str(waiting.note)


async def test_who_made_it_cannot_approve_it_for_good(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB, by=CAROL)
        for by, why in ((CAROL, "somebody else must approve"), (BOB, "may not approve"), (DAVE, "may not")):
            with pytest.raises(NotPermitted, match=why):
                await night.approves("scrub", 4, by=by)
        assert [e.actor for e in await night.audited("schedule.approval_refused")] == ["UCAROL", "UBOB"]
        assert "limit=10 mark=" in await night.says("schedule approve scrub", by=ALICE)
        await night.comes("2026-11-22 02:00")
        await night.last(State.AWAITING_APPROVAL)
        shown = await night.says("schedule approve scrub", by=ALICE)
        assert "`scrub` (dangerous), code `test`, with place=logs" in shown
        assert "on 2 hosts: web-01 and web-02" in shown
        assert "had 4" in shown
        assert "limit=4 mark=" in shown


async def test_a_standing_approval_is_of_what_was_shown(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB, by=CAROL)
        shown = await night.says("schedule approve scrub limit=4", by=ALICE)
        yes = shown[shown.index("schedule approve 1") :].rstrip("`")
        with pytest.raises(TooLate, match="the limit is another"):
            await night.says(yes.replace("limit=4", "limit=400"), by=ALICE)
        await night.says(SCRUB.replace("logs", "everything"), by=CAROL)
        with pytest.raises(TooLate, match="is not what that mark was shown for"):
            await night.says(yes, by=ALICE)
        assert await sqlite.read(schedules.standing, 1) is None


def other_code(catalog: Catalog) -> Catalog:
    changed = replace(catalog.entries["scrub"], module_hash="another")
    return replace(catalog, entries={**catalog.entries, "scrub": changed})


async def test_other_code_voids_a_standing_approval(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
    async with a_night(database, catalog=other_code(OURS)) as night:
        assert "it holds no more" in await night.says("schedule show scrub")
        await night.comes("2026-11-22 02:00")
        assert (await night.last(State.AWAITING_APPROVAL)).state is State.AWAITING_APPROVAL
        assert "has no standing approval any more" in night.changes[-1]
        [entry] = await night.audited("schedule.approval_void")
        assert entry.actor == "handrail"
    async with a_night(database, "2026-11-22 03:00") as night:  # the code is what it was: it stays void
        await night.house.engine.expire_approvals()
        await night.comes("2026-11-23 02:00")
        await night.last(State.AWAITING_APPROVAL)


@pytest.mark.parametrize(
    "again",
    [
        SCRUB.replace("logs", "mail"),
        SCRUB.replace("web-01,web-02", "web-01"),
        SCRUB.replace("scrub logs", "sweep logs"),
        SCRUB.replace("0 2", "0 3"),
        SCRUB,
    ],
)
async def test_any_change_voids_a_standing_approval(sqlite: Database, again: str) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
        await night.says(again)
        assert len(await night.audited("schedule.approval_void")) == 1
        assert "no standing approval" in await night.says("schedule show scrub")


async def test_hosts_that_a_tag_means_by_now_void_a_standing_approval(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says('schedule "0 2 * * *" scrub logs on tag:web as "scrub"')
        await night.approves("scrub", 40, by=CAROL)
    async with a_night(sqlite, inventory=hosts("web-01", "web-02", "web-03")) as night:
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        assert len(waiting.hosts) == 3
        assert len(await night.audited("schedule.approval_void")) == 1


async def test_a_standing_approval_can_be_revoked(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
        with pytest.raises(NotPermitted):
            await night.says("schedule revoke scrub", by=BOB)
        assert "is revoked" in await night.says("schedule revoke scrub", by=CAROL)
        assert "has no standing approval" in await night.says("schedule revoke scrub", by=CAROL)
        await night.comes("2026-11-22 02:00")
        await night.last(State.AWAITING_APPROVAL)
        assert [e.actor for e in await night.audited("schedule.approval_void")] == ["UCAROL"]


async def test_one_revoked_while_its_execution_is_planned_does_not_count(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
        await night.house.die()
        await night.comes("2026-11-22 02:00")
        await night.says("schedule revoke scrub", by=CAROL)
        night.house.running.append(asyncio.create_task(night.house.owner.run()))
        await night.last(State.AWAITING_APPROVAL)


async def test_who_may_approve_no_more_has_approved_nothing(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
    roles = {**ROLES, "UCAROL": Role.NOC, "UERIN": Role.MANAGER}
    async with a_night(sqlite, change=now_with(roles)) as night:
        assert ":warning: Standing approval by <@UCAROL>" in (shown := await night.says("schedule show scrub"))
        assert "still needed: somebody else" in shown
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        assert "still needed is somebody else" in str(waiting.note)


async def test_where_two_are_asked_for_both_must_approve_for_good(sqlite: Database) -> None:
    def change(policy: Policy) -> Policy:
        demands = Demands(dangers={Danger.DANGEROUS: parse_demand("2")})
        people = People(roles={**ROLES, "UERIN": Role.MANAGER}, emergency=frozenset({"UALICE"}))
        return replace(policy, demands=demands, people=people)

    erin = replace(CAROL, id="UERIN", name="erin")
    async with a_night(sqlite, change=change) as night:
        await night.says(SCRUB)
        assert "Still needed: somebody else" in await night.approves("scrub", 4, by=CAROL)
        assert "still needed: somebody else" in await night.says("schedule show scrub")
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        await night.house.engine.deny(waiting.id, CAROL)
        told = await night.approves("scrub", 4, by=erin)
        assert told == "'scrub' has a standing approval, for 4 changing steps at most, on 2 hosts."
        assert ":warning:" not in await night.says("schedule show scrub")
        await night.comes("2026-11-23 02:00")
        assert (await night.last()).state is State.SUCCEEDED


async def test_what_is_only_to_be_confirmed_can_be_confirmed_for_good_by_who_made_it(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says('schedule "0 2 * * *" sweep logs on web-01 as "sweep"')
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        await night.house.engine.approve(waiting.id, ALICE)
        await night.last()
        await night.approves("sweep", 2, by=ALICE)
        assert ":warning:" not in await night.says("schedule show sweep")
        await night.comes("2026-11-23 02:00")
        assert (await night.last()).state is State.SUCCEEDED


async def test_a_confirmation_for_good_of_who_may_approve_no_more_is_shown_as_none(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says('schedule "0 2 * * *" sweep logs on web-01 as "sweep"')
        await night.approves("sweep", 2, by=CAROL)
        assert ":warning:" not in await night.says("schedule show sweep")
    async with a_night(sqlite, change=now_with({**ROLES, "UCAROL": Role.NOC})) as night:
        assert "still needed: a confirmation" in await night.says("schedule show sweep")
        await night.comes("2026-11-22 02:00")
        waiting = await night.last(State.AWAITING_APPROVAL)
        assert "who gave it may not approve any more" in str(waiting.note)


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_change_that_is_taken_up_again_changes_nothing(database: Database) -> None:
    async with a_night(database) as night:
        commands = commands_of(night.house.engine)
        await night.says(SCRUB)
        await night.says("schedule pause scrub")
        shown = await night.says("schedule approve scrub limit=4", by=CAROL)
        yes = shown[shown.index("schedule approve 1") :].rstrip("`")

        async def does(received: Received) -> None:
            await commands.answer(received, origin=Origin.COMMAND, handled=once(received))

        for text, by, meanwhile in (
            ("schedule resume scrub", ALICE, "schedule pause scrub"),
            ("schedule pause scrub", ALICE, "schedule resume scrub"),
            (yes, CAROL, "schedule revoke scrub"),
            ("schedule revoke scrub", CAROL, None),
            ("schedule delete scrub", ALICE, None),
        ):
            received = a_request(text, by=by, command="/runbook")
            assert await database.write(inbox.receive, received)
            await does(received)
            assert await database.read(inbox.unhandled) == [], text  # a delete finds nothing to be done twice
            if meanwhile is not None:
                await night.says(meanwhile)
                before = await database.read(schedules.find, "scrub"), await database.read(schedules.standing, 1)
                with pytest.raises(AlreadyDoneError):
                    await does(received)
                after = await database.read(schedules.find, "scrub"), await database.read(schedules.standing, 1)
                assert after == before


async def test_what_waits_for_nobody_needs_no_standing_approval(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        with pytest.raises(Invalid, match="waits for nobody's approval"):
            await night.says("schedule approve nightly tidy limit=4", by=CAROL)


async def test_a_kill_switch_stops_what_has_a_standing_approval(sqlite: Database) -> None:
    from storage.records import Scope

    async with a_night(sqlite) as night:
        await night.says(SCRUB)
        await night.approves("scrub", 4, by=CAROL)
        await night.house.engine.engage(scope=Scope.GLOBAL, subject="", actor=BOB)
        await night.comes("2026-11-22 02:00")
        assert (await night.last()).state is State.REFUSED


# --- making -----------------------------------------------------------------------------------------------------------


async def test_only_who_may_both_schedule_and_run_it_makes_one(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        for by in (BOB, DAVE):
            with pytest.raises(NotPermitted):
                await night.says(NIGHTLY, by=by)
            with pytest.raises(NotPermitted):
                await night.says("schedule delete 1", by=by)
        await night.says(NIGHTLY)
        assert "nightly tidy" in await night.says("schedule list", by=BOB)
        for action in ("pause", "resume", "delete"):
            with pytest.raises(NotPermitted):
                await night.says(f"schedule {action} nightly tidy", by=BOB)
        with pytest.raises(NotPermitted):
            await night.says("schedule list", by=DAVE)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('schedule "0 2 * *" tidy logs on web-01', ""),
        ('schedule "61 2 * * *" tidy logs on web-01', "bad minute"),
        ('schedule "0 0 31 2 *" tidy logs on web-01', "never comes"),
        ('schedule "0 0 */31 * mon#5" tidy logs on web-01', "never comes"),
        ("schedule @reboot tidy logs on web-01", "@reboot is no time"),
        ("schedule @fortnightly tidy logs on web-01", "is none of"),
        ('schedule "0 2 * * *" tidy logs on web-01 tz Europe/Berln', "Did you mean Europe/Berlin"),
        ('schedule "0 2 * * *" tidy logs on web-01 tz ../../etc/passwd', ""),
        ('schedule "0 2 * * *" tidy logs on web-09', "web-09"),
        ('schedule "0 2 * * *" tidy on web-01', "place"),
        ('schedule "0 2 * * *" nothing on web-01', "nothing"),
    ],
)
async def test_what_makes_no_sense_is_not_scheduled(sqlite: Database, text: str, error: str) -> None:
    async with a_night(sqlite) as night:
        try:
            said = await night.says(text)
        except (Invalid, NotFound) as refused:
            said = refused.message
        assert error in said
        assert "There are no schedules yet" in await night.says("schedule list")


async def test_one_without_a_name_gets_one(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        for place in ("a", "b"):
            await night.says(f"schedule @daily tidy {place} on web-01")
        assert [one.name for one in await sqlite.read(schedules.every)] == ["tidy", "tidy-2"]
        assert [one.name for one in await sqlite.read(schedules.upcoming, limit=1)] == ["tidy"]


async def test_a_schedule_tells_its_next_five_moments_in_its_own_time_and_the_readers(sqlite: Database) -> None:
    async with a_night(sqlite, "2026-10-23 12:00") as night:
        told = await night.says('schedule "30 9 * * mon-fri" tidy logs on web-01 tz europe/berlin as "x"')
        assert "At 09:30 on Monday through Friday (Europe/Berlin)" in told
        shown = [line for line in told.splitlines() if line.startswith("• <!date^")]
        assert len(shown) == 5
        # Before the clock is set back it is 08:30 in UTC, after that 07:30 would be an hour too early.
        assert "2026-10-26 08:30 UTC>" in shown[0]
        assert "(Mon 2026-10-26 09:30 Europe/Berlin)" in shown[0]


@pytest.mark.parametrize("name", ["nächtliche Bereinigung", "a_b.c:d/e-f", "ABC 123", "x" * 64, "*bold* not"][:4])
async def test_a_name_is_found_however_it_is_typed(sqlite: Database, name: str) -> None:
    async with a_night(sqlite) as night:
        await night.says(f'schedule @daily tidy logs on web-01 as "{name}"')
        assert (await night.schedule(name.upper())).name == name
        assert name in await night.says(f'schedule show "{name}"')
        assert "was deleted" in await night.says(f"schedule delete {name}")


@pytest.mark.parametrize(
    "name",
    [
        "<!channel>",
        "&lt;!here&gt;",
        "a`b",
        "a*b",
        "12",
        "#12",
        "x" * 65,
        "a\u202eb",
        "list",
        "~a~",
        "a\nb",
        "a|b",
        "@bob",
    ],
)
async def test_a_hostile_name_is_no_name(sqlite: Database, name: str) -> None:
    async with a_night(sqlite) as night:
        said = await night.says(f'schedule @daily tidy logs on web-01 as "{name}"')
        assert await sqlite.read(schedules.every) == [], said


async def test_a_hostile_request_pings_nobody(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says('schedule @daily tidy "`&lt;!channel&gt; *x* <@UBOB>" on web-01 as "x"')
        [event] = [e for e in night.house.reporter.events if type(e).__name__ == "ScheduleChanged"]
        for text in (str(desk.changed(event).payload()), await night.says("schedule list")):
            assert "<!channel>" not in text
            assert "<@UBOB>" not in text
        await night.comes("2026-11-22 00:00")
        assert (await night.last()).params["place"] == "`<!channel> *x* UBOB"


async def test_what_is_told_of_a_lost_moment_mentions_nobody_but_its_maker(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
    async with a_night(sqlite, inventory=hosts("web-02")) as night:
        await night.comes("2026-11-22 02:00")
        [lost] = night.lost
        forged = replace(lost, firing=replace(lost.firing, reason="No host matches '<@UBOB>' of <@UALICE>"))
        assert "<@UBOB>" not in str(desk.lost(forged).payload())
        assert "of <@UALICE>" in desk.lost(forged).text


async def test_what_cannot_be_read_any_more_is_paused_and_told_once(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        made = await night.schedule("nightly tidy")
        await sqlite.write(schedules.change, replace(made, timezone="Mars/Olympus"))
        await night.comes("2026-11-22 02:00")
        await night.comes("2026-11-23 02:00")
        stopped = await night.schedule("nightly tidy")
        assert (stopped.next_at, stopped.paused_by) == (None, "handrail")
        assert "Mars/Olympus" in desk.lost(night.lost[0]).text
        assert len(night.lost) == 1


async def test_a_fault_of_one_keeps_no_other_from_firing(sqlite: Database) -> None:
    def read(schedule: Schedule, due: datetime) -> RunRequest:
        if schedule.name == "a":
            raise RuntimeError("a fault")
        return desk.request_at(schedule, due)

    async with a_night(sqlite) as night:
        await night.says('schedule "0 2 * * *" tidy logs on web-01 as "a"')
        await night.says('schedule "0 2 * * *" tidy mail on web-02 as "b"')
        night.timer = Timer(night.house.engine, read=read)
        await night.comes("2026-11-22 02:00")
        assert (await night.last()).params["place"] == "mail"
        [firing] = await night.firings("a")
        assert (firing.outcome, firing.reason) == (REFUSED, "it could not be started; the log says why")
        assert (await night.schedule("a")).next_at == at("2026-11-23 02:00")


async def test_old_firings_are_forgotten_and_their_executions_stay(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        await night.comes("2026-11-22 02:00")
        await night.last()
        assert await sqlite.write(schedules.prune, before=at("2026-11-22 01:00")) == 0
        assert await sqlite.write(schedules.prune, before=at("2026-11-23 02:00")) == 1
        assert len(await night.executions()) == 1


# --- dying ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def undertaker() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that lets others die; it is slow to start."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bot.dying", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    yield started
    started.kill()
    await started.communicate()


@pytest.mark.parametrize("moment", ["claimed", "accepted", "committed"])
async def test_kill_9_around_a_firing_neither_loses_nor_repeats_it(
    migrated_url: str, moment: str, undertaker: asyncio.subprocess.Process
) -> None:
    database = Database(migrated_url)
    await database.start()
    try:
        async with a_night(database) as night:
            await night.says(NIGHTLY)
            await night.house.die()
            assert undertaker.stdin is not None
            assert undertaker.stdout is not None
            undertaker.stdin.write(f"{migrated_url} {moment}\n".encode())
            told = await asyncio.wait_for(undertaker.stdout.readline(), 60)
            assert told.decode().strip() == f"died of {signal.SIGKILL.value}"
            await night.comes("2026-11-22 02:00:05")
            await night.comes("2026-11-22 02:00:06")

            [made] = await night.executions()
            assert made.reason == "scheduled as 'nightly tidy' for 2026-11-22 02:00 UTC"
            [firing] = await night.firings("nightly tidy")
            assert (firing.outcome, firing.execution_id) == (FIRED, made.id)
            assert len(await night.audited("schedule.fired")) == 1
    finally:
        await database.close()
