"""People who use everything that there is, each time until they see what should come of it; and what was used.

What was used is read from where the bot keeps what it has handled, and from the wire for what is not kept; never from
what a test meant to do.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bot import forms
from bot.actions import PREFIX
from bot.playground.block_kit import check_view, elements_in
from bot.playground.delivery import Sort
from bot.playground.state import Message, View
from bot.playground.workspace import Workspace
from bot.request import said_in
from storage import tables as t
from storage.records import InboxState
from tests.system.serving import PATIENCE, Bot, everything


@dataclass(kw_only=True)
class Tour:
    """A running bot, its workspace, and a folder of its hosts."""

    workspace: Workspace
    bot: Bot
    folder: Path

    # --- typing -------------------------------------------------------------------------------------------------------

    async def types(self, person: str, text: str, *said: str, channel: str = "incidents") -> Message:
        """The answer to what they type, once they alone are told all of this."""
        before = self._private(person, channel)
        ack = await self.workspace.command(person, channel, text)
        assert ack.ok, f"{text}: {ack.error}"
        return await self._told(person, channel, before, said, text)

    async def starts(self, person: str, text: str, *said: str, channel: str = "incidents") -> int:
        """The number of what they ask for, once its card says all of this."""
        before = set(self.numbers(channel))
        ack = await self.workspace.command(person, channel, text)
        assert ack.ok, f"{text}: {ack.error}"
        return await self.started(before, *said, channel=channel, doing=text)

    async def started(self, before: set[int], *said: str, channel: str, doing: str = "it") -> int:
        """The number of the first execution of this channel that was not there before, once its card says this."""

        def number(_: Workspace) -> int | None:
            return next((n for n in self.numbers(channel) if n not in before), None)

        found = await self._wait(number, f"an execution of {doing!r}", channel)
        await self.card(found, *said, channel=channel)
        return found

    async def sees(self, *said: str, channel: str = "incidents") -> str:
        """Everything that stands in the channel and its threads, once all of this does."""
        return await self._wait(
            lambda here: text if all(part in (text := self.all_of(channel)) for part in said) else None,
            f"everybody seeing {said}",
            channel,
        )

    async def card(self, number: int, *said: str, channel: str = "incidents") -> Message:
        """The card of an execution, once it says all of this."""

        def there(here: Workspace) -> Message | None:
            found = [m for m in here.messages(channel) if m.text.startswith(f"#{number} ")]
            return next((m for m in found if all(part in here.read(m) for part in said)), None)

        return await self._wait(there, f"the card of #{number} saying {said}", channel)

    # --- pressing and choosing ----------------------------------------------------------------------------------------

    async def press(self, person: str, on: Message | View, label: str, *, block_id: str | None = None) -> None:
        """Press a button; what comes of it is for the caller to see."""
        ack = await self.workspace.click(person, on, label, block_id=block_id)
        assert ack.ok, f"{label}: {ack.error}"

    async def presses(self, person: str, on: Message, label: str, *said: str) -> Message:
        """The answer to a button, once they alone are told all of this."""
        before = self._private(person, on.channel)
        await self.press(person, on, label)
        return await self._told(person, on.channel, before, said, label)

    async def modal(self, person: str, title: str, *said: str) -> View:
        """Their top modal, once it has this title and says all of this."""

        def found(here: Workspace) -> View | None:
            views = here.views(person)
            top = views[-1] if views and views[-1].title == title else None
            return top if top is not None and all(part in here.read(top) for part in said) else None

        try:
            view = await self.workspace.wait_for(found, timeout=PATIENCE)
        except TimeoutError:
            shown = [f"{view.title}: {self.workspace.read(view)}" for view in self.workspace.views(person)]
            raise AssertionError(f"{person} does not see {title!r} saying {said}, but {shown}") from None
        assert check_view(view.content) == []
        return view

    async def submit(self, person: str, values: Mapping[str, Any] | None = None) -> None:
        """Fill in the top modal and send it; what comes of it is for the caller to see."""
        ack = await self.workspace.submit_view(person, values)
        assert ack.ok, ack.error

    async def submits(self, person: str, values: Mapping[str, Any], *said: str, channel: str) -> Message:
        """The answer to a modal, once they alone are told all of this."""
        before = self._private(person, channel)
        await self.submit(person, values)
        return await self._told(person, channel, before, said, "the form")

    async def direct(self, person: str, *said: str) -> Message:
        """What the bot has written to them directly, once it says all of this."""

        def there(here: Workspace) -> Message | None:
            found = here.state.all_messages(here.state.direct(here.state.person(person).id).id)
            return next((m for m in found if all(part in here.read(m) for part in said)), None)

        return await self._wait(there, f"{person} being written {said}", "incidents")

    async def offered(self, person: str, view: View, action: str, typed: str = "") -> dict[str, Any]:
        """The first option that a searched menu offers."""
        found = await self.workspace.suggest(person, view, action, typed)
        options = [one for group in found for one in group.get("options", [group])]
        assert options, f"{action} offers nothing for {typed!r}"
        return dict(options[0])

    async def home(self, person: str, *said: str) -> View:
        """Their App Home, opened anew, once it says all of this."""
        before = len(self.workspace.calls_of("views.publish"))
        await self.workspace.open_home(person)

        def shown(here: Workspace) -> View | None:
            view = here.home(person)
            fresh = len(here.calls_of("views.publish")) > before and view is not None
            return view if fresh and view is not None and all(part in here.read(view) for part in said) else None

        return await self._wait(shown, f"the Home of {person} saying {said}", "incidents")

    # --- within -------------------------------------------------------------------------------------------------------

    def all_of(self, channel: str) -> str:
        """Everything that stands there and in its threads, as it is read."""
        return "\n".join(self.workspace.read(m) for m in everything(self.workspace, channel))

    def numbers(self, channel: str) -> Iterator[int]:
        """Of the executions that have a card in this channel."""
        for message in self.workspace.messages(channel):
            found = re.match(r"#(\d+) ", message.text)
            if found is not None and message.thread_ts in {None, message.ts}:
                yield int(found[1])

    def _private(self, person: str, channel: str) -> dict[str, str]:
        return {m.ts: self.workspace.read(m) for m in self.workspace.ephemeral(person, channel)}

    async def _told(
        self, person: str, channel: str, before: Mapping[str, str], said: tuple[str, ...], doing: str
    ) -> Message:
        def told(here: Workspace) -> Message | None:
            new = [m for m in here.ephemeral(person, channel) if before.get(m.ts) != here.read(m)]
            return next((m for m in new if all(part in here.read(m) for part in said)), None)

        try:
            return await self.workspace.wait_for(told, timeout=PATIENCE)
        except TimeoutError:
            heard = [text for ts, text in self._private(person, channel).items() if before.get(ts) != text]
            raise AssertionError(f"{person} was not told {said} after {doing!r}, but:\n" + "\n".join(heard)) from None

    async def _wait(self, condition: Any, what: str, channel: str) -> Any:
        try:
            return await self.workspace.wait_for(condition, timeout=PATIENCE)
        except TimeoutError:
            raise AssertionError(f"Not seen: {what}.\n{self.all_of(channel)}") from None


# --- what was used ----------------------------------------------------------------------------------------------------


async def used(tour: Tour) -> set[str]:
    """Everything of the register that the bot has handled."""
    async with tour.bot.database() as database:
        found = set(await database.read(_handled))
    for delivery in tour.workspace.deliveries:
        if delivery.ack.ok:
            found |= set(_told_by_wire(delivery.sort, delivery.payload))
    return found


def _handled(connection: Connection) -> list[str]:
    """By the requests that are kept, each with its payload. All of them are handled, none ended in a fault."""
    found: list[str] = []
    for row in connection.execute(select(t.requests)):
        assert row.state == InboxState.HANDLED.value, row
        assert "reference" not in (row.answer or "").lower(), row.answer
        payload, verb = row.payload, row.text.removeprefix(PREFIX).partition(".")[0]
        match row.kind:
            case "command":
                found += _typed(str(payload["command"]), row.text)
            case "click":
                found.append(f"press {verb}")
            case "view":
                found.append(f"submit {str(payload['verb']).removeprefix(PREFIX)}")
            case "run":
                found.append("submit planned")
            case "shortcut":
                found.append(f"shortcut {verb}")
    return found


def _typed(command: str, text: str) -> list[str]:
    said = said_in(command, text)
    assert said, f"{command} {text} was not understood"
    topic = text.split()[1:] if command == "/runbook" and text.split()[:1] == ["help"] else []
    return [*said, *(f"/runbook help {word}" for word in topic)]


def _told_by_wire(sort: Sort, payload: Mapping[str, Any]) -> Iterator[str]:
    """Searches, events, and what was filled into a form: nothing of that is kept as such."""
    if sort is Sort.EVENT:
        yield f"event {payload['event']['type']}"
    elif payload.get("type") == "block_actions" and (payload.get("view") or {}).get("type") == "home":
        yield from (f"{_pressed(action)} in Home" for action in payload["actions"])
    elif payload.get("type") == "block_suggestion":
        yield f"search {str(payload['action_id']).removeprefix(PREFIX)}"
    elif payload.get("type") == "view_submission" and payload["view"]["callback_id"] == forms.FORM:
        for block, inputs in payload["view"]["state"]["values"].items():
            if any(value for one in inputs.values() for name, value in one.items() if name != "type"):
                yield f"fill in {block}"


def unheard(workspace: Workspace, there: Collection[str]) -> set[str]:
    """What was shown to be pressed or searched, in messages, forms and App Home, and is not in the register."""
    said = [call.arguments for call in workspace.calls] + [reply.body for reply in workspace.replies]
    blocks = [block for one in said for block in [*one.get("blocks", ()), *one.get("view", {}).get("blocks", ())]]
    shown = [_pressed(e) for block in blocks for e in elements_in(block) if e["action_id"].startswith(PREFIX)]
    assert len(shown) > 100
    return {one for one in shown if not {one, one.replace("press ", "search ")} & set(there)}


def to_press_at_home(workspace: Workspace) -> set[str]:
    """Every button that any App Home has shown, as `used` names it."""
    views = [call.arguments["view"] for call in workspace.calls_of("views.publish")]
    shown = [element for view in views for block in view["blocks"] for element in elements_in(block)]
    return {f"{_pressed(element)} in Home" for element in shown}


def _pressed(element: Mapping[str, Any]) -> str:
    return f"press {str(element['action_id']).removeprefix(PREFIX).partition('.')[0]}"
