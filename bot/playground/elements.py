"""What people do with elements: find one by its label, fill it in, and what that looks like on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.playground.block_kit import elements_in
from bot.playground.state import Json, NotPossible

# The field of the state (and of an action) that holds what was chosen, by element type.
ONE_CHOICE = {
    "static_select": "selected_option",
    "external_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
MANY_CHOICES = {
    "checkboxes": "selected_options",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "file_input": "files",
}
TYPED = frozenset({"plain_text_input", "number_input", "email_text_input", "url_text_input"})
_BUTTONS = frozenset({"button", "workflow_button", "icon_button", "feedback_buttons"})
_WHOLE = re.compile(r"-?[0-9]{1,30}")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_INITIAL = {
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_user": "initial_user",
    "selected_users": "initial_users",
    "selected_conversation": "initial_conversation",
    "selected_conversations": "initial_conversations",
    "selected_channel": "initial_channel",
    "selected_channels": "initial_channels",
    "selected_date": "initial_date",
    "selected_time": "initial_time",
    "selected_date_time": "initial_date_time",
}


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One element, the block it stands in, and for an overflow menu the entry that was meant."""

    block: Json
    element: Json
    option: Json | None = None

    @property
    def block_id(self) -> str:
        return str(self.block["block_id"])

    @property
    def action_id(self) -> str:
        return str(self.element["action_id"])

    @property
    def is_silent(self) -> bool:
        """Inputs report nothing before the view is submitted, unless told to."""
        return self.block["type"] == "input" and not self.block.get("dispatch_action")


def placed_in(blocks: Sequence[Json]) -> Iterator[Placed]:
    for block in blocks:
        for element in elements_in(block):
            yield Placed(block=block, element=element)
        for child in block.get("child_blocks", ()):
            yield from placed_in([child])


def find(blocks: Sequence[Json], label_or_action_id: str, *, block_id: str | None = None) -> Placed:
    """The element with that visible label or `action_id`, the first one unless a block is named.

    Raises `NotPossible` listing what is there.
    """
    for placed in placed_in(blocks):
        if block_id is not None and placed.block_id != block_id:
            continue
        if placed.element.get("action_id") == label_or_action_id or label(placed) == label_or_action_id:
            return placed
        if placed.element["type"] == "overflow":
            for option in placed.element["options"]:
                if option["text"]["text"] == label_or_action_id:
                    return Placed(block=placed.block, element=placed.element, option=option)
    there = ", ".join(repr(label(placed)) for placed in placed_in(blocks)) or "nothing to press"
    raise NotPossible(f"There is no {label_or_action_id!r} here. There is: {there}.")


def label(placed: Placed) -> str:
    """What a person would call it: the text on a button, the label of an input, else its placeholder or action id."""
    if placed.block["type"] == "input":
        return str(placed.block["label"]["text"])
    for part in ("text", "placeholder"):
        if isinstance(placed.element.get(part), dict):
            return str(placed.element[part]["text"])
    return str(placed.element.get("action_id", ""))


def button_labels(blocks: Sequence[Json]) -> list[str]:
    return [label(placed) for placed in placed_in(blocks) if placed.element["type"] in _BUTTONS]


def action_of(placed: Placed, choice: Any, *, action_ts: str) -> Json:
    """The entry of `actions[]` for pressing or choosing; `choice` is what `value_of` takes."""
    element = placed.element
    action: Json = {"type": element["type"], "action_id": placed.action_id, "block_id": placed.block_id}
    for name in ("text", "value", "style", "placeholder", "confirm"):
        if name in element:
            action[name] = element[name]
    if element["type"] not in _BUTTONS:
        action |= value_of(element, placed.option["value"] if placed.option else choice)
    return action | {"action_ts": action_ts}


def value_of(element: Json, value: Any) -> Json:
    """An element's entry in `state.values` after a person put `value` there.

    Text for inputs; for choices the option's value or label, or a list of them; ids for people and channels. An
    option as Slack writes it is taken too, which is how choices from an external source come.
    """
    kind = element["type"]
    if kind in ONE_CHOICE:
        field = ONE_CHOICE[kind]
        chosen = _option(element, value) if field == "selected_option" and value is not None else value
        return {"type": kind, field: chosen}
    if kind in MANY_CHOICES:
        field = MANY_CHOICES[kind]
        values = list(value or ())
        return {"type": kind, field: [_option(element, v) for v in values] if field == "selected_options" else values}
    if kind == "rich_text_input":
        return {"type": kind, "rich_text_value": value}
    return {"type": kind, "value": None if value in (None, "") else str(value)}


def initial_value(element: Json) -> Json | None:
    """What the element holds before anybody touched it; `None` for what holds nothing, such as a button."""
    kind = element["type"]
    field = ONE_CHOICE.get(kind) or MANY_CHOICES.get(kind)
    if kind == "overflow":
        return None
    if field is not None:
        empty: Any = [] if kind in MANY_CHOICES else None
        return {"type": kind, field: element.get(_INITIAL.get(field, ""), empty)}
    if kind in TYPED:
        return {"type": kind, "value": element.get("initial_value")}
    if kind == "rich_text_input":
        return {"type": kind, "rich_text_value": element.get("initial_value")}
    return None


def unfit(placed: Placed, value: Json) -> str:
    """Why a form can't be sent with that in this input, as the end of a sentence about it; empty if it can."""
    if is_empty(value):
        return "" if placed.block.get("optional") else "is required"
    element, text = placed.element, str(value.get("value") or "")
    if len(text) > element.get("max_length", len(text)):
        return f"is too long: at most {element['max_length']} characters"
    if len(text) < element.get("min_length", 0):
        return f"is too short: at least {element['min_length']} characters"
    match element["type"]:
        case "number_input":
            return _unfit_number(element, text)
        case "email_text_input" if not _EMAIL.fullmatch(text):
            return "must be an email address"
        case "url_text_input" if not _ADDRESS.fullmatch(text):
            return "must be an address such as https://example.com"
        case _:
            return ""


def _unfit_number(element: Json, text: str) -> str:
    if not (_DECIMAL if element.get("is_decimal_allowed") else _WHOLE).fullmatch(text):
        return "must be a number" if element.get("is_decimal_allowed") else "must be a whole number"
    if "min_value" in element and Decimal(text) < Decimal(element["min_value"]):
        return f"must be at least {element['min_value']}"
    if "max_value" in element and Decimal(text) > Decimal(element["max_value"]):
        return f"must be at most {element['max_value']}"
    return ""


def is_empty(value: Json) -> bool:
    """Whether nothing was filled in, which a required input does not allow."""
    return all(content in (None, "", []) for name, content in value.items() if name != "type")


def _option(element: Json, value: Any) -> Json:
    if isinstance(value, dict):
        return value
    groups = element.get("option_groups", ())
    offered = [*element.get("options", ()), *(option for group in groups for option in group["options"])]
    for option in offered:
        if value in (option.get("value"), option["text"]["text"]):
            return dict(option)
    there = ", ".join(repr(option["text"]["text"]) for option in offered) or "nothing"
    raise NotPossible(f"{value!r} is not offered. Offered: {there}.")
