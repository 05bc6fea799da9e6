"""Is this payload one Slack would take? Blocks and views judged by Slack's limits, with messages in Slack's form.

Every check yields lines such as `[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]`. The
limits are Slack's documented ones and those its own SDK enforces, the words those of the schema checker Slack published
(hack-json-schema); the cap on all text of one message is not documented and was measured by others at around 13,000
characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from bot.playground import fields

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:\S+\Z", re.IGNORECASE)

Json = dict[str, Any]
Problems = Iterator[str]

ALL_TEXT_IN_A_MESSAGE = 13_000
ALL_MARKDOWN_IN_A_MESSAGE = 12_000
VIEW_BYTES = 250_000


class Surface(Enum):
    """Where blocks are shown; the value is how many of them fit."""

    MESSAGE = ("message", 50)
    MODAL = ("modal", 100)
    HOME = ("home", 100)

    @property
    def most_blocks(self) -> int:
        return self.value[1]


def check_blocks(blocks: Any, *, surface: Surface, at: str = "/blocks") -> list[str]:
    """What is wrong with a list of blocks, as lines for `response_metadata.messages`; empty when nothing is."""
    if not isinstance(blocks, list):
        return [_error("must provide an array", at)]
    problems = [] if len(blocks) <= surface.most_blocks else [_at_most_items(surface.most_blocks, at)]
    for index, block in enumerate(blocks):
        problems += _block(block, surface, f"{at}/{index}")
    problems += _repeated(blocks, "block_id", at)
    markdown = sum(len(str(b.get("text", ""))) for b in blocks if isinstance(b, dict) and b.get("type") == "markdown")
    if markdown > ALL_MARKDOWN_IN_A_MESSAGE:
        problems.append(_too_long(ALL_MARKDOWN_IN_A_MESSAGE, at))
    return problems


def text_length(blocks: Sequence[Any]) -> int:
    """The number of characters of all text in these blocks, for the cap on a whole message."""
    return sum(_text_length(block) for block in blocks)


def check_view(view: Any, *, at: str = "/view") -> list[str]:
    """What is wrong with a modal or Home tab."""
    if not isinstance(view, dict):
        return [_error("must provide an object", at)]
    match view.get("type"):
        case "modal":
            return list(_modal(view, at))
        case "home":
            return list(_home(view, at))
        case None:
            return [_missing("type", at)]
        case _:
            return [_error("must be a valid enum value", f"{at}/type")]


def check_suggestions(answer: Json) -> list[str]:
    """What is wrong with the answer to a `block_suggestion`: up to 100 options, or groups of them; none is fine too."""
    if answer.get("option_groups"):
        return list(_option_groups(answer, ""))
    return list(_options(answer, 100, "")) if answer.get("options") else []


def with_ids(blocks: Sequence[Json]) -> tuple[Json, ...]:
    """The blocks as Slack keeps them: every block and element has an id, made up where the app gave none."""
    used = {str(block["block_id"]) for block in blocks if block.get("block_id")}
    return tuple(_block_with_ids(block, index, used) for index, block in enumerate(blocks))


def elements_in(block: Mapping[str, Any]) -> list[Json]:
    """The elements a person can act on in one block."""
    match block.get("type"):
        case "actions" | "context_actions":
            found = block.get("elements", [])
        case "section":
            found = [block["accessory"]] if block.get("accessory") else []
        case "input":
            found = [block["element"]] if block.get("element") else []
        case "card":
            found = block.get("actions", [])
        case _:
            found = []
    return [element for element in found if element.get("type") in ELEMENTS and element["type"] != "image"]


# Lines


def _error(text: str, at: str) -> str:
    return f"[ERROR] {text} [json-pointer:{at}]"


def _missing(name: str, at: str) -> str:
    return _error(f"missing required field: {name}", at)


def _too_long(limit: int, at: str) -> str:
    return _error(f"must be less than {limit + 1} characters", at)


def _at_most_items(limit: int, at: str) -> str:
    return _error(f"no more than {limit} items allowed", at)


# Blocks


def _block(block: Any, surface: Surface, at: str) -> Problems:
    if not isinstance(block, dict):
        yield _error("must provide an object", at)
        return
    kind = block.get("type")
    if kind is None:
        yield _missing("type", at)
        return
    if not isinstance(kind, str) or kind not in BLOCKS or surface in ELSEWHERE.get(kind, ()):
        yield _error(f"unsupported type: {kind}", f"{at}/type")
        return
    yield from _known(block, fields.OF_BLOCKS.get(kind, frozenset(block)), at)
    yield from _string(block, "block_id", 255, at)
    yield from BLOCKS[kind](block, surface, at)


def _section(block: Json, surface: Surface, at: str) -> Problems:
    if "text" not in block and "fields" not in block:
        yield _missing("text", at)
    if "text" in block:
        yield from _text(block["text"], 3_000, f"{at}/text")
    if "fields" in block:
        yield from _items(block, "fields", 10, at)
        for index, item in enumerate(_list(block.get("fields"))):
            yield from _text(item, 2_000, f"{at}/fields/{index}")
    if "accessory" in block:
        yield from _element(block["accessory"], SECTION_ELEMENTS, surface, f"{at}/accessory")


def _header(block: Json, surface: Surface, at: str) -> Problems:
    yield from _plain(block, "text", 150, at, required=True)


def _divider(block: Json, surface: Surface, at: str) -> Problems:
    yield from ()


def _context(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "elements", 10, at)
    for index, element in enumerate(_list(block.get("elements"))):
        here = f"{at}/elements/{index}"
        if isinstance(element, dict) and element.get("type") == "image":
            yield from _image_element(element, surface, here)
        else:
            yield from _text(element, 3_000, here)


def _actions(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "elements", 25, at)
    elements = _list(block.get("elements"))
    for index, element in enumerate(elements):
        yield from _element(element, ACTION_ELEMENTS, surface, f"{at}/elements/{index}")
    yield from _repeated(elements, "action_id", f"{at}/elements")


def _context_actions(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "elements", 5, at)
    for index, element in enumerate(_list(block.get("elements"))):
        yield from _element(element, {"feedback_buttons", "icon_button"}, surface, f"{at}/elements/{index}")


def _input(block: Json, surface: Surface, at: str) -> Problems:
    yield from _plain(block, "label", 2_000, at, required=True)
    yield from _plain(block, "hint", 2_000, at)
    if "element" not in block:
        yield _missing("element", at)
        return
    yield from _element(block["element"], INPUT_ELEMENTS, surface, f"{at}/element")


def _image(block: Json, surface: Surface, at: str) -> Problems:
    if "image_url" not in block and "slack_file" not in block:
        yield _missing("image_url", at)
    yield from _url(block, "image_url", at)
    yield from _string(block, "alt_text", 2_000, at, required=True)
    yield from _plain(block, "title", 2_000, at)


def _markdown(block: Json, surface: Surface, at: str) -> Problems:
    yield from _string(block, "text", 12_000, at, required=True)


def _rich_text(block: Json, surface: Surface, at: str) -> Problems:
    if "elements" not in block:
        yield _missing("elements", at)
    for index, element in enumerate(_list(block.get("elements"))):
        here = f"{at}/elements/{index}"
        kind = element.get("type") if isinstance(element, dict) else None
        if not isinstance(kind, str) or kind not in fields.OF_RICH_TEXT:
            yield _error(f"unsupported type: {kind}", f"{here}/type")
        elif not isinstance(element.get("elements"), list):
            yield _missing("elements", here)
        else:
            yield from _known(element, fields.OF_RICH_TEXT[kind], here)


def _table(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "rows", 100, at)
    for index, row in enumerate(_list(block.get("rows"))):
        if len(_list(row)) > 20:
            yield _at_most_items(20, f"{at}/rows/{index}")
    if len(_list(block.get("column_settings"))) > 20:
        yield _at_most_items(20, f"{at}/column_settings")


def _data_table(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "rows", 100, at)


def _video(block: Json, surface: Surface, at: str) -> Problems:
    for name in ("alt_text", "thumbnail_url", "video_url"):
        yield from _string(block, name, 3_000, at, required=True)
    yield from _plain(block, "title", 200, at, required=True)


def _alert(block: Json, surface: Surface, at: str) -> Problems:
    if "text" not in block:
        yield _missing("text", at)
    else:
        yield from _text(block["text"], 3_000, f"{at}/text")
    yield from _one_of(block, "level", {"default", "info", "warning", "error", "success"}, at)


def _task_card(block: Json, surface: Surface, at: str) -> Problems:
    for name in ("task_id", "title"):
        yield from _string(block, name, 2_000, at, required=True)
    yield from _one_of(block, "status", {"pending", "in_progress", "complete", "error"}, at)


def _plan(block: Json, surface: Surface, at: str) -> Problems:
    yield from _string(block, "title", 2_000, at, required=True)


def _card(block: Json, surface: Surface, at: str) -> Problems:
    if not {"hero_image", "title", "actions", "body"} & set(block):
        yield _missing("title", at)
    for name, limit in (("title", 150), ("subtitle", 150), ("body", 200)):
        if name in block:
            yield from _text(block[name], limit, f"{at}/{name}")
    for index, element in enumerate(_list(block.get("actions"))):
        yield from _element(element, {"button"}, surface, f"{at}/actions/{index}")


def _carousel(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "elements", 10, at)
    for index, element in enumerate(_list(block.get("elements"))):
        yield from _block(element, surface, f"{at}/elements/{index}")


def _container(block: Json, surface: Surface, at: str) -> Problems:
    yield from _items(block, "child_blocks", 10, at)
    for index, child in enumerate(_list(block.get("child_blocks"))):
        yield from _block(child, surface, f"{at}/child_blocks/{index}")


def _data_visualization(block: Json, surface: Surface, at: str) -> Problems:
    yield from _string(block, "title", 50, at)
    if "chart" not in block:
        yield _missing("chart", at)


def _not_for_apps(block: Json, surface: Surface, at: str) -> Problems:
    yield _error(f"unsupported type: {block['type']}", f"{at}/type")


BLOCKS: dict[str, Callable[[Json, Surface, str], Problems]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "context_actions": _context_actions,
    "input": _input,
    "image": _image,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "table": _table,
    "data_table": _data_table,
    "data_visualization": _data_visualization,
    "video": _video,
    "alert": _alert,
    "task_card": _task_card,
    "plan": _plan,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "file": _not_for_apps,
}

# Where a block is *not* shown. From a third party's reading of Slack's own block list.
_NOT_IN_VIEWS = (Surface.MODAL, Surface.HOME)
ELSEWHERE: dict[str, tuple[Surface, ...]] = {
    "alert": (Surface.MESSAGE, Surface.HOME),
    "card": (Surface.MODAL,),
    "carousel": (Surface.MODAL,),
} | dict.fromkeys(
    ("container", "context_actions", "data_table", "data_visualization", "markdown", "plan", "table", "task_card"),
    _NOT_IN_VIEWS,
)


# Elements


def _element(element: Any, allowed: set[str], surface: Surface, at: str) -> Problems:
    if not isinstance(element, dict):
        yield _error("must provide an object", at)
        return
    kind = element.get("type")
    if kind is None:
        yield _missing("type", at)
        return
    if not isinstance(kind, str) or kind not in allowed or (kind == "file_input" and surface is not Surface.MODAL):
        yield _error(f"unsupported type: {kind}", f"{at}/type")
        return
    yield from _known(element, fields.OF_ELEMENTS[kind], at)
    yield from _string(element, "action_id", 255, at)
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{at}/confirm")
    yield from _plain(element, "placeholder", 150, at)
    yield from ELEMENTS[kind](element, surface, at)


def _button(element: Json, surface: Surface, at: str) -> Problems:
    yield from _plain(element, "text", 75, at, required=True)
    yield from _string(element, "value", 2_000, at)
    yield from _url(element, "url", at)
    yield from _string(element, "accessibility_label", 75, at)
    yield from _string(element, "agent_prompt", 4_000, at)
    yield from _one_of(element, "style", {"primary", "danger"}, at)


def _image_element(element: Json, surface: Surface, at: str) -> Problems:
    if "image_url" not in element and "slack_file" not in element:
        yield _missing("image_url", at)
    yield from _url(element, "image_url", at)
    yield from _string(element, "alt_text", 2_000, at, required=True)


def _overflow(element: Json, surface: Surface, at: str) -> Problems:
    yield from _options(element, 5, at, known=fields.OF_OVERFLOW_OPTION)


def _choices(element: Json, surface: Surface, at: str) -> Problems:
    """Checkboxes and radio buttons; their options may be mrkdwn."""
    yield from _options(element, 10, at, plain=False)
    yield from _initial_options(element, at)


def _static_select(element: Json, surface: Surface, at: str) -> Problems:
    if "option_groups" in element and "options" not in element:
        yield from _option_groups(element, at)
    else:
        yield from _options(element, 100, at)
    yield from _initial_options(element, at)


def _number(element: Json, surface: Surface, at: str) -> Problems:
    """Bounds and the value to start with are strings, as Slack has them."""
    if "is_decimal_allowed" not in element:
        yield _missing("is_decimal_allowed", at)
    for name in ("min_value", "max_value", "initial_value"):
        yield from _string(element, name, 255, at)
        value = element.get(name)
        if isinstance(value, str) and not _NUMBER.match(value):
            yield _error("must provide a number", f"{at}/{name}")


def _plain_text_input(element: Json, surface: Surface, at: str) -> Problems:
    least, most = element.get("min_length", 0), element.get("max_length", 3_000)
    if not isinstance(least, int) or not 0 <= least <= 3_000:
        yield _error("must be between 0 and 3000", f"{at}/min_length")
    if not isinstance(most, int) or not 1 <= most <= 3_000:
        yield _error("must be between 1 and 3000", f"{at}/max_length")
    elif isinstance(least, int) and least > most:
        yield _error("must be less than or equal to max_length", f"{at}/min_length")
    yield from _string(element, "initial_value", 3_000, at)


def _anything(element: Json, surface: Surface, at: str) -> Problems:
    """Elements whose own fields have no limits beyond those every element has."""
    yield from ()


def _feedback_buttons(element: Json, surface: Surface, at: str) -> Problems:
    for name in ("positive_button", "negative_button"):
        if name not in element:
            yield _missing(name, at)


def _icon_button(element: Json, surface: Surface, at: str) -> Problems:
    yield from _string(element, "icon", 255, at, required=True)
    yield from _plain(element, "text", 75, at, required=True)


Check = Callable[[Json, Surface, str], Problems]

_LIMITED: dict[str, Check] = {
    "button": _button,
    "image": _image_element,
    "overflow": _overflow,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "static_select": _static_select,
    "multi_static_select": _static_select,
    "plain_text_input": _plain_text_input,
    "number_input": _number,
    "feedback_buttons": _feedback_buttons,
    "icon_button": _icon_button,
}
_UNLIMITED: dict[str, Check] = dict.fromkeys(
    (
        "external_select",
        "multi_external_select",
        "users_select",
        "multi_users_select",
        "conversations_select",
        "multi_conversations_select",
        "channels_select",
        "multi_channels_select",
        "datepicker",
        "timepicker",
        "datetimepicker",
        "email_text_input",
        "url_text_input",
        "rich_text_input",
        "file_input",
        "workflow_button",
    ),
    _anything,
)
ELEMENTS: dict[str, Check] = _LIMITED | _UNLIMITED

_TYPED = {"plain_text_input", "number_input", "email_text_input", "url_text_input", "rich_text_input", "file_input"}
_ONLY_MESSAGES = {"feedback_buttons", "icon_button"}
_BUTTONS = {"button", "overflow", "workflow_button"}
SECTION_ELEMENTS = set(ELEMENTS) - _TYPED - _ONLY_MESSAGES
ACTION_ELEMENTS = {
    name for name in ELEMENTS if not name.startswith("multi_") and name not in _TYPED | _ONLY_MESSAGES | {"image"}
}
INPUT_ELEMENTS = set(ELEMENTS) - _BUTTONS - _ONLY_MESSAGES - {"image"}


def _options(
    element: Json, most: int, at: str, *, plain: bool = True, known: frozenset[str] = fields.OF_OPTION
) -> Problems:
    yield from _items(element, "options", most, at)
    options = _list(element.get("options"))
    for index, option in enumerate(options):
        yield from _option(option, f"{at}/options/{index}", plain=plain, known=known)
    yield from _repeated(options, "value", f"{at}/options")


def _option_groups(element: Json, at: str) -> Problems:
    yield from _items(element, "option_groups", 100, at)
    for index, group in enumerate(_list(element.get("option_groups"))):
        here = f"{at}/option_groups/{index}"
        if not isinstance(group, dict):
            yield _error("must provide an object", here)
            continue
        yield from _known(group, fields.OF_OPTION_GROUP, here)
        yield from _plain(group, "label", 75, here, required=True)
        yield from _options(group, 100, here)


def _option(option: Any, at: str, *, plain: bool, known: frozenset[str]) -> Problems:
    if not isinstance(option, dict):
        yield _error("must provide an object", at)
        return
    yield from _known(option, known, at)
    if plain:
        yield from _plain(option, "text", 75, at, required=True)
    elif "text" in option:
        yield from _text(option["text"], 75, f"{at}/text")
    else:
        yield _missing("text", at)
    yield from _string(option, "value", 150, at)
    if "description" in option:
        yield from _text(option["description"], 75, f"{at}/description")


def _initial_options(element: Json, at: str) -> Problems:
    """What is chosen at first has to be offered, in exactly the same words."""
    groups = [g for g in _list(element.get("option_groups")) if isinstance(g, dict)]
    offered = _list(element.get("options")) + [o for group in groups for o in _list(group.get("options"))]
    if "initial_option" in element and element["initial_option"] not in offered:
        yield _error("must be one of the provided options", f"{at}/initial_option")
    for index, option in enumerate(_list(element.get("initial_options"))):
        if option not in offered:
            yield _error("must be one of the provided options", f"{at}/initial_options/{index}")


def _confirm(confirm: Any, at: str) -> Problems:
    if not isinstance(confirm, dict):
        yield _error("must provide an object", at)
        return
    yield from _known(confirm, fields.OF_CONFIRM, at)
    yield from _plain(confirm, "title", 100, at, required=True)
    if "text" in confirm:
        yield from _text(confirm["text"], 300, f"{at}/text")
    else:
        yield _missing("text", at)
    yield from _plain(confirm, "confirm", 30, at, required=True)
    yield from _plain(confirm, "deny", 30, at, required=True)
    yield from _one_of(confirm, "style", {"primary", "danger"}, at)


# Views


def _modal(view: Json, at: str) -> Problems:
    yield from _known(view, fields.OF_MODAL, at)
    yield from _plain(view, "title", 24, at, required=True)
    yield from _plain(view, "submit", 24, at)
    yield from _plain(view, "close", 24, at)
    yield from _view_common(view, Surface.MODAL, at)
    if "submit" not in view:
        for index, block in enumerate(_list(view.get("blocks"))):
            if isinstance(block, dict) and block.get("type") == "input":
                yield _error("must define `submit` to use an `input` block in modals", f"{at}/blocks/{index}/input")


def _home(view: Json, at: str) -> Problems:
    yield from _known(view, fields.OF_HOME, at)
    yield from _view_common(view, Surface.HOME, at)


def _view_common(view: Json, surface: Surface, at: str) -> Problems:
    yield from _string(view, "private_metadata", 3_000, at)
    yield from _string(view, "callback_id", 255, at)
    yield from _string(view, "external_id", 255, at)
    if "blocks" not in view:
        yield _missing("blocks", at)
        return
    yield from check_blocks(view["blocks"], surface=surface, at=f"{at}/blocks")


# Small parts


def _text(value: Any, limit: int, at: str) -> Problems:
    """A text object of either kind, with 1 to `limit` characters."""
    if not isinstance(value, dict):
        yield _error("must provide an object", at)
        return
    kind = value.get("type")
    if kind in ("mrkdwn", "plain_text"):
        yield from _known(value, fields.OF_TEXT[kind], at)
    else:
        yield _error("must be a valid enum value", f"{at}/type")
    yield from _string(value, "text", limit, at, required=True)


def _plain(parent: Json, name: str, limit: int, at: str, *, required: bool = False) -> Problems:
    if name not in parent:
        if required:
            yield _missing(name, at)
        return
    value = parent[name]
    if isinstance(value, dict) and value.get("type") != "plain_text":
        yield _error("must be a valid enum value", f"{at}/{name}/type")
    else:
        yield from _text(value, limit, f"{at}/{name}")


def _string(parent: Json, name: str, limit: int, at: str, *, required: bool = False) -> Problems:
    if name not in parent:
        if required:
            yield _missing(name, at)
        return
    value = parent[name]
    if not isinstance(value, str):
        yield _error("must provide a string", f"{at}/{name}")
    elif len(value) > limit:
        yield _too_long(limit, f"{at}/{name}")
    elif required and not value:
        yield _error("must be more than 0 characters", f"{at}/{name}")


def _url(parent: Json, name: str, at: str) -> Problems:
    yield from _string(parent, name, 3_000, at)
    value = parent.get(name)
    if isinstance(value, str) and not _ADDRESS.match(value):
        yield _error("invalid url", f"{at}/{name}")


def _known(parent: Json, names: frozenset[str], at: str) -> Problems:
    """Nothing but these fields."""
    for name in parent:
        if name not in names:
            yield _error(f"invalid additional property: {name}", at)


def _items(parent: Json, name: str, most: int, at: str) -> Problems:
    """A list of 1 to `most` items."""
    if name not in parent:
        yield _missing(name, at)
        return
    value = parent[name]
    if not isinstance(value, list):
        yield _error("must provide an array", f"{at}/{name}")
    elif not value:
        yield _error("must provide at least 1 items", f"{at}/{name}")
    elif len(value) > most:
        yield _at_most_items(most, f"{at}/{name}")


def _one_of(parent: Json, name: str, allowed: set[str], at: str) -> Problems:
    if name in parent and (not isinstance(parent[name], str) or parent[name] not in allowed):
        yield _error("must be a valid enum value", f"{at}/{name}")


def _repeated(items: Sequence[Any], name: str, at: str) -> Problems:
    """Every item whose `name` an earlier one has already."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(name) if isinstance(item, dict) else None
        if isinstance(value, str) and value:
            if value in seen:
                yield _error(f'`{name}` "{value}" already exists', f"{at}/{index}/{name}")
            seen.add(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text_length(value: Any) -> int:
    match value:
        case {"type": "mrkdwn" | "plain_text" | "markdown" | "text" | "raw_text", "text": str(text)}:
            return len(text)
        case dict():
            return sum(_text_length(item) for item in value.values())
        case list():
            return sum(_text_length(item) for item in value)
        case _:
            return 0


def _block_with_ids(block: Json, index: int, used: set[str]) -> Json:
    named: Json = dict(block)
    if not named.get("block_id"):
        number = index
        while f"b{number}" in used:
            number += 100
        used.add(f"b{number}")
        named["block_id"] = f"b{number}"
    if isinstance(named.get("elements"), list) and named["type"] in {"actions", "context_actions"}:
        named["elements"] = [_element_with_id(item, f"a{n}") for n, item in enumerate(named["elements"])]
    for slot in ("accessory", "element"):
        if isinstance(named.get(slot), dict):
            named[slot] = _element_with_id(named[slot], "a0")
    return named


def _element_with_id(element: Json, action_id: str) -> Json:
    if element.get("type") == "image" or element.get("action_id"):
        return element
    return {**element, "action_id": action_id}
