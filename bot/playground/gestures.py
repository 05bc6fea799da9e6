"""What people do in the workspace, and what the app is told about it.

Every gesture plays through what Slack's own client does: it refuses what could not be done there (`NotPossible`), tells
the app, waits for the acknowledgement, and shows the person what came of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.playground import chat, elements, files, reactions, response_urls, views, words
from bot.playground.arguments import Arguments
from bot.playground.block_kit import check_suggestions
from bot.playground.delivery import Ack, Deliveries, Sort
from bot.playground.elements import Placed
from bot.playground.state import SLACKBOT, Channel, File, Json, Kind, Message, NotPossible, Person, Refused, State, View

CommandAck = Ack
LEAST_TYPED = 3  # characters an external select asks from on, unless it says otherwise


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A slash command the app has, as its manifest says."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False


@dataclass(frozen=True, kw_only=True)
class ShortcutSpec:
    """A shortcut the app has. `on_message` tells the two sorts apart."""

    name: str
    callback_id: str
    description: str = ""
    on_message: bool = False


class Gestures:
    """People's side of the workspace. People go by id or handle, channels by id or name."""

    def __init__(
        self,
        *,
        state: State,
        deliveries: Deliveries,
        command_specs: Sequence[CommandSpec],
        shortcut_specs: Sequence[ShortcutSpec],
    ) -> None:
        self.state = state
        self.command_specs = tuple(command_specs)
        self.shortcut_specs = tuple(shortcut_specs)
        self._deliveries = deliveries

    # Typing

    async def command(
        self,
        person: str,
        channel: str,
        text: str,
        *,
        trigger_id: str | None = None,
        thread_ts: str | None = None,
    ) -> CommandAck:
        """Type a slash command. A `trigger_id` of before delivers the same command again, as a network might."""
        who, where = self._who(person), self._where(person, channel)
        name, _, rest = text.strip().partition(" ")
        spec = next((spec for spec in self.command_specs if spec.command == name), None)
        if spec is None:
            self._notice(who, where, f"{name} is not a valid command.", thread_ts)
            return Ack(status=None, error="unknown_command")
        key = self.state.new_response_url(user=who.id, channel=where.id, thread_ts=thread_ts)
        trigger = trigger_id or self.state.new_trigger(who.id, channel=where.id)
        url = self._response_url(key)
        payload = self._command_payload(who, where, spec, rest.strip(), trigger_id=trigger, response_url=url)
        ack = replace(await self._deliveries.send(Sort.COMMAND, payload), trigger_id=trigger, response_url=url)
        if not ack.ok:
            self._notice(who, where, f'{name} failed with the error "{ack.error}"', thread_ts)
            return ack
        try:
            self._show_command_answer(who, where, text.strip(), ack.body, thread_ts)
        except Refused as refusal:
            self._notice(who, where, f'{name} failed with the error "{refusal.error}"', thread_ts)
            return replace(ack, error=refusal.error)
        return ack

    async def say(self, person: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write a plain message; names after `@` and `#` become mentions, and the app hears what it subscribed to."""
        who, where = self._who(person), self._where(person, channel)
        if thread_ts is not None and self.state.message(where.id, thread_ts) is None:
            raise NotPossible(f"There is no thread {thread_ts} in #{where.name}.")
        message = self.state.put_message(
            Message(
                channel=where.id,
                ts=self.state.next_ts(),
                user=who.id,
                text=words.encode(self.state, text),
                thread_ts=thread_ts,
            )
        )
        chat.announce_message(self.state, message)
        if f"<@{self.state.identity.bot_user}>" in message.text and where.kind is not Kind.DIRECT:
            event = {**self.state.wire(message), "type": "app_mention", "channel": where.id, "event_ts": message.ts}
            self.state.emit("app_mention", event, where.id)
        return message

    async def upload(
        self, person: str, channel: str, name: str, content: bytes, *, text: str = "", thread_ts: str | None = None
    ) -> Message:
        """Share a file, with some words; the app hears of the message and of the file where it asked to."""
        who, where = self._who(person), self._where(person, channel)
        if not name or not content:
            raise NotPossible("A file has a name and something in it.")
        if thread_ts is not None and self.state.message(where.id, thread_ts) is None:
            raise NotPossible(f"There is no thread {thread_ts} in #{where.name}.")
        file = File(
            id=self.state.new_id("F"),
            name=name,
            size=len(content),
            key=secrets.token_hex(16),
            content=content,
            channels=(where.id,),
            user=who.id,
        )
        self.state.files[file.id] = file
        message = self.state.put_message(
            Message(
                channel=where.id,
                ts=self.state.next_ts(),
                user=who.id,
                text=words.encode(self.state, text),
                thread_ts=thread_ts,
                subtype="file_share",
                files=(file.id,),
            )
        )
        chat.announce_message(self.state, message)
        files.announce(self.state, where, file)
        return message

    def react(self, person: str, message: Message, emoji: str) -> Message:
        try:
            return reactions.react(self.state, self._current(message), emoji.strip(":"), user=self._who(person).id)
        except Refused as refusal:
            raise NotPossible(refusal.error) from refusal

    def unreact(self, person: str, message: Message, emoji: str) -> Message:
        try:
            return reactions.unreact(self.state, self._current(message), emoji.strip(":"), user=self._who(person).id)
        except Refused as refusal:
            raise NotPossible(refusal.error) from refusal

    # Pressing and choosing

    async def click(
        self,
        person: str,
        target: Message | View,
        label_or_action_id: str,
        *,
        state: Mapping[str, Any] | None = None,
        trigger_id: str | None = None,
        block_id: str | None = None,
    ) -> Ack:
        """Press a button (or an entry of an overflow menu) by its label or action id.

        `state` fills in other elements beside it first, keyed by label, action id or block id. A `trigger_id` of before
        delivers the same press again. `block_id` tells elements of the same name apart.
        """
        return await self._act(person, target, label_or_action_id, None, state or {}, trigger_id, block_id)

    async def choose(
        self,
        person: str,
        target: Message | View,
        label_or_action_id: str,
        choice: Any,
        *,
        block_id: str | None = None,
    ) -> Ack:
        """Choose in a select, a date picker, checkboxes or radio buttons; see `elements.value_of` for `choice`."""
        return await self._act(person, target, label_or_action_id, choice, {}, None, block_id)

    async def suggest(
        self, person: str, target: Message | View, action_id: str, typed: str, *, block_id: str | None = None
    ) -> list[Json]:
        """Type into an external select; gives the options (or groups) the app offers.

        Too little typed asks nobody. Raises `NotPossible` where Slack's client would say that nothing could be loaded:
        the app did not answer within three seconds, or offered what Slack refuses.
        """
        who = self._who(person)
        current = self._current_target(who, target)
        placed = elements.find(current.blocks, action_id, block_id=block_id)
        if len(typed) < placed.element.get("min_query_length", LEAST_TYPED):
            return []
        payload = self._interaction("block_suggestion", who)
        payload |= {"action_id": placed.action_id, "block_id": placed.block_id, "value": typed}
        payload |= self._context(current) | {"api_app_id": self.state.identity.app_id}
        ack = await self._deliveries.send(Sort.INTERACTION, payload)
        if not ack.ok:
            raise NotPossible(f'Nothing could be loaded: the app answered with the error "{ack.error}".')
        body = ack.body if isinstance(ack.body, dict) else {}
        problems = check_suggestions(body)
        if problems:
            raise NotPossible(f"Nothing could be loaded: {problems[0]}")
        found = body.get("option_groups") or body.get("options") or []
        return list(found)

    async def _act(
        self,
        person: str,
        target: Message | View,
        label_or_action_id: str,
        choice: Any,
        filled: Mapping[str, Any],
        trigger_id: str | None,
        block_id: str | None,
    ) -> Ack:
        who = self._who(person)
        current = self._current_target(who, target)
        placed = elements.find(current.blocks, label_or_action_id, block_id=block_id)
        values = _filled(current, filled)
        if elements.initial_value(placed.element) is not None:
            values.setdefault(placed.block_id, {})[placed.action_id] = elements.value_of(placed.element, choice)
        if isinstance(current, View):
            current = self._keep_values(current, values)
        if placed.is_silent:
            return Ack(status=None)
        return await self._report_action(who, current, placed, choice, values, trigger_id)

    async def _report_action(
        self,
        who: Person,
        current: Message | View,
        placed: Placed,
        choice: Any,
        values: Mapping[str, Any],
        trigger_id: str | None,
    ) -> Ack:
        view_id = current.id if isinstance(current, View) else None
        trigger = trigger_id or self.state.new_trigger(who.id, view=view_id, channel=current.channel)
        action = elements.action_of(placed, choice, action_ts=self.state.next_ts())
        payload = self._interaction("block_actions", who) | self._context(current)
        payload |= {"trigger_id": trigger, "actions": [action]}
        url = ""
        if isinstance(current, Message):
            key = self.state.new_response_url(user=who.id, channel=current.channel, source=current.ts)
            url = self._response_url(key)
            payload |= {"response_url": url, "state": {"values": values}}
        ack = replace(await self._deliveries.send(Sort.INTERACTION, payload), trigger_id=trigger, response_url=url)
        if not ack.ok:
            self._complain(who, current, ack)
        return ack

    # Modals and the Home tab

    def type_into(self, person: str, values: Mapping[str, Any]) -> View:
        """Fill in elements of the top modal without sending anything; keyed by label, action id or block id."""
        view = self._top_view(self._who(person))
        return self._keep_values(view, _filled(view, values))

    async def submit_view(self, person: str, values: Mapping[str, Any] | None = None) -> Ack:
        """Fill in the top modal and press submit; empty required inputs are refused as Slack's client does."""
        who = self._who(person)
        view = self._top_view(who)
        if view.type != "modal" or (not view.content.get("submit") and not values):
            raise NotPossible(f"The modal {view.title!r} has no submit button.")
        view = self._keep_values(view, _filled(view, values or {}))
        self._refuse_gaps(view)
        trigger = self.state.new_trigger(who.id, view=view.id)
        payload = self._interaction("view_submission", who)
        payload |= {"view": views.view_wire(self.state, view), "trigger_id": trigger}
        payload["response_urls"] = self._response_urls_of(who, view)
        ack = replace(await self._deliveries.send(Sort.INTERACTION, payload), trigger_id=trigger)
        if not ack.ok:
            self._set_errors(view, {"": "Trouble connecting. Try again?"})
            return ack
        try:
            self._after_submission(who, view, ack.body if isinstance(ack.body, dict) else {})
        except Refused as refusal:
            self._set_errors(view, {"": f"The app's answer was refused: {refusal.error}"})
            return replace(ack, error=refusal.error)
        return ack

    async def close_view(self, person: str, *, whole_stack: bool = False) -> Ack | None:
        """Cancel the top modal, or close all of them; the app hears of it only where it asked to."""
        who = self._who(person)
        view = self._top_view(who)
        whole_stack = whole_stack or bool(view.content.get("clear_on_close"))
        payload = self._interaction("view_closed", who)
        payload |= {"view": views.view_wire(self.state, view), "is_cleared": whole_stack}
        (views.close_all if whole_stack else views.close_top)(self.state, who.id)
        if not view.content.get("notify_on_close"):
            return None
        return await self._deliveries.send(Sort.INTERACTION, payload)

    async def open_home(self, person: str, *, tab: str = "home") -> None:
        """Open the app's Home tab; the app hears of it every time."""
        who = self._who(person)
        event: Json = {
            "type": "app_home_opened",
            "user": who.id,
            "channel": self.state.direct(who.id).id,
            "tab": tab,
            "event_ts": self.state.next_ts(),
        }
        home = self.home(person)
        if home is not None:
            event["view"] = views.view_wire(self.state, home)
        self.state.emit("app_home_opened", event, None)

    # Shortcuts

    async def shortcut(self, person: str, callback_id: str, *, looking_at: str | None = None) -> Ack:
        """Use a global shortcut, with some channel open."""
        who = self._who(person)
        self._shortcut_spec(callback_id, on_message=False)
        place = self.state.channel(looking_at).id if looking_at is not None else None
        trigger = self.state.new_trigger(who.id, channel=place)
        payload = self._interaction("shortcut", who)
        payload |= {"callback_id": callback_id, "action_ts": self.state.next_ts(), "trigger_id": trigger}
        return replace(await self._deliveries.send(Sort.INTERACTION, payload), trigger_id=trigger)

    async def message_shortcut(self, person: str, message: Message, callback_id: str) -> Ack:
        """Use a shortcut from a message's menu."""
        who = self._who(person)
        self._shortcut_spec(callback_id, on_message=True)
        current = self._current(message)
        trigger = self.state.new_trigger(who.id, channel=current.channel)
        url = self._response_url(self.state.new_response_url(user=who.id, channel=current.channel))
        payload = self._interaction("message_action", who)
        payload |= {
            "callback_id": callback_id,
            "action_ts": self.state.next_ts(),
            "message_ts": current.ts,
            "message": self.state.wire(current),
            "channel": self._channel_wire(current.channel),
            "response_url": url,
            "trigger_id": trigger,
        }
        ack = replace(await self._deliveries.send(Sort.INTERACTION, payload), trigger_id=trigger, response_url=url)
        if not ack.ok:
            self._complain(who, current, ack)
        return ack

    # Looking

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """What everybody sees in the channel, or the replies of one thread, oldest first."""
        channel_id = self.state.channel(channel).id
        return self.state.history(channel_id) if thread_ts is None else self.state.replies(channel_id, thread_ts)

    def ephemeral(self, person: str, channel: str) -> list[Message]:
        """What only that person sees in that channel, oldest first, notices from Slack included."""
        who, where = self._who(person), self.state.channel(channel)
        return [message for message in self.state.all_messages(where.id) if message.visible_to == who.id]

    def views(self, person: str) -> list[View]:
        """The modals that person has open, the top one last."""
        return [self.state.views[view_id] for view_id in self.state.stacks.get(self._who(person).id, ())]

    def home(self, person: str) -> View | None:
        return self.state.views.get(self.state.homes.get(self._who(person).id, ""))

    def read(self, target: Message | View) -> str:
        """What a person reads there, as plain text: names for ids, buttons as `[Approve]`."""
        if isinstance(target, View):
            return words.read_blocks(self.state, target.blocks)
        return words.read(self.state, target)

    def buttons(self, target: Message | View) -> list[str]:
        """The labels of the buttons it has."""
        return elements.button_labels(target.blocks)

    # Payloads

    def _command_payload(
        self, who: Person, where: Channel, spec: CommandSpec, text: str, *, trigger_id: str, response_url: str
    ) -> Json:
        direct = where.kind is Kind.DIRECT
        return {
            "token": "local",
            "team_id": self.state.identity.team_id,
            "team_domain": self.state.identity.team_domain,
            "channel_id": where.id,
            "channel_name": "directmessage" if direct else where.name,
            "user_id": who.id,
            "user_name": who.name,
            "command": spec.command,
            "text": words.encode(self.state, text) if spec.should_escape else text,
            "api_app_id": self.state.identity.app_id,
            "is_enterprise_install": "false",
            "response_url": response_url,
            "trigger_id": trigger_id,
        }

    def _interaction(self, kind: str, who: Person) -> Json:
        identity = self.state.identity
        return {
            "type": kind,
            "token": "local",
            "api_app_id": identity.app_id,
            "team": {"id": identity.team_id, "domain": identity.team_domain},
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": identity.team_id},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _context(self, current: Message | View) -> Json:
        """Where it happened: the message with its channel, or the view."""
        if isinstance(current, View):
            return {
                "container": {"type": "view", "view_id": current.id},
                "view": views.view_wire(self.state, current),
            }
        container: Json = {
            "type": "message",
            "message_ts": current.ts,
            "channel_id": current.channel,
            "is_ephemeral": current.is_ephemeral,
        }
        if current.thread_ts:
            container["thread_ts"] = current.thread_ts
        message = self.state.wire(current, metadata=True)
        if current.is_ephemeral:
            message["is_ephemeral"] = True
        return {"container": container, "channel": self._channel_wire(current.channel), "message": message}

    def _channel_wire(self, channel_id: str) -> Json:
        channel = self.state.channels[channel_id]
        return {"id": channel_id, "name": "directmessage" if channel.kind is Kind.DIRECT else channel.name}

    def _response_url(self, key: str) -> str:
        return f"{self.state.url}/respond/{key}"

    def _response_urls_of(self, who: Person, view: View) -> list[Json]:
        """One address for each chosen conversation whose select asks for it."""
        found: list[Json] = []
        for placed in elements.placed_in(view.blocks):
            value = view.values.get(placed.block_id, {}).get(placed.action_id, {})
            chosen = value.get("selected_conversation") or value.get("selected_channel")
            if placed.element.get("response_url_enabled") and chosen:
                url = self._response_url(self.state.new_response_url(user=who.id, channel=chosen))
                place = {"block_id": placed.block_id, "action_id": placed.action_id}
                found.append({**place, "channel_id": chosen, "response_url": url})
        return found

    # What comes of an acknowledgement

    def _show_command_answer(self, who: Person, where: Channel, typed: str, body: Any, thread_ts: str | None) -> None:
        if body in ("", None, {}):
            return
        given = Arguments(body if isinstance(body, dict) else {"text": body})
        if given.text("response_type") == "in_channel":
            shown = words.encode(self.state, typed)
            self.state.put_message(
                Message(channel=where.id, ts=self.state.next_ts(), user=who.id, text=shown, thread_ts=thread_ts)
            )
            if set(given.values) == {"response_type"}:
                return
        content = chat.read_content(given)
        response_urls.post_answer(self.state, where, content, given, user=who.id, thread_ts=thread_ts)

    def _after_submission(self, who: Person, view: View, body: Json) -> None:
        """Close the view, or do what the acknowledgement asks for instead."""
        match body.get("response_action"):
            case None:
                self._close_if_open(who, view)
            case "clear":
                views.close_all(self.state, who.id)
            case "errors":
                errors = body.get("errors")
                known = {block["block_id"] for block in view.blocks if block["type"] == "input"}
                if not isinstance(errors, dict) or not errors or not set(errors) <= known:
                    raise Refused("invalid_errors")
                self._set_errors(view, {name: str(text) for name, text in errors.items()})
            case "update":
                current = self.state.views.get(view.id, view)
                views.replace_view(self.state, current, views.checked_content(body.get("view"), kind="modal"))
            case "push":
                views.push_view(self.state, who.id, views.checked_content(body.get("view"), kind="modal"))
            case _:
                raise Refused("invalid_response_action")

    def _close_if_open(self, who: Person, view: View) -> None:
        if self.state.stacks.get(who.id, [])[-1:] == [view.id]:
            views.close_top(self.state, who.id)

    def _set_errors(self, view: View, errors: Mapping[str, str]) -> None:
        self.state.views[view.id] = replace(self.state.views.get(view.id, view), errors=errors)
        self.state.changed()

    def _complain(self, who: Person, current: Message | View, ack: Ack) -> None:
        """The warning Slack shows beside what was pressed."""
        if isinstance(current, View):
            self._set_errors(current, {"": f'The app did not respond: "{ack.error}"'})
        else:
            where = self.state.channels[current.channel]
            self._notice(
                who, where, f'That did not work: the app answered with the error "{ack.error}"', current.thread_ts
            )

    def _notice(self, who: Person, where: Channel, text: str, thread_ts: str | None = None) -> None:
        """A note from Slack itself that only that person sees."""
        self.state.put_message(
            Message(
                channel=where.id,
                ts=self.state.next_ts(),
                user=SLACKBOT,
                text=text,
                thread_ts=thread_ts,
                visible_to=who.id,
            )
        )

    # Checks

    def _who(self, person: str) -> Person:
        return self.state.person(person)

    def _where(self, person: str, channel: str) -> Channel:
        who, where = self._who(person), self.state.channel(channel)
        if who.id not in where.members:
            raise NotPossible(f"{who.name} is not in #{where.name}.")
        if where.archived:
            raise NotPossible(f"#{where.name} is archived.")
        return where

    def _current(self, message: Message) -> Message:
        current = self.state.any_message(message.channel, message.ts)
        if current is None:
            raise NotPossible("That message is gone.")
        return current

    def _current_target(self, who: Person, target: Message | View) -> Message | View:
        if isinstance(target, View):
            view = self.state.views.get(target.id)
            if view is None or view.user != who.id:
                raise NotPossible(f"{who.name} does not have that view open.")
            return view
        message = self._current(target)
        channel = self.state.channels[message.channel]
        if who.id not in channel.members or message.visible_to not in (None, who.id):
            raise NotPossible(f"{who.name} cannot see that message.")
        return message

    def _top_view(self, who: Person) -> View:
        stack = self.state.stacks.get(who.id)
        if not stack:
            raise NotPossible(f"{who.name} has no modal open.")
        return self.state.views[stack[-1]]

    def _shortcut_spec(self, callback_id: str, *, on_message: bool) -> None:
        if not any(spec.callback_id == callback_id and spec.on_message == on_message for spec in self.shortcut_specs):
            raise NotPossible(f"The app has no shortcut {callback_id!r} of that sort.")

    def _keep_values(self, view: View, values: Mapping[str, Mapping[str, Json]]) -> View:
        kept = replace(view, values=values)
        self.state.views[view.id] = kept
        self.state.changed()
        return kept

    def _refuse_gaps(self, view: View) -> None:
        """What Slack's own client says beside the fields, before the app hears of anything."""
        wrong: dict[str, tuple[str, str]] = {}
        for placed in elements.placed_in(view.blocks):
            if placed.block["type"] == "input":
                why = elements.unfit(placed, view.values.get(placed.block_id, {}).get(placed.action_id, {}))
                if why:
                    wrong[placed.block_id] = (elements.label(placed), why)
        if wrong or view.errors:
            self._set_errors(view, {block_id: f"This {why}." for block_id, (_, why) in wrong.items()})
        if wrong:
            raise NotPossible(" ".join(f"{label!r} {why}." for label, why in wrong.values()))


def _filled(current: Message | View, values: Mapping[str, Any]) -> dict[str, dict[str, Json]]:
    """The state with `values` put in, each found by label, action id or block id."""
    state: dict[str, dict[str, Json]] = {}
    before = current.values if isinstance(current, View) else {}
    for placed in elements.placed_in(current.blocks):
        start = before.get(placed.block_id, {}).get(placed.action_id) or elements.initial_value(placed.element)
        if start is not None:
            state.setdefault(placed.block_id, {})[placed.action_id] = start
    for name, value in values.items():
        placed = _input_called(current, name)
        state.setdefault(placed.block_id, {})[placed.action_id] = elements.value_of(placed.element, value)
    return state


def _input_called(current: Message | View, name: str) -> Placed:
    for placed in elements.placed_in(current.blocks):
        if placed.block_id == name and elements.initial_value(placed.element) is not None:
            return placed
    return elements.find(current.blocks, name)
