"""views.*: modals in stacks of up to three per person, and Home tabs."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

from bot.playground.arguments import Arguments
from bot.playground.block_kit import VIEW_BYTES, check_view, elements_in, with_ids
from bot.playground.elements import initial_value
from bot.playground.state import Json, Refused, State, View

DEEPEST_STACK = 3


def opened(state: State, arguments: Arguments) -> Json:
    """A new modal before whoever caused the trigger; what they had open gives way to it."""
    content = _content(arguments, kind="modal")
    _refuse_taken_external_id(state, content)
    trigger = state.exchange_trigger(arguments.text("trigger_id"))
    close_all(state, trigger.user)
    return _answer(state, push_view(state, trigger.user, content, channel=trigger.channel))


def pushed(state: State, arguments: Arguments) -> Json:
    content = _content(arguments, kind="modal")
    _refuse_taken_external_id(state, content)
    trigger = state.exchange_trigger(arguments.text("trigger_id"))
    if trigger.view is None or trigger.view not in state.stacks.get(trigger.user, []):
        raise Refused("not_found")
    return _answer(state, push_view(state, trigger.user, content))


def updated(state: State, arguments: Arguments) -> Json:
    view = _view_meant(state, arguments)
    content = _content(arguments, kind=view.type)
    if "hash" in arguments and arguments.text("hash") != view.hash:
        raise Refused("hash_conflict")
    return _answer(state, replace_view(state, view, content))


def published(state: State, arguments: Arguments) -> Json:
    content = _content(arguments, kind="home")
    user = arguments.text("user_id")
    if user not in state.people:
        raise Refused("invalid_arguments", "[ERROR] invalid user_id [json-pointer:/user_id]")
    if not state.home_enabled:
        raise Refused("not_enabled")
    before = state.views.get(state.homes.get(user, ""))
    if "hash" in arguments and (before is None or arguments.text("hash") != before.hash):
        raise Refused("hash_conflict")
    if before is not None:
        return _answer(state, replace_view(state, before, content))
    view = _new_view(state, user, content, root=None, previous=None)
    state.homes[user] = view.id
    state.changed()
    return _answer(state, view)


# What a person's acknowledged submission does as well


def push_view(state: State, user: str, content: Json, *, channel: str | None = None) -> View:
    """On top of what is open, which knows the `channel` that was open then."""
    stack = state.stacks.setdefault(user, [])
    if len(stack) >= DEEPEST_STACK:
        raise Refused("push_limit_reached")
    root = stack[0] if stack else None
    channel = state.views[root].channel if root is not None else channel
    view = _new_view(state, user, content, root=root, previous=stack[-1] if stack else None, channel=channel)
    stack.append(view.id)
    state.changed()
    return view


def replace_view(state: State, view: View, content: Json) -> View:
    """New content in the same place. What was typed stays where block and action kept their ids."""
    fresh = _starting_values(content, view.channel)
    values = {
        block_id: {
            action_id: view.values.get(block_id, {}).get(action_id, start) for action_id, start in actions.items()
        }
        for block_id, actions in fresh.items()
    }
    changed = replace(view, content=content, hash=_new_hash(state), values=values, errors={})
    state.views[view.id] = changed
    state.changed()
    return changed


def close_top(state: State, user: str) -> None:
    stack = state.stacks.get(user, [])
    if stack:
        state.views.pop(stack.pop(), None)
    state.changed()


def close_all(state: State, user: str) -> None:
    for view_id in state.stacks.pop(user, []):
        state.views.pop(view_id, None)
    state.changed()


def checked_content(view: Any, *, kind: str) -> Json:
    """A view's content, judged and with ids filled in; refuses as the Web API does."""
    problems = check_view(view)
    if problems:
        raise Refused("invalid_arguments", *problems)
    if view["type"] != kind:
        raise Refused("invalid_arguments", "[ERROR] must be a valid enum value [json-pointer:/view/type]")
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        raise Refused("view_too_large")
    return {**view, "blocks": list(with_ids(view["blocks"]))}


def view_wire(state: State, view: View) -> Json:
    """The view as answers and payloads show it."""
    who = state.identity
    body: Json = {
        "id": view.id,
        "team_id": who.team_id,
        "type": view.type,
        "title": None,
        "submit": None,
        "close": None,
        "blocks": [],
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "notify_on_close": False,
        "clear_on_close": False,
    }
    body |= view.content
    return body | {
        "state": {"values": {block: dict(actions) for block, actions in view.values.items()}},
        "hash": view.hash,
        "root_view_id": view.root,
        "previous_view_id": view.previous,
        "app_id": who.app_id,
        "app_installed_team_id": who.team_id,
        "bot_id": who.bot_id,
    }


def _content(arguments: Arguments, *, kind: str) -> Json:
    view = arguments.structure("view", or_refuse="invalid_arguments")
    return checked_content(view, kind=kind)


def _answer(state: State, view: View) -> Json:
    return {"ok": True, "view": view_wire(state, view)}


def _view_meant(state: State, arguments: Arguments) -> View:
    if "view_id" in arguments:
        found = state.views.get(arguments.text("view_id"))
    elif "external_id" in arguments:
        external_id = arguments.text("external_id")
        found = next((view for view in state.views.values() if view.external_id == external_id), None)
    else:
        raise Refused("invalid_arguments", "[ERROR] missing required field: view_id [json-pointer:/view_id]")
    if found is None:
        raise Refused("not_found")
    return found


def _refuse_taken_external_id(state: State, content: Json) -> None:
    external_id = content.get("external_id")
    if external_id and any(view.external_id == external_id for view in state.views.values()):
        raise Refused("duplicate_external_id")


def _new_view(
    state: State, user: str, content: Json, *, root: str | None, previous: str | None, channel: str | None = None
) -> View:
    view_id = state.new_id("V")
    view = View(
        id=view_id,
        user=user,
        content=content,
        hash=_new_hash(state),
        root=root or view_id,
        previous=previous,
        values=_starting_values(content, channel),
        channel=channel,
    )
    state.views[view_id] = view
    return view


def _new_hash(state: State) -> str:
    return f"{int(state.now())}.{secrets.token_hex(4)}"


def _starting_values(content: Json, channel: str | None) -> dict[str, dict[str, Json]]:
    """What each input holds before anybody typed, in a view that was opened while that conversation was."""
    values: dict[str, dict[str, Json]] = {}
    for block in content["blocks"]:
        for element in elements_in(block):
            start = initial_value(element)
            if start is not None and channel is not None and element.get("default_to_current_conversation"):
                start = _in_conversation(start, channel)
            if start is not None:
                values.setdefault(block["block_id"], {})[element["action_id"]] = start
    return values


def _in_conversation(start: Json, channel: str) -> Json:
    """A select of conversations that holds the current one."""
    if "selected_conversations" in start:
        return {**start, "selected_conversations": start["selected_conversations"] or [channel]}
    return {**start, "selected_conversation": start.get("selected_conversation") or channel}
