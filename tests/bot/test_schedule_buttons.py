"""The buttons of schedules: who sees which, what each does once, and what a list that is old says."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.actions import Actions
from bot.blocks import Message
from bot.modals import Shown
from bot.schedules import SHOWN
from safety.review import Policy
from safety.roles import Can
from storage import executions, inbox, schedules
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted, TooLate
from storage.records import Actor, Origin, State
from tests.bot.nights import Night, a_night
from tests.bot.test_incidents import AlreadyDoneError, a_request, once
from tests.builders import ALICE, BOB, CAROL, commands_of, forms_of
from tests.fakes import FakeViews

NIGHTLY = 'schedule "0 2 * * *" tidy logs on web-01 as "nightly tidy"'


def actions_of(night: Night) -> Actions:
    """What hears clicks."""
    engine, views = night.house.engine, FakeViews(shows=Shown.NO)
    return Actions(engine, commands_of(engine), views, forms_of(engine, views))


async def asked(night: Night, text: str, *, by: Actor = ALICE) -> Message:
    """What is answered to `/runbook TEXT`, with its blocks."""
    received = a_request(text, by=by, command="/runbook")
    answer = await commands_of(night.house.engine).answer(
        received, origin=Origin.COMMAND, handled=lambda connection: None
    )
    assert answer is not None
    return answer


def buttons(message: Message) -> list[tuple[str, Mapping[str, Any]]]:
    """Their labels, in order."""
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return [(button["text"]["text"], button) for row in rows for button in row]


def labels(message: Message) -> list[str]:
    """The same, without what they do."""
    return [label for label, _ in buttons(message)]


async def press(night: Night, message: Message, label: str, *, by: Actor = ALICE) -> Message | None:
    """Click the first button of this label; what is answered."""
    button = dict(buttons(message))[label]
    received = a_request(button["action_id"], by=by, kind="click", value=button["value"])
    return await actions_of(night).answer(received)


async def test_each_schedule_has_the_buttons_of_what_whoever_looks_may_do(sqlite: Database) -> None:
    def change(policy: Policy) -> Policy:
        can = {"UCAROL": (Can(rule="roles:UCAROL can", hosts=("web-02",)),)}
        return replace(policy, people=replace(policy.people, can=can))

    async with a_night(sqlite, change=change) as night:
        assert labels(await asked(night, "schedule list")) == ["New schedule"]
        await night.says(NIGHTLY)
        await night.says("schedule @daily tidy logs on web-02 as other")
        every = ["Show", "Pause", "Run now", "Delete"]
        assert labels(await asked(night, "schedule list")) == [*every, *every, "New schedule"]
        assert labels(await asked(night, "schedule list", by=CAROL)) == ["Show", *every, "New schedule"]
        assert labels(await asked(night, "schedule list", by=BOB)) == ["Show", "Run now"] * 2
        assert labels(await asked(night, "schedule show other")) == every[1:]
        await night.says("schedule pause other")
        assert labels(await asked(night, "schedule show other")) == ["Resume", "Run now", "Delete"]


async def test_what_is_final_or_acts_on_hosts_is_asked_twice(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        shown = dict(buttons(await asked(night, "schedule list")))
        assert {label for label, button in shown.items() if "confirm" in button} == {"Run now", "Delete"}
        assert "nightly tidy" in shown["Delete"]["confirm"]["text"]["text"]
        assert shown["Delete"]["style"] == "danger"


async def test_buttons_do_what_is_typed_and_the_answer_offers_what_can_be_done_then(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        listed = await asked(night, "schedule list")
        paused = await press(night, listed, "Pause")
        assert paused is not None
        assert (paused.text, labels(paused)) == ("'nightly tidy' was paused.", ["Resume", "Run now", "Delete"])
        assert (await night.schedule("nightly tidy")).paused_by == "UALICE"
        again = await press(night, listed, "Pause")
        assert again is not None
        assert again.text == "'nightly tidy' is paused already."
        resumed = await press(night, paused, "Resume", by=CAROL)
        assert resumed is not None
        assert labels(resumed)[0] == "Pause"
        shown = await press(night, listed, "Show")
        assert shown is not None
        assert "*Next*" in shown.text
        gone = await press(night, listed, "Delete")
        assert gone is not None
        assert (gone.text, labels(gone)) == ("'nightly tidy' was deleted.", [])
        kinds = ("schedule.paused", "schedule.resumed", "schedule.deleted")
        found = [(await night.audited(kind))[0] for kind in kinds]
        assert [(one.actor, one.origin) for one in found] == [
            ("UALICE", "button"),
            ("UCAROL", "button"),
            ("UALICE", "button"),
        ]


async def test_run_now_is_a_request_of_whoever_pressed_it(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        assert await press(night, await asked(night, "schedule list", by=BOB), "Run now", by=BOB) is None
        ended = await night.last()
        assert (ended.state, ended.actor.id, ended.origin) == (State.SUCCEEDED, "UBOB", Origin.BUTTON)
        assert (ended.text, ended.channel) == ("tidy logs on web-01", "C0INC")


@pytest.mark.parametrize("label", ["Pause", "Run now", "Delete"])
async def test_a_button_of_an_old_list_does_nothing_to_what_was_put_in_its_place(sqlite: Database, label: str) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        old = await asked(night, "schedule list")
        await night.says(NIGHTLY.replace("logs", "mail"))
        with pytest.raises(TooLate, match="was replaced since, so nothing was done"):
            await press(night, old, label)
        assert (await night.schedule("nightly tidy")).paused_at is None
        assert await night.executions() == []
        await night.says("schedule delete nightly tidy")
        await night.says(NIGHTLY)  # under another number
        with pytest.raises(NotFound, match="no schedule '1'"):
            await press(night, old, label)
        assert len(await sqlite.read(schedules.every)) == 1


@pytest.mark.parametrize("label", ["Pause", "Delete"])
async def test_who_may_not_is_told_so_by_the_click(sqlite: Database, label: str) -> None:
    async with a_night(sqlite) as night:
        await night.says(NIGHTLY)
        with pytest.raises(NotPermitted):
            await press(night, await asked(night, "schedule list"), label, by=BOB)
        assert (await night.schedule("nightly tidy")).paused_at is None


async def test_a_click_that_is_taken_up_twice_acts_once(database: Database) -> None:
    async with a_night(database) as night:
        await night.says(NIGHTLY)
        shown = dict(buttons(await asked(night, "schedule list")))
        for label in ("Pause", "Run now", "Delete"):
            button = shown[label]
            received = a_request(button["action_id"], by=ALICE, kind="click", value=button["value"])
            assert await database.write(inbox.receive, received)
            await actions_of(night).answer(received, once(received))
            if label == "Pause":
                await night.says("schedule resume nightly tidy")
            if label == "Run now":
                await night.last()
            with pytest.raises((AlreadyDoneError, NotFound)):
                await actions_of(night).answer(received, once(received))
            assert await database.read(inbox.unhandled) == []
        assert len(await database.read(executions.newest, 5)) == 1
        assert len(await night.audited("schedule.paused")) == 1


async def test_a_value_that_is_none_of_ours_is_refused(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        with pytest.raises(Invalid, match="does not say which schedule"):
            await actions_of(night).answer(a_request("handrail:sched_delete", by=ALICE, kind="click", value="all"))


async def test_many_schedules_are_paged_by_buttons_that_keep_nothing(sqlite: Database) -> None:
    async with a_night(sqlite) as night:
        for number in range(SHOWN + 3):
            await night.says(f"schedule @daily tidy logs on web-01 as s{number:02}")
        first = await asked(night, "schedule list")
        assert labels(first)[-2:] == ["New schedule", "Next"]
        second = await press(night, first, "Next")
        assert second is not None
        assert second.replaces
        assert re.findall(r"\*(s\d\d)\*", second.text) == ["s10", "s11", "s12"]
        assert f"{SHOWN + 1} to {SHOWN + 3} of {SHOWN + 3} schedules" in str(second.blocks)
        assert labels(second)[-1] == "Previous"
