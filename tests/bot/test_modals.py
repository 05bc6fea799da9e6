"""Views shown through Slack's Web API, whatever it answers."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot import forms
from bot.filling import LOOK_PAUSES, TOLD_AFTER
from bot.modals import LONGEST_PAUSE, UPDATE_PAUSES, UPDATED_WITHIN, Modals, Shown, Sleep
from bot.playground.workspace import Workspace

PLANNING = forms.planning("The plan", ["web-01"], external_id="e1")


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """One without an app."""
    async with Workspace(rate_limits=False) as started:
        yield started


async def shown(workspace: Workspace, slept: list[float]) -> Modals:
    """Alice looks at a page that says the plan is being made."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    modals = modals_of(workspace, sleep)
    assert await modals.open(workspace.state.new_trigger("UALICE"), PLANNING) is Shown.YES
    return modals


def modals_of(workspace: Workspace, sleep: Sleep) -> Modals:
    """As the app would make them."""
    return Modals(AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[]), sleep)


async def test_a_page_takes_the_place_of_another_even_if_slack_puts_it_off_or_fails(workspace: Workspace) -> None:
    slept: list[float] = []
    modals = await shown(workspace, slept)
    workspace.faults.rate_limited(7, "views.update", times=1)
    workspace.faults.server_error("views.update", times=1)
    page = forms.note("The plan", "Here it is.", external_id="e1")
    assert await modals.update(page, external_id="e1") is Shown.YES
    assert slept == [7.0, 3.0]
    assert "Here it is." in workspace.read(workspace.views("alice")[0])


async def test_a_page_that_was_closed_is_left_alone(workspace: Workspace) -> None:
    """After a while, where it may not be there yet; at once, where it was."""
    slept: list[float] = []
    modals = await shown(workspace, slept)
    [view] = workspace.views("alice")
    await workspace.close_view("alice")
    assert await modals.update(forms.note("The plan", "Here it is."), view_id=view.id) is Shown.NO
    assert slept == []
    assert await modals.update(forms.note("The plan", "Here it is."), external_id="e1") is Shown.NO
    assert slept == list(UPDATE_PAUSES)


async def test_a_page_that_slack_shows_after_the_plan_was_made_is_found(workspace: Workspace) -> None:
    """What an acknowledgement pushes is shown when Slack comes to it, and a plan may be quicker."""

    async def sleep(seconds: float) -> None:
        assert await modals.open(workspace.state.new_trigger("UALICE"), PLANNING) is Shown.YES

    modals = modals_of(workspace, sleep)
    page = forms.note("The plan", "Here it is.", external_id="e1")
    assert await modals.update(page, external_id="e1") is Shown.YES
    assert "Here it is." in workspace.read(workspace.views("alice")[0])


async def test_who_waits_for_slack_waits_for_a_while_only(workspace: Workspace) -> None:
    slept: list[float] = []
    modals = await shown(workspace, slept)
    workspace.faults.rate_limited(3_600, "views.update")
    assert await modals.update(forms.note("The plan", "Here it is."), external_id="e1") is Shown.UNSURE
    assert slept == [LONGEST_PAUSE] * 2


async def test_a_look_waits_for_slack_for_minutes_and_less_than_the_person_is_told_after(workspace: Workspace) -> None:
    slept: list[float] = []
    modals = await shown(workspace, slept)
    workspace.faults.server_error("views.update", status=503, times=len(LOOK_PAUSES))
    page = forms.note("The plan", "Here it is.", external_id="e1")
    assert await modals.update(page, external_id="e1", pauses=LOOK_PAUSES) is Shown.YES
    assert slept == list(LOOK_PAUSES)
    longest = len(LOOK_PAUSES) * LONGEST_PAUSE + (len(LOOK_PAUSES) + 1) * UPDATED_WITHIN
    assert longest < TOLD_AFTER.total_seconds()


async def test_a_page_that_slack_refuses_is_not_tried_again(workspace: Workspace) -> None:
    slept: list[float] = []
    modals = await shown(workspace, slept)
    workspace.faults.refused("invalid_arguments", "views.update")
    assert await modals.update(forms.note("The plan", "Here it is."), external_id="e1") is Shown.UNSURE
    assert slept == []


async def test_a_trigger_that_is_too_old_opens_nothing(workspace: Workspace) -> None:
    modals = await shown(workspace, [])
    assert await modals.open("1.2.unknown", forms.picker(channel="C0INC")) is Shown.NO


async def test_a_trigger_that_was_used_or_whose_answer_was_lost_may_have_opened_something(workspace: Workspace) -> None:
    modals, trigger = await shown(workspace, []), workspace.state.new_trigger("UALICE")
    workspace.faults.drop_after_effect("views.open", times=1)
    view = forms.picker(channel="C0INC")
    assert await modals.open(trigger, view) is Shown.UNSURE
    assert await modals.open(trigger, view) is Shown.UNSURE
    workspace.faults.server_error("views.open", times=1)
    assert await modals.open(workspace.state.new_trigger("UALICE"), view) is Shown.UNSURE
    workspace.faults.rate_limited(7, "views.open", times=1)
    assert await modals.open(workspace.state.new_trigger("UALICE"), view) is Shown.NO
